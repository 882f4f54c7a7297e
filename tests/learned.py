"""Evidence of interventions as training leaves it, planted into an engine."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.engine import Engine
from models.learned_uplift import LearnedUplift
from models.uplift_beliefs import PriorUplift
from models.uplift_evidence import Evidence


def evidence(name: str, *, average: float | None = 0.03, interval: tuple[float, float] | None = (-0.01, 0.07), **more: object) -> Evidence:
    told = {
        "source": "experiment",
        "verdict": "explore",
        "n": 400,
        "n_none": 400,
        "expected_effect": 0.02,
        "expected_error": 0.02,
        "heterogeneity_held": 0.5,
        "heterogeneity_interval": (0.1, 0.9),
        "more_members": 900,
        "assignment": "logged",
        "smallest_propensity": 0.1,
        "effective_share": 0.9,
        "imbalance_before": 0.1,
        "imbalance_after": 0.02,
    }
    return Evidence(intervention=name, average_effect=average, interval=interval, **(told | more))


@dataclass(frozen=True)
class Planted:
    """Stands for fitted effects of which only the evidence is asked."""

    evidence: dict[str, Evidence]


def with_evidence(engine: Engine, *found: Evidence) -> Engine:
    """Of the interventions that are not named something is planted too."""
    interventions = engine.community.interventions
    told = {one.id: evidence(one.id) for one in interventions} | {one.intervention: one for one in found}
    beliefs = PriorUplift.of(interventions, engine.reference.typical_probability)
    return replace(engine, learned_uplift=LearnedUplift(Planted(told), beliefs, np.arange(1), 0))
