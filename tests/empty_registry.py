"""An MLflow that holds nothing yet. MLflow makes its tables by more than fifty migrations; here it does so once for each process."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

from models.registry import Registry
from pipelines.workspace import Workspace


@cache
def _made() -> Path:
    path = Path(tempfile.mkdtemp(prefix="keepwell-")) / "mlflow.db"
    assert Registry(f"sqlite:///{path}").aliases() == {}
    return path


def with_registry(folder: Path) -> Path:
    """The same folder of a community, with its own MLflow."""
    state = Workspace.find(folder).state
    state.mkdir(exist_ok=True)
    shutil.copy(_made(), state)
    return folder
