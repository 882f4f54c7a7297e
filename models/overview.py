"""The community at one date: who stands where, how lively it is, and how long members stay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from models.audience import Cells, Counted, Selection
from models.community import DAY_US
from models.declared import STAGES
from models.intervals import Estimate
from models.moments import EPOCH, microseconds
from models.weighing import BANDS

if TYPE_CHECKING:
    from models.arrays import Flags, Integers
    from models.community import Community
    from models.engine import Engine
    from models.events import EventArrays

DAYS_SHOWN = 60
MONTH_DAYS = 30
MONTHS_SHOWN = 12
COHORTS_SHOWN = 12


@dataclass(frozen=True)
class Band:
    """Of members with a score: how many, how many are expected to go, and the money that they are worth at that risk."""

    name: str
    members: int
    expected: float
    value_at_risk: float


@dataclass(frozen=True)
class Liveliness:
    """`daily`: members with a qualifying event on each of the last days, oldest first. `monthly`: within the last 30 days.

    `weekly_events`: qualifying events a week of those members.
    """

    first_day: str
    daily: tuple[int, ...]
    monthly: int
    weekly_events: float

    @property
    def stickiness(self) -> float | None:
        """Mean of the last 30 days' active members over those of the month (DAU/MAU); None where nobody was active."""
        return float(np.mean(self.daily[-MONTH_DAYS:])) / self.monthly if self.monthly else None


@dataclass(frozen=True)
class Cohort:
    """Members who joined in one month, and of them the share with a qualifying event in each 30 days after joining that is over."""

    month: str
    members: int
    kept: tuple[float, ...]


@dataclass(frozen=True)
class Overview:
    """All numbers that the first page shows; `stages` and `chosen` count members, the first those with a known stage."""

    as_of: datetime
    last_event_at: datetime
    model_version: str
    grade: str
    trained_through: datetime
    horizon_days: int
    members: int
    scored: Counted
    bands: tuple[Band, ...]
    stages: Mapping[str, int]
    chosen: Mapping[str, int]
    liveliness: Liveliness
    cohorts: tuple[Cohort, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=datetime.isoformat)

    @classmethod
    def from_json(cls, text: str) -> Self:
        told: dict[str, Any] = json.loads(text)
        times = {name: datetime.fromisoformat(told[name]) for name in ("as_of", "last_event_at", "trained_through")}
        scored, lively = told["scored"], told["liveliness"]
        return cls(
            **told
            | times
            | {
                "scored": Counted(scored["members"], Estimate(**scored["expected"]), scored["value_at_risk"]),
                "bands": tuple(Band(**band) for band in told["bands"]),
                "liveliness": Liveliness(**lively | {"daily": tuple(lively["daily"])}),
                "cohorts": tuple(Cohort(**cohort | {"kept": tuple(cohort["kept"])}) for cohort in told["cohorts"]),
            }
        )


def overview_of(engine: Engine, community: Community, standings: pl.DataFrame, events: EventArrays, as_of: datetime) -> Overview:
    """Of `standings_of` a decision table and the log that it was decided on."""
    activity = _Activity.of(community, events, as_of)
    return Overview(
        as_of=as_of,
        last_event_at=EPOCH + timedelta(microseconds=int(activity.last_us)),
        model_version=engine.version,
        grade=engine.provenance.grade,
        trained_through=engine.provenance.trained_through,
        horizon_days=community.churn.horizon_days,
        members=standings.height,
        scored=Cells.of(standings).audience(Selection()).total,
        bands=tuple(_band(standings, name) for name in BANDS),
        stages={stage: standings.filter(pl.col("stage") == stage).height for stage in STAGES},
        chosen=dict(standings.group_by("chosen").agg(pl.len()).sort("chosen").iter_rows()),
        liveliness=activity.liveliness(),
        cohorts=activity.cohorts(),
    )


def _band(standings: pl.DataFrame, name: str) -> Band:
    of_band = standings.filter(pl.col("risk_band") == name)
    return Band(name, of_band.height, *(float(of_band[column].sum()) for column in ("probability", "value_at_risk")))


@dataclass(frozen=True)
class _Activity:
    """Qualifying events before `as_of`, shape (n_events,): whose they are and when."""

    member: Integers
    timestamp_us: Integers
    joined_us: Integers
    as_of: datetime
    last_us: int

    @classmethod
    def of(cls, community: Community, events: EventArrays, as_of: datetime) -> Self:
        qualifying = np.zeros(int(events.signal.max(initial=0)) + 1, dtype=bool)
        for position, signal in enumerate(community.signals):
            if position < len(qualifying):
                qualifying[position] = signal.qualifying
        before = events.timestamp_us < microseconds(as_of)
        kept = np.flatnonzero(qualifying[events.signal] & before)
        member = np.searchsorted(events.offsets, kept, side="right") - 1
        own = before & (events.signal < len(community.signals))
        last = int(events.timestamp_us[own].max(initial=0))
        return cls(member, events.timestamp_us[kept], events.joined_us, as_of.astimezone(community.zone), last)

    @property
    def as_of_us(self) -> int:
        return microseconds(self.as_of)

    def liveliness(self) -> Liveliness:
        """Days of 24 hours, counted back from `as_of`."""
        age = (self.as_of_us - 1 - self.timestamp_us) // DAY_US
        shown = age < DAYS_SHOWN
        pairs = np.unique(self.member[shown].astype(np.int64) * DAYS_SHOWN + age[shown])
        daily = np.bincount(pairs % DAYS_SHOWN, minlength=DAYS_SHOWN)[::-1]
        of_month = age < MONTH_DAYS
        monthly = len(np.unique(self.member[of_month]))
        weekly = of_month.sum() * 7 / MONTH_DAYS / monthly if monthly else 0.0
        first = (self.as_of - timedelta(days=DAYS_SHOWN)).date()
        return Liveliness(first.isoformat(), tuple(daily.tolist()), monthly, float(weekly))

    def cohorts(self) -> tuple[Cohort, ...]:
        """The last of those that joined after the log began, oldest first; shares end where they are not over for the last member."""
        month_us = MONTH_DAYS * DAY_US
        age = (self.timestamp_us - self.joined_us[self.member]) // month_us
        seen = np.zeros((len(self.joined_us), MONTHS_SHOWN), dtype=bool)
        shown = (age >= 0) & (age < MONTHS_SHOWN)
        seen[self.member[shown], age[shown]] = True
        there = self.joined_us < self.as_of_us
        if len(self.timestamp_us) == 0:
            return ()
        joined = pl.Series(self.joined_us).cast(pl.Datetime("us", "UTC")).dt.convert_time_zone(str(self.as_of.tzinfo))
        month = joined.dt.strftime("%Y-%m").to_numpy()
        unseen = set(month[self.joined_us < self.timestamp_us.min()].tolist())
        names = sorted(set(month[there].tolist()) - unseen)[-COHORTS_SHOWN:]
        return tuple(self._cohort(name, there & (month == name), seen) for name in names)

    def _cohort(self, name: str, chosen: Flags, seen: Flags) -> Cohort:
        over = int((self.as_of_us - self.joined_us[chosen].max()) // (MONTH_DAYS * DAY_US))
        return Cohort(name, int(chosen.sum()), tuple(seen[chosen].mean(axis=0)[: min(over, MONTHS_SHOWN)].tolist()))
