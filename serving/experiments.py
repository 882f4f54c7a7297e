"""Experiments as the service answers them."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from models.declared import Language
from models.experiment_declaration import MetricKind
from models.experiment_wording import told
from models.experiments import read_out_of
from models.kept_read_outs import KeptReadOuts
from models.read_out import Kind, Verdict
from serving.service import Service

Interval = tuple[float, float]


class ArmAnswer(BaseModel):
    """`expected`: members that its share, or the sum of the chances, leads to expect; `clusters`: null where members were assigned."""

    id: str
    label: str
    members: int
    expected: float
    clusters: int | None


class SampleRatio(BaseModel):
    """`mismatch` where p of the chi-square test is below .001: then nothing is judged."""

    p: float
    mismatch: bool
    text: str


class LiftAnswer(BaseModel):
    """The mean of `arm` less that of `control`, with its interval, in the metric's unit and relative to the control; null while waiting.

    Of a small arm only the means are told, and about how many members of it, `arm_needed`, would let something be said.
    """

    metric: str
    kind: MetricKind
    days: int
    arm: str
    control: str
    members: int
    control_members: int
    mean: float | None
    control_mean: float | None
    verdict: Verdict
    lift: float | None
    lift_interval: Interval | None
    relative: float | None
    relative_interval: Interval | None
    p: float | None
    adjusted_p: float | None
    adjusted_for_before: bool
    smallest_detectable: float | None
    target: float | None
    largest_compatible: float | None
    members_needed: int | None
    days_needed: int | None
    arm_needed: int | None
    text: str


class SourcesAnswer(BaseModel):
    """Assignments that could have been either arm: decisions of the service, and rows of the declared touches."""

    decisions: int
    touches: int


class ReadOutAnswer(BaseModel):
    """The first arm is the control. Nothing is known of `known_until` and later; intervals are of `level`.

    `whole_groups`: a column of groups that seem to be in arms as wholes, though `cluster` is not declared: the intervals are too narrow.
    `unlike_before`: members of different arms did not do alike before, which no draw explains, so that nothing is judged.
    `sources`: of an intervention, else null; `notes`: the same in words, and what was left out.
    """

    id: str
    kind: Kind
    label: str
    started_at: datetime | None
    ended_at: datetime | None
    known_until: datetime
    level: float
    members_per_day: float
    arms: list[ArmAnswer]
    whole_groups: str | None
    unlike_before: bool
    sources: SourcesAnswer | None
    notes: list[str]
    sample_ratio: SampleRatio
    lifts: list[LiftAnswer]


class OneExperimentAnswer(ReadOutAnswer):
    """`read_at`: what came into the store later is counted at the next reading."""

    read_at: datetime


class ExperimentsAnswer(BaseModel):
    """`read_at`: what came into the store later is counted at the next reading."""

    read_at: datetime
    experiments: list[ReadOutAnswer]


def experiments_answer(kept: KeptReadOuts, service: Service, language: Language | None) -> ExperimentsAnswer:
    community = service.community
    each = [told(one, community, language or community.language) for one in kept.read_outs]
    return ExperimentsAnswer.model_validate({"read_at": kept.read_at, "experiments": each})


def experiment_answer(kept: KeptReadOuts, service: Service, experiment_id: str, language: Language | None) -> OneExperimentAnswer:
    """Raises UnknownExperiment."""
    community = service.community
    read = read_out_of(kept.read_outs, experiment_id)
    return OneExperimentAnswer.model_validate(told(read, community, language or community.language) | {"read_at": kept.read_at})
