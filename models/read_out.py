"""What an experiment says: lifts with intervals, whether the arms have the sizes they should have, and how long it has still to run."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from math import ceil
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import chdtrc

from models.balance import Draw, any_unlike
from models.community import DAY_US
from models.small_arms import SmallArm, compare_members
from models.two_arms import ALPHA, Compared, compare_clusters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from models.arrays import Flags, Floats, Integers
    from models.intervals import Estimate
    from models.statements import Statement
    from models.two_arms import Measure

Verdict = Literal["raises", "lowers", "no_larger_effect", "more_days", "too_few", "small_arm", "waiting", "not_readable"]
Kind = Literal["declared", "global_control", "intervention"]
MISMATCH = 0.001
PACE_DAYS = 28
FEWEST = 2


@dataclass(frozen=True)
class RatioCheck:
    """Members, or clusters, per arm against those that the shares lead to expect.

    p: of the chi-square test; below MISMATCH something chose them.
    """

    observed: tuple[int, ...]
    expected: tuple[float, ...]
    p: float
    of_clusters: bool = False

    @property
    def mismatch(self) -> bool:
        return self.p < MISMATCH


def sample_ratio(observed: Sequence[int], shares: Sequence[float]) -> RatioCheck:
    """Pearson's chi-square of the counts against the shares (sample ratio mismatch: Fabijan et al. 2019, KDD).

    p is 1 for no members, or where an arm is to have none.
    """
    total = sum(observed)
    if min(shares) <= 0:
        return RatioCheck(tuple(observed), tuple(total * share for share in shares), 1.0)
    expected = tuple(total * share for share in shares)
    p = _chi_square_p(observed, expected) if total else 1.0
    return RatioCheck(tuple(observed), expected, p)


def _chi_square_p(observed: Sequence[int], expected: Sequence[float]) -> float:
    statistic = sum((one - other) ** 2 / other for one, other in zip(observed, expected, strict=True))
    return float(chdtrc(len(observed) - 1, statistic))


def drawn_ratio(treated: Flags, chance: Floats, draws: Sequence[Integers] | None = None, *, of_clusters: bool = False) -> RatioCheck:
    """Rows that were treated against the sum of their chances, each row with its own.

    draws: for each source its rows that were drawn each by itself; without them there is one source, all rows of it. Of each source
    (O - E)^2 / sum q (1 - q) is chi-square of 1, and their sum of as many as there are.
    """
    told = [_drawn_square(treated[rows], chance[rows]) for rows in draws or [np.arange(len(treated))]]
    known = [square for square in told if square is not None]
    count, expected, rows = int(treated.sum()), float(chance.sum()), len(treated)
    p = float(chdtrc(len(known), sum(known))) if known else 1.0
    return RatioCheck((rows - count, count), (rows - expected, expected), p, of_clusters=of_clusters)


def _drawn_square(treated: Flags, chance: Floats) -> float | None:
    """None where nothing was left to chance."""
    variance = float((chance * (1 - chance)).sum())
    return float(treated.sum() - chance.sum()) ** 2 / variance if variance > 0 else None


@dataclass(frozen=True)
class Lift:
    """One metric of one arm less the control's.

    `lift` is in the metric's own unit, `relative` a share of the control's mean, None where that is not positive; both and the p-value
    are of the comparison that is `adjusted_for_before`, if it is; `adjusted_p` also counts the comparisons told together. The means are
    plain. `smallest_detectable`: the lift that would be found four times of five with the members there are; `target`: the one that is
    worth waiting for. `days_needed` is None where nobody is being enrolled. Where the smaller arm has too few members to say anything there
    are the means alone, and `arm_needed`: about so many of it would do.
    """

    metric: str
    kind: str
    days: int
    arm: str
    control: str
    members: int
    control_members: int
    mean: float | None
    control_mean: float | None
    verdict: Verdict
    lift: Estimate | None = None
    relative: Estimate | None = None
    p: float | None = None
    adjusted_p: float | None = None
    adjusted_for_before: bool = False
    smallest_detectable: float | None = None
    target: float | None = None
    members_needed: int | None = None
    days_needed: int | None = None
    arm_needed: int | None = None

    @property
    def largest_compatible(self) -> float | None:
        """The larger end of the interval, whichever side it is on."""
        return None if self.lift is None else max(abs(self.lift.lower), abs(self.lift.upper))


@dataclass(frozen=True)
class Sources:
    """Assignments that could have been either arm: decisions of the service, and rows of the declared touches."""

    decisions: int
    touches: int


@dataclass(frozen=True)
class ReadOut:
    """`arms` begin with the control; members per arm, enrolled by `until_us`; `pace`: members enrolled per day of late.

    `clusters`: how many of them are in each arm, where whole clusters were put into arms; each counts in every arm in which it has members.
    `whole_groups`: the column by which they seem to have been, though it is not declared; the intervals are then too narrow.
    `unlike_before`: members of different arms did not do alike before, which no draw explains; then nothing is judged. `sources`, and
    `notes` on what was left out, are of interventions.
    """

    id: str
    kind: Kind
    arms: tuple[str, ...]
    started_us: int | None
    ended_us: int | None
    until_us: int
    check: RatioCheck
    lifts: tuple[Lift, ...]
    pace: float
    level: float = 1 - ALPHA
    clusters: RatioCheck | None = None
    whole_groups: str | None = None
    unlike_before: bool = False
    sources: Sources | None = None
    notes: tuple[Statement, ...] = ()

    @property
    def members(self) -> int:
        return sum(self.check.observed)

    @property
    def sizes(self) -> RatioCheck:
        """Of what was put into arms."""
        return self.check if self.clusters is None else self.clusters

    @property
    def doubtful(self) -> bool:
        unread = any(lift.verdict == "not_readable" for lift in self.lifts)
        return unread or self.sizes.mismatch or self.whole_groups is not None

    def lift(self, metric: str, arm: str | None = None) -> Lift:
        """Of the last arm where none is named; raises KeyError."""
        named = self.arms[-1] if arm is None else arm
        return {(lift.metric, lift.arm): lift for lift in self.lifts}[metric, named]

    def to_dict(self) -> dict[str, Any]:
        told = asdict(self)
        told["members"] = self.members
        told["check"]["mismatch"] = self.sizes.mismatch
        for row, lift in zip(told["lifts"], self.lifts, strict=True):
            row["largest_compatible"] = lift.largest_compatible
        return told


@dataclass(frozen=True)
class Enrolment:
    """Members of an experiment: arm (n,), positions in `arms`; since_us (n,): when each was enrolled; cluster (n,): codes."""

    arms: tuple[str, ...]
    shares: tuple[float, ...]
    arm: Integers
    since_us: Integers
    started_us: int | None
    ended_us: int | None = None
    cluster: Integers | None = None

    def clusters(self) -> RatioCheck | None:
        if self.cluster is None:
            return None
        pairs = np.unique(np.column_stack([self.cluster, self.arm]), axis=0)
        observed = np.bincount(pairs[:, 1], minlength=len(self.arms)).tolist()
        return replace(sample_ratio(observed, self.shares), of_clusters=True)

    def draws(self) -> Iterator[tuple[Integers, Draw]]:
        """Of each arm and the control their rows."""
        unit = np.arange(len(self.arm)) if self.cluster is None else self.cluster
        for position in range(1, len(self.arms)):
            rows = np.flatnonzero((self.arm == 0) | (self.arm == position))
            chance = self.shares[position] / (self.shares[0] + self.shares[position])
            yield rows, Draw(self.arm[rows] == position, np.full(len(rows), chance), unit[rows])

    def pace(self, until_us: int) -> float:
        """Members enrolled per day over the last PACE_DAYS, or since the first day, on which many may be enrolled at once."""
        if len(self.since_us) == 0 or (self.ended_us is not None and self.ended_us <= until_us):
            return 0.0
        since = max(until_us - PACE_DAYS * DAY_US, int(self.since_us.min()) + DAY_US)
        days = (until_us - since) / DAY_US
        return float((self.since_us >= since).sum() / days) if days > 0 else 0.0


def read_out(experiment_id: str, kind: Kind, enrolment: Enrolment, measures: Sequence[Measure], until_us: int) -> ReadOut:
    """Each arm against the first, metric by metric; measures have a row for each member of the enrolment.

    A member counts for a metric once its whole window has been seen.
    """
    observed = np.bincount(enrolment.arm, minlength=len(enrolment.arms)).tolist()
    check, clusters = sample_ratio(observed, enrolment.shares), enrolment.clusters()
    pace = enrolment.pace(until_us)
    compared = [_lift(enrolment, measure, position, pace) for measure in measures for position in range(1, len(enrolment.arms))]
    unlike = any_unlike((draw, befores(measures, rows)) for rows, draw in enrolment.draws())
    lifts = judged(compared, readable=not (unlike or (clusters or check).mismatch))
    arms, started_us, ended_us = enrolment.arms, enrolment.started_us, enrolment.ended_us
    return ReadOut(experiment_id, kind, arms, started_us, ended_us, until_us, check, lifts, pace, clusters=clusters, unlike_before=unlike)


def befores(measures: Iterable[Measure], rows: Integers) -> list[Floats]:
    """Of these rows what is known of the time before."""
    return [measure.before[rows] for measure in measures if measure.before is not None]


def _lift(enrolment: Enrolment, measure: Measure, position: int, pace: float) -> Lift:
    treated, control = ((enrolment.arm == one) & measure.due for one in (position, 0))
    compared = _compared(measure, treated, control, enrolment.cluster) if min(treated.sum(), control.sum()) >= FEWEST else None
    share = enrolment.shares[0] + enrolment.shares[position] if enrolment.cluster is None else 0.0
    return lift_of(
        measure, enrolment.arms[position], enrolment.arms[0], int(treated.sum()), int(control.sum()), compared, pace=pace * share
    )


def _compared(measure: Measure, treated: Flags, control: Flags, cluster: Integers | None) -> Compared | SmallArm | None:
    return compare_members(measure, treated, control) if cluster is None else compare_clusters(measure, treated, control, cluster)


def lift_of(
    measure: Measure, arm: str, control: str, members: int, control_members: int, compared: Compared | SmallArm | None, *, pace: float
) -> Lift:
    """Without a verdict yet; `pace`: members of both arms per day."""
    told = Lift(measure.name, measure.kind, measure.days, arm, control, members, control_members, None, None, "waiting")
    if compared is None:
        return told
    if isinstance(compared, SmallArm):
        return replace(told, mean=compared.mean, control_mean=compared.control_mean, arm_needed=compared.needed)
    target = measure.smallest_lift * abs(compared.control_mean)
    needed = compared.members_needed(target) if target > 0 and compared.smallest_detectable > 0 else None
    left = None if needed is None else max(0, needed - compared.members)
    return replace(
        told,
        mean=compared.mean,
        control_mean=compared.control_mean,
        lift=compared.lift,
        relative=compared.relative,
        p=compared.p,
        adjusted_for_before=compared.adjusted,
        smallest_detectable=compared.smallest_detectable or None,
        target=target or None,
        members_needed=needed,
        days_needed=ceil(left / pace) if left is not None and pace > 0 else (0 if left == 0 else None),
    )


def judged(lifts: Sequence[Lift], *, readable: bool) -> tuple[Lift, ...]:
    """With p-values adjusted after Holm (1979) over all of them, and a verdict; none where the arms do not have their sizes."""
    known = {at: lift.p for at, lift in enumerate(lifts) if lift.p is not None}
    adjusted = holm(known)
    with_p = [replace(lift, adjusted_p=adjusted.get(at)) for at, lift in enumerate(lifts)]
    return tuple(replace(lift, verdict=_verdict(lift) if readable else "not_readable") for lift in with_p)


def holm(p: Mapping[int, float]) -> dict[int, float]:
    """The k-th smallest of m times m - k + 1, never below an earlier one, at most 1."""
    if not p:
        return {}
    from tea_tasting import adjust_fwer  # noqa: PLC0415 - brings pandas and scipy.stats, seconds that only a read-out needs
    from tea_tasting.experiment import ExperimentResult  # noqa: PLC0415 - the same

    result = ExperimentResult({str(name): {"pvalue": value} for name, value in p.items()})
    adjusted = adjust_fwer(result, arbitrary_dependence=True, method="bonferroni", alpha=ALPHA)["-"]
    return {name: float(adjusted[str(name)]["pvalue_adj"]) for name in p}


def _verdict(lift: Lift) -> Verdict:
    if lift.arm_needed is not None:
        return "small_arm"
    if lift.lift is None or lift.adjusted_p is None:
        return "waiting"
    if lift.adjusted_p < ALPHA:
        return "raises" if lift.lift.value > 0 else "lowers"
    if lift.target is not None and lift.largest_compatible is not None and lift.largest_compatible <= lift.target:
        return "no_larger_effect"
    if lift.days_needed == 0:
        return "no_larger_effect"
    return "too_few" if lift.days_needed is None else "more_days"
