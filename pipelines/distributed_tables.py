"""The declared tables as Spark reads them, wherever they lie: columns, kinds, and of each row where it stands."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import polars as pl

from models.errors import InputError
from models.reading import located
from models.table_files import GZIP_MAGIC, PARQUET_MAGIC, check_text, damaged_gzip
from models.tables import Table, header_of, open_table
from pipelines.distributed_screen import BLOCK, FILE, ROW, STRANGE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pyspark.sql import DataFrame, SparkSession

HEAD_BYTES = 1 << 20
WANTED = "CSV, Parquet, or a folder of Parquet whose files have the same columns"
CSV_ENDINGS = (".csv", ".csv.gz", ".tsv", ".txt")
NESTED = ("array", "map", "struct")


@dataclass(frozen=True)
class SparkTable:
    """`rows`: all columns. `table`: what the rules of declarations ask for their columns; it holds no rows. `strange`: CSV."""

    rows: DataFrame
    table: Table
    separator: str = ","
    strange: bool = False

    def cells(self, columns: Sequence[str]) -> DataFrame:
        """The columns, and where each row stands. Raises InputError for lists and records."""
        from pyspark.sql import functions as F  # noqa: N812 - as everybody calls it

        for name, kind in self.rows.dtypes:
            if name in columns and kind.startswith(NESTED):
                raise InputError(f'column "{name}" holds lists or records; name a column of plain values')
        told = [F.col(f"`{name}`") for name in dict.fromkeys(columns)]
        beside = [F.col(STRANGE)] if self.strange else []
        stands = [
            F.regexp_replace("_metadata.file_path", "^file:/+", "file:///").alias(FILE),
            F.col("_metadata.file_block_start").alias(BLOCK),
            F.monotonically_increasing_id().alias(ROW),
        ]
        return self.rows.select(*told, *beside, *stands)

    def kind(self, column: str) -> str:
        return dict(self.rows.dtypes)[column]

    @property
    def files(self) -> dict[str, int]:
        """Numbered in the order in which one machine reads them."""
        found = sorted(self.rows.inputFiles(), key=lambda file: unquote(file).split("/"))
        return {file: number for number, file in enumerate(found)}


def open_on_spark(session: SparkSession, root: Path, path: str) -> SparkTable:
    """A declared path, or the address of a place that Spark reads, such as hdfs:// or s3a://. Raises InputError."""
    from pyspark.core.context import Py4JError  # type: ignore[attr-defined]  # it is py4j's, which comes with pyspark
    from pyspark.errors import PySparkException

    remote = "://" in path
    place = path if remote else located(root, path).as_uri()
    try:
        if _is_csv(root, path, remote=remote):
            return _csv(session, place, path, _head(session, root, path, remote=remote))
    except FileNotFoundError:
        raise InputError(f"{located(root, path)} does not exist") from None
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise damaged_gzip(located(root, path)) from None
    except (PySparkException, Py4JError):
        raise _unread(path) from None
    if not remote:
        open_table(located(root, path))
    try:
        return _parquet(session, place, path)
    except (PySparkException, Py4JError):
        raise _unread(path) from None


def _unread(path: str) -> InputError:
    return InputError(f"{path} cannot be read by Spark; see that it is there, that Spark may read it, and that it is {WANTED}")


def _is_csv(root: Path, path: str, *, remote: bool) -> bool:
    """By what a file of this machine holds, elsewhere by its name."""
    if remote:
        return path.lower().endswith(CSV_ENDINGS)
    file = located(root, path)
    if file.is_dir():
        return False
    with file.open("rb") as content:
        return content.read(len(PARQUET_MAGIC)) != PARQUET_MAGIC


def _head(session: SparkSession, root: Path, path: str, *, remote: bool) -> bytes:
    """The beginning of the text."""
    if remote:
        first = session.read.text(path).first()
        return ("" if first is None else str(first[0])).encode()
    file = located(root, path)
    with file.open("rb") as packed:
        magic = packed.read(len(GZIP_MAGIC))
    with gzip.open(file) if magic == GZIP_MAGIC else file.open("rb") as content:
        return content.read(HEAD_BYTES)


def _csv(session: SparkSession, place: str, path: str, head: bytes) -> SparkTable:
    """Text columns. Where quotation marks stand, a row may go over several lines, and each file is read by one task."""
    from pyspark.sql.types import StringType, StructField, StructType

    text = head.removeprefix(b"\xef\xbb\xbf")
    if not text.strip():
        raise InputError(f"{path} is empty; it needs a header and at least one row")
    check_text(text, Path(path))
    header = header_of(text, Path(path))
    columns = StructType([StructField(name, StringType()) for name in (*header.columns, STRANGE)])
    options = {
        "sep": header.separator,
        "header": "true",
        "quote": '"',
        "escape": '"',
        "multiLine": str(b'"' in head).lower(),
        "mode": "PERMISSIVE",
        "columnNameOfCorruptRecord": STRANGE,
    }
    rows = session.read.schema(columns).options(**options).csv(place)
    return SparkTable(rows, Table(Path(path), header.columns, pl.LazyFrame(), 1), header.separator, strange=True)


def _parquet(session: SparkSession, place: str, path: str) -> SparkTable:
    rows = session.read.options(mergeSchema="true", recursiveFileLookup="true").parquet(place)
    return SparkTable(rows, Table(Path(path), tuple(rows.columns), pl.LazyFrame(), 1))
