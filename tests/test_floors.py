"""The floors of the house hold, and the check that says so can fail."""

import ast
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"

CLOCK_AND_ENVIRONMENT = {
    ("date", "today"),
    ("datetime", "now"),
    ("datetime", "today"),
    ("datetime", "utcnow"),
    ("os", "environ"),
    ("os", "getenv"),
    ("time", "monotonic"),
    ("time", "perf_counter"),
    ("time", "time"),
    ("time", "time_ns"),
}


def check_floors(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LINT, "--no-cache", "--no-logo"], cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A lawful house of three empty floors, with the rooms that may import the heavy libraries."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for floor in ("models", "pipelines", "serving"):
        (tmp_path / floor).mkdir()
        (tmp_path / floor / "__init__.py").touch()
    (tmp_path / "models/registry.py").write_text("import mlflow\n")
    (tmp_path / "models/store.py").write_text("import sqlalchemy\n")
    (tmp_path / "models/explanation.py").write_text("import shap\n")
    (tmp_path / "pipelines/train.py").write_text("import models.registry\n")
    (tmp_path / "serving/app.py").write_text("import models.store\n")
    return tmp_path


def test_the_floors_of_keepwell_hold() -> None:
    checked = check_floors(ROOT)
    assert checked.returncode == 0, checked.stdout


def test_a_lawful_house_passes(house: Path) -> None:
    checked = check_floors(house)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("room", "line", "contract"),
    [
        ("models/churn.py", "import pipelines", "models knows neither shell"),
        ("models/churn.py", "import serving.app", "models knows neither shell"),
        ("serving/pages.py", "import pipelines.train", "pipelines and serving do not know each other"),
        ("pipelines/serve.py", "import serving.app", "pipelines and serving do not know each other"),
        ("models/churn.py", "import typer", "models has no web and no command line"),
        ("models/churn.py", "import mlflow.pyfunc", "in models only the registry and what it registers import mlflow"),
        ("models/churn.py", "from sqlalchemy import select", "in models only the store imports SQLAlchemy and Alembic"),
        ("models/churn.py", "def explain():\n    import shap", "in models only the explanation imports shap"),
        ("models/engine.py", "import pickle", "nothing is stored that runs code when it is loaded"),
        ("serving/cache.py", "import joblib", "nothing is stored that runs code when it is loaded"),
        ("pipelines/save.py", "import cloudpickle", "nothing is stored that runs code when it is loaded"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(house: Path, room: str, line: str, contract: str) -> None:
    (house / room).write_text(f"{line}\n")
    checked = check_floors(house)
    assert checked.returncode == 1
    assert f"{contract} BROKEN" in checked.stdout


def outside_readings(source: str) -> Iterator[str]:
    """Each place where the source reads a clock or the environment, as `line: name`."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Attribute(value=ast.Name(id=owner) | ast.Attribute(attr=owner), attr=name):
                found = {(owner, name)}
            case ast.ImportFrom(module=str(owner)):
                found = {(owner, alias.name) for alias in node.names}
            case _:
                continue
        yield from (f"{node.lineno}: {owner}.{name}" for owner, name in found & CLOCK_AND_ENVIRONMENT)


@pytest.mark.parametrize("room", sorted((ROOT / "models").rglob("*.py")), ids=lambda path: path.name)
def test_models_reads_no_clock_and_no_environment(room: Path) -> None:
    assert list(outside_readings(room.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime\nnow = datetime.now()",
        "import datetime\nnow = datetime.datetime.now()",
        "from os import environ",
        "from time import time",
    ],
)
def test_a_planted_clock_is_found(source: str) -> None:
    assert list(outside_readings(source)) != []
