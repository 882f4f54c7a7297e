"""Does each intervention's expected effect tell members apart? Its curve and bins on the rows of a trial, each part judged in its turn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.measured import mean_of
from models.uplift_curves import LEVEL, ArmEffects, qini_curve, uplift_by_decile

if TYPE_CHECKING:
    from models.arrays import Floats, Integers
    from models.held_out import HeldOut
    from models.intervals import Estimate
    from models.uplift_curves import UpliftBin

FIFTHS = 5
FEWEST_ROWS, FEWEST_UNITS = 50, 2


@dataclass(frozen=True)
class ArmRanking:
    """`assigned` rows had the intervention; effects per member, the `average` over all rows, and all else over those that judge.

    `fifths` and `deciles` begin with the highest expected effects.
    """

    intervention: str
    assigned: int
    average: Estimate
    qini: Estimate
    qini_share: Estimate
    fifths: tuple[UpliftBin, ...]
    deciles: tuple[UpliftBin, ...]


def rank_effects(held: HeldOut, predicted: Floats, part: Integers, *, rng: np.random.Generator) -> tuple[ArmRanking, ...]:
    """Predicted (n, k): effects learned from the parts before; part (n,): as of models.in_turn, 0 for rows that only teach.

    Interventions with fewer than FEWEST_ROWS assigned rows are left out, and those that fewer than FEWEST_UNITS members, or groups, of the
    parts that judge could have had.
    """
    made, scores = held.assignments, held.scores
    told = []
    for position, (name, child) in enumerate(zip(made.interventions, rng.spawn(len(made.interventions)), strict=True)):
        assigned = int((made.arm == position + 1).sum())
        score, comparable, judges = scores.score[:, position], scores.comparable[:, position], part > 0
        if assigned < FEWEST_ROWS or len(np.unique(made.unit[comparable & judges])) < FEWEST_UNITS:
            continue
        every, effects = (ArmEffects.of_scores(score, rows, made.unit) for rows in (comparable, comparable & judges))
        average = mean_of(every.effect, every.members).interval(LEVEL)
        curve = qini_curve(predicted[:, position], effects, part=part, rng=child)
        fifths, deciles = (uplift_by_decile(predicted[:, position], effects, part=part, bins=bins) for bins in (FIFTHS, 10))
        told.append(ArmRanking(name, assigned, average, curve.qini, curve.qini_share, fifths, deciles))
    return tuple(told)
