"""Figures of a tested risk model: is the predicted risk the observed one, and how many leavers does a contacted share hold?

They are drawn without a display.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from models.metrics import calibration_curve, rank_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from matplotlib.axes import Axes

    from models.arrays import Floats
    from models.metrics import CalibrationBin

NORMAL_95 = 1.959964
HISTOGRAM_BINS = 40
INK, QUIET = "#1f4e79", "#8a8f98"
LINE_COLOURS = ("#1f4e79", "#c8553d", "#5b8e7d", "#8c6bb1")


def calibration_figure(churned: npt.ArrayLike, probability: npt.ArrayLike) -> Figure:
    """Observed against predicted risk in ten bins of equal mass, with 95 % Wilson intervals; the distribution of the predictions below.

    Raises InputError on rows that do not fit together, NotEnoughData on a single class.
    """
    bins = calibration_curve(churned, probability)
    figure = Figure(figsize=(6, 6.5), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, gridspec_kw={"height_ratios": [4, 1]})
    _draw_bins(upper, bins)
    lower.hist(np.asarray(probability, dtype=np.float64), bins=HISTOGRAM_BINS, range=(0, 1), color=QUIET)
    lower.set(xlabel="predicted risk", ylabel="members")
    lower.xaxis.set_major_formatter(PercentFormatter(1))
    return figure


def lift_figure(churned: npt.ArrayLike, probabilities: Mapping[str, npt.ArrayLike]) -> Figure:
    """Cumulative gains: the share of all leavers among the members of highest risk, against the share contacted, a line for each model.

    Ties lie on a straight line, as if ordered at random; the diagonal is a contact at random.
    """
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1, label="at random")
    for position, (name, probability) in enumerate(probabilities.items()):
        contacted, found = cumulative_gains(churned, probability)
        axes.plot(contacted, found, color=LINE_COLOURS[position % len(LINE_COLOURS)], linewidth=1.8, label=name.replace("_", " "))
    axes.set(
        xlim=(0, 1), ylim=(0, 1.01), xlabel="members contacted, highest risk first", ylabel="leavers among them", title="Cumulative gains"
    )
    _in_percent(axes)
    axes.legend(loc="lower right", frameon=False)
    return figure


def cumulative_gains(churned: npt.ArrayLike, probability: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Share of the members and share of the churned at or above each distinct probability, highest first, from (0, 0) to (1, 1)."""
    ranking = rank_rows(churned, probability)
    tally = ranking.tally(np.ones(len(ranking.order)))
    return np.append(0.0, tally.reached / tally.reached[-1]), np.append(0.0, tally.found / tally.found[-1])


def _draw_bins(axes: Axes, bins: Sequence[CalibrationBin]) -> None:
    predicted, observed = (np.array([getattr(part, name) for part in bins]) for name in ("predicted", "observed"))
    low, high = _wilson(observed, np.array([part.n for part in bins]))
    reach = [np.maximum(observed - low, 0), np.maximum(high - observed, 0)]
    axes.plot([0, 1], [0, 1], color=QUIET, linestyle="--", linewidth=1, label="perfectly calibrated")
    axes.errorbar(predicted, observed, yerr=reach, color=INK, marker="o", markersize=5, linewidth=1.2, capsize=2, label="members by tenths")
    axes.set(xlim=(0, 1), ylim=(0, 1), ylabel="observed share of leavers", title="Calibration")
    _in_percent(axes)
    axes.legend(loc="upper left", frameon=False)


def _wilson(share: Floats, n: Floats) -> tuple[Floats, Floats]:
    """Bounds of the 95 % interval of a binomial share (Wilson 1927)."""
    z2 = NORMAL_95**2
    centre = (share + z2 / (2 * n)) / (1 + z2 / n)
    reach = NORMAL_95 * np.sqrt(share * (1 - share) / n + z2 / (4 * n**2)) / (1 + z2 / n)
    return centre - reach, centre + reach


def _in_percent(axes: Axes) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(visible=True, color="#e6e8eb", linewidth=0.6)
    axes.set_axisbelow(True)
