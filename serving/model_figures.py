"""How good the models are, as the service answers it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from models.declared import Language
from models.drift_figures import DRIFT, DriftFigures
from models.findings import Level, Step
from models.input_figures import INPUT, InputFigures
from models.model_figures import MODEL, ModelFigures
from models.model_wording import told_champion, told_drift, told_input, told_measured, told_policies
from serving.answers import Answered, Probability
from serving.operation_answers import ShadowAnswer
from serving.service import Service
from serving.shadow import Shadow

Interval = tuple[float, float]


class CalibrationAnswer(Answered):
    """Of `members` with a mean risk of `said` the share `seen` went; `fits` where `said` lies within its 95 % interval."""

    members: int
    said: Probability
    seen: Probability
    lower: Probability
    upper: Probability
    fits: bool


class MeasuredAnswer(Answered):
    """One test: what is in use of a version beside the recency rule; intervals are of 95 %.

    `auc_gain` is that of the trained model over `best_rule`, null where an earlier release did not keep which of the plain rules that is.
    """

    version: str
    as_of: datetime
    trained: bool
    out_of_time: bool
    horizon_days: int
    members: int
    churn_rate: Probability
    grade: str
    in_use: str
    auc: float
    auc_interval: Interval
    recency_auc: float
    recency_auc_interval: Interval
    auc_gain: float
    auc_gain_interval: Interval
    best_rule: str | None
    best_rule_auc: float | None
    calibration_error: float
    calibration_error_interval: Interval
    calibration: list[CalibrationAnswer]


class ChampionAnswer(Answered):
    """The last test of the model in use; `test` is null where it was never measured. `gain_text` says over what the gain is."""

    text: str
    details: list[str]
    gain_text: str | None
    calibration_text: str | None
    test: MeasuredAnswer | None


class PolicyAnswer(Answered):
    """Money for `per` decisions; `gain` is over the first policy. `warnings` tell why it may not be believed."""

    name: str
    version: str | None
    label: str
    value: float
    value_interval: Interval
    gain: float | None
    gain_interval: Interval | None
    warnings: list[str]


class PoliciesAnswer(Answered):
    """Ways to decide on the same logged decisions. `outcome` is null where no promotion was asked for; `missing` is what it lacked."""

    at: datetime
    decisions: int
    members: int
    level: float
    outcome: Literal["passed", "refused", "forced"] | None
    outcome_text: str
    missing: list[str]
    text: str
    reliable: bool
    note: str
    per: int
    currency: str
    policies: list[PolicyAnswer]


class MovedAnswer(Answered):
    """`psi`, what `chance` alone may make of it, and the share of the model that rests on the column."""

    name: str
    signal: str
    family: str
    psi: float
    chance: float
    weight: float
    notable: bool


class MovedGroupAnswer(Answered):
    """Columns of one signal and family; `psi` of the most moved. `moved` of them, with `moved_weight`, moved notably."""

    signal: str
    family: str
    text: str
    columns: int
    moved: int
    psi: float
    weight: float
    moved_weight: float
    notable: bool


class MovedRiskAnswer(MovedAnswer):
    text: str


class DriftAnswer(Answered):
    """Active members at `as_of` against those at `since`, the same hour of the week nearest to the model's test.

    `moved_weight`: how much of the model rests on columns that moved notably, the sum of those of the groups.
    """

    as_of: datetime
    since: datetime
    model_version: str
    members_before: int
    members: int
    threshold: float
    moved_weight: float
    text: str
    note: str
    risk: MovedRiskAnswer
    groups: list[MovedGroupAnswer]
    columns: list[MovedAnswer]


class FindingAnswer(Answered):
    """`code` names the message, `told` the figures in it; `line` is of the table, or of keepwell.yaml."""

    level: Level
    level_text: str
    step: Step
    step_text: str
    column: str | None
    line: int | None
    code: str
    told: dict[str, Any]
    message: str
    what_to_do: str


class InputAnswer(Answered):
    """The check at `at`; the gravest findings first."""

    at: datetime
    first: datetime
    last: datetime
    events: int
    members: int
    rejected: int
    text: str
    note: str
    findings: list[FindingAnswer]


class ModelReportAnswer(Answered):
    """What was never measured is null. `tests` are of the last versions, by date; `shadow` is null where no challenger is asked."""

    told_at: datetime | None
    champion: str | None
    challenger: str | None
    of_champion: ChampionAnswer
    tests: list[MeasuredAnswer]
    policies: PoliciesAnswer | None
    shadow: ShadowAnswer | None
    drift: DriftAnswer | None
    input: InputAnswer | None


def model_report(service: Service, shadow: Shadow | None, language: Language | None) -> ModelReportAnswer:
    """Raises StoreUnavailable."""
    community, asked, store = service.community, language or service.community.language, service.store
    model, drift, found = (store.figures(name) for name in (MODEL, DRIFT, INPUT))
    figures = None if model is None else ModelFigures.from_json(model.body)
    told: dict[str, Any] = {
        "told_at": None if figures is None else figures.at,
        "champion": None if figures is None else figures.champion,
        "challenger": None if figures is None else figures.challenger,
        "of_champion": told_champion(figures, community, asked),
        "tests": [] if figures is None else [told_measured(one) for one in figures.measured],
        "policies": told_policies(None if figures is None else figures.policies, community, asked),
        "shadow": None if shadow is None else shadow.answer(),
        "drift": told_drift(None if drift is None else DriftFigures.from_json(drift.body), community, asked),
        "input": told_input(None if found is None else InputFigures.from_json(found.body), community, asked),
    }
    return ModelReportAnswer.model_validate(told)
