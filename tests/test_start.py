"""What a process imports before it answers: what is needed for an answer, and nothing that only training, planning or reading takes."""

import subprocess
import sys

import pytest
from fastapi._compat import v2

from serving.app import create_app
from tests.serving_world import client_of, listening, settings_of, write_home

FOR_TRAINING = {"lightgbm", "matplotlib", "mlflow", "pandas", "shap", "sklearn"}
FOR_READING_AND_PLANNING = {"alembic", "scipy.optimize", "scipy.stats", "tea_tasting"}
FOR_ANSWERS = {"fastapi", "sqlalchemy"}


def imported(statement):
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {statement}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "left_out"),
    [
        ("import pipelines.cli", FOR_TRAINING | FOR_READING_AND_PLANNING | FOR_ANSWERS),
        ("import pipelines.serve, serving.app", FOR_TRAINING | FOR_READING_AND_PLANNING),
    ],
    ids=["keepwell --help", "keepwell serve"],
)
def test_a_start_waits_for_nothing_that_it_does_not_need(statement, left_out):
    assert imported(statement) & left_out == set()


def test_the_routes_are_built_before_the_first_request(tmp_path, monkeypatch):
    settings = settings_of(write_home(tmp_path / "home"), first_model_seconds=0)
    addresses = [(method, path) for path, item in create_app(settings).openapi()["paths"].items() for method in item]
    app, built = create_app(settings), []
    monkeypatch.setattr(v2, "TypeAdapter", lambda kind, **_settings: built.append(kind))
    with listening(app) as url, client_of(url, "no key") as client:
        for method, path in [*addresses, ("get", "/"), ("get", "/model"), ("get", "/no-such-page")]:
            client.request(method, path)
    assert addresses
    assert built == []
