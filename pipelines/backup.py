"""All that cannot be made again, in one file: the store as it stands at one moment, models, declaration, and events kept as files."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from models.champion_copy import NOTE_FILE, ChampionCopy
from models.errors import KeepwellError, NoChampion
from models.store import Store
from pipelines.backup_file import BackupWriter, Manifest, writing_backup
from pipelines.output import writing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from pipelines.workspace import Workspace

DECLARATION = "keepwell.yaml"
DELIVERIES, ARCHIVE, RUNS, CACHE = "deliveries", "archive", "runs", "model-cache"
ENDING = ".zip"
MLFLOW, ARTIFACTS = "mlflow/mlflow.db", "mlflow/artifacts"


@dataclass(frozen=True)
class BackedUp:
    """rows: by table of the store; `mlflow` is False where models lie in a remote MLflow, of which only the champion's files are taken."""

    file: Path
    bytes: int
    rows: dict[str, int]
    mlflow: bool
    champion: str | None


def backup(workspace: Workspace, output: Path, *, now: datetime) -> BackedUp:
    """While the service runs. Into a file of this name where it ends in .zip, else of the time's in the folder `output`.

    Raises InputError where it cannot be written, StoreUnavailable.
    """
    file = output / f"keepwell-{now:%Y%m%dT%H%M%SZ}.zip" if output.is_dir() or output.suffix != ENDING else output
    champion = _champion_copy(workspace)
    with closing(Store.open(workspace.store_url)) as store, writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        with writing_backup(file) as (writer, manifests), store.snapshot() as snapshot:
            rows = {table.name: writer.add_table(table) for table in snapshot.tables}
            artifacts = _add_files(workspace, writer, champion)
            manifests.append(Manifest(now.isoformat(timespec="seconds"), version("keepwell"), snapshot.revision, rows, artifacts))
        return BackedUp(file, file.stat().st_size, rows, artifacts is not None, None if champion is None else champion.version)


def _add_files(workspace: Workspace, writer: BackupWriter, champion: ChampionCopy | None) -> str | None:
    """After the store, from which events and traces move into the archive.

    Returns where MLflow's files lie, None where it is not among them.
    """
    writer.add(DECLARATION, workspace.declaration)
    for folder in (workspace.deliveries, workspace.archive):
        _add_below(writer, folder.name, sorted(folder.glob("*.parquet")), folder)
    _add_below(writer, RUNS, sorted(workspace.runs.glob("*/summary.json")), workspace.runs)
    if champion is not None:
        cache = workspace.model_cache
        _add_below(writer, CACHE, [cache / NOTE_FILE, *files_below(cache / champion.folder)], cache)
    return _add_mlflow(workspace, writer)


def _add_below(writer: BackupWriter, name: str, files: list[Path], folder: Path) -> None:
    for file in files:
        writer.add(f"{name}/{file.relative_to(folder).as_posix()}", file)


def files_below(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def _champion_copy(workspace: Workspace) -> ChampionCopy | None:
    """Of the registry's champion; of the one that was in force here last where the registry does not answer; None where there is none."""
    cache = workspace.model_cache
    with suppress(KeepwellError):
        _note_champion(workspace, cache)
    try:
        return ChampionCopy.noted(cache)
    except NoChampion:
        return None


def _note_champion(workspace: Workspace, cache: Path) -> None:
    from models.registry import CHAMPION, Registry

    if workspace.has_registry:
        registry = Registry(workspace.mlflow_uri)
        champion = registry.copy_of(registry.version_of(CHAMPION))
        registry.load(champion.version, cache)
        champion.note(cache)


def _add_mlflow(workspace: Workspace, writer: BackupWriter) -> str | None:
    database = workspace.mlflow_file
    if database is None or not database.is_file():
        return None
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / database.name
        with closing(sqlite3.connect(database)) as held, closing(sqlite3.connect(copy)) as target:
            held.backup(target)
            found = target.execute("SELECT artifact_location FROM experiments WHERE name = 'keepwell'").fetchone()
        writer.add(MLFLOW, copy)
    location = None if found is None else str(found[0])
    if location is not None and location.startswith("file:"):
        artifacts = Path(unquote(urlsplit(location).path))
        _add_below(writer, ARTIFACTS, list(files_below(artifacts)), artifacts)
    return location or ""
