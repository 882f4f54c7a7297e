"""A registry of one's own, and versions put into it by hand, as somebody with access to MLflow could."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd

from models.engine_files import seal_of
from models.registry import CHAMPION, ENGINE_ARTIFACT, MODEL_NAME, SEAL, DataDescription, Registry, RunRecord
from tests.once import folder_of_the_run, made_once
from tests.serving_world import world

RECORD = RunRecord({}, {}, {}, {}, DataDescription("simulated", "simulation", pd.DataFrame({"events": [1]})))


def own_registry(folder: Path) -> Registry:
    """The world's, copied: its champion is version 1."""
    folder.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(world().mlflow_uri.removeprefix("sqlite:///")) as held, sqlite3.connect(folder / "mlflow.db") as copy:
        held.backup(copy)
    return Registry(f"sqlite:///{folder}/mlflow.db")


@cache
def challenged() -> Registry:
    """The world's champion, version 1, and a challenger, version 2, that tells other risk bands; nobody may change it."""
    own = Path(tempfile.mkdtemp(dir=folder_of_the_run()))
    shutil.copy(made_once("challenged", _challenge) / "mlflow.db", own)
    return Registry(f"sqlite:///{own}/mlflow.db")


def _challenge(folder: Path) -> None:
    registry, champion = own_registry(folder), world().engine
    edges = tuple(0.5 * edge for edge in champion.reference.band_edges)
    registry.register(replace(champion, reference=replace(champion.reference, band_edges=edges)), world().golden, RECORD)


def challenged_copy(folder: Path) -> Registry:
    """That may be changed."""
    folder.mkdir()
    shutil.copy(challenged().uri.removeprefix("sqlite:///"), folder / "mlflow.db")
    return Registry(f"sqlite:///{folder}/mlflow.db")


def engine_folder(folder: Path, registry: Registry | None = None) -> Path:
    """A copy of the files of version 1, by default the world's, that may be changed."""
    registry = Registry(world().mlflow_uri) if registry is None else registry
    registry.load("1", folder / "fetched")
    run_id = registry.client.get_model_version(MODEL_NAME, "1").run_id
    copy = folder / "changed" / "artifacts" / ENGINE_ARTIFACT
    shutil.copytree(folder / "fetched" / run_id / ENGINE_ARTIFACT, copy)
    return copy


def put_in_force(registry: Registry, engine_files: Path, seal: str | None = None) -> str:
    """A new version of these files, by default sealed as they are, as the champion; nothing is checked."""
    client = registry.client
    run = client.create_run(client.get_experiment_by_name(MODEL_NAME).experiment_id)
    version = str(client.create_model_version(MODEL_NAME, str(engine_files.parents[1]), run.info.run_id).version)
    client.set_model_version_tag(MODEL_NAME, version, SEAL, seal_of(engine_files) if seal is None else seal)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    return version
