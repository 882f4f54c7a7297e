"""What policies would have handed out of the places and the money that there were when decisions were logged."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from models.logged_chances import told_chances
from models.offers import NOBODY
from models.planning import plan_jointly
from models.policy import best_action, costs, propensities, with_urgent
from models.quotas import BUDGET, ROUNDING, limits_of, periods_of, resources_of
from models.supply import Supply

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Flags, Floats, Integers
    from models.assignments import Assignments
    from models.community import Community
    from models.planning import Candidates

FEWEST_TOGETHER = 30
"""So many decisions of one moment are those of a run, which shares out what there is among all; fewer take their turns."""


@dataclass(frozen=True)
class LoggedSupply:
    """Of n decisions in p periods: at_us (n,), period (n,), a position; limits (p,) by resource, as Quotas names those that have one.

    closed (n,) by intervention: what the engine that the log is read with allows, and the log gave a chance in that period before or after,
    but not there: it had run out.
    """

    at_us: Integers
    period: Integers
    limits: Mapping[str, Floats]
    closed: Mapping[str, Flags]

    @classmethod
    def of(cls, made: Assignments, shares: Floats, candidates: Candidates, touches: pl.DataFrame, community: Community) -> Self | None:
        """None where nothing that is declared has a limit; shares (n, 1 + k): the chances of the log.

        What others were assigned in the same period is taken off what is declared. Where the chances took more, there was that much.
        """
        declared = limits_of(community.capacity)
        if not declared:
            return None
        at_us = made.snapshots.as_of_us
        known, period = np.unique(periods_of(at_us, community.capacity.period_days, community), return_inverse=True)
        used = dict(zip(resource_names(community), _by_period(uses(candidates, shares[:, 1:], community), period).T, strict=True))
        others = _taken_by_others(made, touches, community, known.tolist())
        left = {name: np.array([limit - others[of_one, name] for of_one in known.tolist()]) for name, limit in declared.items()}
        limits = {name: np.maximum(amount, used[name]) for name, amount in left.items() if name in used}
        closed = _closed(candidates, shares[:, 1:] > 0, period, _limited(candidates, limits, community))
        return cls(at_us, period, limits, dict(zip((one.id for one in community.interventions), closed.T, strict=True)))

    @property
    def closed_share(self) -> float:
        """Of the decisions before which something had run out."""
        return float(np.any([*self.closed.values()], axis=0).mean())

    def propensity(self, candidates: Candidates, community: Community) -> Floats:
        """Of an engine with these candidates, shape (n, 1 + k): in no period more than there was, in expectation.

        A run plans for all whom it decides on together; who is decided on alone gets the best of what is left then.
        """
        offered, left = self._open(candidates, community), self._limits(community)
        _, moment, numbers = np.unique(self.at_us, return_inverse=True, return_counts=True)
        propensity = np.empty((len(moment), 1 + offered.allowed.shape[1]))
        for run in np.flatnonzero(numbers >= FEWEST_TOGETHER).tolist():
            rows = np.flatnonzero(moment == run)
            there = left[self.period[rows[0]]]
            propensity[rows] = _planned(candidates[rows], offered[rows].allowed, there, community)
            there -= np.minimum(uses(offered[rows], propensity[rows, 1:], community).sum(axis=0), there)
        alone = np.flatnonzero(numbers[moment] < FEWEST_TOGETHER)
        alone = alone[np.lexsort((self.at_us[alone], self.period[alone]))]
        propensity[alone] = _in_turn(offered[alone], self.period[alone], left, community)
        return propensity

    def by_lot(self, probabilities: Floats, candidates: Candidates, community: Community) -> Floats:
        """Where a policy (n, 1 + k) would hand out more than there was, a lot decides who goes without, and gets nothing.

        What is urgent goes out before. Kitagawa and Tetenov (2018) ration so.
        """
        wanted = np.where(self._open(candidates, community).allowed & ~candidates.sent, probabilities[:, 1:], 0.0)
        urgent = np.where(candidates.sent, probabilities[:, 1:], 0.0)
        use, before = (_by_period(uses(candidates, part, community), self.period) for part in (wanted, urgent))
        there = np.maximum(self._limits(community) - before, 0.0)
        share = np.minimum(1.0, np.divide(there, use, out=np.ones_like(use), where=use > 0))[self.period]
        given = urgent + wanted * _least(candidates, share, community)
        nothing = probabilities.sum(axis=1) - given.sum(axis=1)
        return np.column_stack([nothing, given])

    def _open(self, candidates: Candidates, community: Community) -> Candidates:
        nowhere = np.zeros(len(self.period), dtype=np.bool_)
        closed = np.column_stack([self.closed.get(one.id, nowhere) for one in community.interventions])
        return replace(candidates, allowed=candidates.allowed & (~closed | candidates.sent))

    def _limits(self, community: Community) -> Floats:
        """Of each period and resource, infinite where there is none, shape (p, r)."""
        endless = np.full(int(self.period.max()) + 1, np.inf)
        return np.column_stack([self.limits.get(name, endless) for name in resource_names(community)])


def resource_names(community: Community) -> list[str]:
    """As Quotas names them, in the order of Supply: the budget, the interventions, the channels; r of them."""
    return [BUDGET, *(f"intervention:{one.id}" for one in community.interventions), *(f"channel:{name}" for name in community.channels)]


def uses(candidates: Candidates, probability: Floats, community: Community) -> Floats:
    """What each row is expected to take of each resource, shape (n, r); probability (n, k)."""
    channels = np.zeros((len(probability), len(community.channels)))
    for position in range(probability.shape[1]):
        channels[np.arange(len(channels)), candidates.channel[:, position]] += probability[:, position]
    return np.column_stack([(probability * candidates.cost).sum(axis=1), probability, channels])


def _by_period(use: Floats, period: Integers) -> Floats:
    return np.column_stack([np.bincount(period, column) for column in use.T])


def _least(candidates: Candidates, of_resource: Floats, community: Community) -> Floats:
    """Of (n, r), for each candidate the least among the resources that it takes, shape (n, k)."""
    money, interventions, channels = np.split(of_resource, [1, 1 + len(community.interventions)], axis=1)
    by_channel = np.take_along_axis(channels, candidates.channel.astype(np.int64), axis=1)
    return np.minimum(np.where(candidates.cost > 0, money, np.inf), np.minimum(interventions, by_channel))


def _planned(candidates: Candidates, offered: Flags, left: Floats, community: Community) -> Floats:
    """As a run decides within what is left (r,); where the plan's choice is not `offered` (n, k) any more, the best that is."""
    interventions, channels = np.split(left[1:], [len(community.interventions)])
    supply = Supply(float(left[0]), interventions, channels, community.capacity.exploration_share)
    joint = plan_jointly(candidates, supply, community.policy.exploration)
    lost = np.flatnonzero((candidates.allowed & ~offered).any(axis=1))
    own, meant = offered[lost], joint.plan.choice[lost]
    priced = candidates.priority[lost] - joint.plan.shadow_prices.charge(candidates.cost[lost], candidates.channel[lost]).total
    best = np.where(own[np.arange(len(lost)), meant], 1 + meant, best_action(priced, own))
    probability = joint.expected.copy()
    probability[lost] = propensities(np.where(meant == NOBODY, 0, best), own, joint.exploration)
    return probability


def _in_turn(candidates: Candidates, period: Integers, left: Floats, community: Community) -> Floats:
    """Rows by period and time. Something runs out when as much of it is expected to have been taken before; left (p, r)."""
    begins = np.flatnonzero(np.diff(period, prepend=-1))
    of_period = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(period))))
    while True:
        best = np.where(candidates.urgent > 0, candidates.urgent, best_action(candidates.priority, candidates.allowed))
        propensity = with_urgent(propensities(best, candidates.allowed, community.policy.exploration), candidates.urgent)
        use = uses(candidates, propensity[:, 1:], community)
        before = np.cumsum(use, axis=0) - use
        rest = left[period] - (before - before[begins][of_period])
        places = _least(candidates, np.where(np.arange(rest.shape[1]) == 0, np.inf, rest), community)
        fits = (places > ROUNDING) & (candidates.cost <= rest[:, :1] + ROUNDING)
        gone = candidates.allowed & ~candidates.sent & ~fits
        if not gone.any():
            return propensity
        first = np.minimum.reduceat(np.where(gone.any(axis=1), np.arange(len(gone)), len(gone)), begins)
        gone &= np.vstack([gone, np.zeros_like(gone[:1])])[first][of_period]
        candidates = replace(candidates, allowed=candidates.allowed & ~gone)


def _limited(candidates: Candidates, limits: Mapping[str, Floats], community: Community) -> Flags:
    """Which candidates take something that has a limit, shape (n, k)."""
    endless = np.array([0.0 if name in limits else np.inf for name in resource_names(community)])
    limited: Flags = _least(candidates, np.broadcast_to(endless, (len(candidates.cost), len(endless))), community) == 0
    return limited


def _closed(candidates: Candidates, offered: Flags, period: Integers, limited: Flags) -> Flags:
    in_period = _by_period(offered.astype(np.float64), period) > 0
    return limited & candidates.allowed & ~candidates.sent & ~offered & in_period[period]


def _taken_by_others(made: Assignments, touches: pl.DataFrame, community: Community, periods: list[int]) -> Counter[tuple[int, str]]:
    """In these periods, by period and resource: what was assigned by decisions that are none of `made`."""
    cost = dict(zip((one.id for one in community.interventions), costs(community).tolist(), strict=True))
    own = pl.DataFrame({"member": made.snapshots.member, "at_us": made.snapshots.as_of_us})
    drawn = pl.Series(told_chances(touches)) | (touches["decision_id"].is_not_null() if "decision_id" in touches.columns else False)
    rows = touches.filter(drawn).select(
        pl.col("member").cast(pl.Int64), pl.col("intervention", "channel").cast(pl.String), at_us=pl.col("timestamp").to_physical()
    )
    others = rows.filter(pl.col("intervention").is_in(list(cost))).join(own, on=["member", "at_us"], how="anti")
    period = periods_of(others["at_us"].to_numpy(), community.capacity.period_days, community)
    counts = others.with_columns(period=period).filter(pl.col("period").is_in(periods)).group_by("period", "intervention", "channel").len()
    taken: Counter[tuple[int, str]] = Counter()
    for of_one, intervention, channel, times in counts.iter_rows():
        for resource, amount in resources_of(intervention, channel, cost[intervention]).items():
            taken[of_one, resource] += times * amount
    return taken
