"""What a file is by its bytes, and what is wrong with one that cannot be read as a table."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from typing import TYPE_CHECKING, NamedTuple

import polars as pl
from polars.exceptions import PanicException, PolarsError

from models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

UNREADABLE = (PolarsError, PanicException, OSError)
"""What polars raises on a damaged file; it panics on some."""
GZIP_MAGIC, PARQUET_MAGIC = b"\x1f\x8b", b"PAR1"
JSON_BEGINS = re.compile(rb'\s*(\{\s*"|\[\s*[\[{])')
ISOLATED = re.compile(rb"(?<![\x80-\xff])[\x80-\xff](?![\x80-\xff])")
BEYOND_ASCII = re.compile(rb"[\x80-\xff]")
UNREAD, MOSTLY = "\ufffd", 5
NO_NAME = re.compile(r"[-+]?\d[-\d.,:/ TZ+]*")
SMALLEST_PARQUET = 12
FREELY_UNPACKED = 1 << 26
MOST_TIMES = 250
"""A packed log is about a tenth of what it holds; deflate can claim a thousand times."""
LOOKED_AT, STEP = 1 << 12, 1 << 24


class Other(NamedTuple):
    """A kind of file that is no table, by how it begins."""

    begins: bytes
    what: str
    todo: str


_AS_CSV, _UNPACK = "save the sheet with the rows as CSV", "unpack it, or pack it with gzip"
OTHERS = (
    Other(b"PK\x03\x04", "a zip or a workbook", f"unpack it, or {_AS_CSV}"),
    Other(b"PK\x05\x06", "an empty zip", "pack it again with the table in it, and unpack that"),
    Other(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old workbook or one with a password", f"open it and {_AS_CSV}"),
    Other(b"PARE", "Parquet whose columns are encrypted", "write it without encryption"),
    Other(b"BZh", "packed with bzip2", _UNPACK),
    Other(b"\xfd7zXZ\x00", "packed with xz", _UNPACK),
    Other(b"\x28\xb5\x2f\xfd", "packed with zstd", _UNPACK),
    Other(b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    Other(b"Rar!\x1a\x07", "a rar archive", _UNPACK),
    Other(b"ORC", "an ORC file", "write it as Parquet or CSV"),
    Other(b"Obj\x01", "an Avro file", "write it as Parquet or CSV"),
    Other(b"ARROW1", "an Arrow file", "write it as Parquet or CSV"),
    Other(b"SQLite format 3\x00", "an SQLite database", "export the table as CSV"),
    Other(b"<?xml", "XML", "convert it to CSV or Parquet, with a row for each record and a column for each attribute"),
    Other(b"%PDF", "a PDF", "export the table behind it as CSV"),
    Other(b"<!DOCTYPE", "a web page", "fetch the table itself: where a login or an error page came instead, look at the address"),
    Other(b"<html", "a web page", "fetch the table itself: where a login or an error page came instead, look at the address"),
)
_JSON = "holds JSON; convert it to CSV or Parquet, with a row for each record and a column for each field"


def unpacked(path: Path) -> bytes:
    """What a file of text holds, packed or not whatever its name says; raises InputError for damaged gzip, OSError."""
    with path.open("rb") as file:
        magic = file.read(len(GZIP_MAGIC))
    if magic != GZIP_MAGIC:
        return path.read_bytes()
    try:
        return _unpacked_gzip(path)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        raise damaged_gzip(path) from None


def damaged_gzip(path: Path) -> InputError:
    return InputError(f"{path} is damaged gzip: it breaks off, or holds other bytes than were packed; pack or fetch it again")


def _unpacked_gzip(path: Path) -> bytes:
    """Raises InputError where it claims far more than a table packs to, long before that fills the memory."""
    size, told = path.stat().st_size, io.BytesIO()
    with gzip.open(path) as packed:
        while piece := packed.read(STEP):
            told.write(piece)
            if told.tell() > max(FREELY_UNPACKED, MOST_TIMES * size):
                raise InputError(
                    f"{path} unpacks to more than {MOST_TIMES} times its {size:,} bytes, as no log does; pack or fetch it again"
                )
    return told.getvalue()


def check_text(content: bytes, path: Path) -> None:
    """Raises InputError for what is no text with rows, and says what it is; `content` is unpacked, of whatever encoding."""
    head = content[:LOOKED_AT]
    if head.startswith(PARQUET_MAGIC):
        raise InputError(f"{path} is packed Parquet; unpack it: Parquet is packed within")
    if head.startswith(GZIP_MAGIC):
        raise InputError(f"{path} is packed twice; unpack it once")
    for other in OTHERS:
        if head.startswith(other.begins):
            raise InputError(f"{path} is {other.what}; {other.todo}")
    if b"\x00" in head:
        raise InputError(f"{path} holds bytes that are no text; give CSV in UTF-8, or Parquet")
    if JSON_BEGINS.match(head):
        raise InputError(f"{path} {_JSON}")


def not_utf8(path: Path, content: bytes) -> InputError:
    """Names the likeliest encoding: letters of Western Europe stand alone among those of ASCII, Chinese ones have two bytes."""
    try:
        content.decode()
        start = 0
    except UnicodeDecodeError as fault:
        start = fault.start
    near = content[max(0, start - LOOKED_AT) : start + STEP]
    read = near.decode(errors="replace")
    unread = read.count(UNREAD)
    if sum(not character.isascii() for character in read) > MOSTLY * unread:
        line = content.count(b"\n", 0, start) + 1
        return InputError(f"{path} line {line}: bytes that are not UTF-8, as most of the file is; correct them, or fetch it again")
    encoding = "WINDOWS-1252" if 2 * len(ISOLATED.findall(near)) > len(BEYOND_ASCII.findall(near)) else "GB18030"
    advice = f"save it as UTF-8, or convert it: iconv -f {encoding} -t UTF-8 '{path.name}' > utf8.csv"
    return InputError(f"{path} is not UTF-8 but most likely {encoding}; {advice}")


def header_hint(columns: Sequence[str]) -> str:
    """What to do where the names of columns are none, as in a file without a header or with fields that nothing known separates."""
    nameless = any(NO_NAME.fullmatch(name) for name in columns)
    hint = "; its first line looks like a row: put one with the names of the columns above it" if nameless else ""
    return hint + ("; all of it is one column: separate fields by commas, semicolons, tabs or |" if len(columns) == 1 else "")


def parquet_fault(path: Path, files: Sequence[Path]) -> InputError:
    """Why `files`, the Parquet at `path`, cannot be read: the first that is damaged, or that they do not fit each other."""
    for file in files:
        if (why := _damage(file)) is not None:
            return InputError(f"{file} cannot be read as Parquet: {why}; write or fetch it again")
    other = _strange_column(files)
    if other is None:
        return InputError(f"{path} cannot be read as Parquet; write or fetch it again")
    return InputError(f'{path}: column "{other}" holds values of another kind in some files than in others; write all files alike')


def _damage(file: Path) -> str | None:
    """None where it can be read to its end."""
    with file.open("rb") as content:
        begin, size = content.read(len(PARQUET_MAGIC)), content.seek(0, io.SEEK_END)
        content.seek(max(size - len(PARQUET_MAGIC), 0))
        end = content.read()
    if not size:
        return "it is empty"
    if begin != PARQUET_MAGIC:
        return "it is of another kind, whatever its name says"
    if size < SMALLEST_PARQUET or end != PARQUET_MAGIC:
        return "it breaks off, for its end is missing"
    try:
        scan = pl.scan_parquet(file, glob=False)
        scan.collect_schema()
    except UNREADABLE:
        return "its end, which tells what it holds, is damaged"
    try:
        scan.select(pl.all().null_count()).collect(engine="streaming")
    except UNREADABLE:
        return "some of its rows are damaged"
    return None


def _strange_column(files: Sequence[Path]) -> str | None:
    schemas = [pl.scan_parquet(file, glob=False).collect_schema() for file in files]
    for name in dict.fromkeys(name for schema in schemas for name in schema):
        kinds = [schema[name] for schema in schemas if name in schema]
        if len({kind.is_nested() for kind in kinds}) > 1 or not _fit([pl.LazyFrame(schema={name: kind}) for kind in kinds]):
            return name
    return None


def _fit(columns: Sequence[pl.LazyFrame]) -> bool:
    try:
        pl.concat(columns, how="diagonal_relaxed").collect_schema()
    except PolarsError:
        return False
    return True
