"""A backup as one file: a zip of Parquet tables and plain files, with a manifest that names each by its SHA-256."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Self

import pyarrow.parquet as pq

from models.errors import InputError
from models.store_backup import TableRows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORMAT = 1
MANIFEST = "manifest.json"
TABLES = "store"
AT_ONCE = 1 << 20
OWN_ALONE = 0o600


@dataclass(frozen=True)
class Content:
    """Of one file in a backup."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Manifest:
    """`revision` of the store; `tables`: rows of each; `artifacts`: where MLflow's files lay, None where MLflow is not in the backup."""

    made_at: str
    keepwell: str
    revision: str
    tables: dict[str, int]
    artifacts: str | None = None
    files: dict[str, Content] = field(default_factory=dict)
    format: int = FORMAT

    @classmethod
    def read(cls, text: bytes) -> Self:
        """Raises ValueError, TypeError or LookupError for what is none, InputError for one of another format."""
        told = json.loads(text)
        if told["format"] != FORMAT:
            raise InputError(f"the backup is of format {told['format']}; this release reads format {FORMAT}")
        return cls(**told | {"files": {name: Content(**content) for name, content in told["files"].items()}})


class BackupWriter:
    """`add` and its kind write one file each; nothing is compressed twice."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self.files: dict[str, Content] = {}

    @contextmanager
    def file(self, name: str) -> Iterator[_Hashed]:
        with self._archive.open(name, "w", force_zip64=True) as entry:
            hashed = _Hashed(entry)
            yield hashed
        self.files[name] = Content(hashed.tell(), hashed.digest.hexdigest())

    def add(self, name: str, path: Path) -> None:
        with path.open("rb") as source, self.file(name) as target:
            while chunk := source.read(AT_ONCE):
                target.write(chunk)

    def add_table(self, table: TableRows) -> int:
        """The number of its rows."""
        rows = 0
        with self.file(table_file(table.name)) as target, pq.ParquetWriter(target, table.schema, compression="zstd") as writer:
            for batch in table.batches:
                writer.write_batch(batch)
                rows += batch.num_rows
        return rows


@contextmanager
def writing_backup(path: Path) -> Iterator[tuple[BackupWriter, list[Manifest]]]:
    """Made aside, readable by its owner alone, synced, and moved into place when the manifest that was put into the list is in it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    manifests: list[Manifest] = []
    aside.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWN_ALONE), "wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                writer = BackupWriter(archive)
                yield writer, manifests
                archive.writestr(MANIFEST, json.dumps(asdict(manifests[0]) | {"files": _plain(writer.files)}, indent=1))
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def unpack(path: Path, folder: Path) -> Manifest:
    """All files of a backup, each of them checked, below `folder`. Raises InputError for a file that is none, torn, or changed."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = Manifest.read(archive.read(MANIFEST))
            _check(manifest, archive)
            for name, content in manifest.files.items():
                _extract(archive, name, content, folder)
    except OSError as fault:
        raise InputError(f"{path} cannot be read ({fault.strerror or fault})") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError, TypeError, LookupError):
        raise _torn(path, "it is torn, locked, or another kind of file") from None
    return manifest


def tables_in(folder: Path, manifest: Manifest) -> Iterator[TableRows]:
    for name in manifest.tables:
        with pq.ParquetFile(folder / table_file(name)) as file:
            yield TableRows(name, file.schema_arrow, file.iter_batches())


def table_file(name: str) -> str:
    return f"{TABLES}/{name}.parquet"


def _check(manifest: Manifest, archive: zipfile.ZipFile) -> None:
    named = {MANIFEST, *manifest.files}
    if named != set(archive.namelist()) or not {table_file(name) for name in manifest.tables} <= named:
        raise _torn(archive.filename, "its manifest and its files do not agree")
    for name in manifest.files:
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts or "\\" in name:
            raise _torn(archive.filename, f'"{name}" lies outside of it')


def _extract(archive: zipfile.ZipFile, name: str, content: Content, folder: Path) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(name) as source, target.open("xb") as file:
        hashed = _Hashed(file)
        while chunk := source.read(AT_ONCE):
            hashed.write(chunk)
    if Content(hashed.tell(), hashed.digest.hexdigest()) != content:
        raise _torn(archive.filename, f"{name} is not what was put into it")


def _torn(path: Path | str | None, why: str) -> InputError:
    return InputError(f"{path} is no whole backup: {why}; take another, nothing was restored")


def _plain(files: dict[str, Content]) -> dict[str, object]:
    return {name: asdict(content) for name, content in files.items()}


class _Hashed(io.RawIOBase):
    """Passes on what is written, and counts and digests it."""

    def __init__(self, target: IO[bytes]) -> None:
        self._target = target
        self._written = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, chunk: object) -> int:
        data = bytes(memoryview(chunk))  # type: ignore[arg-type]  # whatever has a buffer
        self._target.write(data)
        self.digest.update(data)
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        return self._written
