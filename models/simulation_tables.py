"""The tables of a simulated community, as a real one would export them, and the table of the truth."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from models.simulation_config import SimulationConfig
from models.simulation_laws import Integers
from models.simulation_life import Diary
from models.simulation_members import CHANNELS, DAY, EVENT_TYPES, PURCHASE, REGIONS, SOURCES, SPENDING_SPREAD, Block
from models.simulation_truth import Foresight
from models.simulation_worlds import ARM_IDS, ARMS

_TOUCH_CHANNELS = [channel for arm in ARMS for channel in ((arm.channels or (None,))[0], (arm.channels or (None,))[-1])]
TOUCH_TIME = timedelta(hours=5)  # before anybody's first visit of the day, which comes at six at the earliest


def event_frame(block: Block, diary: Diary, first: int, config: SimulationConfig, rng: np.random.Generator) -> pl.DataFrame:
    row = np.concatenate([day.row for day in diary.actions])
    micros = np.concatenate([day.micros for day in diary.actions])
    order = np.argsort(row * (config.days * DAY) + micros, kind="stable")
    row, micros = row[order], micros[order]
    kind = np.concatenate([day.kind for day in diary.actions])[order]
    value = np.round(np.exp(block.spend[row] + SPENDING_SPREAD * rng.standard_normal(len(row), dtype=np.float32)).astype(np.float64), 2)
    valued = (kind == PURCHASE) & (rng.random(len(row), dtype=np.float32) >= config.missing_values)
    wander = rng.random(len(row), dtype=np.float32) < 0.2
    channel = np.where(wander, rng.integers(0, len(CHANNELS), len(row)), block.channel[row])
    return pl.DataFrame(
        {
            "event_id": _identifiers("e", first, len(row), 10),
            "member_id": member_ids(block).gather(row),
            "timestamp": _moments(micros, config),
            "type": _names(EVENT_TYPES, kind),
            "value": pl.select(pl.when(pl.Series(valued)).then(pl.Series(value))).to_series(),
            "channel": _names(CHANNELS, channel),
        }
    )


def member_frame(block: Block, config: SimulationConfig, rng: np.random.Generator) -> pl.DataFrame:
    n = len(block.source)
    day_zero = pl.lit(config.start)
    attributes = pl.DataFrame({"joined": block.traits.joined_day, "age": block.age_days}).select(
        joined=day_zero + pl.duration(days="joined"), birthday=day_zero - pl.duration(days="age")
    )
    frame = attributes.with_columns(_names(REGIONS, block.region).alias("region"), _names(SOURCES, block.source).alias("acquired_through"))
    known = {name: pl.Series(rng.random(n) >= config.missing_attributes) for name in ("birthday", "region", "acquired_through")}
    return frame.select(member_ids(block), "joined", *(pl.when(present).then(pl.col(name)).alias(name) for name, present in known.items()))


def touch_frame(block: Block, diary: Diary, first: int, config: SimulationConfig, rng: np.random.Generator) -> pl.DataFrame:
    days, campaigns = zip(*diary.campaigns, strict=True)
    row = np.concatenate([campaign.row for campaign in campaigns])
    day = np.repeat(days, [len(campaign.row) for campaign in campaigns])
    order = np.lexsort((day, row))
    arm = np.concatenate([campaign.arm[:, 0] for campaign in campaigns])[order]
    propensity = np.concatenate([campaign.propensity for campaign in campaigns])[order].astype(np.float64)
    propensity /= propensity.sum(axis=1, keepdims=True)
    written = config.world.propensities_written
    micros = day[order] * DAY + TOUCH_TIME // timedelta(microseconds=1)
    return pl.DataFrame(
        {
            "touch_id": _identifiers("t", first, len(row), 9),
            "member_id": member_ids(block).gather(row[order]),
            "timestamp": _moments(micros, config),
            "intervention": _names(ARM_IDS, arm),
            "channel": _touch_channels(arm, rng),
            "delivered": np.concatenate([campaign.delivery.delivered[:, 0] for campaign in campaigns])[order],
        }
    ).with_columns(pl.Series(f"propensity_{name}", propensity[:, column]) for column, name in enumerate(ARM_IDS) if written)


def touch_identity(first: int, count: int, day: int, config: SimulationConfig) -> pl.DataFrame:
    """touch_id and timestamp of touches that follow `first` earlier ones."""
    micros = np.full(count, day * DAY + TOUCH_TIME // timedelta(microseconds=1))
    return pl.DataFrame({"touch_id": _identifiers("t", first, count, 9), "timestamp": _moments(micros, config)})


def _touch_channels(arm: Integers, rng: np.random.Generator) -> pl.Series:
    """One of the arm's channels, uniformly; null for "none"."""
    either = rng.integers(0, 2, len(arm))
    return pl.Series(_TOUCH_CHANNELS).gather(2 * arm + either)


def truth_frame(block: Block, foresights: Mapping[int, Foresight], config: SimulationConfig) -> pl.DataFrame:
    """Sorted by member, date and horizon; foresights by the day that they look ahead from."""
    moments = {0: Foresight.of_nobody(len(config.horizons_days)), **foresights}
    frames = [_foresight_frame(block, day, foresight, config) for day, foresight in moments.items()]
    return pl.concat(frames).sort("member_id", "as_of", "horizon_days")


def _foresight_frame(block: Block, day: int, foresight: Foresight, config: SimulationConfig) -> pl.DataFrame:
    members, horizons = foresight.risk.shape
    effects = foresight.effects.reshape(-1, len(ARMS)).astype(np.float64)
    return pl.DataFrame(
        {
            "member_id": member_ids(block).gather(np.repeat(np.arange(members), horizons)),
            "as_of": _moments(np.full(members * horizons, day * DAY), config),
            "horizon_days": np.tile(np.array(config.horizons_days, dtype=np.int32), members),
            "true_risk": foresight.risk.ravel().astype(np.float64),
        }
    ).with_columns(pl.Series(f"effect_{name}", effects[:, column]) for column, name in enumerate(ARM_IDS) if name != "none")


def member_ids(block: Block) -> pl.Series:
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
