"""Does each intervention's expected effect tell members apart? Its curve and bins on the held-out rows of a trial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.uplift_curves import ArmEffects, qini_curve, uplift_by_decile

if TYPE_CHECKING:
    from models.arrays import Floats
    from models.held_out import HeldOut
    from models.intervals import Estimate
    from models.uplift_curves import UpliftBin

FIFTHS = 5
FEWEST_ROWS, FEWEST_UNITS = 50, 2


@dataclass(frozen=True)
class ArmRanking:
    """`assigned` rows had the intervention; effects per member. `fifths` and `deciles` begin with the highest expected effects."""

    intervention: str
    assigned: int
    average: Estimate
    qini: Estimate
    qini_share: Estimate
    fifths: tuple[UpliftBin, ...]
    deciles: tuple[UpliftBin, ...]


def rank_effects(held: HeldOut, predicted: Floats, *, rng: np.random.Generator) -> tuple[ArmRanking, ...]:
    """Predicted (n, k): held-out effects. Interventions with fewer than FEWEST_ROWS assigned rows are left out.

    So are those that fewer than FEWEST_UNITS members, or groups, could have had.
    """
    made, scores = held.assignments, held.scores
    told = []
    for position, (name, child) in enumerate(zip(made.interventions, rng.spawn(len(made.interventions)), strict=True)):
        assigned = int((made.arm == position + 1).sum())
        comparable = scores.comparable[:, position]
        if assigned < FEWEST_ROWS or len(np.unique(made.unit[comparable])) < FEWEST_UNITS:
            continue
        effects = ArmEffects.of_scores(scores.score[:, position], comparable, made.unit)
        curve = qini_curve(predicted[:, position], effects, rng=child)
        fifths, deciles = (uplift_by_decile(predicted[:, position], effects, bins=bins) for bins in (FIFTHS, 10))
        told.append(ArmRanking(name, assigned, curve.average, curve.qini, curve.qini_share, fifths, deciles))
    return tuple(told)
