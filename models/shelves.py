"""Where tables lie while they are worked on: in memory, or in a folder where they are more than memory should hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

import polars as pl


class Shelf(Protocol):
    """Tables by name."""

    def put(self, name: str, table: pl.DataFrame) -> None: ...

    def get(self, name: str) -> pl.DataFrame: ...


@dataclass(frozen=True)
class Desk:
    """In memory."""

    tables: dict[str, pl.DataFrame] = field(default_factory=dict)

    def put(self, name: str, table: pl.DataFrame) -> None:
        self.tables[name] = table

    def get(self, name: str) -> pl.DataFrame:
        return self.tables[name]


@dataclass(frozen=True)
class Box:
    """Files that are quickly written, in a folder that is there and that whoever gave it removes."""

    folder: Path

    def put(self, name: str, table: pl.DataFrame) -> None:
        table.write_ipc(self.folder / f"{name}.arrow", compression="lz4")

    def get(self, name: str) -> pl.DataFrame:
        return pl.read_ipc(self.folder / f"{name}.arrow")


@dataclass(frozen=True)
class Binder:
    """Files that are kept, one for each table: a folder of Parquet, which is there."""

    folder: Path

    def put(self, name: str, table: pl.DataFrame) -> None:
        table.write_parquet(self.folder / f"{name}.parquet", row_group_size=1 << 20)

    def get(self, name: str) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"{name}.parquet")


class Shelves(NamedTuple):
    """`pieces` while events are brought into their order, `parts` when they are."""

    pieces: Shelf
    parts: Shelf
