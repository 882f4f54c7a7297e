"""What is learned of a call that brings quiet members back, by how often its policy decides on each of them, and by how long they rest.

A member is engaged or quiet, and visits on a day with the chance of either; a call brings a quiet one back with the chance CALLED.
Whoever was silent for SILENT days is called with the probability 1 - EXPLORED, everybody else with EXPLORED, and nobody twice within
HORIZON days. On whom it decided, call or none, it does not decide again for the days of the rest. Learned is whether they visit within
HORIZON days; the truth is what one call changes in that where nothing follows it.
"""

from __future__ import annotations

import argparse
from typing import NamedTuple

import numpy as np

from models.uplift_fit import fit_uplift

MEMBERS, DAYS, HORIZON = 1_500, 200, 28
FADES, RETURNS, CALLED, EXPLORED = 0.012, 0.006, 0.4, 0.05
VISITS = np.array([0.45, 0.01])
WARM_UP, SILENT = 30, 4
EVERY_AND_REST, SEEDS = ((1, 0), (7, 0), (14, 0), (28, 0), (1, HORIZON)), 3


class Log(NamedTuple):
    """One row for each decision; `wanted`: a call was what the policy wanted; `quiet`: the member was in truth."""

    member: np.ndarray
    called: np.ndarray
    chance: np.ndarray
    wanted: np.ndarray
    quiet: np.ndarray
    visited: np.ndarray

    @property
    def truth(self) -> float:
        return _brought() * float(self.quiet.mean())


def main() -> None:
    parser = argparse.ArgumentParser(prog="how_often", description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    seeds = parser.parse_args().seeds
    print(f"  {'days between decisions':24s}{'rest':>6s}{'seed':>6s}{'rows':>9s}{'learned':>9s}{'90 % interval':>19s}{'truth':>8s}")
    for every, rest in EVERY_AND_REST:
        for seed in range(1, 1 + seeds):
            log = lived(every, rest, np.random.default_rng(seed))
            features = np.column_stack([log.wanted, np.random.default_rng(seed).normal(size=len(log.member))])
            arms, chances = np.where(log.called, "call", "none"), np.column_stack([1 - log.chance, log.chance])
            told = fit_uplift(features, arms, log.visited, chances, groups=log.member, rng=np.random.default_rng(seed)).evidence["call"]
            assert told.average_effect is not None
            low, high = told.interval
            interval = f"{low:+.3f} to {high:+.3f}"
            counts = f"{every:<24d}{rest:6d}{seed:6d}{len(log.member):9,d}"
            print(f"  {counts}{told.average_effect:+9.3f}{interval:>19s}{log.truth:+8.3f}", flush=True)


def lived(every: int, rest: int, rng: np.random.Generator) -> Log:
    """Each member is asked about every so many days, all on days of their own. While it rests there is nothing to learn from."""
    quiet, last, called_on = rng.random(MEMBERS) < 0.3, np.zeros(MEMBERS), np.full(MEMBERS, -np.inf)
    drawn_on = np.full(MEMBERS, -np.inf)
    turn, visits, rows = rng.integers(every, size=MEMBERS), np.zeros((DAYS + HORIZON, MEMBERS), dtype=bool), []
    for day in range(DAYS + HORIZON):
        quiet = np.where(quiet, rng.random(MEMBERS) >= RETURNS, rng.random(MEMBERS) < FADES)
        visits[day] = rng.random(MEMBERS) < VISITS[quiet.astype(int)]
        last = np.where(visits[day], day, last)
        asked = (day % every == turn) & (day - last < WARM_UP) & (day - called_on >= HORIZON) & (WARM_UP <= day < DAYS)
        asked &= day - drawn_on >= rest
        wanted = day - last >= SILENT
        chance = np.where(wanted, 1 - EXPLORED, EXPLORED)
        called = asked & (rng.random(MEMBERS) < chance)
        rows.append([np.full(MEMBERS, day)[asked], *(column[asked] for column in (np.arange(MEMBERS), called, chance, wanted, quiet))])
        called_on[called], drawn_on[asked] = day, day
        quiet = quiet & ~(called & (rng.random(MEMBERS) < CALLED))
    asked_on, member, *told = (np.concatenate(column) for column in zip(*rows, strict=True))
    outcome = [visits[begin + 1 : begin + 1 + HORIZON, one].any() for begin, one in zip(asked_on, member, strict=True)]
    called_then, chance_then, wanted_then, quiet_then = told
    return Log(member, called_then, chance_then, wanted_then, quiet_then, np.array(outcome, dtype=np.float64))


def _brought() -> float:
    """What a call changes in the chance that a quiet member visits within the horizon."""
    return CALLED * (_visiting(0) - _visiting(1))


def _visiting(state: int) -> float:
    moves = np.array([[1 - FADES, FADES], [RETURNS, 1 - RETURNS]])
    unseen = np.eye(2)[state]
    for _ in range(HORIZON):
        unseen = (unseen @ moves) * (1 - VISITS)
    return float(1 - unseen.sum())


if __name__ == "__main__":
    main()
