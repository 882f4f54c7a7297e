"""The whole path of `keepwell evaluate --policy` against the truth: an engine replayed on logs of communities whose effects are known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import polars as pl

from models.assignments import assignments_of
from models.engine import Engine
from models.events import EventLog, event_arrays
from models.policy import costs
from models.policy_trial import try_policies
from models.replaying import replay
from models.simulation import WORLDS, SimulationConfig, World, simulate
from tests.planted import community, intervention
from tests.trained_world import canonical_log, train_on_world

COMMUNITIES, MEMBERS = 200, 3000
START, DAYS = date(2025, 1, 1), 175
MOMENTS = tuple(START + timedelta(days=day) for day in range(63, 140, 7))
"""Campaign days at whose midnight the truth stands."""
ARMS: dict[str, dict[str, Any]] = {
    "group_invitation": {"cost": 0.5, "starting_uplift": 0.03},
    "recognition_badge": {"cost": 0.1, "starting_uplift": 0.02, "eligibility": {"max_days_silent": 21}},
    "personal_call": {"cost": 3, "starting_uplift": 0.08, "eligibility": {"min_churn_probability": 0.2}},
    "comeback_offer": {"cost": 1, "starting_uplift": 0.04, "eligibility": {"min_days_silent": 5}},
}


@dataclass(frozen=True)
class Gap:
    truth: float
    value: float
    low: float
    high: float

    @property
    def covered(self) -> bool:
        return self.low <= self.truth <= self.high


def believer() -> Engine:
    """Trained on one community, it believes what ARMS say of effects; nobody's outcomes below were seen."""
    world = train_on_world()
    rules = community(*(intervention(name, **told) for name, told in ARMS.items()), policy={"exploration": 0.02, "control_share": 0.05})
    parts = {name: getattr(rules, name) for name in ("interventions", "contact_policy", "policy")}
    engine = world.trained.engine
    before = replace(engine.provenance, trained_through=world.log.first)
    return replace(engine, community=engine.community.model_copy(update=parts), provenance=before)


def gaps(engine: Engine, world: World, seed: int) -> dict[str, Gap]:
    """Each plain policy minus the engine, at the moments whose truth is known."""
    log = canonical_log(world)
    assert log.touches is not None
    touches = log.touches.filter(pl.col("timestamp").dt.date().is_in(list(MOMENTS)))
    log = replace(log, touches=touches)
    events = event_arrays(log, engine.community)
    told = try_policies({"champion": engine}, log, events, rng=np.random.default_rng(seed)).comparison
    made = assignments_of(touches, events, engine.community, until_us=int(events.timestamp_us.max()))
    replayed = replay(engine, log, events, made.snapshots)
    effects = true_effects(world, log, made.snapshots.member, made.snapshots.as_of_us, engine)
    net = np.column_stack([np.zeros(len(made)), effects * replayed.value[:, None] - costs(engine.community)])
    true = {
        "champion": (replayed.propensity * net).sum(axis=1).mean(),
        "random": (replayed.allowed / replayed.allowed.sum(axis=1, keepdims=True) * net).sum(axis=1).mean(),
        "nobody": 0.0,
    }
    return {
        name: Gap(true[name] - true["champion"], found.value, found.low, found.high)
        for name in ("nobody", "random")
        for found in [told.policies[name].gain]
    }


def true_effects(world: World, log: EventLog, member: np.ndarray, as_of_us: np.ndarray, engine: Engine) -> np.ndarray:
    """(n, k): planted effects of the engine's interventions at each moment."""
    ids = log.members["member_id"].gather(member)
    moments = pl.DataFrame({"member_id": ids, "as_of": pl.Series(as_of_us).cast(pl.Datetime("us", "UTC")).dt.truncate("1d")})
    known = moments.join(world.truth, on=["member_id", "as_of"], how="left", maintain_order="left")
    return known.select([f"effect_{one.id}" for one in engine.community.interventions]).to_numpy()


def main() -> None:
    engine = believer()
    config = SimulationConfig(
        members=MEMBERS, days=DAYS, start=START, truth_as_of=MOMENTS, horizons_days=(30,), truth_paths=16, world=WORLDS["strong"]
    )
    seen = [gaps(engine, simulate(config, np.random.default_rng(seed)), seed) for seed in range(COMMUNITIES)]
    print(f"{COMMUNITIES} communities of {MEMBERS:,} members, world strong; money per decision against the engine; 90 % intervals")
    print(f"{'policy':10s}{'true':>9s}{'estimate':>10s}{'bias':>8s}{'spread':>8s}{'width':>8s}{'covered':>9s}")
    for name in seen[0]:
        told = [one[name] for one in seen]
        error = np.array([gap.value - gap.truth for gap in told])
        width = np.mean([gap.high - gap.low for gap in told])
        print(
            f"{name:10s}{np.mean([gap.truth for gap in told]):9.3f}{np.mean([gap.value for gap in told]):10.3f}"
            f"{error.mean():8.3f}{error.std():8.3f}{width:8.2f}{100 * np.mean([gap.covered for gap in told]):9.1f}"
        )
