"""Champion and challenger, one action for all, chance and nothing, tried on the assignments of the log."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from models.actions import NO_ACTION
from models.assignments import assignments_of
from models.errors import NotEnoughData
from models.held_out import hold_out
from models.in_turn import parts_of
from models.logged_supply import LoggedSupply
from models.policy import costs
from models.policy_comparison import DecisionRows, Target, best_constant, compare_policies, nobody, random_choice
from models.policy_value import LEVEL, Stakes, estimate_dr, policy_difference
from models.replaying import replay_in_turn
from models.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.arrays import Flags, Floats, Integers
    from models.assignments import AssignmentKind, Assignments
    from models.engine import Engine
    from models.events import EventArrays, EventLog
    from models.held_out import HeldOut
    from models.policy_comparison import PolicyComparison
    from models.policy_value import PolicyDifference, PolicyValue
    from models.replaying import Replayed

FEWEST_LATER = 500
"""With so many assignments that no engine learned from, only these are used."""


@dataclass(frozen=True)
class PolicyTrial:
    """`source` tells which assignments were used, what the engines had seen of them, and how many only taught.

    `as_it_is`: for each engine whose effects were learned anew the gain over the first one by those that it has. It was learned from the
    same assignments, so that the gain looks larger than it is: it can speak against an engine, and never for it. `by`: the column of the
    groups over which intervals are, None where they are over members.
    """

    comparison: PolicyComparison
    source: Statement
    assignment: AssignmentKind
    warnings: tuple[Statement, ...]
    as_it_is: Mapping[str, PolicyDifference]
    by: str | None = None

    def to_dict(self) -> dict[str, Any]:
        told = self.comparison.to_dict() | {"as_it_is": {role: asdict(gain) for role, gain in self.as_it_is.items()}}
        told |= {"source": str(self.source), "assignment": self.assignment, "intervals_by": self.by}
        return told | {"warnings": [str(warning) for warning in self.warnings]}


def try_policies(
    engines: Mapping[str, Engine],
    log: EventLog,
    events: EventArrays,
    *,
    clip: float | None = None,
    level: float = LEVEL,
    rng: np.random.Generator,
) -> PolicyTrial:
    """The first of `engines` is the one that the others are compared with; its catalogue, costs and values are those of the trial.

    The reward of a decision is retained x value - cost of what was assigned. Assignments made after all engines had learned are used where
    there are FEWEST_LATER, else those after the first engine had, else all. They are judged in turn (models.in_turn); those of the first
    part only teach. Raises InputError, and NotEnoughData where there are none, or too few units.
    """
    name, engine = next(iter(engines.items()))
    if log.touches is None:
        raise NotEnoughData("no touches are declared: decisions are judged on what was tried; see `touches` in docs/declaration.md")
    every = assignments_of(log.touches, events, engine.community, until_us=int(events.timestamp_us.max()))
    later = _later(every, list(engines.values()))
    made = every[later]
    if len(made) == 0:
        raise NotEnoughData("the log holds no assignment of a declared intervention, or of doing nothing, whose outcome is known yet")
    holding, parting, *children = rng.spawn(2 + len(engines))
    held, part = hold_out(engine.features(events, made.snapshots, threads=2), made, rng=holding), parts_of(made.unit, rng=parting)
    judged = np.flatnonzero(part > 0)
    asked = zip(engines.items(), children, strict=True)
    replayed = {role: replay_in_turn(one, held, part, log, events, rng=child) for (role, one), child in asked}
    actions = _actions(list(engines.values()))
    rows = _rows(engine, held, part, replayed[name], actions)
    supply = LoggedSupply.of(made, held.propensities.shares, replayed[name].candidates, log.touches, engine.community)
    targets = {role: Target(_aligned(_done(told, engines[role], supply), engines[role], actions)) for role, told in replayed.items()}
    targets |= _plain(rows, _aligned(replayed[name].allowed.astype(np.float64), engine, actions) > 0, engine, replayed[name], supply)
    compared = compare_policies(rows[judged], {role: target[judged] for role, target in targets.items()}, name, clip=clip, level=level)
    own = {
        role: _aligned(_done(told.as_it_is, engines[role], supply), engines[role], actions)
        for role, told in replayed.items()
        if role != name and told.as_it_is is not None
    }
    flattered = {role: _gain(rows[judged], target[judged], compared.policies[name].dr, clip) for role, target in own.items()}
    warnings = replace(held, assignments=made[judged]).warnings(engine.names)
    by = None if made.units is None else made.units.column
    source = _source(len(made), len(judged), len(every), replayed, supply)
    return PolicyTrial(compared, source, held.propensities.kind, warnings, flattered, by)


def _done(told: Replayed, engine: Engine, supply: LoggedSupply | None) -> Floats:
    return told.propensity if supply is None else supply.propensity(told.candidates, engine.community)


def _plain(rows: DecisionRows, allowed: Flags, engine: Engine, replayed: Replayed, supply: LoggedSupply | None) -> dict[str, Target]:
    """Policies without an engine, of what the first one allows; allowed (n, 1 + all actions)."""

    def held(probabilities: Floats) -> Floats:
        if supply is None:
            return probabilities
        own = 1 + len(engine.community.interventions)
        probabilities = probabilities.copy()
        probabilities[:, :own] = supply.by_lot(probabilities[:, :own], replayed.candidates, engine.community)
        return probabilities

    return {"best_constant": best_constant(rows, allowed, held), "random": random_choice(allowed, held), "nobody": nobody(allowed)}


def _gain(rows: DecisionRows, target: Floats, first: PolicyValue, clip: float | None) -> PolicyDifference:
    given = (rows.reward, rows.chosen, rows.propensities, target, rows.predictions, rows.unit)
    return policy_difference(estimate_dr(*given, stakes=rows.stakes, clip=clip, level=first.level), first)


def _later(made: Assignments, engines: Sequence[Engine]) -> Integers:
    """Rows of the assignments to use."""
    through = [engine.learned_through_us for engine in engines]
    for since in (max(through), through[0]):
        rows = np.flatnonzero(made.snapshots.as_of_us >= since)
        if len(rows) >= FEWEST_LATER:
            return rows
    return np.arange(len(made))


def _actions(engines: Sequence[Engine]) -> tuple[str, ...]:
    """Those of the first catalogue, in its order, then what only others have."""
    known = [intervention.id for engine in engines for intervention in engine.community.interventions]
    return (NO_ACTION, *dict.fromkeys(known))


def _aligned(told: Floats, engine: Engine, actions: tuple[str, ...]) -> Floats:
    """Columns of an engine's own actions (n, 1 + k) at their places among all; 0 for what it does not have."""
    own = (NO_ACTION, *(intervention.id for intervention in engine.community.interventions))
    aligned = np.zeros((len(told), len(actions)))
    aligned[:, [actions.index(name) for name in own]] = told
    return aligned


def _rows(engine: Engine, held: HeldOut, part: Integers, replayed: Replayed, actions: tuple[str, ...]) -> DecisionRows:
    """An action that the first catalogue does not have was never logged; it is expected to change nothing."""
    made, extra = held.assignments, len(actions) - held.retention.shape[1]
    cost = np.concatenate([[0.0], costs(engine.community), np.zeros(extra)])
    retention = np.column_stack([held.retention, np.repeat(held.retention[:, :1], extra, axis=1)])
    return DecisionRows(
        actions=actions,
        chosen=made.arm,
        reward=made.retained * replayed.value - cost[made.arm],
        propensities=_aligned(held.propensities.shares, engine, actions),
        predictions=retention * replayed.value[:, None] - cost,
        member=made.snapshots.member,
        unit=made.unit,
        part=part,
        stakes=Stakes(replayed.value, retention[np.arange(len(made)), made.arm], made.retained),
    )


def _source(used: int, judged: int, there: int, replayed: Mapping[str, Replayed], supply: LoggedSupply | None) -> Statement:
    seen = {role: float(told.relearned.mean()) for role, told in replayed.items()}
    anew = [Statement("proof.learned_anew", {"role": role, "share": share}) for role, share in seen.items() if share > 0]
    learned = anew or [Statement("proof.not_learned_from")]
    held = [] if supply is None else [Statement("proof.within_supply", {"share": supply.closed_share})]
    return Statement("proof.source", {"used": used, "taught": used - judged, "there": there, "learned": (*learned, *held)})
