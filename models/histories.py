"""What members did, as training asks about it: an answer is of one member's events, wherever those lie."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, Self

import numpy as np

from models.features import compute_features, feature_spec
from models.snapshots import Activity, label_churn, population, present
from models.value import money_signals, spent_after

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

    from models.arrays import Flags, Floats, Integers
    from models.community import Community
    from models.events import EventArrays
    from models.features import FeatureSpec
    from models.snapshots import Snapshots

THREADS = 2


class Histories(Protocol):
    """Members are numbered from 0 in the order of their ids.

    A row of an answer follows its snapshot and depends on its own member's events alone: it is the same bit for bit wherever these lie.
    """

    @property
    def joined_us(self) -> Integers: ...

    @property
    def attributes(self) -> pl.DataFrame | None:
        """As of EventArrays."""
        ...

    @property
    def rule_columns(self) -> pl.DataFrame | None:
        """As of EventArrays."""
        ...

    @property
    def first_us(self) -> int:
        """Of the first event; there must be one."""
        ...

    def populations(self, cuts_us: Sequence[int]) -> list[Snapshots]:
        """As of `snapshots.population`, for each cut."""
        ...

    def present(self, snapshots: Snapshots) -> Flags:
        """As of `snapshots.present`."""
        ...

    def churned(self, snapshots: Snapshots, horizons_days: Sequence[int]) -> Flags:
        """As of `label_churn`, shape (n, n_horizons)."""
        ...

    def spent(self, snapshots: Snapshots, days: Sequence[int]) -> Floats:
        """As of `spent_after`, shape (n, n_days)."""
        ...

    def behaviour(self, snapshots: Snapshots) -> Floats:
        """As of `compute_features`."""
        ...

    def events_of(self, members: Integers) -> EventArrays:
        """All that these members did, in the given order."""
        ...


@dataclass(frozen=True)
class EventHistories:
    """Of events that are held here; as of Histories."""

    events: EventArrays
    community: Community
    spec: FeatureSpec
    threads: int = THREADS

    @classmethod
    def of(cls, events: EventArrays, community: Community, *, threads: int = THREADS) -> Self:
        return cls(events, community, feature_spec(community), threads)

    @cached_property
    def activity(self) -> Activity:
        return Activity.of(self.events, np.array([*(use.qualifying for use in self.spec.signals), False]))

    @property
    def joined_us(self) -> Integers:
        return self.events.joined_us

    @property
    def attributes(self) -> pl.DataFrame | None:
        return self.events.attributes

    @property
    def rule_columns(self) -> pl.DataFrame | None:
        return self.events.rule_columns

    @property
    def first_us(self) -> int:
        return int(self.events.timestamp_us.min())

    def populations(self, cuts_us: Sequence[int]) -> list[Snapshots]:
        return [population(self.activity, cut, self.community.churn) for cut in cuts_us]

    def present(self, snapshots: Snapshots) -> Flags:
        return present(self.activity, snapshots, self.community.churn)

    def churned(self, snapshots: Snapshots, horizons_days: Sequence[int]) -> Flags:
        return np.stack([label_churn(self.activity, snapshots, days, self.community.churn) for days in horizons_days], axis=1)

    def spent(self, snapshots: Snapshots, days: Sequence[int]) -> Floats:
        money = money_signals(self.community)
        return np.stack([spent_after(self.events, snapshots, money, each) for each in days], axis=1)

    def behaviour(self, snapshots: Snapshots) -> Floats:
        return compute_features(self.events, snapshots, self.spec, threads=self.threads)

    def events_of(self, members: Integers) -> EventArrays:
        return self.events.of_members(members)
