"""A simulated community: its logs, and beside them the truth that no log of a real community holds.

`simulation_laws` states how members live; here they live day by day and leave a log, and `simulation_truth` looks ahead from a given day.
Members do not influence each other, so a block of members is simulated at a time, vectorised over its members.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from models import simulation_laws as law
from models.simulation_laws import ARM_IDS, ARMS, Campaign, Floats, Integers, SimulationConfig, State, Traits
from models.simulation_truth import Foresight, foresee

__all__ = ["ARM_IDS", "QUALIFYING", "SimulationConfig", "World", "simulate", "simulate_blocks"]

QUALIFYING = ("post", "comment", "reaction", "purchase")
EVENT_TYPES = (*QUALIFYING, "read", "service")
_PURCHASE, _READ, _SERVICE = (EVENT_TYPES.index(name) for name in ("purchase", "read", "service"))
CHANNELS = ("app", "web", "mini_program")
REGIONS = ("north", "south", "east", "west")
SOURCES = ("search", "friend", "promotion", "offline")

_MIX = np.array([0.08, 0.27, 0.55, 0.10])  # post, comment, reaction, purchase
_SOCIAL_MIX = np.array([0.17, 0.53, 0.20, 0.10])
_TOUCH_CHANNELS = [channel for arm in ARMS for channel in ((arm.channels or (None,))[0], (arm.channels or (None,))[-1])]
_DAY = 86_400_000_000  # microseconds
_TOUCH_TIME = timedelta(hours=5)  # before anybody's first visit of the day, which comes at six at the earliest


@dataclass(frozen=True)
class World:
    """The logs of a simulated community and the truth behind them.

    Attributes:
        events: event_id, member_id, timestamp (microseconds, UTC), type, value (null but for purchases, and for some of them), channel;
            sorted by member_id and timestamp.
        members: member_id, joined (date), birthday, region, acquired_through; the last three with missing values.
        touches: touch_id, member_id, timestamp, intervention ("none" included), channel (null for none), delivered, and the logged
            probability of each arm as propensity_<arm>; one row for each assignment; sorted by member_id and timestamp.
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
        block = _Block.draw(first, min(config.block_members, config.members - first), config, child)
        diary = _live(block, config, child)
        world = World(
            _event_frame(block, diary, events, config, child),
            _member_frame(block, config, child),
            _touch_frame(block, diary, touches, config, child),
            _truth_frame(block, diary, config),
        )
        events, touches = events + world.events.height, touches + world.touches.height
        yield world


@dataclass(frozen=True)
class _Block:
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
    def draw(first: int, members: int, config: SimulationConfig, rng: np.random.Generator) -> _Block:
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
        return _Block(
            first=first,
            traits=Traits(joined, slot, level, fixed, law.own_shifts(members, rng)),
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


@dataclass(frozen=True)
class _Actions:
    """Events of one day: row of the member in its block, microseconds since the start of the log, index of the type."""

    row: Integers
    micros: Integers
    kind: Integers


@dataclass(frozen=True)
class _Diary:
    actions: list[_Actions] = field(default_factory=list)
    campaigns: dict[int, Campaign] = field(default_factory=dict)
    foresights: dict[int, Foresight] = field(default_factory=dict)


def _live(block: _Block, config: SimulationConfig, rng: np.random.Generator) -> _Diary:
    """From the founding of the community to the end of the log; the diary begins on day 0."""
    diary, (seer,) = _Diary(), rng.spawn(1)
    truth_days = {(as_of - config.start).days for as_of in config.truth_dates}
    state = law.arrive(block.traits, config.visits_per_day, rng)
    for day in range(-config.history_days, config.days + 1):
        before, present = np.searchsorted(block.traits.joined_day, (day, day + 1))
        if day in truth_days:
            known = slice(0, int(before))
            diary.foresights[day] = foresee(block.traits.of(known), state.of(known), day, config, seer)
        if day < config.days:
            _live_day(block, state, slice(0, int(present)), day, diary, config, rng)
    return diary


def _live_day(
    block: _Block, state: State, present: slice, day: int, diary: _Diary, config: SimulationConfig, rng: np.random.Generator
) -> None:
    traits, today = block.traits.of(present), state.of(present)
    tenure = day - traits.joined_day
    law.advance(today, tenure, rng.standard_normal(len(tenure), dtype=np.float32), rng)
    campaign = law.run_campaign(traits, today, day, 1, config, rng)
    today.boost[campaign.row] += campaign.boost[:, 0]
    rate = law.visit_rate(traits.level, today, law.season(day, config))
    visits = np.maximum(rng.poisson(rate), tenure == 0)
    today.habit[...] += (visits - today.habit) / np.float32(law.HABIT_DAYS)
    today.last_visit[visits > 0] = day
    if day >= 0:
        diary.campaigns[day] = campaign
        diary.actions.extend(_log_day(block, today, visits, rate, day, rng))


def _log_day(block: _Block, state: State, visits: Integers, rate: Floats, day: int, rng: np.random.Generator) -> Iterator[_Actions]:
    """Engaged visits, reading visits, and service contacts, which rise while a member fades."""
    n = len(visits)
    engaged = _act(block, visits, block.depth, day, rng)
    kind = (rng.random(len(engaged.row), dtype=np.float32)[:, None] >= block.mix[engaged.row, :3]).sum(axis=1)
    yield _Actions(engaged.row, engaged.micros, kind)
    reading = _act(block, rng.poisson(block.reads[:n] * 0.5 * rate**0.8), block.depth, day, rng)
    yield _Actions(reading.row, reading.micros, np.full(len(reading.row), _READ))
    contacts = rng.poisson(0.003 * np.exp(0.5 * state.fade) * (1 + 8 * state.fading))
    service = _act(block, contacts, np.ones_like(block.depth), day, rng)
    yield _Actions(service.row, service.micros, np.full(len(service.row), _SERVICE))


def _act(block: _Block, visits: Integers, depth: Floats, day: int, rng: np.random.Generator) -> _Actions:
    """One action and Poisson(depth - 1) more in each visit, all within half an hour and between 6:00 and midnight; kinds are left 0."""
    member = np.repeat(np.arange(len(visits)), visits)
    begin = np.clip(block.hour[member] + 2.5 * rng.standard_normal(len(member), dtype=np.float32), 6, 23.4)
    actions = 1 + rng.poisson(depth[member] - 1)
    row = np.repeat(member, actions)
    seconds = 3600 * np.repeat(begin.astype(np.float64), actions) + 1800 * rng.random(len(row))
    return _Actions(row, day * _DAY + (1e6 * seconds).astype(np.int64), np.zeros(len(row), dtype=np.int64))


def _event_frame(block: _Block, diary: _Diary, first: int, config: SimulationConfig, rng: np.random.Generator) -> pl.DataFrame:
    row = np.concatenate([day.row for day in diary.actions])
    micros = np.concatenate([day.micros for day in diary.actions])
    order = np.argsort(row * (config.days * _DAY) + micros, kind="stable")
    row, micros = row[order], micros[order]
    kind = np.concatenate([day.kind for day in diary.actions])[order]
    value = np.round(np.exp(block.spend[row] + 0.5 * rng.standard_normal(len(row), dtype=np.float32)).astype(np.float64), 2)
    valued = (kind == _PURCHASE) & (rng.random(len(row), dtype=np.float32) >= config.missing_values)
    wander = rng.random(len(row), dtype=np.float32) < 0.2
    channel = np.where(wander, rng.integers(0, len(CHANNELS), len(row)), block.channel[row])
    return pl.DataFrame(
        {
            "event_id": _identifiers("e", first, len(row), 10),
            "member_id": _member_ids(block).gather(row),
            "timestamp": _moments(micros, config),
            "type": _names(EVENT_TYPES, kind),
            "value": pl.select(pl.when(pl.Series(valued)).then(pl.Series(value))).to_series(),
            "channel": _names(CHANNELS, channel),
        }
    )


def _member_frame(block: _Block, config: SimulationConfig, rng: np.random.Generator) -> pl.DataFrame:
    n = len(block.source)
    day_zero = pl.lit(config.start)
    attributes = pl.DataFrame({"joined": block.traits.joined_day, "age": block.age_days}).select(
        joined=day_zero + pl.duration(days="joined"), birthday=day_zero - pl.duration(days="age")
    )
    frame = attributes.with_columns(_names(REGIONS, block.region).alias("region"), _names(SOURCES, block.source).alias("acquired_through"))
    known = {name: pl.Series(rng.random(n) >= config.missing_attributes) for name in ("birthday", "region", "acquired_through")}
    return frame.select(_member_ids(block), "joined", *(pl.when(present).then(pl.col(name)).alias(name) for name, present in known.items()))


def _touch_frame(block: _Block, diary: _Diary, first: int, config: SimulationConfig, rng: np.random.Generator) -> pl.DataFrame:
    campaigns = list(diary.campaigns.values())
    row = np.concatenate([campaign.row for campaign in campaigns])
    day = np.repeat(list(diary.campaigns), [len(campaign.row) for campaign in campaigns])
    order = np.lexsort((day, row))
    arm = np.concatenate([campaign.arm[:, 0] for campaign in campaigns])[order]
    propensity = np.concatenate([campaign.propensity for campaign in campaigns])[order].astype(np.float64)
    propensity /= propensity.sum(axis=1, keepdims=True)
    micros = day[order] * _DAY + _TOUCH_TIME // timedelta(microseconds=1)
    return pl.DataFrame(
        {
            "touch_id": _identifiers("t", first, len(row), 9),
            "member_id": _member_ids(block).gather(row[order]),
            "timestamp": _moments(micros, config),
            "intervention": _names(ARM_IDS, arm),
            "channel": _touch_channels(arm, rng),
            "delivered": np.concatenate([campaign.delivered[:, 0] for campaign in campaigns])[order],
        }
    ).with_columns(pl.Series(f"propensity_{name}", propensity[:, column]) for column, name in enumerate(ARM_IDS))


def _touch_channels(arm: Integers, rng: np.random.Generator) -> pl.Series:
    """One of the arm's channels, uniformly; null for "none"."""
    either = rng.integers(0, 2, len(arm))
    return pl.Series(_TOUCH_CHANNELS).gather(2 * arm + either)


def _truth_frame(block: _Block, diary: _Diary, config: SimulationConfig) -> pl.DataFrame:
    """Sorted by member, date and horizon."""
    moments = {0: Foresight.of_nobody(len(config.horizons_days)), **diary.foresights}
    frames = [_foresight_frame(block, day, foresight, config) for day, foresight in moments.items()]
    return pl.concat(frames).sort("member_id", "as_of", "horizon_days")


def _foresight_frame(block: _Block, day: int, foresight: Foresight, config: SimulationConfig) -> pl.DataFrame:
    members, horizons = foresight.risk.shape
    effects = foresight.effects.reshape(-1, len(ARMS)).astype(np.float64)
    return pl.DataFrame(
        {
            "member_id": _member_ids(block).gather(np.repeat(np.arange(members), horizons)),
            "as_of": _moments(np.full(members * horizons, day * _DAY), config),
            "horizon_days": np.tile(np.array(config.horizons_days, dtype=np.int32), members),
            "true_risk": foresight.risk.ravel().astype(np.float64),
        }
    ).with_columns(pl.Series(f"effect_{name}", effects[:, column]) for column, name in enumerate(ARM_IDS) if name != "none")


def _member_ids(block: _Block) -> pl.Series:
    return _identifiers("m", block.first, len(block.source), 7).alias("member_id")


def _identifiers(prefix: str, first: int, count: int, digits: int) -> pl.Series:
    """prefix0...first, and so on; short enough for Polars to hold them inline."""
    numbers = pl.int_range(first, first + count).cast(pl.String).str.zfill(digits)
    return pl.select(pl.concat_str(pl.lit(prefix), numbers)).to_series()


def _names(table: tuple[str, ...], index: Integers) -> pl.Series:
    return pl.Series(table).gather(index)


def _moments(micros: Integers, config: SimulationConfig) -> pl.Series:
    start = datetime.combine(config.start, datetime.min.time(), UTC)
    origin = (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    return pl.Series(origin + micros).cast(pl.Datetime("us", "UTC"))
