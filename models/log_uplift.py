"""Effects learned from the touches of a log, beside an engine whose features they read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from models.assignments import assignments_among
from models.attributes import with_attributes
from models.errors import NotEnoughData
from models.histories import EventHistories
from models.learned_uplift import LearnedUplift
from models.uplift_beliefs import PriorUplift
from models.uplift_fit import fit_uplift

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import polars as pl

    from models.actions import Intervention
    from models.arrays import Floats, Integers
    from models.assignments import Assignments
    from models.attributes import AttributeEncoding
    from models.community import Community
    from models.engine import Engine
    from models.events import EventArrays
    from models.histories import Histories
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


@dataclass(frozen=True)
class Tried:
    """Assignments whose outcome lies before `until_us`, and features (n, n_features) of their snapshots."""

    made: Assignments
    features: Floats
    until_us: int

    @classmethod
    def of(
        cls,
        histories: Histories,
        touches: pl.DataFrame,
        community: Community,
        encoding: AttributeEncoding,
        *,
        until_us: int,
        rng: np.random.Generator,
    ) -> Self:
        """Of all `touches`, or of so many members drawn at random that about MOST_ROWS remain."""
        made = _capped(assignments_among(touches, histories, community, until_us=until_us), rng)
        behaviour = histories.behaviour(made.snapshots)
        return cls(made, with_attributes(behaviour, encoding, histories.attributes, made.snapshots.member), until_us)


def learn_uplift(
    engine: Engine, events: EventArrays, touches: pl.DataFrame, kept: Integers, *, until_us: int, rng: np.random.Generator
) -> UpliftFromLog:
    """As `learn_from_tried`, of touches and events that are held here."""
    sampling, fitting = rng.spawn(2)
    histories = EventHistories(events, engine.community, engine.spec)
    tried = Tried.of(histories, touches, engine.community, engine.attributes, until_us=until_us, rng=sampling)
    return learn_from_tried(engine, tried, kept, rng=fitting)


def learn_from_tried(engine: Engine, tried: Tried, kept: Integers, *, rng: np.random.Generator) -> UpliftFromLog:
    """`kept` are the columns of the engine's features to learn from."""
    made = tried.made
    said = tuple(map(str, made.warnings))
    if len(made) == 0:
        return UpliftFromLog(None, 0, (*said, "the catalogue's effects are used: the outcome of no assignment is known yet"))
    features = tried.features[:, kept]
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
            groups=made.unit,
            rng=rng,
        )
    except NotEnoughData as shortage:
        return UpliftFromLog(None, len(made), (*said, f"the catalogue's effects are used: {shortage}"))
    beliefs = PriorUplift.of(_updated(catalogue, fitted.evidence, typical), typical)
    observational = any(evidence.source == "observational" for evidence in fitted.evidence.values())
    amiss = fitted.warning([engine.names[column] for column in kept])
    warnings = (*said, *((UNSEEN_CONFOUNDING,) if observational else ()), *(() if amiss is None else (amiss,)))
    return UpliftFromLog(LearnedUplift(fitted, beliefs, kept, tried.until_us), len(made), warnings)


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
    """All assignments of so many members drawn at random that about MOST_ROWS remain."""
    if len(made) <= MOST_ROWS:
        return made
    drawn = rng.random(int(made.snapshots.member.max()) + 1) < MOST_ROWS / len(made)
    return made[drawn[made.snapshots.member]]
