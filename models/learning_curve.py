"""How many snapshots are enough: the risk learned from half of the members, from half of those, and so on, all tested on the same ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from threadpoolctl import threadpool_limits

from models.churn_fit import fit_horizon
from models.counting import counted
from models.errors import NotEnoughData
from models.evaluation import evaluate_churn, log_loss_difference
from models.histories import EventHistories
from models.member_sample import Drawn
from models.preparation import fit_preparation
from models.training_rows import gather

if TYPE_CHECKING:
    from datetime import datetime

    from models.arrays import Flags, Floats, Integers
    from models.churn_fit import TrainingRows
    from models.community import Community
    from models.events import EventArrays
    from models.intervals import Estimate
    from models.training_rows import TrainingData

FEWEST_SNAPSHOTS = 10_000
FEWEST_SIZES = 4
FEWEST_OF_EITHER = 60
MOST_TESTED = 50_000
RESAMPLES = 200
LITTLE = 0.005
"""Of the log loss: what more snapshots take off it, when so many are enough."""


@dataclass(frozen=True)
class CurvePoint:
    """What a risk learned from so many snapshots says of the test's members; intervals of 95 % over members.

    `gain`: log loss at half as many snapshots less log loss here, on the same members; None for the smallest size. `seconds`: of CPU.
    """

    snapshots: int
    members: int
    seconds: float
    auc: Estimate
    log_loss: Estimate
    gain: Estimate | None


@dataclass(frozen=True)
class LearningCurve:
    """`points`: from few snapshots to many, each about twice as many as the one before and holding them."""

    horizon_days: int
    test_as_of: datetime
    tested: int
    points: tuple[CurvePoint, ...]

    @property
    def enough(self) -> int | None:
        """The fewest snapshots from which on each doubling takes less than LITTLE of the log loss off it, at the upper bound; else None."""
        found = None
        for point, doubled in zip(self.points[-2::-1], self.points[:0:-1], strict=True):
            if doubled.gain is None or doubled.gain.upper >= LITTLE * doubled.log_loss.value:
                break
            found = point.snapshots
        return found

    @property
    def sentence(self) -> str:
        last = self.points[-1]
        if self.enough is not None:
            most = max(point.gain.upper for point in self.points if point.gain is not None and point.snapshots > self.enough)
            return (
                f"{counted(self.enough, 'snapshot is', 'snapshots are')} enough: doubling them takes at most {max(most, 0.0):.4f} off "
                f"the log loss, {most / last.log_loss.value:.1%} of it"
            )
        if last.gain is None:
            return "one size tells nothing about others"
        gain = f"{last.gain.value:.4f} ({last.gain.lower:.4f} to {last.gain.upper:.4f}) off the log loss"
        took = f"the last doubling, to {counted(last.snapshots, 'snapshot')}, took {gain}"
        if last.gain.lower > 0:
            return f"more snapshots help still: {took}"
        return f"{counted(self.tested, 'member')} of the test cannot tell whether more snapshots help: {took}"

    def to_dict(self) -> dict[str, Any]:
        return {
            "horizon_days": self.horizon_days,
            "test_as_of": self.test_as_of.isoformat(),
            "tested": self.tested,
            "enough": self.enough,
            "sentence": self.sentence,
            "points": [
                {
                    "snapshots": point.snapshots,
                    "members": point.members,
                    "seconds": point.seconds,
                    "auc": point.auc.to_dict(),
                    "log_loss": point.log_loss.to_dict(),
                    "gain": None if point.gain is None else point.gain.to_dict(),
                }
                for point in self.points
            ],
        }


def learning_curve(
    events: EventArrays,
    community: Community,
    *,
    test_as_of: datetime,
    most_snapshots: int,
    cpu_seconds: Callable[[], float],
    rng: np.random.Generator,
    progress: Callable[[str], None] = lambda _: None,
) -> LearningCurve:
    """Of the main horizon's risk, learned as `train` learns it, from cuts whose outcomes end by `test_as_of`; the test chooses nothing.

    The sizes are halves of the largest, of whole members, down to 10,000 snapshots, and at least four. `cpu_seconds`: of this
    process so far. Raises InputError, NotEnoughData.
    """
    gathering, ordering, testing, fitting, measuring = rng.spawn(5)
    days = community.churn.horizon_days
    alone = community.model_copy(update={"churn": community.churn.model_copy(update={"horizons_days": (days,)})})
    progress("features of the snapshots")
    test_us = int(test_as_of.timestamp()) * 1_000_000
    data = gather(EventHistories.of(events, alone), alone, test_us, gathering, drawn=Drawn.of(events), most_rows=most_snapshots)
    tested = _tested(data, testing)
    rows = data.labelled(days)
    points: list[CurvePoint] = []
    told: Floats | None = None
    for size in _sizes(rows, ordering.random(events.n_members)):
        progress(f"risk from {len(size):,} snapshots")
        begun, before = cpu_seconds(), told
        told = _risk(rows if len(size) == len(rows) else rows[size], tested, data, fitting)
        seconds = cpu_seconds() - begun
        points.append(_point(rows.member[size], seconds, tested, told, before, measuring))
    return LearningCurve(days, test_as_of, len(tested.churned), tuple(points))


@dataclass(frozen=True)
class _Tested:
    features: Floats
    churned: Flags
    member: Integers


def _tested(data: TrainingData, rng: np.random.Generator) -> _Tested:
    """At most MOST_TESTED of the test's members, drawn at random. Raises NotEnoughData where all of them churned, or none did."""
    few = np.sort(rng.permutation(len(data.test))[:MOST_TESTED])
    churned = data.tested[few]
    if churned.all() or not churned.any():
        message = f"of {len(churned)} members of the test date {int(churned.sum())} churned: there is nothing to tell apart"
        raise NotEnoughData(message)
    return _Tested(data.test_features[few], churned, data.test.member[few])


def _sizes(rows: TrainingRows, order: Floats) -> list[Integers]:
    """Positions of the rows of each size, smallest first, each of either outcome enough to fit; `order`: of the members, at random."""
    halvings = max(FEWEST_SIZES - 1, math.ceil(math.log2(max(len(rows), 1) / FEWEST_SNAPSHOTS)))
    place = order[rows.member]
    sizes = [np.flatnonzero(place <= np.quantile(place, 0.5**times)) for times in range(halvings, 0, -1)]
    told = [size for size in sizes if min(int(rows.churned[size].sum()), int((~rows.churned[size]).sum())) >= FEWEST_OF_EITHER]
    return [*told, np.arange(len(rows))]


def _risk(rows: TrainingRows, tested: _Tested, data: TrainingData, rng: np.random.Generator) -> Floats:
    """Of the test's members, learned from these rows, shape (n_tested,)."""
    preparing, fitting = rng.spawn(2)
    names = (*data.spec.names, *data.attributes.names)
    preparation = fit_preparation(rows.features, names, rows.as_of_us, rng=preparing)
    with threadpool_limits(1, user_api="blas"):
        fitted = fit_horizon(rows, data.community.churn.horizon_days, data.spec, preparation.kept, rng=fitting)
    return fitted.model.probability(tested.features)


def _point(member: Integers, seconds: float, tested: _Tested, told: Floats, before: Floats | None, rng: np.random.Generator) -> CurvePoint:
    metrics = evaluate_churn(tested.churned, told, tested.member, rng=rng, resamples=RESAMPLES)
    gain = None if before is None else log_loss_difference(tested.churned, before, told, tested.member, rng=rng, resamples=RESAMPLES)
    return CurvePoint(len(member), len(np.unique(member)), seconds, metrics.auc, metrics.log_loss, gain)
