"""A store, its models and its files made of a backup; nothing is changed before all of it was read and checked."""

from __future__ import annotations

import random
import shutil
import sqlite3
import tempfile
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from models.champion_copy import ChampionCopy
from models.errors import InputError, ModelRefused, NoChampion, NotReplayable, RegistryUnavailable
from models.in_service import out_of_service
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
REPLACED = "replaced"
"""What lay in the place of what is restored, until that is in force."""
KEPT_DECLARATION = "keepwell.restored.yaml"
FOLDERS = (DELIVERIES, ARCHIVE, RUNS, CACHE)
JOURNALS = ("-wal", "-shm", "-journal")
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
    """The store and its files are what they were before where this raises until they are in place.

    Raises InputError while a service runs here; for a file that is no whole backup, or one of a later release; for a place that is not
    empty, unless it is to be replaced; where a file cannot be put in its place; and where what was restored does not hold what was backed
    up.
    """
    with out_of_service(workspace.state):
        for broken_off in workspace.state.glob(f"{SCRATCH}*"):
            shutil.rmtree(broken_off)
        with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=workspace.state) as scratch:
            manifest = unpack(file, Path(scratch))
            filled = _filled(workspace, Path(scratch), manifest, replace=replace)
            declared = _declare(workspace, Path(scratch) / DECLARATION)
        champion = _champion(workspace)
        checked = _checked(workspace, {} if champion is None else {champion.version: champion})
    return Restored(manifest, filled, declared, None if champion is None else champion.version, checked)


def _filled(workspace: Workspace, staged: Path, manifest: Manifest, *, replace: bool) -> Filled:
    """The store, with the files in their places; all of it, or nothing."""
    _check_free(workspace, staged, replace=replace)
    if manifest.artifacts:
        _relocate(staged / MLFLOW, manifest.artifacts, workspace.mlflow_artifacts)
    with closing(Store.at(workspace.store_url)) as store, ExitStack() as undoing:
        move = partial(_move, workspace, staged, undoing, replace=replace)
        filled = store.fill(manifest.revision, manifest.tables, tables_in(staged, manifest), replace=replace, before_commit=move)
        undoing.pop_all()
    return filled


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


def _move(workspace: Workspace, staged: Path, undoing: ExitStack, *, replace: bool) -> None:
    """Each takes the place of the one that is there, as a whole; with `replace` a folder that the backup does not have goes too.

    What was moved is put back when `undoing` ends. Raises InputError where one cannot be moved.
    """
    database = workspace.mlflow_file
    places: dict[Path, Path | None] = {workspace.state / name: staged / name for name in FOLDERS if replace or (staged / name).exists()}
    if database is not None and (staged / MLFLOW).exists():
        places |= {workspace.mlflow_artifacts: staged / ARTIFACTS} if (staged / ARTIFACTS).exists() else {}
        places |= dict.fromkeys(database.with_name(database.name + journal) for journal in JOURNALS)
        places[database] = staged / MLFLOW
    (staged / REPLACED).mkdir()
    for target, source in places.items():
        try:
            _put(source, target, staged / REPLACED / target.name, undoing)
        except OSError as fault:
            raise InputError(f"{target} cannot be replaced ({fault.strerror or fault}); nothing has been restored") from None


def _put(source: Path | None, target: Path, aside: Path, undoing: ExitStack) -> None:
    """Where there is no source, nothing takes the place."""
    if target.exists():
        shutil.move(target, aside)
        undoing.callback(shutil.move, aside, target)
    if source is not None and source.exists():
        undoing.callback(_remove, target)
        shutil.move(source, target)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


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
