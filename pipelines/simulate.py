"""Write a simulated community to a folder: three logs as a real community would have them, and the truth."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import InputError
from models.simulation import ARM_IDS, SimulationConfig, World, simulate_blocks
from models.simulation_worlds import MIXED, world_named
from pipelines.output import writing

if TYPE_CHECKING:
    from collections.abc import Iterator

START = date(2025, 1, 1)
PLANTED_FILE = "world.json"


@dataclass(frozen=True)
class SimulatedFiles:
    """Where each table of `models.simulation.World` was written, what was planted, and how many rows the logs have."""

    events: Path
    members: Path
    touches: Path
    truth: Path
    planted: Path
    event_rows: int
    touch_rows: int


def simulate_to(
    directory: Path, members: int, days: int, seed: int, *, world: str = MIXED.name, start: date = START, overwrite: bool = False
) -> SimulatedFiles:
    """Simulate with the defaults of `SimulationConfig`; the same arguments give the same bytes.

    Raises:
        InputError: `members` or `days` is below 1; or `world` is not in `WORLDS`; or `directory` holds anything and `overwrite` is false.
            With it, only the five files are replaced.
    """
    config = SimulationConfig(members=members, days=days, start=start, world=world_named(world))
    return write_simulation(directory, config, seed, overwrite=overwrite)


def write_simulation(directory: Path, config: SimulationConfig, seed: int, *, overwrite: bool = False) -> SimulatedFiles:
    """As `simulate_to`, for any configuration. One block of members is in memory at a time, each a row group or more of every file."""
    with writing(directory):
        directory.mkdir(parents=True, exist_ok=True)
        if not overwrite and any(directory.iterdir()):
            raise InputError(f"{directory}: the folder is not empty; choose another one, or give --force to write into it")
    names = [part.name for part in fields(World)]
    paths = {name: directory / f"{name}.parquet" for name in names}
    rows = dict.fromkeys(names, 0)
    with ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        for world in simulate_blocks(config, np.random.default_rng(seed)):
            for name in names:
                table = _to_arrow(getattr(world, name))
                if name not in writers:
                    writers[name] = stack.enter_context(pq.ParquetWriter(paths[name], table.schema, compression="zstd"))
                writers[name].write_table(table)
                rows[name] += table.num_rows
    planted = directory / PLANTED_FILE
    planted.write_text(json.dumps(_planted(config, seed, paths["truth"]), indent=1) + "\n", encoding="utf-8")
    return SimulatedFiles(**paths, planted=planted, event_rows=rows["events"], touch_rows=rows["touches"])


def _to_arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())


def _planted(config: SimulationConfig, seed: int, truth: Path) -> dict[str, Any]:
    """What world.json holds: the declaration of the world, and the average effects over the members of each date of the truth."""
    world, change = config.world, config.change_day
    since = (0,) if change is None else (0, change)
    return {
        "world": world.name,
        "planted": world.planted,
        "seed": seed,
        "members": config.members,
        "days": config.days,
        "start": config.start.isoformat(),
        "change_on": None if change is None else (config.start + timedelta(days=change)).isoformat(),
        "effect_scale": config.effect_scale,
        "own_spread": world.own_spread,
        "exploration": world.exploration,
        "propensities_written": world.propensities_written,
        "preferences": world.preferences,
        "regimes": [
            {"from": (config.start + timedelta(days=day)).isoformat(), **asdict(regime)}
            for day, regime in zip(since, world.regimes, strict=True)
        ],
        "average_effects": list(_averages(truth)),
    }


def _averages(truth: Path) -> Iterator[dict[str, Any]]:
    effects = [f"effect_{arm}" for arm in ARM_IDS if arm != "none"]
    told = (pl.len().alias("members"), pl.col("true_risk", *effects).mean().round(6))
    means = pl.scan_parquet(truth).group_by("as_of", "horizon_days").agg(*told)
    for row in means.sort("as_of", "horizon_days").collect().iter_rows(named=True):
        yield row | {"as_of": row["as_of"].date().isoformat()}
