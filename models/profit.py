"""Profit of a retention campaign that follows a ranking: with an assumed response (EMPC), and with the one that was learned."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, ndtr

from models.arrays import Floats
from models.errors import InputError

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class CampaignEconomics:
    """Money of one campaign; the defaults are those of Verbraken, Verbeke and Baesens (2013).

    A contacted churner accepts with probability gamma ~ Beta(`acceptance_alpha`, `acceptance_beta`) and then brings
    `clv - offer_cost - contact_cost`; a contacted member who would have stayed costs `offer_cost + contact_cost`.
    """

    clv: float = 200.0
    offer_cost: float = 10.0
    contact_cost: float = 1.0
    acceptance_alpha: float = 6.0
    acceptance_beta: float = 14.0


DEFAULT_ECONOMICS = CampaignEconomics()
CERTAIN = 1e-9
"""A response without any error counts as one with so small a share of the largest net value: the integral needs a slope."""


@dataclass(frozen=True)
class MaximumProfit:
    """`profit` in currency per member of the population, `target_share` the expected share to contact."""

    profit: float
    target_share: float


@dataclass(frozen=True)
class RocHull:
    """Segments of the ROC convex hull, steepest first: shares of the population, each of shape (n_segments,)."""

    churned: FloatArray
    retained: FloatArray


def roc_hull(churned: FloatArray, retained: FloatArray) -> RocHull:
    """Upper convex hull of the ROC curve from the masses per distinct score, highest score first.

    The segments of the hull are the blocks of the antitonic regression of the outcome on the rank
    (Fawcett and Niculescu-Mizil 2007), so the cost is linear in the number of scores.
    """
    mass = churned + retained
    present = mass > 0
    churned, mass = churned[present], mass[present]
    blocks = _falling_blocks(churned / mass, mass)
    block_churned = np.add.reduceat(churned, blocks)
    block_mass = np.add.reduceat(mass, blocks)
    total = mass.sum()
    return RocHull(block_churned / total, (block_mass - block_churned) / total)


def maximum_profit(churned: FloatArray, retained: FloatArray, economics: CampaignEconomics = DEFAULT_ECONOMICS) -> MaximumProfit:
    """EMPC from the masses per distinct score, highest score first.

    With pi0 F0 and pi1 F1 the shares of the population that are contacted and would churn or stay, d the offer, f the
    contact, the profit per member at acceptance gamma is
    `(gamma (CLV - d) - f) pi0 F0 - (d + f) pi1 F1`;
    EMPC integrates its maximum over the cut-off against the density of gamma. Along the convex hull each vertex is
    optimal between two values of gamma, and on such an interval the integral is a difference of incomplete beta
    functions. Source: Verbraken, Verbeke and Baesens (2013), IEEE TKDE 25(5), 961-973.
    """
    hull = roc_hull(churned, retained)
    cuts = _acceptance_cuts(hull, economics)
    contacted_churned = np.concatenate([[0.0], np.cumsum(hull.churned)])
    contacted_retained = np.concatenate([[0.0], np.cumsum(hull.retained)])
    a, b = economics.acceptance_alpha, economics.acceptance_beta
    probability = np.diff(betainc(a, b, cuts))
    mean_acceptance = np.diff(betainc(a + 1, b, cuts)) * a / (a + b)
    gain = (economics.clv - economics.offer_cost) * contacted_churned
    cost = economics.contact_cost * (contacted_churned + contacted_retained) + economics.offer_cost * contacted_retained
    return MaximumProfit(
        float(gain @ mean_acceptance - cost @ probability),
        float((contacted_churned + contacted_retained) @ probability),
    )


def _falling_blocks(values: FloatArray, weights: FloatArray) -> IntArray:
    """Where the blocks of the antitonic regression begin."""
    from scipy.optimize import isotonic_regression  # noqa: PLC0415 - half a second that no answer of the service needs

    blocks: IntArray = isotonic_regression(values, weights=weights, increasing=False).blocks[:-1]
    return blocks


def _acceptance_cuts(hull: RocHull, economics: CampaignEconomics) -> FloatArray:
    """Values of gamma, shape (n_segments + 2,), between which each hull vertex is the best cut-off."""
    gain = (economics.clv - economics.offer_cost) * hull.churned
    cost = economics.contact_cost * (hull.churned + hull.retained) + economics.offer_cost * hull.retained
    with np.errstate(divide="ignore"):
        break_even = np.where(hull.churned > 0, cost / gain, np.inf)
    return np.concatenate([[0.0], np.clip(break_even, 0.0, 1.0), [1.0]])


def learned_profit(score: Floats, net: Floats, spread: Floats) -> MaximumProfit:
    """Expected maximum profit of contacting by falling `score`, with the learned response in place of the Beta of EMPC.

    Arrays of shape (n,). `net` is uplift x value - cost of the action a member would get, `spread` the standard error of that uplift
    times the value. As in EMPC one unknown response is shared by the whole campaign, here d ~ N(0, 1) standard errors that all uplifts are
    off by at once; contacting the first t members brings `P_t(d) = sum_{i <= t} (net_i + d spread_i) / n`, and the figure is the
    integral of max_t P_t(d) against the density of d. It is a sum over the upper hull of (sum spread, sum net), between whose
    vertices the best t changes. With d held at 0 and members ranked by `net` it is sum max(net, 0) / n, the maximum profit uplift measure
    of Devriendt, Berrevoets and Verbeke (2021, Information Sciences 548, 497-515) of predictions. A forecast by the model, no
    proof of it: the uplift that it takes for true is the one that it learned.
    """
    if len(score) == 0 or not (np.isfinite(net).all() and np.isfinite(spread).all()):
        raise InputError("profit: net values and their spreads must be finite, of at least one member; leave out members without a score")
    order = np.argsort(-score, kind="stable")
    ends = np.flatnonzero(np.diff(score[order], append=np.inf))
    least = CERTAIN * max(float(np.abs(net).max()), CERTAIN)
    sums = np.cumsum([net[order], np.maximum(spread, least)[order], np.ones(len(score))], axis=1)[:, ends]
    steps = np.diff(sums, prepend=0.0, axis=1)
    segments = _falling_blocks(steps[0] / steps[1], steps[1])
    hull = np.cumsum(np.add.reduceat(steps, segments, axis=1), axis=1) / len(score)
    gain, slope, contacted = np.concatenate([np.zeros((3, 1)), hull], axis=1)
    cuts = np.concatenate([[-np.inf], -np.diff(gain) / np.diff(slope), [np.inf]])
    probability, density = np.diff(ndtr(cuts)), -np.diff(np.exp(-np.square(cuts) / 2)) / np.sqrt(2 * np.pi)
    return MaximumProfit(float(gain @ probability + slope @ density), float(contacted @ probability))
