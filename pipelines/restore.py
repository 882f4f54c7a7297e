"""A store, its models and its files made of a backup; nothing is changed before all of it was read and checked."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from models.champion_copy import ChampionCopy
from models.errors import InputError, ModelRefused, NoChampion, NotReplayable, RegistryUnavailable
from models.remaking import remade
from models.store import Store
from models.store_rows import DecisionQuery
from pipelines.backup import ARCHIVE, ARTIFACTS, CACHE, DECLARATION, DELIVERIES, MLFLOW, RUNS
from pipelines.backup_file import Manifest, tables_in, unpack
from pipelines.workspace import DECLARATION_NAME, Workspace

if TYPE_CHECKING:
    from models.engine import Engine
    from models.store_backup import Filled

SAMPLE, LOOKED_AT = 20, 2_000
SCRATCH = "restore-"
KEPT_DECLARATION = "keepwell.restored.yaml"
FOLDERS = (DELIVERIES, ARCHIVE, RUNS, CACHE)
LOCATIONS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
    ("logged_models", "artifact_location"),
)
"""Columns of MLflow's database that tell where files lie."""


@dataclass(frozen=True)
class Checked:
    """Of a sample of the restored decisions: made again with the same result, otherwise, and without what is needed for it."""

    same: int
    changed: tuple[str, ...]
    not_replayable: int


@dataclass(frozen=True)
class Restored:
    """`declaration`: whether that of the backup is in place; `champion` is the version in force, None where there is none."""

    manifest: Manifest
    filled: Filled
    declaration: bool
    champion: str | None
    checked: Checked


def place(config: Path | None) -> Workspace:
    """The workspace, which need not have a declaration yet: then the backup brings one."""
    try:
        return Workspace.find(config)
    except InputError:
        declaration = Path.cwd() / DECLARATION_NAME if config is None else config.resolve()
        if not declaration.suffix:
            declaration /= DECLARATION_NAME
        declaration.parent.mkdir(parents=True, exist_ok=True)
        return Workspace(declaration.parent, declaration.name)


def restore(workspace: Workspace, file: Path, *, replace: bool) -> Restored:
    """The store is what it was before where this raises.

    Raises InputError for a file that is no whole backup, or one of a later release; for a place that is not empty, unless it is to be
    replaced; and where what was restored does not hold what was backed up.
    """
    for broken_off in workspace.state.glob(f"{SCRATCH}*"):
        shutil.rmtree(broken_off)
    with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=workspace.state) as scratch:
        staged = Path(scratch)
        manifest = unpack(file, staged)
        _check_free(workspace, staged, replace=replace)
        if manifest.artifacts:
            _relocate(staged / MLFLOW, manifest.artifacts, workspace.mlflow_artifacts)
        with closing(Store.at(workspace.store_url)) as store:
            filled = store.fill(
                manifest.revision,
                manifest.tables,
                tables_in(staged, manifest),
                replace=replace,
                before_commit=partial(_move, workspace, staged, replace=replace),
            )
        declared = _declare(workspace, staged / DECLARATION)
    champion = _champion(workspace)
    checked = _checked(workspace, {} if champion is None else {champion.version: champion})
    return Restored(manifest, filled, declared, None if champion is None else champion.version, checked)


def _check_free(workspace: Workspace, staged: Path, *, replace: bool) -> None:
    """Raises InputError where something lies in the place of what is to be restored."""
    if replace:
        return
    there = [workspace.state / name for name in FOLDERS if (staged / name).exists() and (workspace.state / name).exists()]
    there += [path for path in (workspace.mlflow_file,) if path is not None and (staged / MLFLOW).exists() and path.exists()]
    if there:
        raise InputError(f"{there[0]} is there already; --replace puts the backup in its place, or restore into an empty folder")


def _relocate(database: Path, before: str, artifacts: Path) -> None:
    """MLflow keeps whole paths of its files."""
    now = artifacts.resolve().as_uri()
    with closing(sqlite3.connect(database)) as held, held:
        for table, column in LOCATIONS:
            known = {row[1] for row in held.execute(f"PRAGMA table_info({table})")}
            if column in known:
                statement = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE substr({column}, 1, ?) = ?"  # noqa: S608 - names of LOCATIONS
                held.execute(statement, (now, len(before) + 1, len(before), before))


def _move(workspace: Workspace, staged: Path, *, replace: bool) -> None:
    """Each folder takes the place of the one that is there, as a whole; with `replace` one that the backup does not have goes too."""
    for name in FOLDERS:
        if replace and (workspace.state / name).is_dir():
            shutil.rmtree(workspace.state / name)
        if (staged / name).exists():
            _put(staged / name, workspace.state / name)
    if (staged / MLFLOW).exists() and workspace.mlflow_file is not None:
        if (staged / ARTIFACTS).exists():
            _put(staged / ARTIFACTS, workspace.mlflow_artifacts)
        for journal in ("-wal", "-shm", "-journal"):
            workspace.mlflow_file.with_name(workspace.mlflow_file.name + journal).unlink(missing_ok=True)
        _put(staged / MLFLOW, workspace.mlflow_file)


def _put(source: Path, target: Path) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    shutil.move(source, target)


def _declare(workspace: Workspace, restored: Path) -> bool:
    """A declaration that is there stays; where it is another, that of the backup is put beside the state."""
    if not workspace.declaration.is_file():
        shutil.copyfile(restored, workspace.declaration)
        return True
    if workspace.declaration.read_bytes() == restored.read_bytes():
        return True
    shutil.copyfile(restored, workspace.state / KEPT_DECLARATION)
    return False


def _champion(workspace: Workspace) -> Engine | None:
    """Loaded, so that its golden members are looked at; where no registry has one, the copy that a service would start with."""
    from models.registry import Registry

    if workspace.has_registry:
        with suppress(NoChampion, RegistryUnavailable):
            return Registry(workspace.mlflow_uri).champion(workspace.model_cache)
    with suppress(NoChampion):
        return ChampionCopy.noted(workspace.model_cache).load(workspace.model_cache)
    return None


def _checked(workspace: Workspace, engines: dict[str, Engine]) -> Checked:
    """Drawn from the latest decisions, each made again by the version that made it."""
    same, changed, without = 0, [], 0
    with closing(Store.open(workspace.store_url)) as store:
        latest = store.decisions(DecisionQuery(LOOKED_AT))
        for kept in random.Random(0).sample(latest, min(SAMPLE, len(latest))):  # noqa: S311 - which ones are looked at is no secret
            try:
                again = remade(store, kept, partial(_version, workspace, engines, kept.model_version))
            except (NotReplayable, ModelRefused, RegistryUnavailable):
                without += 1
                continue
            same += not again.changed
            changed += [kept.decision_id] if again.changed else []
    return Checked(same, tuple(changed), without)


def _version(workspace: Workspace, engines: dict[str, Engine], version: str) -> Engine:
    from models.registry import Registry

    if version not in engines:
        engines[version] = Registry(workspace.mlflow_uri).load(version, workspace.model_cache)
    return engines[version]
