"""Fitting the risk of one horizon: parts of different bias, chosen and blended on rows that did not fit them, then calibrated there."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from models.blending import nearest_within_one_error, weight_grid
from models.calibration_fit import assign_folds, fit_calibration
from models.churn import HorizonModel
from models.community import DAY_US
from models.errors import NotEnoughData
from models.margin_fits import BoosterSettings, fit_booster, fit_linear, mean_of, staged_margins
from models.margins import BlendedMargin, BoosterMargin, LinearMargin
from models.training_cuts import FEWEST_OF_A_CLASS, FEWEST_SNAPSHOTS, Outcomes
from models.undersampling import undersample, undersample_share

if TYPE_CHECKING:
    from models.features import FeatureSpec

PENALTIES = (1e-2, 1e-3, 1e-4)
STAGES = (50, 100, 150, 200, 300)
WEIGHT_STEPS = 4
PART_NAMES = ("booster", "linear", "rfm_logistic")
EVEN_WEIGHTS = (0.5, 0.5, 0.0)
FEWEST_IN_A_FOLD = 5
FEWEST_BY_TIME = 500
FOLDS = 4
FEW_ROWS = 20_000
THREADS = 2
LINEAR_ROWS = 100_000
UNPENALISED = 1e-8


@dataclass(frozen=True)
class TrainingRows:
    """Snapshots with known outcomes at one horizon: features (n, n_features), churned (n,) bool, member (n,), as_of_us (n,)."""

    features: np.ndarray
    churned: np.ndarray
    member: np.ndarray
    as_of_us: np.ndarray

    def __len__(self) -> int:
        return len(self.churned)

    def __getitem__(self, rows: np.ndarray) -> TrainingRows:
        return TrainingRows(self.features[rows], self.churned[rows], self.member[rows], self.as_of_us[rows])

    @property
    def outcomes(self) -> Outcomes:
        return Outcomes(len(self), int(self.churned.sum()))

    @property
    def smaller_class(self) -> int:
        return self.outcomes.rarer


@dataclass(frozen=True)
class Validation:
    """How the parts were chosen: on later cuts, or where the log is too short for that on members left out; and what was chosen.

    `majority_share`: of the rows of the commoner outcome, how many the parts were fitted on.
    """

    scheme: Literal["out_of_time", "members"]
    rows: int
    trees: int
    weights: dict[str, float]
    log_loss: dict[str, float]
    calibration: str
    majority_share: float


@dataclass(frozen=True)
class FittedHorizon:
    """The blend, and the two plain rules on the same rows: all calibrated on rows that did not fit them."""

    model: HorizonModel
    baselines: dict[str, HorizonModel]
    validation: Validation


@dataclass(frozen=True)
class PartSettings:
    """`majority_share` as of `undersample`."""

    booster: BoosterSettings
    majority_share: float | None

    def with_trees(self, trees: int) -> PartSettings:
        return replace(self, booster=replace(self.booster, trees=trees))


@dataclass(frozen=True)
class Parts:
    """Log-odds among all rows, of which some were fitted on."""

    booster: BoosterMargin
    linear: LinearMargin
    rfm_logistic: LinearMargin
    recency: LinearMargin


@dataclass(frozen=True)
class Held:
    """Out-of-sample margins of every candidate on the validation rows."""

    rows: np.ndarray
    booster: np.ndarray
    linear: np.ndarray
    rfm_logistic: np.ndarray
    recency: np.ndarray


@dataclass(frozen=True)
class Columns:
    """Positions that the parts read, and what a missing value means to a linear part (NaN: the median)."""

    kept: np.ndarray
    rfm: np.ndarray
    recency: np.ndarray
    missing: np.ndarray

    @classmethod
    def of(cls, spec: FeatureSpec, kept: np.ndarray, n_features: int) -> Columns:
        """RFM: days since any qualifying event, number of qualifying events and sums of the valued signals over the lookback."""
        longest = spec.windows[-1]
        names = ["days_since_any", f"any_count_{longest}d", *(f"{use.name}_sum_{longest}d" for use in spec.signals if use.valued)]
        missing = np.full(n_features, np.nan)
        missing[[column for column, name in enumerate(spec.names) if name.startswith("days_since_")]] = longest
        positions = [spec.position(name) for name in names]
        return cls(kept, np.array(positions), np.array(positions[:1]), missing)


def fit_horizon(
    rows: TrainingRows,
    horizon_days: int,
    spec: FeatureSpec,
    kept: np.ndarray,
    *,
    majority_share: float | None = None,
    rng: np.random.Generator,
) -> FittedHorizon:
    """Choose number of trees and blend by log loss out of sample, calibrate there, then fit the chosen parts on all rows.

    Of the commoner outcome `majority_share` is fitted on (see `undersampling`); all of it is checked and calibrated on. Out of sample
    means later in time, with a gap of one horizon, wherever the log is long enough; else four folds of members.
    Raises NotEnoughData below 200 rows or 20 of either class.
    """
    _require_enough(rows, horizon_days)
    columns = Columns.of(spec, kept, rows.features.shape[1])
    seeds, folds, shuffles = rng.spawn(3)
    settings = PartSettings(BoosterSettings(trees=max(STAGES), seed=int(seeds.integers(1 << 30))), majority_share)
    by_time = split_by_time(rows, horizon_days)
    pairs = [by_time] if by_time else split_by_member(rows, horizon_days, folds)
    last, *others = shuffles.spawn(1 + len(pairs))
    with ThreadPoolExecutor(THREADS) as pool:
        held = _join(list(pool.map(lambda pair, child: _held_out(rows, pair[0], pair[1], columns, settings, child), pairs, others)))
    truth = rows[held.rows]
    stage = int(np.argmin([_log_loss(held.booster[:, i], truth.churned) for i in range(len(STAGES))]))
    margins = {"booster": held.booster[:, stage], "linear": held.linear, "rfm_logistic": held.rfm_logistic}
    weights = _blend_weights(margins, truth)
    blended = np.sum([weights[name] * margins[name] for name in PART_NAMES], axis=0)
    settings = settings.with_trees(STAGES[stage])
    parts = _fit_parts(rows, columns, settings, last)
    calibrations = {
        name: fit_calibration(margin, truth.churned, truth.member, rng=folds)
        for name, margin in (("rfm_logistic", held.rfm_logistic), ("recency", held.recency))
    }
    late, crossed = _cross_fitted(rows, columns, settings, weights, shuffles)
    calibrations["blend"] = fit_calibration(crossed, late.churned, late.member, rng=folds)
    return FittedHorizon(
        HorizonModel(horizon_days, BlendedMargin.of(weights, vars(parts)), calibrations["blend"]),
        {name: HorizonModel(horizon_days, getattr(parts, name), calibrations[name]) for name in ("recency", "rfm_logistic")},
        Validation(
            scheme="out_of_time" if by_time else "members",
            rows=len(truth),
            trees=STAGES[stage],
            weights=weights,
            log_loss={name: _log_loss(margin, truth.churned) for name, margin in {**margins, "blend": blended}.items()},
            calibration=type(calibrations["blend"]).__name__.lower(),
            majority_share=undersample_share(rows.churned, majority_share),
        ),
    )


def _require_enough(rows: TrainingRows, horizon_days: int) -> None:
    if not rows.outcomes.suffice:
        message = (
            f"too little to learn the {horizon_days}-day risk from: {len(rows)} snapshots, {rows.smaller_class} of the rarer outcome; "
            f"needed are {FEWEST_SNAPSHOTS} and {FEWEST_OF_A_CLASS}. Bring a longer log, or a shorter churn horizon"
        )
        raise NotEnoughData(message)


def split_by_time(rows: TrainingRows, horizon_days: int) -> tuple[np.ndarray, np.ndarray] | None:
    """(rows to fit, later rows to check), a gap of one horizon between them; the checked cuts are of the last third."""
    cuts = np.unique(rows.as_of_us)
    for first in cuts[-max(1, len(cuts) // 3) :]:
        fit = np.flatnonzero(rows.as_of_us <= first - horizon_days * DAY_US)
        check = np.flatnonzero(rows.as_of_us >= first)
        if len(fit) >= FEWEST_BY_TIME and rows[fit].smaller_class >= FEWEST_OF_A_CLASS and rows[check].smaller_class >= FEWEST_OF_A_CLASS:
            return fit, check
    return None


def split_by_member(rows: TrainingRows, horizon_days: int, rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
    """Four folds of members; the left-out members are checked on the last third of the cuts, the others fitted on the cuts before.

    Where the cuts before hold too few of one outcome, they are fitted on all cuts.
    """
    fold = assign_folds(np.unique(rows.member, return_inverse=True)[1], rng=rng, n_folds=FOLDS)
    cuts = np.unique(rows.as_of_us)
    late = rows.as_of_us >= cuts[-max(1, len(cuts) // 3)]
    for usable in (~late, np.ones_like(late)):
        pairs = [(np.flatnonzero((fold != number) & usable), np.flatnonzero((fold == number) & late)) for number in range(FOLDS)]
        pairs = [(fit, check) for fit, check in pairs if len(check)]
        if all(rows[fit].smaller_class >= FEWEST_IN_A_FOLD for fit, _ in pairs):
            return pairs
    message = (
        f"the {horizon_days}-day risk cannot be checked on members left out: those of the rarer outcome are too few members. "
        "Bring a longer log, or another churn horizon"
    )
    raise NotEnoughData(message)


def _cross_fitted(
    rows: TrainingRows, columns: Columns, settings: PartSettings, weights: dict[str, float], rng: np.random.Generator
) -> tuple[TrainingRows, np.ndarray]:
    """The last third of the cuts, and the blend's margins there from parts fitted on all cuts of other members.

    A map learned on margins from earlier cuts alone would also correct for what the parts, fitted again on all cuts, no longer get wrong.
    """
    n_folds = FOLDS if len(rows) < FEW_ROWS else 2
    fold = assign_folds(np.unique(rows.member, return_inverse=True)[1], rng=rng, n_folds=n_folds)
    cuts = np.unique(rows.as_of_us)
    late = rows.as_of_us >= cuts[-max(1, len(cuts) // 3)]
    margin = np.zeros(len(rows))
    for number in range(n_folds):
        check = np.flatnonzero((fold == number) & late)
        parts = _fit_parts(rows[np.flatnonzero(fold != number)], columns, settings, rng)
        margin[check] = BlendedMargin.of(weights, vars(parts))(rows.features[check])
    return rows[np.flatnonzero(late)], margin[late]


def _held_out(
    rows: TrainingRows, fit: np.ndarray, check: np.ndarray, columns: Columns, settings: PartSettings, rng: np.random.Generator
) -> Held:
    parts, test = _fit_parts(rows[fit], columns, settings, rng), rows.features[check]
    return Held(
        rows=check,
        booster=staged_margins(parts.booster, test, STAGES),
        linear=parts.linear(test),
        rfm_logistic=parts.rfm_logistic(test),
        recency=parts.recency(test),
    )


def _join(parts: list[Held]) -> Held:
    names = ("rows", "booster", "linear", "rfm_logistic", "recency")
    return Held(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _at_most(rows: TrainingRows, most: int, rng: np.random.Generator) -> TrainingRows:
    return rows if len(rows) <= most else rows[np.sort(rng.choice(len(rows), most, replace=False))]


def _fit_path(rows: TrainingRows, columns: Columns) -> LinearMargin:
    """The mean over the penalties: which of them is the best is noise on most logs, and the mean is near it on all."""
    missing = columns.missing[columns.kept]
    return mean_of(fit_linear(rows.features, rows.churned, columns.kept, missing, penalties=PENALTIES))


def _fit_plain(rows: TrainingRows, positions: np.ndarray, columns: Columns) -> LinearMargin:
    return fit_linear(rows.features, rows.churned, positions, columns.missing[positions], penalties=(UNPENALISED,))[0]


def _fit_parts(rows: TrainingRows, columns: Columns, settings: PartSettings, rng: np.random.Generator) -> Parts:
    drawn = undersample(rows.churned, settings.majority_share, rng)
    fewer = rows if len(drawn.rows) == len(rows) else rows[drawn.rows]
    few = _at_most(fewer, LINEAR_ROWS, rng)
    return Parts(
        fit_booster(fewer.features, fewer.churned, columns.kept, settings.booster, shift=drawn.shift),
        _fit_path(few, columns).shifted(drawn.shift),
        _fit_plain(few, columns.rfm, columns).shifted(drawn.shift),
        _fit_plain(few, columns.recency, columns).shifted(drawn.shift),
    )


def _blend_weights(margins: dict[str, np.ndarray], truth: TrainingRows) -> dict[str, float]:
    """In quarters that sum to one, by log loss."""
    grid = weight_grid(len(PART_NAMES), WEIGHT_STEPS)
    blended = np.stack([margins[name] for name in PART_NAMES], axis=1) @ grid.T
    losses = np.logaddexp(0, np.where(truth.churned[:, None], -blended, blended))
    chosen = nearest_within_one_error(losses, grid, np.array(EVEN_WEIGHTS), truth.member)
    return dict(zip(PART_NAMES, chosen.tolist(), strict=True))


def _log_loss(margin: np.ndarray, churned: np.ndarray) -> float:
    """Mean of log(1 + exp(-m)) over the churned and log(1 + exp(m)) over the retained, in nats."""
    return float(np.logaddexp(0, np.where(churned, -margin, margin)).mean())
