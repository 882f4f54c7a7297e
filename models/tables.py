"""Tables as people export them: CSV of any common dialect, packed or not, Parquet, or a folder of Parquet."""

from __future__ import annotations

import codecs
import csv
import io
from array import array
from dataclasses import dataclass, field
from itertools import accumulate, chain
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.errors import InputError
from models.table_files import PARQUET_MAGIC, UNREADABLE, check_text, header_hint, not_utf8, parquet_fault, unpacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SEPARATORS = ",;\t|"
ROW = "__row"
PARQUET_FIRST_LINE = 1
BEYOND = "\x1e"
CHUNK_ROWS = 4_000_000
LONG_FIELD = f"a field has more than {csv.field_size_limit():,} characters; a quotation mark may open before it and never be closed"
NO_ROWS = "holds lines that are no rows of CSV; look at its quotation marks, or save it as CSV again"
WHOLE = r"^(-?\d+)\.0$"
MISSING = ("", "NULL", "null", "\\N", "NaN", "nan", "None", "N/A")


@dataclass(frozen=True)
class Table:
    """One table, not yet read.

    rows: lazily, all text where it was CSV. lines: the physical line at which each row begins, None where row 0 begins at
    `first_line` and each row is one line (Parquet counts rows from 1). misfits: the rows with more fields than the header, whole,
    what was over in one column more; misfit_lines: their lines. files: of Parquet, each by itself, and where they lie in `places`.
    """

    path: Path
    columns: tuple[str, ...]
    rows: pl.LazyFrame
    first_line: int
    lines: np.ndarray | None = None
    misfits: pl.DataFrame = field(default_factory=pl.DataFrame)
    misfit_lines: tuple[int, ...] = ()
    semicolons: bool = False
    files: tuple[pl.LazyFrame, ...] = ()
    places: tuple[Path, ...] = ()

    def read(self, columns: Sequence[str]) -> pl.DataFrame:
        """Some columns of all rows, in the order of the file; raises InputError for a damaged file."""
        return self.collected(self.rows.select(columns))

    def collected(self, rows: pl.LazyFrame) -> pl.DataFrame:
        """Of this table; raises InputError for a damaged file."""
        try:
            return rows.collect()
        except UNREADABLE:
            raise self._fault() from None

    def _fault(self) -> InputError:
        return parquet_fault(self.path, self.places) if self.places else InputError(f"{self.path} {NO_ROWS}")

    def chunks(self, columns: Sequence[str]) -> Chunks:
        """The same in pieces; a table that lies in memory as text is one piece."""
        if self.files:
            heights = self.collected(pl.concat([file.select(pl.len()) for file in self.files])).to_series()
            ends = tuple(accumulate(heights.to_list()))
            if ends[-1] > CHUNK_ROWS:
                return Chunks(self, tuple(columns), tuple(range(0, ends[-1], CHUNK_ROWS)), ends)
        return Chunks(self, tuple(columns), (0,), alone=self.read(columns))

    def whole(self, rows: pl.Series) -> pl.DataFrame:
        """All columns of the rows at the given rising positions."""
        if rows.is_empty():
            return self.collected(self.rows.limit(0))
        numbered = self.rows.with_row_index(ROW)
        return self.collected(numbered.filter(pl.col(ROW).is_in(rows.cast(pl.get_index_type()).implode())).drop(ROW))

    def line(self, row: int) -> int:
        return self.first_line + row if self.lines is None else int(self.lines[row])

    def lines_of(self, rows: pl.Series) -> pl.Series:
        found = rows.to_numpy().astype(np.int64) + self.first_line if self.lines is None else self.lines[rows.to_numpy()]
        return pl.Series("line", found, dtype=pl.Int64)


@dataclass(frozen=True)
class Chunks:
    """Some columns of a table, from each of `begins` to the next: read anew whenever they are asked for, unless one holds them all.

    ends: how many rows there are up to the end of each file; a chunk opens no file but those that hold rows of it.
    """

    table: Table
    columns: tuple[str, ...]
    begins: tuple[int, ...]
    ends: tuple[int, ...] = ()
    alone: pl.DataFrame | None = None

    def __iter__(self) -> Iterator[pl.DataFrame]:
        if self.alone is not None:
            yield self.alone
            return
        none = pl.LazyFrame(schema=self.table.rows.collect_schema())
        for begin in self.begins:
            rows = pl.concat([none, *self._pieces(begin, begin + CHUNK_ROWS)], how="diagonal_relaxed")
            yield self.table.collected(rows.select(self.columns))

    def _pieces(self, begin: int, end: int) -> Iterator[pl.LazyFrame]:
        """A slice of all files together would read those before it too."""
        for file, first, last in zip(self.table.files, (0, *self.ends), self.ends, strict=False):
            if first < end and last > begin:
                yield file.slice(max(begin - first, 0), min(end, last) - max(begin, first))


def open_table(path: Path) -> Table:
    """Decided by what the file holds, not by its name; raises InputError."""
    try:
        if path.is_dir():
            return _parquet(path, _parquet_files(path))
        with path.open("rb") as file:
            magic = file.read(4)
        return _parquet(path, [path]) if magic == PARQUET_MAGIC else _csv(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist") from None
    except OSError as fault:
        raise InputError(f"{path} cannot be read: {fault.strerror or fault}") from None


def _parquet_files(folder: Path) -> list[Path]:
    files = [file for file in sorted(folder.rglob("*.parquet")) if not file.name.startswith((".", "_"))]
    if not files:
        raise InputError(f"{folder} holds no .parquet file; give a folder of Parquet, a Parquet file or a CSV file")
    return files


def _parquet(path: Path, files: Sequence[Path]) -> Table:
    try:
        scans = [pl.scan_parquet(file, glob=False) for file in files]
        rows = pl.concat(scans, how="diagonal_relaxed")
        columns = tuple(rows.collect_schema().names())
    except UNREADABLE:
        raise parquet_fault(path, files) from None
    return Table(path, columns, rows, PARQUET_FIRST_LINE, files=tuple(scans), places=tuple(files))


def _csv(path: Path) -> Table:
    content = _unpacked(path).rstrip(b"\r\n")
    if not content.strip():
        raise InputError(f"{path} is empty; it needs a header and at least one row")
    header = header_of(content, path)
    rows = _scan(content, header.separator, header.columns)
    if _in_step(content, header, rows):
        return Table(path, header.columns, rows, 2, semicolons=header.separator == ";")
    return _row_by_row(content, header, path) if b'"' in content else _line_by_line(content, header, path)


@dataclass(frozen=True)
class Header:
    separator: str
    columns: tuple[str, ...]
    physical_lines: int


def _unpacked(path: Path) -> bytes:
    """The text of the file as UTF-8 without byte-order mark, packed or not whatever its name says."""
    content = unpacked(path)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        content = _from_utf16(content, path)
    content = content.removeprefix(codecs.BOM_UTF8)
    check_text(content, path)
    _check_utf8(content, path)
    return content if b"\n" in content else content.replace(b"\r", b"\n")


def _from_utf16(content: bytes, path: Path) -> bytes:
    try:
        return content.decode("utf-16").encode()
    except UnicodeError:
        raise InputError(f"{path} begins as UTF-16 and breaks off or is damaged; save it as UTF-8, or fetch it again") from None


def _check_utf8(content: bytes, path: Path) -> None:
    decoder = codecs.getincrementaldecoder("utf-8")()
    view, step = memoryview(content), 1 << 24
    try:
        for start in range(0, len(view), step):
            decoder.decode(view[start : start + step], final=start + step >= len(view))
    except UnicodeDecodeError:
        raise not_utf8(path, content) from None


def header_of(content: bytes, path: Path) -> Header:
    """Of the beginning of a table, or of all of it; raises InputError."""
    head = content[: 1 << 20].decode(errors="ignore")
    try:
        counts = {separator: len(next(csv.reader(io.StringIO(head, newline=""), delimiter=separator))) for separator in SEPARATORS}
    except csv.Error:
        raise InputError(f"{path} line 1: {LONG_FIELD}") from None
    separator = max(counts, key=lambda candidate: counts[candidate])
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=separator)
    columns = tuple(" ".join(name.split()) for name in next(reader))
    if not any(columns):
        raise InputError(f"{path}: the first line is blank; it must hold the names of the columns")
    repeated = sorted({name for name in columns if columns.count(name) > 1})
    if repeated:
        raise InputError(
            f'{path}: the header names column "{repeated[0]}" more than once; give each column its own name{header_hint(columns)}'
        )
    return Header(separator, columns, reader.line_num)


def _scan(content: bytes, separator: str, columns: tuple[str, ...]) -> pl.LazyFrame:
    return pl.scan_csv(content, separator=separator, infer_schema=False, with_column_names=lambda _: list(columns))


def _in_step(content: bytes, header: Header, rows: pl.LazyFrame) -> bool:
    """Is every row one line of as many fields as the header, or fewer? Polars notices a field too many only when it reads all columns."""
    if header.physical_lines > 1 or b"\n\n" in content or b"\n\r\n" in content:
        return False
    try:
        found = rows.select(pl.len().alias(ROW), pl.all().null_count()).collect(engine="streaming")
    except pl.exceptions.PolarsError:
        return False
    return bool(found[ROW][0] == content.count(b"\n"))


def _line_by_line(content: bytes, header: Header, path: Path) -> Table:
    """Without quotation marks a line is a row: blank ones are none, and separators tell which have too many fields."""
    width = len(header.columns)
    text = pl.Series("text", content.decode().split("\n")[1:]).str.strip_chars_end("\r")
    fields = text.str.count_matches(header.separator, literal=True) + 1
    fits, filled = fields <= width, text.str.len_bytes() > 0
    names = (*header.columns, free_name("surplus", header.columns))
    over = text.filter(~fits).str.splitn(header.separator, width + 1).struct.rename_fields(list(names)).struct.unnest()
    kept = "\n".join([content.split(b"\n", 1)[0].decode(), *text.filter(fits & filled)]).encode()
    number = np.arange(2, len(text) + 2)
    lines = number[(fits & filled).to_numpy()]
    rows = _scan(kept, header.separator, header.columns)
    return Table(path, header.columns, rows, 2, lines, over, tuple(number[~fits.to_numpy()].tolist()), header.separator == ";")


def _row_by_row(content: bytes, header: Header, path: Path) -> Table:
    """Slower but exact: quoted line ends, blank lines and rows with too many fields, each with its line."""
    width, separator = len(header.columns), header.separator
    fitting, lines = io.BytesIO(), array("q")
    misfits: list[tuple[str, ...]] = []
    misfit_lines: list[int] = []
    text = io.TextIOWrapper(fitting, encoding="utf-8", newline="")
    writer = csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(header.columns)
    for line, fields in _records(content, separator, path):
        if len(fields) > width:
            misfits.append((*fields[:width], separator.join(fields[width:])))
            misfit_lines.append(line)
        elif fields:
            writer.writerow(fields + [""] * (width - len(fields)))
            lines.append(line)
    odd = pl.DataFrame(misfits, dict.fromkeys((*header.columns, free_name("surplus", header.columns)), pl.String), orient="row")
    text.flush()
    rows = _scan(fitting.getvalue(), ",", header.columns)
    return Table(path, header.columns, rows, 2, np.array(lines), odd, tuple(misfit_lines), separator == ";")


def _records(content: bytes, separator: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The fields of each record below the header, with the line at which it begins.

    One line more follows the text: it is a record of its own unless a quotation mark is still open.
    """
    lines = chain(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline=""), [BEYOND])
    reader = csv.reader(lines, delimiter=separator)
    next(reader)
    start, begins, record = reader.line_num + 1, 0, None
    try:
        for fields in reader:
            if record is not None:
                yield begins, record
            begins, start, record = start, reader.line_num + 1, fields
    except csv.Error:
        raise InputError(f"{path} line {start}: {LONG_FIELD}") from None
    if record != [BEYOND]:
        raise InputError(f"{path} line {begins}: a quotation mark opens here and is never closed")


def free_name(name: str, taken: Sequence[str]) -> str:
    """The name, with as many underscores after it as it takes to be new."""
    while name in taken:
        name += "_"
    return name


def id_texts(column: pl.Series) -> pl.Series:
    """As `cell_texts`, of ids of members: without blanks around them, and without the `.0` of programs that made numbers of them."""
    text = cell_texts(column).str.strip_chars()
    return text.str.replace(WHOLE, "$1") if text.str.ends_with(".0").any() else text


def cell_texts(column: pl.Series) -> pl.Series:
    """Text of any column, null where a word for "nothing" stands; numbers without a fraction lose their `.0`.

    Raises InputError for a column of lists or records.
    """
    if column.dtype.is_nested():
        raise InputError(f'column "{column.name}" holds lists or records; name a column of plain values')
    if column.dtype.is_float():
        whole = column.is_finite() & (column == column.floor())
        column = pl.select(
            pl.when(whole).then(column.cast(pl.Int64, strict=False).cast(pl.String)).otherwise(column.cast(pl.String))
        ).to_series()
    text = column.cast(pl.String, strict=False)
    blank = text.str.strip_chars().is_in(MISSING)
    return text.set(blank.fill_null(value=False), None) if blank.any() else text
