"""An MLflow that holds nothing yet. MLflow makes its tables by more than fifty migrations; here it does so once for a run of the tests."""

import shutil
from pathlib import Path

from models.registry import Registry
from pipelines.workspace import Workspace
from tests.once import made_once


def put_registry(folder: Path) -> Path:
    """Its file, in a folder that is there."""
    return Path(shutil.copy(made_once("mlflow", _make) / "mlflow.db", folder))


def _make(folder: Path) -> None:
    assert Registry(f"sqlite:///{folder}/mlflow.db").aliases() == {}


def with_registry(folder: Path) -> Path:
    """The same folder of a community, with its own MLflow."""
    state = Workspace.find(folder).state
    state.mkdir(exist_ok=True)
    put_registry(state)
    return folder
