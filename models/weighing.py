"""The one path from members' events to choices: everything that a decision rests on, weighed for all members at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from models.contact_policy import contact_ruling
from models.eligibility import OPTED_OUT, SCORED, MemberFacts, admitted, eligibility_refusals
from models.experiment_arms import arms_in_force
from models.lifecycle import lifecycle_of
from models.member_columns import MemberColumns
from models.moments import microseconds
from models.once import Once
from models.policy import (
    arbitration_refusals,
    best_action,
    cautious,
    choose,
    context_weights,
    control_refusals,
    costs,
    draws_of,
    in_control,
    priorities,
    propensities,
    urgent_action,
    urgent_refusals,
    with_urgent,
)
from models.quiet_hours import delays
from models.quotas import NOTHING_USED_UP
from models.scenes import open_scenes
from models.shadow_prices import FREE, Charge, Terms
from models.uplift_beliefs import Estimate, PriorUplift, UpliftInterval

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers, Names
    from models.community import Community
    from models.decision import RiskBand
    from models.engine import Engine, Scores
    from models.events import EventArrays
    from models.interventions import ContactHistory, Refusals
    from models.lifecycle import Lifecycles
    from models.quotas import UsedUp
    from models.snapshots import Snapshots

_NO_ACTION_REASONS = np.array(
    ["", "", "global_control", "contact_refused", "nothing_allowed", "outbid", "do_nothing_is_best", "explored_nothing"]
)
_GONE = 1
BANDS: tuple[RiskBand, ...] = ("low", "medium", "high")
INTERVAL_LEVEL = 0.9


@dataclass(frozen=True)
class Context:
    """What holds at this moment: `channel`, where the member is met, is preferred by the interventions that have it."""

    channel: str | None = None
    used_up: UsedUp = NOTHING_USED_UP


NOWHERE = Context()


@dataclass(frozen=True)
class Assessed:
    """What is known of n members, whatever may be done about them; shape (n,) each.

    `probability` is that of the main horizon, NaN with its percentile where a member is not scored.
    """

    scores: Scores
    probability: Floats
    percentile: Floats
    lifecycles: Lifecycles
    control: Flags

    @property
    def scored(self) -> Flags:
        return ~np.isnan(self.probability)


@dataclass(frozen=True)
class Weighed(Assessed):
    """All that was weighed for n members and k interventions: (n,), (n, k), and for `propensity` (n, 1 + k), `none` first.

    Uplift and priority are NaN where an intervention does not admit such a member. `best`, `chosen` and `urgent` count `none` as 0.
    `channel` holds positions in the community's channels; `delay_us` runs from `as_of` to the first moment of sending. What is `allowed`
    competes, by its priority less what is charged; `refusals` also name what could not win because nothing was explored. Where something
    is `urgent`, it is all that is allowed.
    """

    opted_out: Flags
    uplift: Floats
    interval: UpliftInterval
    channel: Integers
    delay_us: Integers
    context_weight: Floats
    cost: Floats
    priority: Floats
    charge: Charge
    urgent: Integers
    allowed: Flags
    refusals: Refusals
    propensity: Floats
    draw: Floats
    best: Integers
    chosen: Integers

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
        gone = ~self.scored & nothing_allowed
        idle = self.best == 0
        held = (self.chosen > 0, gone, self.control, self.opted_out, nothing_allowed, idle & outbid, idle, np.ones_like(idle))
        first = np.array(held).argmax(axis=0)
        return np.where(first == _GONE, self.scores.status, _NO_ACTION_REASONS[first])


def assess(
    engine: Engine, events: EventArrays, snapshots: Snapshots, member_ids: Sequence[str], impersonal: tuple[int, ...] = ()
) -> Assessed:
    """One row for each snapshot, which `member_ids` follow; `impersonal` are rows of members who switched personalisation off."""
    scores = _withheld(engine.score(events, snapshots), impersonal)
    probability = np.where(np.asarray(scores.status) == SCORED, scores.probability[:, main_horizon(engine.community)], np.nan)
    return Assessed(
        scores=scores,
        probability=probability,
        percentile=_percentile(probability, engine.reference.probabilities),
        lifecycles=lifecycle_of(scores.features, engine.spec, engine.community.lifecycle, scores.value),
        control=in_control(member_ids, engine.community.policy),
    )


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
    community, as_of_us = engine.community, microseconds(as_of)
    assessed = assess(engine, events, snapshots, member_ids, contacts.impersonal)
    scores, probability, lifecycles = assessed.scores, assessed.probability, assessed.lifecycles
    columns = MemberColumns.of(events, snapshots)
    zones = columns.zones(None if community.members is None else community.members.timezone, community.zone)
    scenes = open_scenes(community, events, snapshots, columns, zones, contacts, as_of_us)
    arms = arms_in_force(community, member_ids, columns, as_of_us)
    facts = MemberFacts(community, engine.spec, scores, probability, lifecycles, columns, contacts, as_of_us, scenes, arms)
    ruling = contact_ruling(contacts, community, columns, as_of_us, context.channel, context.used_up)
    refusals = eligibility_refusals(facts).then(ruling.refusals).then(control_refusals(assessed.control, community))
    effects = _effects(engine, scores, probability)
    weight = context_weights(community, lifecycles.stage, ruling.channel)
    priority = priorities(community, weight, cautious(effects.effect, effects.interval.low, community.policy.caution), scores.value)
    cost = costs(community)[None].repeat(len(priority), axis=0)
    charge = terms.prices.charge(cost, ruling.channel)
    urgent = urgent_action(community, priority, refusals.allowed)
    refusals = refusals.then(urgent_refusals(urgent, len(community.interventions)))
    allowed = refusals.allowed
    best = np.where(urgent > 0, urgent, best_action(priority - charge.total, allowed))
    explored = propensities(best, allowed, terms.exploration_or(community.policy.exploration))
    propensity, draw = with_urgent(explored, urgent), draws_of(decision_ids)
    return Weighed(
        **vars(assessed),
        opted_out=contacts.refuses_all(len(snapshots)),
        uplift=effects.effect,
        interval=effects.interval,
        channel=ruling.channel,
        delay_us=delays(as_of, community, zones),
        context_weight=weight,
        cost=cost,
        priority=priority,
        charge=charge,
        urgent=urgent,
        allowed=allowed,
        refusals=refusals.then(arbitration_refusals(propensity, priority, charge)),
        propensity=propensity,
        draw=draw,
        best=best,
        chosen=choose(propensity, draw),
    )


def _withheld(scores: Scores, impersonal: tuple[int, ...]) -> Scores:
    """Members in these rows have the status `opted_out`, and to decide on them their value is 0."""
    if not impersonal:
        return scores
    status, value = scores.status.astype("U32"), scores.value.copy()
    status[list(impersonal)], value[list(impersonal)] = OPTED_OUT, 0.0
    return replace(scores, status=status, value=value)


def _effects(engine: Engine, scores: Scores, probability: Floats) -> Estimate:
    """Of scored members what is known of them; of the others the catalogue's belief at the usual risk, where an intervention admits them.

    A learned effect holds for members like those that it was learned from, all of whom had a score.
    """
    estimate = engine.uplift.estimate(scores.features, probability, INTERVAL_LEVEL)
    interventions, scored = engine.community.interventions, ~np.isnan(probability)
    if scored.all():
        return estimate
    believed, may_have = _usual_beliefs(engine), admitted(interventions, scores.status)

    def known(learned: Floats, prior: Floats) -> Floats:
        return np.where(scored[:, None], learned, np.where(may_have, prior, np.nan))

    low, high = (known(*ends) for ends in zip(estimate.interval, believed.interval, strict=True))
    return Estimate(known(estimate.effect, believed.effect), UpliftInterval(low, high))


@Once
def _usual_beliefs(engine: Engine) -> Estimate:
    """What the catalogue believes at the usual risk, shape (1, n_interventions)."""
    usual = engine.reference.typical_probability
    return PriorUplift.of(engine.community.interventions, usual).estimate(np.empty((1, 0)), np.array([usual]), INTERVAL_LEVEL)


def main_horizon(community: Community) -> int:
    """Position of the horizon that decisions are made on."""
    return community.churn.horizons_days.index(community.churn.horizon_days)


def risk_bands(probability: Floats, edges: tuple[float, float]) -> Integers:
    """Positions in BANDS; an edge belongs to the band above it."""
    return np.searchsorted(edges, probability, side="right")


def _percentile(probability: Floats, reference: Floats) -> Floats:
    """Share of the reference members with a lower probability; `reference` is sorted."""
    below = np.searchsorted(reference, probability, side="left") / len(reference)
    return np.where(np.isnan(probability), np.nan, below)
