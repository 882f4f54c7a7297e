"""What a process imports before it answers: what is needed for an answer, and nothing that only training, planning or reading takes."""

import subprocess
import sys

import pytest

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
