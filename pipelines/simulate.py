"""Write a simulated community to a folder: three logs as a real community would have them, and the truth."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from models.errors import InputError
from models.simulation import SimulationConfig, World, simulate_blocks
from pipelines.output import writing

START = date(2025, 1, 1)


@dataclass(frozen=True)
class SimulatedFiles:
    """Where each table of `models.simulation.World` was written, and how many rows the logs have."""

    events: Path
    members: Path
    touches: Path
    truth: Path
    event_rows: int
    touch_rows: int


def simulate_to(directory: Path, members: int, days: int, seed: int, *, start: date = START, overwrite: bool = False) -> SimulatedFiles:
    """Simulate with the defaults of `SimulationConfig`; the same arguments give the same bytes.

    Raises:
        InputError: `members` or `days` is below 1; or `directory` holds anything and `overwrite` is false. With it, only the four files are
            replaced.
    """
    return write_simulation(directory, SimulationConfig(members=members, days=days, start=start), seed, overwrite=overwrite)


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
    return SimulatedFiles(**paths, event_rows=rows["events"], touch_rows=rows["touches"])


def _to_arrow(frame: pl.DataFrame) -> pa.Table:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
