"""The one path from members' events to choices: everything that a decision rests on, weighed for all members at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from models.interventions import MemberFacts, Refusals, Rule, contact_ruling, eligibility_refusals
from models.lifecycle import lifecycle_of
from models.policy import (
    arbitration_refusals,
    best_action,
    choose,
    context_weights,
    control_refusals,
    costs,
    draws_of,
    exploring,
    in_control,
    priorities,
)
from models.shadow_prices import FREE, Charge, Terms

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers, Names
    from models.community import Community
    from models.decision import RiskBand
    from models.engine import Engine, Scores
    from models.events import EventArrays
    from models.interventions import ContactHistory
    from models.lifecycle import Lifecycles
    from models.snapshots import Snapshots
    from models.uplift_beliefs import UpliftInterval

SCORED = "scored"
BANDS: tuple[RiskBand, ...] = ("low", "medium", "high")
INTERVAL_LEVEL = 0.9
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNSCORED = tuple(Rule("eligibility", status) for status in ("insufficient_history", "already_churned", "opted_out"))


@dataclass(frozen=True)
class Context:
    """Where the member is met at this moment; `channel` is preferred by the interventions that have it."""

    channel: str | None = None


NOWHERE = Context()


@dataclass(frozen=True)
class Weighed:
    """All that was weighed for n members and k interventions: (n,), (n, k), and for `propensity` (n, 1 + k), `none` first.

    `probability` is that of the main horizon. Probability, percentile, uplift and priority are NaN where a member is not scored.
    `best` and `chosen` count `none` as 0. `channel` holds positions in the community's channels. What is `allowed` competes, by its
    priority less what is charged; `refusals` also name what could not win because nothing was explored.
    """

    scores: Scores
    probability: Floats
    percentile: Floats
    lifecycles: Lifecycles
    control: Flags
    opted_out: Flags
    uplift: Floats
    interval: UpliftInterval
    channel: Integers
    context_weight: Floats
    cost: Floats
    priority: Floats
    charge: Charge
    allowed: Flags
    refusals: Refusals
    propensity: Floats
    draw: Floats
    best: Integers
    chosen: Integers

    @property
    def scored(self) -> Flags:
        return ~np.isnan(self.probability)

    @property
    def explored(self) -> Flags:
        """Where the draw picked something else than the best."""
        explored: Flags = self.chosen != self.best
        return explored

    @cached_property
    def no_action_reason(self) -> Names:
        """A NoActionReason for each member, "" where something was chosen; the first that holds, in this order."""
        standing = self.refusals.stands_before("arbitration")
        nothing_allowed = np.logical_not(standing.any(axis=1))
        outbid = (standing & (self.priority > 0)).any(axis=1)
        held = [~self.scored, self.control, self.chosen > 0, self.opted_out, nothing_allowed, (self.best == 0) & outbid, self.best == 0]
        names = [self.scores.status, "global_control", "", "opted_out", "nothing_allowed", "outbid", "do_nothing_is_best"]
        return np.select(held, [np.asarray(name, dtype=str) for name in names], "explored_nothing")


def weigh(  # noqa: PLR0913 - as `decide`, and the terms of a plan
    engine: Engine,
    events: EventArrays,
    snapshots: Snapshots,
    member_ids: Sequence[str],
    decision_ids: Sequence[str],
    contacts: ContactHistory,
    *,
    as_of: datetime,
    context: Context = NOWHERE,
    terms: Terms = FREE,
) -> Weighed:
    """One row for each snapshot; `member_ids`, `decision_ids` and the rows of `contacts` follow them, and their `as_of_us` is `as_of`.

    `terms` are those of a plan: what a candidate is charged for its cost and its place, and how much is explored.
    """
    community = engine.community
    scores = engine.score(events, snapshots)
    scored = np.asarray(scores.status) == SCORED
    probability = np.where(scored, scores.probability[:, main_horizon(community)], np.nan)
    lifecycles = lifecycle_of(scores.features, engine.spec, community.lifecycle, scores.value)
    control = in_control(member_ids, community.policy)
    ruling = contact_ruling(contacts, community, len(scored), microseconds(as_of), context.channel)
    refusals = (
        _status_refusals(scores.status, len(community.interventions))
        .then(eligibility_refusals(MemberFacts(lifecycles, probability, scores.value), community.interventions))
        .then(ruling.refusals)
        .then(control_refusals(control, len(community.interventions)))
    )
    uplift = engine.uplift.effect(scores.features, probability)
    weight = context_weights(community, lifecycles.stage, ruling.channel)
    priority = priorities(community, weight, uplift, scores.value)
    cost = np.broadcast_to(costs(community), priority.shape)
    charge = terms.prices.charge(cost, ruling.channel)
    best = best_action(priority - charge.total, refusals.allowed)
    propensity, draw = exploring(best, refusals.allowed, terms.exploration_or(community.policy.exploration)), draws_of(decision_ids)
    return Weighed(
        scores=scores,
        probability=probability,
        percentile=_percentile(probability, engine.reference.probabilities),
        lifecycles=lifecycles,
        control=control,
        opted_out=contacts.refuses_all(len(scored)),
        uplift=uplift,
        interval=engine.uplift.interval(scores.features, probability, INTERVAL_LEVEL),
        channel=ruling.channel,
        context_weight=weight,
        cost=cost,
        priority=priority,
        charge=charge,
        allowed=refusals.allowed,
        refusals=refusals.then(arbitration_refusals(propensity, priority, charge)),
        propensity=propensity,
        draw=draw,
        best=best,
        chosen=choose(propensity, draw),
    )


def main_horizon(community: Community) -> int:
    """Position of the horizon that decisions are made on."""
    return community.churn.horizons_days.index(community.churn.horizon_days)


def microseconds(at: datetime) -> int:
    """Since 1970 UTC."""
    return (at - EPOCH) // timedelta(microseconds=1)


def risk_bands(probability: Floats, edges: tuple[float, float]) -> Integers:
    """Positions in BANDS; an edge belongs to the band above it."""
    return np.searchsorted(edges, probability, side="right")


def _percentile(probability: Floats, reference: Floats) -> Floats:
    """Share of the reference members with a lower probability; `reference` is sorted."""
    below = np.searchsorted(reference, probability, side="left") / len(reference)
    return np.where(np.isnan(probability), np.nan, below)


def _status_refusals(status: Names, n_interventions: int) -> Refusals:
    """What can be done for a member without a score is not known, so nothing is."""
    code = np.select([status == rule.name for rule in _UNSCORED], range(1, len(_UNSCORED) + 1), 0)
    return Refusals(_UNSCORED, np.repeat(code.astype(np.int16)[:, None], n_interventions, axis=1))
