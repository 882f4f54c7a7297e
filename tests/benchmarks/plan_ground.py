"""A ground to plan on for a community of any size: eight interventions over three channels, and effects that differ by member."""

from __future__ import annotations

import numpy as np
import polars as pl

from models.interventions import Rule
from models.plan_figures import Arm, Prospects
from models.plan_ground import Laid, Terms, condensed_part, lay_ground
from models.planning import Candidates
from models.strata import Strata
from tests.serving_world import NOW

COST = np.array([0.1, 0.5, 1, 2, 3, 5, 8, 12])
CHANNEL = np.array([0, 0, 0, 1, 1, 2, 2, 2])
BATCH, RULE_SETS = 20_000, 12
TERMS = Terms(NOW, "1", 30, "CNY", 0.02, tuple(Arm(f"action-{at}", "prior") for at in range(8)), ("wecom", "email", "phone"))


def strata_of(rows: pl.DataFrame, rng: np.random.Generator, spread: float = 0.8) -> Strata:
    """Gamma effects with noise for each intervention, times the member's value; one of twelve sets of rules keeps some away."""
    n, value = rows.height, rows["value"].to_numpy()
    uplift = rng.gamma(1.5, 0.02, (n, 1)) * rng.normal(1, spread, (n, 8))
    cost = np.tile(COST, (n, 1))
    sets = rng.integers(1, 3, (RULE_SETS, 8)) * (rng.random((RULE_SETS, 8)) < 0.3)
    refused = sets[rng.integers(0, RULE_SETS, n)].astype(np.int16)
    ends = (uplift, uplift - 0.02, uplift + 0.02)
    net = [end * value[:, None] - cost for end in ends]
    candidates = Candidates(net[0], cost, np.tile(CHANNEL, (n, 1)), refused == 0, np.zeros(n, np.int64))
    rules = (Rule("eligibility", "min_value"), Rule("contact_policy", "weekly"))
    return Strata(np.ones(n), candidates, Prospects(value, *ends, *net), np.ones(n, dtype=np.bool_), refused, rules)


def laid(rows: pl.DataFrame, rng: np.random.Generator) -> Laid:
    """As `keepwell decide` lays it, batch by batch."""
    parts = [condensed_part(strata_of(rows[begin : begin + BATCH], rng)) for begin in range(0, rows.height, BATCH)]
    return lay_ground(TERMS, parts, rows)
