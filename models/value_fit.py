"""Fitting what members spend: models of different bias, weighed on later cuts that did not fit them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from threadpoolctl import threadpool_limits

from models.blending import nearest_within_one_error, weight_grid
from models.calibration_fit import assign_folds
from models.community import DAY_US
from models.errors import NotEnoughData
from models.margin_fits import TWEEDIE_POWER, BoosterSettings, fit_booster, fit_log_linear
from models.value import MeanSpending, PurchaseValue, TwoStageSpending

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.community import Community
    from models.features import FeatureSpec
    from models.snapshots import Snapshots
    from models.spending import SeenSpending
    from models.value import Spending

FEWEST_BUYERS = 50
FEWEST_OF_A_CLASS = 20
TREES = 100
PENALTY = 1e-3
WEIGHT_STEPS = 3
FOLDS = 4
FEW_ROWS = 20_000
MOST_TRIED = 50_000
THREADS = 2
LEAST_EXPECTED = 1e-6
PART_TITLES = {
    "tweedie": "a boosted Tweedie regression",
    "rfm": "a Tweedie regression on recency, frequency and money",
    "two_stage": "boosted P(buys) x E(spending | buys)",
}


@dataclass(frozen=True)
class SpendingRows:
    """features (n, n_features), spent (n,) in `label_days` from as_of_us (n,), member (n,)."""

    features: Floats
    spent: Floats
    member: Integers
    as_of_us: Integers
    label_days: int

    def __getitem__(self, rows: Integers) -> SpendingRows:
        return SpendingRows(self.features[rows], self.spent[rows], self.member[rows], self.as_of_us[rows], self.label_days)

    @property
    def buyers(self) -> int:
        return int((self.spent > 0).sum())


@dataclass(frozen=True)
class SpendingColumns:
    """Columns that a booster reads; those that the linear model reads, and what a missing value of them means (NaN: the median)."""

    kept: Integers
    rfm: Integers
    missing: Floats

    @classmethod
    def of(cls, spec: FeatureSpec, kept: Integers, money: Flags) -> SpendingColumns:
        """RFM: days since the last qualifying event and since the last purchase, purchases and sums of money over the lookback."""
        longest = spec.windows[-1]
        paid = [use.name for use, pays in zip(spec.uses, money, strict=False) if pays]
        days = ["days_since_any", *(f"days_since_{name}" for name in paid)]
        amounts = [f"{name}_{what}_{longest}d" for name in paid for what in ("count", "sum")]
        positions = np.array([spec.position(name) for name in (*days, *amounts)])
        return cls(kept, positions, np.array([longest] * len(days) + [np.nan] * len(amounts)))


@dataclass(frozen=True)
class ValueValidation:
    """How the parts were weighed: mean deviance of each and of the blend on rows that did not fit them.

    `label_days` is what was learned from, shorter than `value_days` where the log is short.
    """

    scheme: Literal["out_of_time", "members"]
    rows: int
    label_days: int
    weights: dict[str, float]
    deviance: dict[str, float]

    @property
    def told(self) -> str:
        """The parts, in words of the field, with their weights and deviances."""
        parts = [
            f"{PART_TITLES[name]} ({weight:.2f}, deviance {self.deviance[name]:.3g})" for name, weight in self.weights.items() if weight > 0
        ]
        how = "later cuts" if self.scheme == "out_of_time" else "members left out"
        return f"the mean of {', '.join(parts)}; together {self.deviance['blend']:.3g} on {self.rows:,} snapshots of {how}"


@dataclass(frozen=True)
class FittedValue:
    model: PurchaseValue
    validation: ValueValidation
    warnings: tuple[str, ...] = ()


def fit_value(
    spending: SeenSpending,
    snapshots: Snapshots,
    features: Floats,
    columns: SpendingColumns,
    community: Community,
    *,
    rng: np.random.Generator,
) -> FittedValue:
    """`snapshots` and `features`: all that `spending` has the positions of. Raises NotEnoughData where purchases are too few."""
    declared, days = community.value, spending.days
    asked = snapshots[spending.rows]
    rows = SpendingRows(features[spending.rows], spending.spent, asked.member, asked.as_of_us, days)
    fitted = fit_purchase_value(rows, columns, declared.margin, rng=rng)
    if days == declared.value_days:
        return fitted
    periods = _periods(declared.value_days / days, spending.fading)
    warning = (
        f"the dates that are learned from reach back too little for what members spend in {declared.value_days} days: "
        f"learned from {days} days and taken times {periods:.2f}, as later spending fell short of earlier"
    )
    return replace(fitted, model=replace(fitted.model, periods=periods), warnings=(warning,))


def fit_purchase_value(rows: SpendingRows, columns: SpendingColumns, margin: float, *, rng: np.random.Generator) -> FittedValue:
    """A mean of the parts whose weights, in thirds, are those nearest to even that validation cannot tell from the best.

    Validation is later in time, with a gap of `label_days`, wherever that leaves 50 buyers on either side, else on members left out; it
    compares mean Tweedie deviances, on at most 50,000 rows, and leaves out a part that one of its fits was too small for. The parts err
    on different sides when a community ages, and their mean was the best or near it on every cut of real logs. Raises NotEnoughData
    below 50 rows with a purchase.
    """
    if rows.buyers < FEWEST_BUYERS:
        message = f"only {rows.buyers} snapshots are followed by a purchase; {FEWEST_BUYERS} are needed to learn what a member is worth"
        raise NotEnoughData(message)
    seed = int(rng.integers(1 << 30))
    tried = rows if len(rows.spent) <= MOST_TRIED else rows[np.sort(rng.choice(len(rows.spent), MOST_TRIED, replace=False))]
    by_time = _split_by_time(tried)
    pairs = [by_time] if by_time else _split_by_member(tried, rng)
    with threadpool_limits(1, user_api="blas"), ThreadPoolExecutor(THREADS) as pool:
        expected = list(pool.map(lambda pair: _held_out(tried, pair, columns, seed), pairs))
        truth = tried[np.concatenate([check for _, check in pairs])]
        names = [name for name in expected[0] if all(name in part for part in expected)]
        held = {name: np.concatenate([part[name] for part in expected]) for name in names}
        weights = _weights(held, truth)
        parts = fit_parts(rows, columns, seed)
    blended = np.sum([weights[name] * held[name] for name in held], axis=0)
    deviance = {name: float(tweedie_deviance(truth.spent, told).mean()) for name, told in {**held, "blend": blended}.items()}
    used = [name for name in held if weights[name] > 0]
    model = PurchaseValue(margin, 1.0, tuple(weights[name] for name in used), tuple(parts[name] for name in used))
    scheme: Literal["out_of_time", "members"] = "out_of_time" if by_time else "members"
    return FittedValue(model, ValueValidation(scheme, len(truth.spent), rows.label_days, weights, deviance))


def tweedie_deviance(actual: Floats, expected: Floats) -> Floats:
    """Of one row, at p = TWEEDIE_POWER, 1 < p < 2 (Jorgensen 1987): 0 for a perfect mean, in money^(2 - p); shape (n,).

    2 (y^(2-p) / ((1-p)(2-p)) - y m^(1-p) / (1-p) + m^(2-p) / (2-p)).
    """
    p, mean = TWEEDIE_POWER, np.maximum(expected, LEAST_EXPECTED)
    deviance: Floats = 2 * (actual ** (2 - p) / ((1 - p) * (2 - p)) - actual * mean ** (1 - p) / (1 - p) + mean ** (2 - p) / (2 - p))
    return deviance


def fit_parts(rows: SpendingRows, columns: SpendingColumns, seed: int) -> dict[str, Spending]:
    """A boosted Tweedie regression, boosted P(buys) x E(spending | buys) where both outcomes are there, and a Tweedie regression on RFM."""
    settings, bought = BoosterSettings(trees=TREES, seed=seed), rows.spent > 0
    tweedie = fit_booster(rows.features, rows.spent, columns.kept, replace(settings, objective="tweedie"))
    rfm = fit_log_linear(rows.features, rows.spent, columns.rfm, columns.missing, penalty=PENALTY)
    parts: dict[str, Spending] = {"tweedie": MeanSpending(tweedie), "rfm": MeanSpending(rfm)}
    if min(rows.buyers, len(bought) - rows.buyers) >= FEWEST_OF_A_CLASS:
        buys = fit_booster(rows.features, bought, columns.kept, settings)
        amount = fit_booster(rows.features[bought], rows.spent[bought], columns.kept, replace(settings, objective="gamma"))
        parts["two_stage"] = TwoStageSpending(buys, amount)
    return parts


def _held_out(rows: SpendingRows, pair: tuple[Integers, Integers], columns: SpendingColumns, seed: int) -> dict[str, Floats]:
    fit, check = pair
    return {name: part(rows.features[check]) for name, part in fit_parts(rows[fit], columns, seed).items()}


def _split_by_time(rows: SpendingRows) -> tuple[Integers, Integers] | None:
    """(rows to fit, later rows to check), a gap of `label_days` between them; the checked cuts are of the last third."""
    cuts = np.unique(rows.as_of_us)
    for first in cuts[-max(1, len(cuts) // 3) :]:
        fit = np.flatnonzero(rows.as_of_us <= first - rows.label_days * DAY_US)
        check = np.flatnonzero(rows.as_of_us >= first)
        if min(rows[fit].buyers, rows[check].buyers) >= FEWEST_BUYERS:
            return fit, check
    return None


def _split_by_member(rows: SpendingRows, rng: np.random.Generator) -> list[tuple[Integers, Integers]]:
    fold = assign_folds(np.unique(rows.member, return_inverse=True)[1], rng=rng, n_folds=FOLDS if len(rows.spent) < FEW_ROWS else 2)
    return [(np.flatnonzero(fold != number), np.flatnonzero(fold == number)) for number in np.unique(fold)]


def _weights(held: dict[str, Floats], truth: SpendingRows) -> dict[str, float]:
    grid = weight_grid(len(held), WEIGHT_STEPS)
    blended = np.stack(list(held.values()), axis=1) @ grid.T
    losses = tweedie_deviance(truth.spent[:, None], blended)
    chosen = nearest_within_one_error(losses, grid, np.full(len(held), 1 / len(held)), truth.member)
    return dict(zip(held, chosen.tolist(), strict=True))


def _periods(length: float, fading: float) -> float:
    """1 + f + f^2 + ... over `length` terms, whole or not: (1 - f^length) / (1 - f)."""
    return length if fading == 1 else (1 - fading**length) / (1 - fading)
