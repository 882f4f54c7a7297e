"""What a member is worth over the next `value_days`: learned from purchases, or declared for a tier."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import lightgbm as lgb
import numpy as np

from models.community import DAY_US
from models.errors import NotEnoughData
from models.features import lower_bound

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Floats, Integers
    from models.community import Community
    from models.events import EventArrays
    from models.features import FeatureSpec
    from models.snapshots import Snapshots

FEWEST_BUYERS = 50
TREES = 100
ALL_THREADS = 0
TWEEDIE_POWER = 1.5


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


@dataclass(frozen=True)
class PurchaseValue:
    """exp(booster), a boosted Tweedie regression (variance proportional to mean^1.5: many zeros and a long tail), times the margin."""

    columns: Integers
    margin: float
    model_text: str

    @cached_property
    def booster(self) -> lgb.Booster:
        return lgb.Booster(model_str=self.model_text)

    def __call__(self, features: Floats) -> Floats:
        threads = 1 if len(features) < 1000 else ALL_THREADS
        spending = np.asarray(self.booster.predict(features[:, self.columns], num_threads=threads), dtype=np.float64)
        margin: Floats = self.margin * spending
        return margin

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "purchases", "columns": self.columns.tolist(), "margin": self.margin, "model_text": self.model_text}


def value_from_dict(stored: Mapping[str, Any]) -> ValueModel:
    """The inverse of `to_dict`; raises KeyError for an unknown kind."""
    if stored["kind"] == "tiers":
        return TierValue(stored["column"], tuple(stored["floors"]), tuple(stored["values"]))
    if stored["kind"] == "purchases":
        return PurchaseValue(np.array(stored["columns"], dtype=np.int64), stored["margin"], stored["model_text"])
    raise KeyError(stored["kind"])


def spent_after(events: EventArrays, snapshots: Snapshots, money: np.ndarray, value_days: int) -> Floats:
    """Money paid in `[as_of, as_of + value_days)`, shape (n,). `money` flags the signal codes that hold it; missing amounts count as 0."""
    paid = np.where(money[events.signal], np.nan_to_num(events.value), 0.0)
    total = np.concatenate([[0.0], np.cumsum(paid)])
    start, end = events.offsets[snapshots.member], events.offsets[snapshots.member + 1]
    low = lower_bound(events.timestamp_us, start, end, snapshots.as_of_us)
    high = lower_bound(events.timestamp_us, low, end, snapshots.as_of_us + value_days * DAY_US)
    spent: Floats = np.maximum(total[high] - total[low], 0.0)
    return spent


def fit_purchase_value(features: Floats, spent: Floats, kept: Integers, margin: float, *, seed: int) -> PurchaseValue:
    """Raises NotEnoughData below 50 rows with a purchase."""
    buyers = int((spent > 0).sum())
    if buyers < FEWEST_BUYERS:
        message = f"only {buyers} snapshots are followed by a purchase; {FEWEST_BUYERS} are needed to learn what a member is worth"
        raise NotEnoughData(message)
    parameters = {
        "objective": "tweedie",
        "tweedie_variance_power": TWEEDIE_POWER,
        "num_leaves": 8,
        "max_depth": 4,
        "learning_rate": 0.05,
        "lambda_l2": 10.0,
        "min_child_samples": int(np.clip(len(spent) // 200, 10, 100)),
        "feature_fraction": 0.5,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
        "seed": seed,
        "verbose": -1,
    }
    data = lgb.Dataset(features[:, kept], spent.astype(np.float32))
    return PurchaseValue(kept, margin, lgb.train(parameters, data, TREES).model_to_string())
