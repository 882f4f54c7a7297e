"""Fixtures of the whole suite."""

import os
import socket
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from tests.trained_world import TrainedWorld, train_on_world

os.environ["MPLBACKEND"] = "Agg"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

settings.register_profile("keepwell", deadline=None, derandomize=True, database=None)
settings.load_profile("keepwell")

ROOT = Path(__file__).parents[1]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261122)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real logs beside the project."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"the real logs are not on this machine: {folder} is absent")
    return folder


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="session")
def trained_world() -> TrainedWorld:
    """Trained once for the whole run; nobody may change it."""
    return train_on_world()
