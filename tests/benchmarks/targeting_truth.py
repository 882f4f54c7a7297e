"""How often the intervals of `keepwell targeting` hold the planted truth, and how often they find a difference where none is.

A log is judged twice: in turn, as the command does, each part of the members by what the parts before it taught; and across folds, each
fold by what all others taught. The truth is that of the very rules that judged, on members like those of the log: the effect of the fifth
that each rule ranks highest, less that of all (or of the fifth at highest risk), as a mean over the parts, or folds; and its Qini.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import expit
from scipy.stats import rankdata

from models.assignments import Assignments
from models.effect_ranking import rank_effects
from models.errors import NotEnoughData
from models.held_out import HeldOut, hold_out
from models.in_turn import parts_of, turns
from models.learned_uplift import LearnedUplift
from models.snapshots import Snapshots
from models.targeting import Places, TrialRows, as_logged, compare_targeting
from models.touch_units import TouchUnits
from models.uplift_beliefs import PriorUplift
from models.uplift_fit import fit_uplift
from tests.told_decisions import COMMUNITY

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

LOGS, LIKE_THEM, FEATURES, SHARE = 200, 4_000, 8, 0.2
BELIEF = 0.03, 50.0
"""What the catalogue says of each arm: the change, and how many members' worth of evidence."""
WAYS = ("in turn", "across folds")


@dataclass(frozen=True)
class World:
    """`units` of `rows` each, members or, where `whole`, groups that were given the same together.

    An arm adds `average` to the chance to stay, and `spread` times a standard normal feature, held within 1.5. Untreated, that chance lies
    between `least` and `most`. The share `alone` is left so. `cost`: of an arm, in money.
    """

    units: int
    rows: int = 1
    arms: int = 1
    average: float = 0.0
    spread: float = 0.0
    whole: bool = False
    least: float = 0.2
    most: float = 0.7
    alone: float = 0.5
    cost: float = 0.0


WORLDS = {
    "300 members, no effect": World(300),
    "1,000 members, no effect": World(1000),
    "1,000 members, .1 for all": World(1000, average=0.1),
    "4,000 members, .1 for all": World(4000, average=0.1),
    "1,500 members, three arms, .1 for all": World(1500, arms=3, average=0.1),
    "400 members of 4 rows, no effect": World(400, rows=4),
    "80 whole groups of 20, no effect": World(80, rows=20, whole=True),
    "1,000 members, .1 with spread .05": World(1000, average=0.1, spread=0.05),
    "4,000 members, .1 with spread .05": World(4000, average=0.1, spread=0.05),
    "1,000 members, .1 with spread .1": World(1000, average=0.1, spread=0.1),
    "1,500 members, three arms, .1 with spread .1": World(1500, arms=3, average=0.1, spread=0.1),
    "80 whole groups of 20, .1 with spread .1": World(80, rows=20, average=0.1, spread=0.1, whole=True),
}


@dataclass(frozen=True)
class People:
    """features (n, FEATURES), unit (n,), untreated (n,) chance to stay, effects (n, arms)."""

    features: np.ndarray
    unit: np.ndarray
    untreated: np.ndarray
    effects: np.ndarray

    @property
    def risk(self) -> np.ndarray:
        """As a model of churn would tell it, without what is the unit's own."""
        return 1 - expit(self.features[:, 0] - 0.6 * self.features[:, 1])

    @classmethod
    def of(cls, world: World, units: int, rng: np.random.Generator) -> People:
        """Rows of a unit are alike, .8 of their own and .6 of the row's, and share what no feature tells."""
        unit = np.repeat(np.arange(units), world.rows)
        own, each = rng.normal(size=(units, FEATURES)), rng.normal(size=(len(unit), FEATURES))
        features = each if world.rows == 1 else 0.8 * own[unit] + 0.6 * each
        stays = expit(features[:, 0] - 0.6 * features[:, 1] + 0.7 * rng.normal(size=units)[unit])
        untreated = world.least + (world.most - world.least) * stays
        moved = np.clip(features[:, 2 : 2 + world.arms], -1.5, 1.5)
        return cls(features, unit, untreated, world.average + world.spread * moved)


@dataclass(frozen=True)
class Judged:
    """By one way: for each question the estimate's ends and its truth, and what the command would find."""

    told: dict[str, tuple[float, float, float]]
    finding: str


def judge(name: str, ways: Sequence[str], seed: int) -> dict[str, Judged]:
    world, rng = WORLDS[name], np.random.default_rng(seed)
    people = People.of(world, world.units, rng)
    others = People.of(world, LIKE_THEM // world.rows if world.spread else 1, rng)
    held = hold_out(people.features, tried(world, people, rng), rng=rng)
    part, fold = parts_of(held.assignments.unit, rng=rng), held.fold + 1
    each = [(fold != number, fold == number) for number in range(1, fold.max() + 1)]
    splits = {"in turn": (part, list(turns(part))), "across folds": (fold, each)}
    return {way: _judged(held, people, others, *splits[way], rng) for way in ways}


def tried(world: World, people: People, rng: np.random.Generator) -> Assignments:
    """Half are left alone, or as the world says; an arm is drawn for each row, or once for a whole group."""
    drawn = rng.random(world.units)[people.unit] if world.whole else rng.random(len(people.unit))
    arm = np.where(drawn < world.alone, 0, 1 + ((drawn - world.alone) / (1 - world.alone) * world.arms).astype(np.int64))
    stays = people.untreated + np.where(arm > 0, people.effects[np.arange(len(arm)), np.maximum(arm, 1) - 1], 0.0)
    shares = np.tile([world.alone, *[(1 - world.alone) / world.arms] * world.arms], (len(arm), 1))
    retained = (rng.random(len(arm)) < stays).astype(float)
    nothing = np.zeros(len(arm), dtype=np.int64)
    names = tuple(f"arm{number}" for number in range(world.arms))
    member = np.arange(len(arm)) if world.whole else people.unit
    units = TouchUnits("branch", people.unit + 1, world.units) if world.whole else None
    return Assignments(Snapshots(member, nothing, nothing), names, arm, shares, retained, units=units)


def _judged(
    held: HeldOut,
    people: People,
    others: People,
    part: np.ndarray,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    rng: np.random.Generator,
) -> Judged:
    scores, made = held.scores, held.assignments
    given = as_logged(held.propensities.shares, scores.comparable)
    effects = np.full(scores.score.shape, np.nan)
    truths = []
    for taught, asked in splits:
        rule = learned(made, people, taught, rng)
        effects[asked] = rule.effect(people.features[asked], people.risk[asked])
        truths.append(_truth(rule.effect(others.features, others.risk), others))
    n, k = scores.score.shape
    rows = TrialRows(people.risk, effects, np.ones(n), np.zeros((n, k)), scores.score, given, made.snapshots.member, made.unit, part)
    told = compare_targeting(rows, SHARE, curve=())
    (first, *_) = rank_effects(held, effects, part, rng=rng)
    weights = [asked.sum() for _, asked in splits]
    truth = {what: np.average([one[what] for one in truths], weights=weights) for what in truths[0]}
    seen = {
        "effect - random": told.gap("effect", "random").kept,
        "effect - risk": told.gap("effect", "risk").kept,
        "Qini": first.qini,
        "best fifth": first.fifths[0].effect,
    }
    return Judged({what: (one.lower, one.upper, truth[what]) for what, one in seen.items()}, told.finding)


def learned(made: Assignments, people: People, rows: np.ndarray, rng: np.random.Generator) -> LearnedUplift | PriorUplift:
    """As `keepwell targeting` learns: the catalogue's beliefs where there is too little."""
    priors = dict.fromkeys(made.interventions, BELIEF)
    given = (made.names[rows], made.retained[rows], made.propensities[rows], priors)
    try:
        fitted = fit_uplift(people.features[rows], *given, rng=rng, interventions=made.interventions, groups=made.unit[rows])
    except NotEnoughData:
        return believed(made)
    return LearnedUplift(fitted, believed(made), np.arange(FEATURES), 0)


def believed(made: Assignments) -> PriorUplift:
    uplift, evidence = BELIEF
    told = {"starting_uplift": uplift, "starting_evidence": evidence}
    return PriorUplift.of([COMMUNITY.interventions[0].model_copy(update={"id": one, **told}) for one in made.interventions], 0.5)


def _truth(predicted: np.ndarray, others: People) -> dict[str, float]:
    """Of one rule, which contacts by the mean effect over the arms; the Qini and the best fifth are those of the first arm."""
    effect, first = 1000 * others.effects.mean(axis=1), others.effects[:, 0]
    by_effect = _of_best(effect, predicted.mean(axis=1))
    standing = (rankdata(predicted[:, 0]) - 0.5) / len(first)
    return {
        "effect - random": by_effect - effect.mean(),
        "effect - risk": by_effect - _of_best(effect, others.risk),
        "Qini": float(((standing - 0.5) * first).mean()),
        "best fifth": _of_best(first, predicted[:, 0]),
    }


def _of_best(effect: np.ndarray, score: np.ndarray) -> float:
    """Mean effect on the SHARE of highest scores."""
    return float(np.average(effect, weights=Places.of(score, np.zeros(len(score), dtype=np.int64)).included(SHARE)))


def main() -> None:
    said = "intervals that leave out 0 below / above, and that hold the truth; what is found"
    run_worlds(ArgumentParser(description=__doc__), said, WORLDS, judge, _line, logs=LOGS)


def run_worlds(
    parser: ArgumentParser,
    said: str,
    worlds: Collection[str],
    judge: Callable[[str, Sequence[str], int], Any],
    told: Callable[[list[Any]], str],
    *,
    logs: int,
) -> None:
    """Asks on the command line for how many logs of which worlds and in which ways; `judge` takes a world, the ways and a log's number."""
    parser.add_argument("--logs", type=int, default=logs)
    parser.add_argument("--worlds", type=int, nargs="+", default=range(len(worlds)), help="numbers of the worlds, from 0")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    asked = parser.parse_args()
    print(f"{asked.logs} logs each, in %: {said}", flush=True)
    with ProcessPoolExecutor(2) as pool:
        for number in asked.worlds:
            name = list(worlds)[number]
            judged = list(pool.map(partial(judge, name, asked.ways), range(asked.logs)))
            for way in asked.ways:
                print(f"{name}, {way}\n{told([one[way] for one in judged])}", flush=True)


def _line(judged: list[Judged]) -> str:
    lines = []
    for what in judged[0].told:
        lower, upper, truth = np.array([one.told[what] for one in judged]).T
        held = 100 * np.mean((lower <= truth) & (truth <= upper))
        beyond = " / ".join(f"{100 * share:5.1f}" for share in (np.mean(upper < 0), np.mean(lower > 0)))
        lines.append(f"  {what:16s} {beyond}   {held:5.1f}   truth {truth.mean():.3f}")
    found = Counter(one.finding for one in judged)
    return "\n".join([*lines, "  found: " + ", ".join(f"{what} {100 * count / len(judged):.1f}" for what, count in found.most_common())])
