"""The figures of interventions as the service answers them."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from models.assignments import AssignmentKind
from models.decision import UpliftSource
from models.declared import Language
from models.intervention_figures import INTERVENTIONS, CostKind, InterventionReport, StepName
from models.intervention_wording import told
from models.uplift_evidence import Verdict
from serving.answers import Answered
from serving.problems import NO_RUN, Refusal
from serving.service import Service

Interval = tuple[float, float]


class BlockedAnswer(Answered):
    """What kept `members` out: a rule, "stage:name", or what became of a contact."""

    rule: str
    members: int
    text: str


class StepAnswer(Answered):
    """`members` still there, of the run, or contacts; null where nobody tells. `blocked` has the commonest reason first."""

    name: StepName
    label: str
    members: int | None
    blocked: list[BlockedAnswer]


class CostPerSavedAnswer(Answered):
    """Money for one member who stays because of it. `not_below`: the effect may be 0; `cannot_be_said`: at its best it keeps nobody."""

    kind: CostKind
    value: float | None
    lower: float | None
    upper: float | None
    text: str


class EvidenceAnswer(Answered):
    """What was learned from `n` contacts and `n_none` members left alone; intervals at `level` of the answer."""

    average_effect: float | None
    interval: Interval | None
    n: int
    n_none: int
    expected_effect: float
    expected_error: float
    heterogeneity_held: float | None
    heterogeneity_interval: Interval | None
    assignment: AssignmentKind
    smallest_propensity: float
    effective_share: float
    imbalance_before: float | None
    imbalance_after: float | None


class InterventionFiguresAnswer(Answered):
    """`effect`: of what decisions rest on, on the share who stay. `answered` of `answerable` deliveries were followed by activity."""

    id: str
    label: str
    run: list[StepAnswer]
    contacts: list[StepAnswer]
    answered: int
    answerable: int
    effect: float
    effect_interval: Interval
    effect_text: str
    source: UpliftSource
    source_text: str
    verdict: Verdict | Literal["not_measured"]
    verdict_text: str
    more_members: int | None
    cost: float
    cost_per_saved: CostPerSavedAnswer
    evidence: EvidenceAnswer | None


class InterventionsFiguresAnswer(Answered):
    """The catalogue of the run at `as_of`, which looked at `members`; contacts are those decided since `contacts_since`."""

    as_of: datetime
    model_version: str
    members: int
    contacts_since: datetime
    level: float
    currency: str
    interventions: list[InterventionFiguresAnswer]


def intervention_figures(service: Service) -> InterventionReport:
    """Raises Refusal before the first run, StoreUnavailable."""
    kept = service.store.figures(INTERVENTIONS)
    if kept is None:
        raise Refusal(NO_RUN, "`keepwell decide` looks at all members and puts what it finds here")
    return InterventionReport.from_json(kept.body)


def interventions_answer(service: Service, language: Language | None) -> InterventionsFiguresAnswer:
    """Raises Refusal before the first run, StoreUnavailable."""
    return InterventionsFiguresAnswer.model_validate(told(intervention_figures(service), language or service.community.language))
