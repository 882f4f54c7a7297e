"""A simulated community: its logs, and beside them the truth that no log of a real community holds.

`simulation_worlds` declares what is planted, `simulation_laws` states how members live, `simulation_life` lets them live day by day and
leave a log, and `simulation_truth` looks ahead from a given day. Members do not influence each other, so a block of members is simulated
at a time, vectorised over its members. `simulation_loop` is for deciding on such a community step by step.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from models import simulation_laws as law
from models.simulation_config import SimulationConfig
from models.simulation_life import Diary, Draws, Life
from models.simulation_members import QUALIFYING, Block
from models.simulation_tables import event_frame, member_frame, touch_frame, truth_frame
from models.simulation_worlds import ARM_IDS, WORLDS

__all__ = ["ARM_IDS", "QUALIFYING", "WORLDS", "SimulationConfig", "World", "simulate", "simulate_blocks"]


@dataclass(frozen=True)
class World:
    """The logs of a simulated community and the truth behind them.

    Attributes:
        events: event_id, member_id, timestamp (microseconds, UTC), type, value (null but for purchases, and for some of them), channel;
            sorted by member_id and timestamp.
        members: member_id, joined (date), birthday, region, acquired_through; the last three with missing values.
        touches: touch_id, member_id, timestamp, intervention ("none" included), channel (null for none), delivered, and, where the world
            writes them, the logged probability of each arm as propensity_<arm>; one row for each assignment; sorted by member_id and
            timestamp.
        truth: member_id, as_of (midnight, UTC), horizon_days, true_risk, effect_<intervention>; one row for each member who had joined.
            true_risk = P(no event of a `QUALIFYING` type in [as_of, as_of + horizon)) given the latent state at as_of, under the logging
            policy. effect = P(such an event | assigned at as_of) - P(such an event | "none" at as_of), the logging policy
            going on afterwards; assignment and not delivery (intention to treat).
    """

    events: pl.DataFrame
    members: pl.DataFrame
    touches: pl.DataFrame
    truth: pl.DataFrame


def simulate(config: SimulationConfig, rng: np.random.Generator) -> World:
    blocks = list(simulate_blocks(config, rng))
    return World(*(pl.concat([getattr(block, name) for block in blocks]) for name in ("events", "members", "touches", "truth")))


def simulate_blocks(config: SimulationConfig, rng: np.random.Generator) -> Iterator[World]:
    """The same world in consecutive blocks of `config.block_members` members: 10 M events need not be in memory at once."""
    events = touches = 0
    firsts = range(0, config.members, config.block_members)
    for first, child in zip(firsts, rng.spawn(len(firsts)), strict=True):
        block = Block.draw(first, min(config.block_members, config.members - first), config, child)
        life, diary, foresights = _founded(block, config, child), Diary(), {}
        for day in sorted((as_of - config.start).days for as_of in config.truth_dates):
            life.live(day, diary)
            foresights[day] = life.foresee()
        life.live(config.days, diary)
        world = World(
            event_frame(block, diary, events, config, child),
            member_frame(block, config, child),
            touch_frame(block, diary, touches, config, child),
            truth_frame(block, foresights, config),
        )
        events, touches = events + world.events.height, touches + world.touches.height
        yield world


def _founded(block: Block, config: SimulationConfig, rng: np.random.Generator) -> Life:
    """On the day of the founding, with one stream of chance."""
    (seer,) = rng.spawn(1)
    state = law.arrive(block.traits, config.visits_per_day * config.regime(0).activity, rng)
    return Life(block, config, state, -config.history_days, lambda _: Draws.in_sequence(rng), lambda _: seer)
