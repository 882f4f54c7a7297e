"""Is the model still what it was when it was tested: by what came true, and before that by what it says itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from models.community import DAY_US
from models.drift import MOST_ROWS, shift_of, shifts_of
from models.errors import NotEnoughData
from models.evaluation import evaluate_churn
from models.foreseen import expected_auc, foresee
from models.moments import microseconds
from models.readings import Reading, feature_drift, judged, score_drift
from models.snapshots import Activity, label_churn, population

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from models.arrays import Floats
    from models.drift import Shift
    from models.engine import Engine
    from models.evaluation import ChurnMetrics
    from models.events import EventArrays
    from models.foreseen import Foreseen
    from models.intervals import Estimate
    from models.schedule import Watch
    from models.snapshots import Snapshots

LEAST_WEIGHT = 0.01
"""Features that less of the model rests on may move as they like."""
WEIGHED_ROWS = 2_000
RESAMPLES = 200
BEYOND_CHANCE = 3.29 / 1.96
"""Of half of a 95 % interval: one in a thousand lies farther away."""
THREADS = 2
WEEK = timedelta(weeks=1)


@dataclass(frozen=True)
class Matured:
    """What came true of the risks over one horizon, at the last date whose outcomes are known, beside what they led to expect.

    `out_of_time` is False where the model learned from outcomes that end after `as_of`.
    """

    horizon_days: int
    as_of: datetime
    out_of_time: bool
    seen: ChurnMetrics
    expected: Foreseen

    def to_dict(self) -> dict[str, Any]:
        told = {"horizon_days": self.horizon_days, "as_of": self.as_of.isoformat(), "out_of_time": self.out_of_time}
        return told | {"seen": self.seen.to_dict(), "expected": self.expected.to_dict()}


@dataclass(frozen=True)
class Moved:
    """`features` that the model rests on, those that moved most first; `score`: the main risk."""

    features: tuple[Shift, ...]
    score: Shift
    foreseen: Foreseen
    reference_auc: float


@dataclass(frozen=True)
class Sides:
    """What the model reads of members at two times, shape (n, n_features) and (m, n_features), and the main risk, (n,) and (m,).

    `after` is read as of a log that holds no more of the past than it did `before`; the risks are those of all that it holds.
    """

    before: Floats
    after: Floats
    risk_before: Floats
    risk_after: Floats


@dataclass(frozen=True)
class ModelWatch:
    """`until_us`: nothing is known of that moment and later."""

    engine: Engine
    events: EventArrays
    activity: Activity
    until_us: int

    @classmethod
    def of(cls, engine: Engine, events: EventArrays, as_of: datetime) -> ModelWatch:
        last = int(events.timestamp_us.max(initial=0))
        return cls(engine, events, Activity.of(events, engine.qualifying), min(microseconds(as_of), last))

    def since(self, as_of: datetime) -> datetime:
        """When the members were asked about whom those of `as_of` are compared with."""
        return same_hour_of_the_week(as_of, self.engine.provenance.trained_through, self.engine.community.zone)

    def sides(self, as_of: datetime, *, most: int | None = None) -> Sides:
        """Of at most so many members at each of the two times, and of at most MOST_ROWS at the first.

        Raises NotEnoughData where nobody was or is there to ask about.
        """
        then, now = (self.asked(microseconds(at)) for at in (self.since(as_of), as_of))
        then, now = thinned(then, MOST_ROWS if most is None else most), thinned(now, most)
        before, after = (self.engine.features(self.events, one, threads=THREADS) for one in (then, now))
        risk = self.engine.churn.main_model.probability
        return Sides(before, self._as_short(after, now, as_of), risk(before), risk(after))

    def _as_short(self, features: Floats, now: Snapshots, as_of: datetime) -> Floats:
        """Without what lies further back than the log did at the other time, if that was within the lookback.

        Counts over the lookback rise from day to day until the log is that long, whatever members do; and so does the tenure of those who
        are known by their first event alone.
        """
        held_us = microseconds(self.since(as_of)) - int(self.activity.timestamp_us.min())
        if held_us >= self.engine.spec.lookback_days * DAY_US:
            return features
        from_us = microseconds(as_of) - held_us
        told = self.engine.community.members is not None
        asked = now if told else replace(now, joined_us=np.maximum(now.joined_us, from_us))
        return self.engine.features(self.events.since(from_us), asked, threads=THREADS)

    def score(self, sides: Sides) -> Shift:
        """Of the risks between the two times; or of those of the test as this log gives them now, where that is more.

        The latter moves where what the log says of the past has changed, which is the same at both times. What is within chance is less
        than what is not, however large.
        """
        tested = thinned(self.asked(microseconds(self.engine.provenance.trained_through)), MOST_ROWS)
        again = self.engine.churn.main_model.probability(self.engine.features(self.events, tested, threads=THREADS))
        pairs = ((sides.risk_before, sides.risk_after), (self.engine.reference.probabilities, again))
        shifts = [shift_of("risk", then, now, looks=len(pairs)) for then, now in pairs]
        return max(shifts, key=lambda shift: (shift.psi > shift.chance, shift.psi))

    def moved(self, as_of: datetime, *, rng: np.random.Generator) -> Moved:
        """Since the model was tested. Raises NotEnoughData where nobody was or is there to ask about."""
        sides = self.sides(as_of)
        return Moved(
            features=shifts_of(self.engine.names, sides.before, sides.after, weights_of(self.engine, sides.before)),
            score=self.score(sides),
            foreseen=foresee(sides.risk_after, rng=rng),
            reference_auc=expected_auc(self.engine.reference.probabilities),
        )

    def matured(self, *, rng: np.random.Generator) -> tuple[Matured, ...]:
        """Horizons up to the main one, at the last midnight whose outcomes the log holds; one of which too little is known is left out."""
        told = []
        for place, days in enumerate(self.engine.churn.horizons_days):
            if days <= self.engine.churn.main:
                try:
                    told.append(self._matured(place, days, rng))
                except NotEnoughData:
                    continue
        return tuple(told)

    def _matured(self, place: int, days: int, rng: np.random.Generator) -> Matured:
        engine, community = self.engine, self.engine.community
        latest = datetime.fromtimestamp((self.until_us - days * DAY_US) / 1e6, UTC).astimezone(community.zone)
        at = latest.replace(hour=0, minute=0, second=0, microsecond=0)
        asked = self.asked(microseconds(at))
        churned = label_churn(self.activity, asked, days, community.churn)
        risk = engine.churn.probability(engine.features(self.events, asked, threads=THREADS))[:, place]
        measuring, drawing = rng.spawn(2)
        seen = evaluate_churn(churned, risk, asked.member, rng=measuring, resamples=RESAMPLES)
        return Matured(days, at, at >= engine.provenance.trained_through, seen, foresee(risk, rng=drawing))

    def asked(self, at_us: int) -> Snapshots:
        """Raises NotEnoughData."""
        asked = population(self.activity, at_us, self.engine.community.churn)
        if len(asked) == 0:
            day = datetime.fromtimestamp(at_us / 1e6, UTC).date()
            message = f"nobody was active in the {self.engine.community.churn.active_days} days before {day}"
            raise NotEnoughData(message)
        return asked


def same_hour_of_the_week(as_of: datetime, tested: datetime, zone: ZoneInfo) -> datetime:
    """The moment nearest to `tested` that is whole weeks from `as_of` by the clock of `zone`.

    Members have a rhythm of the week: days since the last post are others on a Monday than on a Friday, and no model has aged by it.
    """
    now, then = as_of.astimezone(zone), tested.astimezone(zone)
    return now + round((then - now) / WEEK) * WEEK


def thinned(members: Snapshots, most: int | None) -> Snapshots:
    """Every so many-th, at most `most`."""
    return members if most is None else members[:: 1 + (len(members) - 1) // most]


def weights_of(engine: Engine, features: Floats) -> Floats:
    """Share of the mean absolute contribution of each feature, shape (n_features,); 0 for those below LEAST_WEIGHT."""
    sample = features[:: 1 + (len(features) - 1) // WEIGHED_ROWS]
    size = np.abs(engine.contributions(sample).values).mean(axis=0)
    weight = size / size.sum() if size.sum() > 0 else size
    return np.where(weight < LEAST_WEIGHT, 0.0, weight)


def model_readings(watch: Watch, moved: Moved | None, matured: tuple[Matured, ...]) -> tuple[Reading, ...]:
    """`moved` is None where there is nobody to compare."""
    if moved is None:
        unknown = Reading("feature_drift", "model", "unknown", "nobody_to_compare", {}, threshold=watch.feature_psi)
        drift: tuple[Reading, ...] = (unknown,)
    else:
        drift = (feature_drift(moved.features, watch), score_drift(moved.score, watch), _foreseen_auc(moved, watch))
    return (*drift, *(reading for one in matured for reading in _came_true(one, watch)))


def _foreseen_auc(moved: Moved, watch: Watch) -> Reading:
    """By what the model itself says; a change in what behaviour means cannot be seen in it."""
    auc = moved.foreseen.auc
    return judged(
        "foreseen_auc",
        "model",
        beyond=auc.value < moved.reference_auc - watch.auc_drop and _far(moved.reference_auc, auc),
        told={**_bounds("auc", auc), "before": moved.reference_auc},
        value=auc.value,
        threshold=watch.auc_drop,
        expected=moved.reference_auc,
        interval=(auc.lower, auc.upper),
    )


def _came_true(one: Matured, watch: Watch) -> tuple[Reading, ...]:
    when = {"days": one.horizon_days, "from": f"{one.as_of:%Y-%m-%d}", "members": one.seen.n}
    when |= {"notes": [] if one.out_of_time else ["seen_before"]}
    seen, expected = one.seen, one.expected
    auc, loss, rate = seen.auc.value, seen.log_loss.value, seen.base_rate
    return (
        judged(
            f"auc_{one.horizon_days}d",
            "model",
            beyond=auc < expected.auc.value - watch.auc_drop and _far(auc, expected.auc),
            code="auc",
            told={**when, **_bounds("auc", seen.auc), **_bounds("expected", expected.auc)},
            value=auc,
            threshold=watch.auc_drop,
            expected=expected.auc.value,
            interval=(seen.auc.lower, seen.auc.upper),
        ),
        judged(
            f"log_loss_{one.horizon_days}d",
            "model",
            beyond=loss > expected.log_loss.value + watch.log_loss_excess and _far(loss, expected.log_loss),
            code="log_loss",
            told={**when, **_bounds("loss", seen.log_loss), **_bounds("expected", expected.log_loss)},
            value=loss,
            threshold=watch.log_loss_excess,
            expected=expected.log_loss.value,
            interval=(seen.log_loss.lower, seen.log_loss.upper),
        ),
        judged(
            f"calibration_{one.horizon_days}d",
            "model",
            beyond=abs(rate - expected.churn_rate.value) > watch.calibration_gap and _far(rate, expected.churn_rate),
            code="calibration",
            told={**when, "rate": rate, "expected": expected.churn_rate.value, **_bounds("error", seen.ece)},
            value=rate,
            threshold=watch.calibration_gap,
            expected=expected.churn_rate.value,
            interval=(expected.churn_rate.lower, expected.churn_rate.upper),
        ),
    )


def _far(value: float, expected: Estimate) -> bool:
    """Farther than one in a thousand draws from a normal law with this 95 % interval."""
    side = expected.upper - expected.value if value > expected.value else expected.value - expected.lower
    return abs(value - expected.value) > BEYOND_CHANCE * side


def _bounds(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.lower, f"{name}_high": estimate.upper}
