"""Fixtures of the whole suite."""

import gc
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from pipelines.spark_session import spark_session
from tests.databases import Postgres, postgres_server, sqlite_database
from tests.once import folder_of_the_run
from tests.trained_world import TrainedWorld, train_on_world

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pyspark.sql import SparkSession
    from xdist.remote import Producer
    from xdist.scheduler import LoadFileScheduling

os.environ["MPLBACKEND"] = "Agg"
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

settings.register_profile("keepwell", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True, database=None)
settings.load_profile("keepwell")

ROOT = Path(__file__).parents[1]

# In the process that starts the workers, before it starts them.
folder_of_the_run()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: "Producer") -> "LoadFileScheduling | None":
    from tests.sharing_out import SharedOut  # noqa: PLC0415 - it is there when this is asked

    return SharedOut(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20261122)


@pytest.fixture(scope="module")
def chromium() -> Iterator["Browser"]:
    from tests.browser import headless  # noqa: PLC0415 - few tests need a browser, and all would wait for its import

    with headless() as browser:
        yield browser


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


@pytest.fixture(scope="session")
def registered_world(trained_world: TrainedWorld, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The address of an MLflow whose version 1 is the engine of the trained world; nobody may change it."""
    from tests.empty_registry import put_registry  # noqa: PLC0415 - few tests need MLflow, and all would wait for its import
    from tests.registry_world import RECORD, Registry  # noqa: PLC0415 - the same

    folder = tmp_path_factory.mktemp("mlflow")
    registry = Registry(f"sqlite:///{put_registry(folder)}", folder / "artifacts")
    registry.register(trained_world.trained.engine, trained_world.trained.golden, RECORD)
    return registry.uri


@pytest.fixture(scope="session")
def spark() -> "Iterator[SparkSession]":
    """One for the whole run, on two threads of this machine; a task that is lost is tried once more."""
    from tests.spark_logs import QUICK  # noqa: PLC0415 - few tests need Spark

    with spark_session("local[2,2]", QUICK) as session:
        yield session


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with postgres_server() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database of its own that a store can be opened in; a test that asks for it runs on both makes."""
    with _database(request, tmp_path) as url:
        yield url


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same, one for the tests of a file."""
    with _database(request, tmp_path_factory.mktemp("store")) as url:
        yield url


def _database(request: pytest.FixtureRequest, folder: Path) -> AbstractContextManager[str]:
    if request.param == "sqlite":
        return nullcontext(sqlite_database(folder))
    postgres: Postgres = request.getfixturevalue("postgres")
    return postgres.database()
