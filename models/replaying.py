"""What an engine would have done at the moments of logged decisions: the same path as when it decides, asked about the past."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from models.held_out import engines_in_turn
from models.in_turn import turns
from models.last_draws import contacts_of
from models.moments import EPOCH
from models.planning import Candidates
from models.weighing import weigh

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.engine import Engine
    from models.events import EventArrays, EventLog
    from models.held_out import HeldOut
    from models.snapshots import Snapshots
    from models.weighing import Weighed

BATCH = 20_000


@dataclass(frozen=True)
class Replayed:
    """propensity and allowed (n, 1 + k), `none` first; value (n,) of the member at that time. `relearned` (n,): effects learned again.

    `candidates` are what it was chosen from. `as_it_is`: all that by the engine's own effects, those rows included; None for itself.
    """

    propensity: Floats
    allowed: Flags
    value: Floats
    candidates: Candidates
    relearned: Flags
    as_it_is: Replayed | None = None


def replay(engine: Engine, log: EventLog, events: EventArrays, snapshots: Snapshots) -> Replayed:
    """Eligibility, contact policy, control and exploration included, without the prices of any plan; one row for each snapshot."""
    parts = [_weighed(engine, log, events, snapshots[begin : begin + BATCH]) for begin in range(0, len(snapshots), BATCH)]
    allowed = np.concatenate([np.column_stack([part.urgent == 0, part.allowed]) for part in parts])
    propensity, value = np.concatenate([part.propensity for part in parts]), np.concatenate([part.scores.value for part in parts])
    candidates = Candidates.together([Candidates.of(part) for part in parts])
    return Replayed(propensity, allowed, value, candidates, np.zeros(len(value), dtype=np.bool_))


def replay_in_turn(
    engine: Engine, held: HeldOut, part: Integers, log: EventLog, events: EventArrays, *, rng: np.random.Generator
) -> Replayed:
    """Where the engine's effects were learned from the time of the decisions, by engines that learned from the parts before the row's.

    In the first part, from which all others learn, the engine is asked as it is.
    """
    snapshots = held.assignments.snapshots
    told = replay(engine, log, events, snapshots)
    if engine.learned_uplift is None or log.touches is None:
        return told
    through_us = engine.learned_uplift.through_us
    seen = snapshots.as_of_us < through_us
    if not seen.any():
        return told
    propensity, allowed, candidates = told.propensity.copy(), told.allowed.copy(), told.candidates
    engines = engines_in_turn(engine, held, part, events, log.touches, until_us=through_us, rng=rng)
    for relearned, (_, asked) in zip(engines, turns(part), strict=True):
        rows = np.flatnonzero(seen & asked)
        if len(rows):
            again = replay(relearned, log, events, snapshots[rows])
            propensity[rows], allowed[rows] = again.propensity, again.allowed
            candidates = candidates.put(rows, again.candidates)
    return Replayed(propensity, allowed, told.value, candidates, seen, as_it_is=told)


def _weighed(engine: Engine, log: EventLog, events: EventArrays, snapshots: Snapshots) -> Weighed:
    """All rows at once: the features are of each row's own time, and rules on contacts ask only how long before it they were."""
    reference_us = int(snapshots.as_of_us.max())
    contacts = contacts_of(log.touches, snapshots.member, snapshots.as_of_us, engine.community)
    later_us = reference_us - snapshots.as_of_us
    drawn_us = None if contacts.drawn_us is None else contacts.drawn_us + later_us
    moved = replace(contacts, at_us=contacts.at_us + later_us[contacts.member], drawn_us=drawn_us)
    ids = log.members["member_id"].gather(snapshots.member).to_list()
    draws = [str(row) for row in range(len(snapshots))]
    return weigh(engine, events, snapshots, ids, draws, moved, as_of=EPOCH + timedelta(microseconds=reference_us))
