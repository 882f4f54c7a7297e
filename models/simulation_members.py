"""Members of a simulated community: who they are, and what a day of theirs leaves in the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from models import simulation_laws as law
from models.simulation_config import SimulationConfig
from models.simulation_laws import Floats, Integers, State, Traits

QUALIFYING = ("post", "comment", "reaction", "purchase")
EVENT_TYPES = (*QUALIFYING, "read", "service")
PURCHASE, READ, SERVICE = (EVENT_TYPES.index(name) for name in ("purchase", "read", "service"))
CHANNELS = ("app", "web", "mini_program")
REGIONS = ("north", "south", "east", "west")
SOURCES = ("search", "friend", "promotion", "offline")
DAY = 86_400_000_000  # microseconds
SPENDING_SPREAD = 0.5  # standard deviation of the log of one amount around the member's usual one

_MIX = np.array([0.08, 0.27, 0.55, 0.10])  # post, comment, reaction, purchase
_SOCIAL_MIX = np.array([0.17, 0.53, 0.20, 0.10])


@dataclass(frozen=True)
class Block:
    """Members `first`, `first` + 1, ...: traits that govern visits, and tastes that govern what is logged of a visit.

    `mix` holds cumulative shares of the qualifying types, shape (n_members, 4); `hour` the favourite hour of the day, UTC; `depth` the mean
    number of actions in a visit; `reads` the reading visits for each engaged one; `spend` the log of the usual amount.
    """

    first: int
    traits: Traits
    mix: Floats
    hour: Floats
    depth: Floats
    reads: Floats
    spend: Floats
    channel: Integers
    region: Integers
    source: Integers
    age_days: Integers

    @staticmethod
    def draw(first: int, members: int, config: SimulationConfig, rng: np.random.Generator) -> Block:
        source = rng.choice(len(SOURCES), members, p=(0.35, 0.25, 0.25, 0.15))
        age_days = rng.integers(16 * 365, 65 * 365, members)
        reader, social = rng.random(members) < 0.5, rng.random(members) < 0.4
        fixed = np.column_stack((source == SOURCES.index("promotion"), reader, social, age_days < 25 * 365)).astype(np.float32)
        joined = np.sort(rng.integers(-config.history_days, config.days, members))
        usual = np.log(config.visits_per_day) + np.where(source == SOURCES.index("friend"), 0.2, -0.05)
        level = (usual + config.visits_spread * rng.standard_normal(members)).astype(np.float32)
        slot = (first + np.arange(members)) % config.campaign_weeks
        weight = rng.standard_gamma(8 * np.where(social[:, None], _SOCIAL_MIX, _MIX))
        extra = (config.actions_per_visit - 1) * np.exp(0.5 * rng.standard_normal(members) - 0.125)
        return Block(
            first=first,
            traits=Traits(joined, slot, level, fixed, law.own_shifts(members, config.world, rng)),
            mix=(weight.cumsum(axis=1) / weight.sum(axis=1, keepdims=True)).astype(np.float32),
            hour=(19 - 6 * rng.beta(1.5, 3, members)).astype(np.float32),
            depth=(1 + extra).astype(np.float32),
            reads=(np.where(reader, 1.6, 0.3) * np.exp(0.3 * rng.standard_normal(members))).astype(np.float32),
            spend=(3.5 + 0.6 * rng.standard_normal(members)).astype(np.float32),
            channel=rng.integers(0, len(CHANNELS), members),
            region=rng.choice(len(REGIONS), members, p=(0.4, 0.3, 0.2, 0.1)),
            source=source,
            age_days=age_days,
        )

    @property
    def spent_per_visit(self) -> Floats:
        """Expected money in one engaged visit: actions x share of purchases x mean of a log-normal amount; shape (n_members,)."""
        purchases = self.depth * (1 - self.mix[:, PURCHASE - 1])
        spent: Floats = purchases * np.exp(self.spend + np.float32(SPENDING_SPREAD**2 / 2))
        return spent


@dataclass(frozen=True)
class Actions:
    """Events of one day: row of the member in its block, microseconds since the start of the log, index of the type."""

    row: Integers
    micros: Integers
    kind: Integers


def log_day(block: Block, state: State, visits: Integers, rate: Floats, day: int, rng: np.random.Generator) -> Iterator[Actions]:
    """Engaged visits, reading visits, and service contacts, which rise while a member fades."""
    n = len(visits)
    engaged = _act(block, visits, block.depth, day, rng)
    kind = (rng.random(len(engaged.row), dtype=np.float32)[:, None] >= block.mix[engaged.row, :3]).sum(axis=1)
    yield Actions(engaged.row, engaged.micros, kind)
    reading = _act(block, rng.poisson(block.reads[:n] * 0.5 * rate**0.8), block.depth, day, rng)
    yield Actions(reading.row, reading.micros, np.full(len(reading.row), READ))
    contacts = rng.poisson(0.003 * np.exp(0.5 * state.fade) * (1 + 8 * state.fading))
    service = _act(block, contacts, np.ones_like(block.depth), day, rng)
    yield Actions(service.row, service.micros, np.full(len(service.row), SERVICE))


def _act(block: Block, visits: Integers, depth: Floats, day: int, rng: np.random.Generator) -> Actions:
    """One action and Poisson(depth - 1) more in each visit, all within half an hour and between 6:00 and midnight; kinds are left 0."""
    member = np.repeat(np.arange(len(visits)), visits)
    begin = np.clip(block.hour[member] + 2.5 * rng.standard_normal(len(member), dtype=np.float32), 6, 23.4)
    actions = 1 + rng.poisson(depth[member] - 1)
    row = np.repeat(member, actions)
    seconds = 3600 * np.repeat(begin.astype(np.float64), actions) + 1800 * rng.random(len(row))
    return Actions(row, day * DAY + (1e6 * seconds).astype(np.int64), np.zeros(len(row), dtype=np.int64))
