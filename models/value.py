"""What a member is worth over the next `value_days`: learned from purchases, or declared for a tier."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from scipy.special import expit

from models.community import DAY_US
from models.features import lower_bound
from models.margins import margin_from_dict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Flags, Floats
    from models.community import Community
    from models.events import EventArrays
    from models.features import FeatureSpec
    from models.margins import Margin
    from models.snapshots import Snapshots


class ValueModel(Protocol):
    """Feature matrix (n, n_features) -> expected margin over `value_days`, in the community's currency, shape (n,), never negative."""

    def __call__(self, features: Floats) -> Floats: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class TierValue:
    """The declared value of the highest tier whose floor the member's contributions reach; `column` holds the contributions."""

    column: int
    floors: tuple[int, ...]
    values: tuple[float, ...]

    @classmethod
    def of(cls, community: Community, spec: FeatureSpec) -> TierValue:
        tiers = community.lifecycle.tiers
        column = spec.position(f"any_count_{spec.windows_days[-1]}d")
        return cls(column, tuple(tier.min_contributions for tier in tiers), tuple(tier.value for tier in tiers))

    def __call__(self, features: Floats) -> Floats:
        tier = np.searchsorted(self.floors, features[:, self.column], side="right") - 1
        return np.asarray(self.values, dtype=np.float64)[tier]

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "tiers", "column": self.column, "floors": list(self.floors), "values": list(self.values)}


class Spending(Protocol):
    """One model of expected spending: feature matrix (n, n_features) -> money over the days that it learned from, shape (n,)."""

    def __call__(self, features: Floats) -> Floats: ...

    def to_dict(self) -> dict[str, Any]: ...


@dataclass(frozen=True)
class MeanSpending:
    """exp(log_mean(features))."""

    log_mean: Margin

    def __call__(self, features: Floats) -> Floats:
        spending: Floats = np.exp(self.log_mean(features))
        return spending

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "mean", "log_mean": self.log_mean.to_dict()}


@dataclass(frozen=True)
class TwoStageSpending:
    """P(buys) x E(spending | buys) = sigmoid(buys(features)) x exp(log_amount(features))."""

    buys: Margin
    log_amount: Margin

    def __call__(self, features: Floats) -> Floats:
        spending: Floats = expit(self.buys(features)) * np.exp(self.log_amount(features))
        return spending

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "two_stage", "buys": self.buys.to_dict(), "log_amount": self.log_amount.to_dict()}


@dataclass(frozen=True)
class PurchaseValue:
    """margin x periods x sum_k weight_k part_k(features): a mean of several models of spending, in money and not in logs.

    `periods` is the length of `value_days` in the days that the parts learned from, later ones discounted by what fades; 1 where the log
    is long enough to learn from all of `value_days`.
    """

    margin: float
    periods: float
    weights: tuple[float, ...]
    parts: tuple[Spending, ...]

    def __call__(self, features: Floats) -> Floats:
        spending = reduce(add, (weight * part(features) for weight, part in zip(self.weights, self.parts, strict=True)))
        value: Floats = self.margin * self.periods * spending
        return value

    def to_dict(self) -> dict[str, Any]:
        told = {"margin": self.margin, "periods": self.periods, "weights": list(self.weights)}
        return {"kind": "purchases", **told, "parts": [part.to_dict() for part in self.parts]}


def value_from_dict(stored: Mapping[str, Any]) -> ValueModel:
    """The inverse of `to_dict`; raises KeyError for an unknown kind."""
    if stored["kind"] == "tiers":
        return TierValue(stored["column"], tuple(stored["floors"]), tuple(stored["values"]))
    if stored["kind"] == "purchases":
        parts = tuple(_spending_from(part) for part in stored["parts"])
        return PurchaseValue(stored["margin"], stored["periods"], tuple(stored["weights"]), parts)
    raise KeyError(stored["kind"])


def _spending_from(stored: Mapping[str, Any]) -> Spending:
    if stored["kind"] == "two_stage":
        return TwoStageSpending(margin_from_dict(stored["buys"]), margin_from_dict(stored["log_amount"]))
    return MeanSpending(margin_from_dict(stored["log_mean"]))


def money_signals(community: Community) -> Flags:
    """For each signal code, touches last: whether its value is money."""
    return np.array([*(signal.value == "money" for signal in community.signals), False])


def spent_after(events: EventArrays, snapshots: Snapshots, money: Flags, value_days: int) -> Floats:
    """Money paid in `[as_of, as_of + value_days)`, shape (n,). `money` flags the signal codes that hold it; missing amounts count as 0.

    Each sum is added up by itself, so that a row is the same bit for bit whatever other members lie beside.
    """
    paid = np.where(money[events.signal], np.nan_to_num(events.value), 0.0)
    start, end = events.offsets[snapshots.member], events.offsets[snapshots.member + 1]
    low = lower_bound(events.timestamp_us, start, end, snapshots.as_of_us)
    high = lower_bound(events.timestamp_us, low, end, snapshots.as_of_us + value_days * DAY_US)
    sums = np.add.reduceat(np.append(paid, 0.0), np.stack([low, high], axis=1).ravel())[::2]
    return np.where(high > low, np.maximum(sums, 0.0), 0.0)
