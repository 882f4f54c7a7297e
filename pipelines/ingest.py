"""Validates the declared log once, and keeps the canonical log for every later command."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import polars as pl

from models.declaration import NO_LINES, load_declaration
from models.events import EVENTS_FILE, MEMBERS_FILE, TOUCHES_FILE, EventLog
from models.findings import Finding, finding_of
from models.reading import located
from pipelines.archive import delivered_events

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.community import Community
    from models.intake import Intake
    from pipelines.workspace import Workspace

INTAKE_VERSION = 4
RECORD_FILE = "intake.json"
FUTURE = ("rows.time_future", "rows.join_future")


@dataclass(frozen=True)
class Ingested:
    """log: the accepted rows; rejected: how many rows of the log were not; rejected_files: where the rejected rows of all tables are."""

    log: EventLog
    findings: tuple[Finding, ...]
    rejected: int
    rejected_files: tuple[Path, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.level == "error")


def canonical_log(workspace: Workspace, community: Community, *, now: datetime) -> EventLog:
    """Raises InputError for a log that cannot be used."""
    return ingest(workspace, community, now=now).log


def ingest(workspace: Workspace, community: Community, *, now: datetime) -> Ingested:
    """From the cache while neither the tables nor the declaration changed; else reads them and writes rejected rows beside them.

    Raises InputError.
    """
    fingerprint = _fingerprint(workspace, community)
    kept = _kept(workspace.log, fingerprint, now)
    if kept is not None:
        return kept
    from models.intake import read_log

    lines = load_declaration(workspace.declaration).lines if workspace.declaration.is_file() else NO_LINES
    intake = read_log(community, workspace.root, now=now, lines=lines, added=delivered_events(workspace))
    written = tuple(_write_rejected(workspace, community, intake))
    displaced = tuple(_displaced(path) for path in written if path.parent == workspace.state)
    record = _Record(fingerprint, now, intake.log.last, intake.rejected.height, (*intake.findings, *displaced), written)
    _keep(workspace.log, intake.log, record)
    return Ingested(intake.log, record.findings, record.rejected, record.rejected_files)


def log_fingerprint(folder: Path) -> str:
    """Of the canonical log's files."""
    digest = hashlib.sha256()
    for name in (EVENTS_FILE, MEMBERS_FILE, TOUCHES_FILE):
        file = folder / name
        if file.exists():
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _kept(folder: Path, fingerprint: str, now: datetime) -> Ingested | None:
    """None also where the kept files are damaged: the tables can be read again."""
    record = _Record.read(folder, fingerprint)
    if record is None or not record.serves(now):
        return None
    try:
        return Ingested(EventLog.read(folder), record.findings, record.rejected, record.rejected_files)
    except (OSError, pl.exceptions.PolarsError):
        return None


def _displaced(path: Path) -> Finding:
    return Finding("advice", None, None, "displaced", {"path": str(path)}, "files")


@dataclass(frozen=True)
class _Record:
    """What a kept log was read from, and what was found when it was."""

    fingerprint: str
    read_at: datetime
    last: datetime
    rejected: int
    findings: tuple[Finding, ...]
    rejected_files: tuple[Path, ...]

    def serves(self, now: datetime) -> bool:
        """A row rejected as future may have come to pass, so that such a record holds for its day; and no event may lie after `now`."""
        future = any(finding.code in FUTURE for finding in self.findings)
        return self.last <= now and not (future and self.read_at.date() != now.date())

    @classmethod
    def read(cls, folder: Path, fingerprint: str) -> Self | None:
        """None where nothing whole was kept, or it was read from other tables, by another declaration or by another version."""
        file = folder / RECORD_FILE
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if content.get("fingerprint") != fingerprint:
            return None
        return cls(
            content["fingerprint"],
            datetime.fromisoformat(content["read_at"]),
            datetime.fromisoformat(content["last"]),
            content["rejected"],
            tuple(finding_of(finding) for finding in content["findings"]),
            tuple(Path(path) for path in content["rejected_files"]),
        )

    def write(self, folder: Path) -> None:
        content = asdict(self) | {
            "read_at": self.read_at.isoformat(),
            "last": self.last.isoformat(),
            "rejected_files": [str(path) for path in self.rejected_files],
        }
        (folder / RECORD_FILE).write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def _keep(folder: Path, log: EventLog, record: _Record) -> None:
    """Written aside and moved into place, so that a stopped run leaves no half log."""
    aside = Path(tempfile.mkdtemp(prefix="log-", dir=folder.parent))
    log.write(aside)
    record.write(aside)
    shutil.rmtree(folder, ignore_errors=True)
    aside.rename(folder)


def _fingerprint(workspace: Workspace, community: Community) -> str:
    digest = hashlib.sha256(f"{INTAKE_VERSION} {community.model_dump_json(exclude={'schedule', 'monitor'})}".encode())
    for source in (community.log, community.members, community.touches):
        if source is not None:
            for file in _files(located(workspace.root, source.path)):
                digest.update(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}".encode())
    for file in _files(workspace.deliveries):
        digest.update(file.name.encode())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    """Of a folder all files; a path that is not there has none, and reading it says so."""
    if path.is_dir():
        return [file for file in sorted(path.rglob("*")) if file.is_file()]
    return [path] if path.exists() else []


def _write_rejected(workspace: Workspace, community: Community, intake: Intake) -> Iterator[Path]:
    sources = ((community.log, intake.rejected), (community.members, intake.rejected_members), (community.touches, intake.rejected_touches))
    for source, rejected in sources:
        if source is None:
            continue
        beside = rejected_path(located(workspace.root, source.path))
        if not rejected.is_empty():
            yield write_rejected(rejected, beside, workspace.state / beside.name)
        elif beside.is_file():
            beside.unlink()


def rejected_path(table: Path) -> Path:
    """`events.rejected.csv` for events.csv, events.csv.gz, events.parquet and a folder events."""
    stem = table.name
    for suffix in (".gz", ".csv", ".tsv", ".txt", ".parquet"):
        stem = stem.removesuffix(suffix)
    return table.parent / f"{stem}.rejected.csv"


def write_rejected(rejected: pl.DataFrame, beside: Path, instead: Path) -> Path:
    """Where they are then: `instead` where the folder of `beside` cannot be written."""
    flat = rejected.with_columns(_as_text(column) for column in rejected if column.dtype.is_nested())
    try:
        flat.write_csv(beside)
    except OSError:
        flat.write_csv(instead)
        return instead
    return beside


def _as_text(column: pl.Series) -> pl.Series:
    return pl.Series(column.name, [None if value is None else str(value) for value in column.to_list()], dtype=pl.String)
