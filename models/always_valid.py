"""Intervals and a test that hold however often they are looked at: for what is read every night and acted on."""

from __future__ import annotations

from math import exp, log, log1p, sqrt

from scipy.special import betaln

TIGHTEST_AT = 5_000
"""Members at which the interval is narrowest for what it promises; with many more or fewer it is somewhat wider, and holds all the same."""
MOST_MEMBERS = 1_000_000_000
LIKELY_WITHIN = 1_000
"""Members in whose share chance varies as much as shares that something other than chance decides are thought to."""


def reach(error: float, members: int, alpha: float) -> float:
    """Half the width of the interval around an estimate with standard error `error` of so many members.

    Where it is read again and again while members come in, the chance that any of the intervals misses the truth is at most alpha (an
    asymptotic confidence sequence; Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, Annals of Statistics, theorem 2.2). With n members
    and rho^2 = (-2 log alpha + log(1 - 2 log alpha)) / TIGHTEST_AT, which is fixed before, it is

        error * sqrt(2 (n rho^2 + 1) / (n rho^2) * log(sqrt(n rho^2 + 1) / alpha))
    """
    spent = members * (-2 * log(alpha) + log(1 - 2 * log(alpha))) / TIGHTEST_AT
    return error * sqrt(2 * (spent + 1) / spent * log(sqrt(spent + 1) / alpha))


def members_needed(error: float, members: int, target: float, alpha: float, power: float) -> int | None:
    """The least number of members with whom a difference of `target` above 0 leaves 0 outside; None for more than MOST_MEMBERS.

    `error` was that of `members`, and falls with the root of their number; `power`: standard errors by which chance may hide it.
    """

    def enough(number: int) -> bool:
        then = error * sqrt(members / number)
        return reach(then, number, alpha) + power * then <= target

    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
        if high > MOST_MEMBERS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def share_p(taken: int, members: int, share: float) -> float:
    """For `taken` of so many members, each of whom chance takes with probability `share`, strictly between 0 and 1.

    Where it is read again and again while members come in, the chance that it is ever below any p is at most p: by Ville's inequality for
    the mixture of likelihood ratios over a Beta prior around the share (Lindon and Malek 2022, NeurIPS, for two arms). With k of n members,
    a = LIKELY_WITHIN * share and b = LIKELY_WITHIN - a

        min(1, share^k (1 - share)^(n - k) B(a, b) / B(a + k, b + n - k))
    """
    left, a, b = members - taken, LIKELY_WITHIN * share, LIKELY_WITHIN * (1 - share)
    evidence = float(betaln(a + taken, b + left) - betaln(a, b)) - taken * log(share) - left * log1p(-share)
    return exp(-max(0.0, evidence))
