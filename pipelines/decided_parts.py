"""Decisions on parts of the log as files, so that a run that was killed goes on where it was."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from models.planning import Candidates
from models.strata import Condensed
from models.strata_arrays import CANDIDATES, strata_arrays, strata_of_arrays
from pipelines.parts import strata_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from models.arrays import Floats
    from models.engine import Engine
    from pipelines.parts import Batch

FOLDER = "deciding"
ROW_GROUP = 20_000


@dataclass(frozen=True)
class DecidedParts:
    """A folder for one run, named by all that its decisions follow from; those of other runs are removed when it is opened.

    Of each part there is a file of what was weighed, and one of its table; each is whole if it is there.
    """

    folder: Path

    @classmethod
    def open(cls, state: Path, fingerprint: str, *, anew: bool = False) -> Self:
        """`anew`: what an earlier run left of these decisions is removed too."""
        folder = state / FOLDER / fingerprint[:32]
        for other in (state / FOLDER).glob("*"):
            if anew or other != folder:
                shutil.rmtree(other, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder)

    def remove(self) -> None:
        shutil.rmtree(self.folder.parent, ignore_errors=True)

    def table(self, number: int) -> Path:
        return self.folder / f"table-{number:05d}.parquet"

    def keep_table(self, number: int, table: pl.DataFrame) -> None:
        aside = self.table(number).with_suffix(".part")
        table.write_parquet(aside)
        aside.replace(self.table(number))

    def keep_weighed(self, number: int, engine: Engine, batch: Batch, *, joint: bool) -> None:
        """With `joint` also what a plan for all needs of each member."""
        condensed = strata_of(engine, batch)
        arrays = {**strata_arrays(condensed.strata), "code": condensed.code}
        if joint:
            of_each = batch.candidates
            arrays |= {"draw": batch.weighed.draw, **{f"each_{name}": getattr(of_each, name) for name in CANDIDATES}}
        aside = self.weighed(number).with_suffix(".part")
        with aside.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        aside.replace(self.weighed(number))

    def weighed(self, number: int) -> Path:
        return self.folder / f"weighed-{number:05d}.npz"

    def condensed(self, number: int) -> Condensed:
        with np.load(self.weighed(number), allow_pickle=False) as held:
            return Condensed(strata_of_arrays(held), held["code"])

    def candidates(self, number: int) -> Candidates:
        with np.load(self.weighed(number), allow_pickle=False) as held:
            return Candidates(*(held[f"each_{name}"] for name in CANDIDATES))

    def draw(self, number: int) -> Floats:
        with np.load(self.weighed(number), allow_pickle=False) as held:
            draw: Floats = held["draw"]
        return draw


def write_parquet(tables: Iterable[Path], output: Path) -> None:
    """One file: the same rows give the same bytes, wherever the tables are cut. These are read one after another."""
    aside, writer = output.with_name(f".{output.name}.part"), None
    try:
        for group in _row_groups(tables):
            rows = group.to_arrow(compat_level=pl.CompatLevel.oldest())
            writer = pq.ParquetWriter(aside, rows.schema, compression="zstd") if writer is None else writer
            writer.write_table(rows)
    finally:
        if writer is not None:
            writer.close()
    aside.replace(output)


def _row_groups(tables: Iterable[Path]) -> Iterator[pl.DataFrame]:
    """The rows of all tables, ROW_GROUP by ROW_GROUP, and at last those that are left, or none where there are none at all."""
    left, given = pl.DataFrame(), False
    for table in tables:
        rows = pl.read_parquet(table)
        left = pl.concat([left, rows], rechunk=True) if left.width else rows
        for begin in range(0, left.height - ROW_GROUP + 1, ROW_GROUP):
            yield left.slice(begin, ROW_GROUP).rechunk()
            given = True
        left = left.tail(left.height % ROW_GROUP)
    if not given or not left.is_empty():
        yield left.rechunk()


def write_csv(tables: Iterable[Path], output: Path) -> None:
    """As `write_parquet`."""
    aside = output.with_name(f".{output.name}.part")
    with aside.open("wb") as file:
        for number, table in enumerate(tables):
            pl.read_parquet(table).write_csv(file, include_header=number == 0)
    aside.replace(output)
