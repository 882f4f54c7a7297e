"""Validates the declared log once, and keeps the canonical log for every later command."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import polars as pl

from models.declaration import NO_LINES, load_declaration
from models.events import EVENTS_FILE, MEMBERS_FILE, TOUCHES_FILE
from models.findings import Finding
from models.kept_log import KeptLog, keep_rest
from models.reading import located
from models.shelves import Binder, Box, Shelves
from pipelines.archive import delivered_events, delivery_names
from pipelines.intake_record import Ingested, IntakeRecord
from pipelines.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from models.canonical import Intake
    from models.community import Community
    from models.declaration import Key
    from models.scattering import Advance
    from models.training import Progress
    from pipelines.workspace import Workspace

INTAKE_VERSION = 7
ASIDE, PIECES = "log-", "pieces"


def canonical_log(workspace: Workspace, community: Community, *, now: datetime) -> KeptLog:
    """Raises InputError for a log that cannot be used."""
    return ingest(workspace, community, now=now).log


def ingest(workspace: Workspace, community: Community, *, now: datetime, progress: Progress = lambda _: None) -> Ingested:
    """From the cache while neither the tables nor the declaration changed; else reads them and writes rejected rows beside them.

    Where nothing but deliveries came since, they are put to what was kept, and the declared log is not read again.

    Raises InputError.
    """
    fingerprint, delivered = _fingerprint(workspace, community), delivery_names(workspace)
    record = IntakeRecord.read(workspace.log, fingerprint)
    if record is not None and record.serves(now) and _whole(workspace.log, record):
        if record.delivered == delivered:
            return record.ingested(workspace.log)
        if record.goes_on(delivered):
            return _continued(workspace, community, record, delivered, now, Pace(progress))
    return _read_anew(workspace, community, fingerprint, delivered, now, Pace(progress))


def log_fingerprint(folder: Path) -> str:
    """Of the canonical log's files."""
    digest = hashlib.sha256()
    for file in (*sorted((folder / EVENTS_FILE).glob("*.parquet")), folder / MEMBERS_FILE, folder / TOUCHES_FILE):
        if file.exists():
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
    return digest.hexdigest()


def _read_anew(
    workspace: Workspace, community: Community, fingerprint: str, delivered: tuple[str, ...], now: datetime, pace: Pace
) -> Ingested:
    def told(intake: Intake) -> IntakeRecord:
        written = tuple(_write_rejected(workspace, _rejected_of_log(community, intake) | _rejected_beside(community, intake)))
        findings = (*intake.findings, *_displaced_files(workspace, written))
        return IntakeRecord.of(fingerprint, now, intake, intake.rejected.height, findings, written, delivered)

    from models.intake import read_log

    added = delivered_events(workspace)
    return _kept(
        workspace, lambda shelves: read_log(community, workspace.root, now=now, added=added, **_how(workspace, shelves, pace)), told
    )


def _continued(
    workspace: Workspace, community: Community, before: IntakeRecord, delivered: tuple[str, ...], now: datetime, pace: Pace
) -> Ingested:
    def told(intake: Intake) -> IntakeRecord:
        written = tuple(_write_rejected(workspace, _rejected_beside(community, intake)))
        of_log = rejected_path(located(workspace.root, community.log.path)).name
        files = (*(file for file in before.rejected_files if file.name == of_log and before.rejected), *written)
        events = tuple(finding for finding in before.findings if finding.step == "events")
        findings = (*events, *intake.findings, *_displaced_files(workspace, files))
        return IntakeRecord.of(before.fingerprint, before.read_at, intake, before.rejected, findings, files, delivered)

    from models.intake import continue_log

    kept, added = before.log(workspace.log), delivered_events(workspace, delivered[len(before.delivered) :])
    return _kept(
        workspace, lambda shelves: continue_log(community, workspace.root, kept, added, now=now, **_how(workspace, shelves, pace)), told
    )


class _How(TypedDict):
    lines: Mapping[Key, int]
    shelves: Shelves
    advance: Advance


def _how(workspace: Workspace, shelves: Shelves, pace: Pace) -> _How:
    lines = load_declaration(workspace.declaration).lines if workspace.declaration.is_file() else NO_LINES
    return {"lines": lines, "shelves": shelves, "advance": pace}


def _kept(workspace: Workspace, read: Callable[[Shelves], Intake], told: Callable[[Intake], IntakeRecord]) -> Ingested:
    """Written aside and moved into place, so that a stopped run leaves no half log; what an earlier one left aside is removed."""
    for left in workspace.state.glob(f"{ASIDE}*"):
        shutil.rmtree(left, ignore_errors=True)
    aside = Path(tempfile.mkdtemp(prefix=ASIDE, dir=workspace.state))
    pieces, parts = aside / PIECES, aside / EVENTS_FILE
    pieces.mkdir()
    parts.mkdir()
    try:
        intake = read(Shelves(Box(pieces), Binder(parts)))
        keep_rest(aside, intake)
        record = told(intake)
        record.write(aside)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    shutil.rmtree(pieces)
    shutil.rmtree(workspace.log, ignore_errors=True)
    aside.rename(workspace.log)
    return record.ingested(workspace.log)


def _whole(folder: Path, record: IntakeRecord) -> bool:
    """Can all files of the kept log be read? Where not, the tables can be read again."""
    log = record.log(folder)
    try:
        there = log.scan().select(pl.len()).collect().item() == log.events
        return there and log.members.height == log.ends[-1] and log.first_events.height <= log.ends[-1]
    except (OSError, pl.exceptions.PolarsError):
        return False


def _displaced_files(workspace: Workspace, written: tuple[Path, ...]) -> tuple[Finding, ...]:
    return tuple(_displaced(path) for path in written if path.parent == workspace.state)


def _displaced(path: Path) -> Finding:
    return Finding("advice", None, None, "displaced", {"path": str(path)}, "files")


def _fingerprint(workspace: Workspace, community: Community) -> str:
    digest = hashlib.sha256(f"{INTAKE_VERSION} {community.model_dump_json(exclude={'schedule', 'monitor'})}".encode())
    for source in (community.log, community.members, community.touches):
        if source is not None:
            for file in _files(located(workspace.root, source.path)):
                digest.update(f"{file} {file.stat().st_size} {file.stat().st_mtime_ns}".encode())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    """Of a folder all files; a path that is not there has none, and reading it says so."""
    if path.is_dir():
        return [file for file in sorted(path.rglob("*")) if file.is_file()]
    return [path] if path.exists() else []


def _rejected_of_log(community: Community, intake: Intake) -> dict[str, pl.DataFrame]:
    return {community.log.path: intake.rejected}


def _rejected_beside(community: Community, intake: Intake) -> dict[str, pl.DataFrame]:
    sources = ((community.members, intake.rejected_members), (community.touches, intake.rejected_touches))
    return {source.path: rejected for source, rejected in sources if source is not None}


def _write_rejected(workspace: Workspace, tables: Mapping[str, pl.DataFrame]) -> Iterator[Path]:
    """The rows that were rejected, by the path of their table."""
    for path, rejected in tables.items():
        beside = rejected_path(located(workspace.root, path))
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
