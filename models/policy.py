"""From worth to a choice. A policy is a distribution over the actions; choosing is sampling from it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.declared import STAGES
from models.interventions import Refusals, Rule
from models.once import Once

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.actions import Intervention, MessageClass, Policy
    from models.arrays import Flags, Floats, Integers
    from models.community import Community
    from models.shadow_prices import Charge

GLOBAL_CONTROL = Rule("control", "global_control")
MANDATORY_FIRST = Rule("arbitration", "mandatory_first")
LOWER_PRIORITY = Rule("arbitration", "lower_priority")
OUTBID = (Rule("arbitration", "budget"), Rule("arbitration", "capacity"))
CLASSES: tuple[MessageClass, ...] = ("marketing", "mandatory", "transactional")
"""By rising urgency: whatever the weights say, what is more urgent goes first."""


def context_weights(community: Community, stage: Integers, channel: Integers) -> Floats:
    """For stage (n,): positions in STAGES; channel (n, n_interventions): positions in the community's channels. Shape of `channel`.

    The weight of the stage times that of the candidate's channel; 1 for what an intervention's `context_weights` leaves out.
    """
    tables = _weight_tables(community)
    return tables.by_stage[:, stage].T * tables.by_channel[np.arange(len(tables.by_channel)), channel]


class _WeightTables(NamedTuple):
    by_stage: Floats
    by_channel: Floats


@Once
def _weight_tables(community: Community) -> _WeightTables:
    channels = [f"channel:{name}" for name in community.channels]
    return _WeightTables(_weight_table(community, STAGES), _weight_table(community, channels))


def _weight_table(community: Community, contexts: Sequence[str]) -> Floats:
    """(n_interventions, n_contexts)."""
    return np.array([[intervention.context_weights.get(name, 1.0) for name in contexts] for intervention in community.interventions])


def priorities(community: Community, context_weight: Floats, uplift: Floats, value: Floats) -> Floats:
    """context_weight x lever_weight x (uplift x value) - cost, in money, shape (n_members, n_interventions); doing nothing has 0."""
    worth: Floats = context_weight * levers(community.interventions) * (uplift * value[:, None]) - costs(community)
    return worth


def costs(community: Community) -> Floats:
    """Expected for one member, the incentive counted as often as it is redeemed; shape (n_interventions,)."""
    return _costs(community.interventions)


@Once
def _costs(interventions: tuple[Intervention, ...]) -> Floats:
    return np.array([intervention.expected_cost for intervention in interventions], dtype=np.float64)


@Once
def levers(interventions: tuple[Intervention, ...]) -> Floats:
    """(n_interventions,)."""
    return np.array([intervention.lever_weight for intervention in interventions])


def cautious(uplift: Floats, low: Floats, caution: float) -> Floats:
    """(1 - caution) x uplift + caution x low, the lower end of its interval; shape of `uplift`."""
    return uplift + caution * (low - uplift)


def control_refusals(control: Flags, community: Community) -> Refusals:
    """All marketing to the members of the global control; control (n,)."""
    return Refusals((GLOBAL_CONTROL,), (control[:, None] & (_urgency(community.interventions) == 0)).astype(np.int16))


def urgent_action(community: Community, priorities: Floats, allowed: Flags) -> Integers:
    """(n_members,): 1 + position of the allowed intervention of the most urgent class, 0 where none but marketing is allowed.

    Among equals that of highest priority, then the first of the catalogue.
    """
    urgency = _urgency(community.interventions)
    if not urgency.any():
        return np.zeros(len(allowed), dtype=np.int64)
    rank = np.where(allowed, urgency, 0)
    top = rank.max(axis=1)
    worth = np.where(allowed & (rank == top[:, None]), np.nan_to_num(priorities), -np.inf)
    urgent: Integers = np.where(top > 0, 1 + np.argmax(worth, axis=1), 0)
    return urgent


@Once
def _urgency(interventions: tuple[Intervention, ...]) -> Integers:
    """(n_interventions,): positions in CLASSES."""
    return np.array([CLASSES.index(intervention.message_class) for intervention in interventions])


def urgent_refusals(urgent: Integers, n_interventions: int) -> Refusals:
    """Everything else where something urgent is to be sent; urgent (n,) as `urgent_action` gives it."""
    code = np.zeros((len(urgent), n_interventions), dtype=np.int16)
    if urgent.any():
        code[(urgent[:, None] > 0) & (np.arange(1, n_interventions + 1) != urgent[:, None])] = 1
    return Refusals((MANDATORY_FIRST,), code)


def with_urgent(probabilities: Floats, urgent: Integers) -> Floats:
    """What is urgent is certain, and nothing is explored in its place; shapes (n, 1 + n_interventions) and (n,)."""
    if not urgent.any():
        return probabilities
    certain = np.arange(probabilities.shape[1]) == urgent[:, None]
    return np.where(urgent[:, None] > 0, certain.astype(np.float64), probabilities)


def arbitration_refusals(propensity: Floats, priority: Floats, charge: Charge) -> Refusals:
    """What has no chance; propensity (n, 1 + n_interventions). Where it was allowed, another was better and nothing is explored.

    Where its own priority is above that of the best, it lost by what is charged for it: for money, or else for a place.
    """
    has_chance = propensity[:, 1:] > 0
    outbid = priority > np.where(has_chance, priority, 0.0).max(axis=1, initial=0.0)[:, None]
    lost = np.where(outbid, np.where(charge.money >= charge.place, 2, 3), 1)
    code = np.where(has_chance, 0, lost)
    return Refusals((LOWER_PRIORITY, *OUTBID), code.astype(np.int16))


def in_control(member_ids: Iterable[str], policy: Policy) -> Flags:
    """(n,): is the salted hash of the id, as a number in [0, 1), below `control_share`? A larger share keeps the members of a smaller."""
    return draws_of(f"{policy.control_salt}:{member_id}" for member_id in member_ids) < policy.control_share


def propensities(best: Integers, allowed: Flags, exploration: float) -> Floats:
    """Probability of each action, `none` first: (n_members, 1 + k) for best (n_members,), 0 for doing nothing, and allowed (n_members, k).

    With m allowed actions, doing nothing among them, each has e = min(exploration, 1/m) and the best has 1 - (m - 1) e. What is not allowed
    has 0.
    """
    number = 1 + allowed.sum(axis=1)
    least = np.minimum(exploration, 1 / number)
    probability = np.column_stack([least, allowed * least[:, None]])
    probability[np.arange(len(probability)), best] = 1 - (number - 1) * least
    return probability


def best_action(priorities: Floats, allowed: Flags) -> Integers:
    """(n_members,): 0 for doing nothing, else 1 + position of the allowed intervention of highest priority.

    Ties go to the first in order, so to doing nothing before all.
    """
    worth = np.where(allowed, priorities, -np.inf)
    best: Integers = np.argmax(np.column_stack([np.zeros(len(worth)), worth]), axis=1)
    return best


def choose(probabilities: Floats, draw: Floats) -> Integers:
    """The first action whose cumulated probability exceeds the draw: (n_members,) for (n_members, n_actions) and draws in [0, 1).

    What has probability 0 is never chosen, whatever rounding leaves of the last step up to 1.
    """
    passed = (draw[:, None] >= probabilities.cumsum(axis=1)).sum(axis=1)
    last = probabilities.shape[1] - 1 - np.argmax(probabilities[:, ::-1] > 0, axis=1)
    chosen: Integers = np.minimum(passed, last)
    return chosen


def draw_of(decision_id: str) -> float:
    """The first 53 bits of SHA-256 of the id (UTF-8), over 2^53: uniform in [0, 1), and the same whenever the decision is replayed."""
    digest = hashlib.sha256(decision_id.encode()).digest()
    return (int.from_bytes(digest[:8]) >> 11) / (1 << 53)


def draws_of(decision_ids: Iterable[str]) -> Floats:
    """`draw_of` each, shape (n,)."""
    return np.fromiter((draw_of(decision_id) for decision_id in decision_ids), dtype=np.float64)
