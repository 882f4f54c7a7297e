"""Effects learned from the touches of a log, beside an engine whose features they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from models.assignments import assignments_of
from models.errors import NotEnoughData
from models.learned_uplift import LearnedUplift
from models.uplift_beliefs import PriorUplift
from models.uplift_fit import fit_uplift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from models.actions import Intervention
    from models.arrays import Integers
    from models.assignments import Assignments
    from models.engine import Engine
    from models.events import EventArrays
    from models.uplift_evidence import Evidence

MOST_ROWS = 300_000
UNSEEN_CONFOUNDING = (
    "effects are observational: the probabilities of the assignments were not logged, so differences between members that no feature shows "
    "may pass for effects; log the probability of each choice, also where it was the same for all"
)


@dataclass(frozen=True)
class UpliftFromLog:
    """`uplift` is None where the log had too little; then the catalogue's beliefs stand. `rows`: assignments learned from."""

    uplift: LearnedUplift | None
    rows: int
    warnings: tuple[str, ...]


def learn_uplift(
    engine: Engine, events: EventArrays, touches: pl.DataFrame, kept: Integers, *, until_us: int, rng: np.random.Generator
) -> UpliftFromLog:
    """From assignments whose outcome lies before `until_us`; `kept` are the columns of the engine's features to learn from."""
    sampling, fitting = rng.spawn(2)
    made = _capped(assignments_of(touches, events, engine.community, until_us=until_us), sampling)
    said = tuple(map(str, made.warnings))
    if len(made) == 0:
        return UpliftFromLog(None, 0, (*said, "the catalogue's effects are used: the outcome of no assignment is known yet"))
    features = engine.features(events, made.snapshots, threads=2)[:, kept]
    catalogue, typical = engine.community.interventions, engine.reference.typical_probability
    priors = {one.id: (one.starting_uplift, one.starting_evidence) for one in catalogue}
    try:
        fitted = fit_uplift(
            features,
            made.names,
            made.retained,
            made.propensities,
            priors,
            interventions=made.interventions,
            groups=made.snapshots.member,
            rng=fitting,
        )
    except NotEnoughData as shortage:
        return UpliftFromLog(None, len(made), (*said, f"the catalogue's effects are used: {shortage}"))
    beliefs = PriorUplift.of(_updated(catalogue, fitted.evidence, typical), typical)
    observational = any(evidence.source == "observational" for evidence in fitted.evidence.values())
    warnings = (*said, *((UNSEEN_CONFOUNDING,) if observational else ()))
    return UpliftFromLog(LearnedUplift(fitted, beliefs, kept, until_us), len(made), warnings)


def _updated(catalogue: Sequence[Intervention], evidence: Mapping[str, Evidence], typical: float) -> list[Intervention]:
    """Beliefs after what little the log had: the expected effect, and the size of a trial of half in each arm with its error."""
    variance = typical * (1 - typical)
    return [
        one.model_copy(
            update={
                "starting_uplift": float(np.clip(evidence[one.id].expected_effect, -1, 1)),
                "starting_evidence": max(one.starting_evidence, 4 * variance / evidence[one.id].expected_error ** 2),
            }
        )
        for one in catalogue
    ]


def _capped(made: Assignments, rng: np.random.Generator) -> Assignments:
    """All assignments of so many members drawn at random that about 300,000 remain."""
    if len(made) <= MOST_ROWS:
        return made
    drawn = rng.random(int(made.snapshots.member.max()) + 1) < MOST_ROWS / len(made)
    return made[drawn[made.snapshots.member]]
