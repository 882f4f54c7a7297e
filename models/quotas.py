"""What one period has for all members together, and what of it is used up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, datetime, time
from math import ceil
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Integers
    from models.community import Community
    from models.supply import Capacity

BUDGET = "budget"
FIRST_MONDAY = date(1970, 1, 5).toordinal()
ROUNDING = 1e-9


@dataclass(frozen=True)
class UsedUp:
    """Ids of interventions and names of channels without a place left, and ids of interventions that cost more than is left."""

    interventions: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    too_dear: frozenset[str] = frozenset()

    def to_dict(self) -> dict[str, list[str]]:
        return {name: sorted(names) for name, names in vars(self).items()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        return cls(**{name: frozenset(names) for name, names in stored.items()})


NOTHING_USED_UP = UsedUp()


@dataclass(frozen=True)
class Quotas:
    """Of the period of `days` that begins at `begins_us`, microseconds since 1970 UTC.

    `limits` by resource: `intervention:<id>` and `channel:<name>` in members, `budget` in money; what has no limit is left out. `costs` are
    those that decisions count, by intervention.
    """

    begins_us: int
    limits: Mapping[str, float]
    costs: Mapping[str, float]

    @classmethod
    def of(cls, capacity: Capacity, community: Community, now: datetime) -> Self:
        """`community` is that of the engine, whose costs count; `capacity` what is declared now."""
        costs = {one.id: one.expected_cost for one in community.interventions}
        return cls(period_begin_us(now, capacity.period_days, community), limits_of(capacity), costs)

    def at(self, begins_us: int) -> Self:
        """The same limits in another period."""
        return replace(self, begins_us=begins_us)

    def use(self, intervention: str, channel: str | None, cost: float) -> Counter[str]:
        """What one assignment takes of the resources that have a limit."""
        taken = resources_of(intervention, channel, cost)
        return Counter({resource: amount for resource, amount in taken.items() if resource in self.limits})

    def used_up(self, used: Mapping[str, float]) -> UsedUp:
        full = {resource for resource, limit in self.limits.items() if resource != BUDGET and used.get(resource, 0) >= limit}
        left = self.limits.get(BUDGET, float("inf")) - used.get(BUDGET, 0.0)
        return UsedUp(
            frozenset(name.removeprefix("intervention:") for name in full if name.startswith("intervention:")),
            frozenset(name.removeprefix("channel:") for name in full if name.startswith("channel:")),
            frozenset(name for name, cost in self.costs.items() if cost > left + ROUNDING * max(1.0, left)),
        )


def resources_of(intervention: str, channel: str | None, cost: float) -> dict[str, float]:
    """What one assignment takes, limited or not."""
    return {f"intervention:{intervention}": 1.0, f"channel:{channel}": 1.0, BUDGET: cost}


def limits_of(capacity: Capacity) -> dict[str, float]:
    """By resource, as Quotas names them."""
    limits: dict[str, float] = {f"intervention:{name}": members for name, members in capacity.interventions.items()}
    limits |= {f"channel:{name}": members for name, members in capacity.channels.items()}
    return limits if capacity.budget is None else limits | {BUDGET: capacity.budget}


def left_of(capacity: Capacity, used: Mapping[str, float]) -> Capacity:
    """What a period still has of it."""

    def left(limits: Mapping[str, int], kind: str) -> dict[str, int]:
        return {name: max(0, limit - ceil(used.get(kind + name, 0.0))) for name, limit in limits.items()}

    return capacity.model_copy(
        update={
            "interventions": left(capacity.interventions, "intervention:"),
            "channels": left(capacity.channels, "channel:"),
            "budget": None if capacity.budget is None else max(0.0, capacity.budget - used.get(BUDGET, 0.0)),
        }
    )


def period_begin_us(at: datetime, days: int, community: Community) -> int:
    """The midnight by the community's clock that begins the period of `at`; periods of seven days begin on Mondays."""
    day = at.astimezone(community.zone).date().toordinal()
    first = date.fromordinal(day - (day - FIRST_MONDAY) % days)
    return int(datetime.combine(first, time(), tzinfo=community.zone).timestamp()) * 1_000_000


def periods_of(at_us: Integers, days: int, community: Community) -> Integers:
    """The number of the period of each moment, shape (n,), counted from one that began on FIRST_MONDAY."""
    moments = pl.Series(at_us, dtype=pl.Datetime("us", "UTC")).dt.convert_time_zone(community.timezone)
    day = moments.dt.date().to_physical().to_numpy().astype(np.int64) + date(1970, 1, 1).toordinal()
    periods: Integers = (day - FIRST_MONDAY) // days
    return periods
