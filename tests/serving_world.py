"""A service over a simulated community: its store, a model trained on its log, and a server on a free port."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from threading import Thread
from threading import enumerate as enumerate_threads

import httpx2
import numpy as np
import pandas as pd
import polars as pl
import uvicorn
import yaml

from models.api_keys import SCOPES, create_key
from models.community import Community
from models.engine import Engine
from models.engine_files import Golden, read_golden
from models.events import EventLog, event_arrays
from models.registry import CHAMPION, DataDescription, Registry, RunRecord
from models.simulation import SimulationConfig, simulate
from models.simulation import World as Simulated
from models.store import Store
from models.training import train
from models.training_rows import default_test_as_of
from pipelines.serve import HTTP
from serving.app import create_app
from serving.service import NewId
from serving.settings import Settings
from tests.databases import holds_nothing
from tests.empty_registry import put_registry
from tests.once import folder_of_the_run, made_once
from tests.patience import PATIENCE_SECONDS, PLAIN, wait_until
from tests.planted import community, intervention, signal, tier

CONFIG = SimulationConfig(members=260, days=200, start=date(2025, 1, 1))
NOW = datetime(2025, 7, 20, 12, tzinfo=UTC)
COUPON, CALL = {"en": "Coupon", "zh": "优惠券"}, {"en": "Personal call", "zh": "电话回访"}
LABELS = {
    "post": {"en": "posts", "zh": "发帖"},
    "comment": {"en": "comments", "zh": "评论"},
    "reaction": {"en": "likes", "zh": "点赞"},
    "purchase": {"en": "purchases", "zh": "购买"},
    "read": {"en": "reading", "zh": "阅读"},
    "service": {"en": "support requests", "zh": "客服求助"},
}
TIERS = [
    {**tier("base", 0, 10), "label": {"en": "regular", "zh": "普通成员"}},
    {**tier("koc", 20, 100), "label": {"en": "key consumer", "zh": "关键消费者"}},
]
DECLARED = community(
    intervention("coupon", cost=0.01, channels=["wecom", "email"], starting_uplift=0.05, cooldown_days=0, label=COUPON),
    intervention("call", cost=500, channels=["phone"], starting_uplift=0.06, eligibility={"min_churn_probability": 0.2}, label=CALL),
    signals=[
        *(signal(name, label=LABELS[name]) for name in ("post", "comment", "reaction")),
        signal("purchase", value="money", label=LABELS["purchase"]),
        *(signal(name, qualifying=False, label=LABELS[name]) for name in ("read", "service")),
    ],
    log={
        "path": "events.parquet",
        "member": "member_id",
        "time": "timestamp",
        "type": "type",
        "value": "value",
        "event_id": "event_id",
        "channel": "channel",
    },
    members={"path": "members.parquet", "member": "member_id", "joined": "joined"},
    touches={"path": "touches.parquet", "member": "member_id", "time": "timestamp", "channel": "channel", "delivered": "delivered"},
    churn={"horizons_days": [14, 30], "horizon_days": 30},
    contact_policy={"caps": [{"name": "weekly", "max_contacts": 2, "days": 7}], "quiet_hours": {"start": "22:00", "end": "08:00"}},
    lifecycle={"service_signals": ["service"], "tiers": TIERS},
    policy={"exploration": 0, "control_share": 0.1},
)


@dataclass(frozen=True)
class World:
    log: EventLog
    engine: Engine
    golden: Golden
    mlflow_uri: str


@cache
def world() -> World:
    """Simulated, trained, registered and promoted once for each run of the tests; each of its processes has a registry of its own."""
    log, own = _log(), Path(tempfile.mkdtemp(dir=folder_of_the_run()))
    made = made_once("world", partial(_register, log))
    shutil.copy(made / "mlflow.db", own)
    registry = Registry(f"sqlite:///{own}/mlflow.db", made / "artifacts")
    copy = registry.copy_of(registry.version_of(CHAMPION))
    return World(log, copy.load(made / "cache"), read_golden(made / "cache" / copy.folder), registry.uri)


def _register(log: EventLog, folder: Path) -> None:
    events = event_arrays(log, DECLARED)
    as_of = default_test_as_of(events, DECLARED)
    trained = train(events, DECLARED, test_as_of=as_of, trained_at=NOW, rng=np.random.default_rng(1))
    registry = Registry(f"sqlite:///{put_registry(folder)}", folder / "artifacts")
    record = RunRecord({}, {}, {}, {}, DataDescription("simulated", "simulation", pd.DataFrame({"events": [log.events.height]})))
    registry.register(trained.engine, trained.golden, record)
    registry.promote(None, folder / "cache")


@cache
def simulated_world() -> Simulated:
    return simulate(CONFIG, np.random.default_rng(3))


def _log() -> EventLog:
    simulated = simulated_world()
    codes = simulated.members.select("member_id").with_row_index("member")
    joined = pl.col("joined").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    tables = (simulated.events, simulated.touches)
    events, touches = (table.join(codes, on="member_id").drop("member_id").sort("member", "timestamp") for table in tables)
    return EventLog(events.cast({"type": pl.Categorical}), simulated.members.select("member_id", joined), touches)


class Clock:
    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time_: float) -> None:
        self.now += timedelta(**time_)


@dataclass(frozen=True)
class Running:
    """A server under way, and a client with a key of every scope."""

    client: httpx2.Client
    store: Store
    clock: Clock
    settings: Settings

    def score(self, member_id: str, **request: object) -> httpx2.Response:
        return self.client.post("/v1/score", json={"member_id": member_id, **request})

    @property
    def key(self) -> str:
        return self.client.headers["Authorization"].removeprefix("Bearer ")

    def without_key(self) -> httpx2.Client:
        return httpx2.Client(base_url=self.client.base_url, timeout=PATIENCE_SECONDS, verify=PLAIN)


def write_home(folder: Path, declared: Community = DECLARED) -> Path:
    """A folder with keepwell.yaml and the place of its state."""
    (folder / ".keepwell").mkdir(parents=True)
    write_declaration(folder, declared)
    return folder


def write_declaration(folder: Path, declared: Community) -> None:
    content = declared.model_dump(mode="json", exclude_defaults=True)
    (folder / "keepwell.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")


def write_logs(folder: Path) -> None:
    """The tables that the declaration names."""
    for name in ("events", "members", "touches"):
        getattr(simulated_world(), name).write_parquet(folder / f"{name}.parquet")


def settings_of(home: Path, **changes: object) -> Settings:
    return replace(Settings.from_environment({"KEEPWELL_HOME": str(home)}), **changes)


@contextmanager
def serving(home: Path, log: EventLog | None = None, new_id: NewId | None = None, **settings: object) -> Iterator[Running]:
    """A real server in a thread with the world's model, unless told otherwise; the store holds the log."""
    chosen, clock = settings_of(home, **{"mlflow_uri": world().mlflow_uri, "store_seconds": PATIENCE_SECONDS, **settings}), Clock()
    if log is not None:
        fill(chosen.store_url, log)
    with closing(Store.open(chosen.store_url, wait_seconds=PATIENCE_SECONDS)) as store:
        key = create_key(store, "tests", SCOPES, now=NOW)
        with listening(create_app(chosen, clock=clock, new_id=new_id)) as url, client_of(url, key) as client:
            wait_until(lambda: client.get("/readyz").status_code == 200 or chosen.mlflow_uri != world().mlflow_uri)
            yield Running(client, store, clock, chosen)


def fill(store_url: str, log: EventLog) -> None:
    """Loads the log; where the store is a file that holds nothing yet, that of the world comes with a copy of one that holds it."""
    file = Path(store_url.removeprefix("sqlite:///"))
    if log is world().log and file.is_absolute() and (not file.exists() or holds_nothing(file)):
        shutil.copy(_filled_file(), file)
        return
    with closing(Store.open(store_url)) as store:
        store.load_log(log)


@cache
def _filled_file() -> Path:
    """Of a store in SQLite that holds the log of the world."""
    file = Path(tempfile.mkdtemp(dir=folder_of_the_run())) / "keepwell.db"
    with closing(Store.open(f"sqlite:///{file}")) as store:
        store.load_log(world().log)
    return file


def client_of(url: str, key: str) -> httpx2.Client:
    return httpx2.Client(base_url=url, timeout=PATIENCE_SECONDS, verify=PLAIN, headers={"Authorization": f"Bearer {key}"})


@contextmanager
def listening(app: object) -> Iterator[str]:
    """The address of a server that has begun to listen; it hangs up on nobody who is silent for a while.

    When it has ended nobody looks up its champion any more: MLflow may still be making its tables, and Alembic keeps the migration
    that it is at in a variable of the process.
    """
    others = _looking_up()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # so that asyncio switches the delay off
    listener.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, http=HTTP, log_config=None, lifespan="on", timeout_keep_alive=PATIENCE_SECONDS))
    thread = Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    wait_until(lambda: server.started or not thread.is_alive())
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
        for one in _looking_up() - others:
            one.join(PATIENCE_SECONDS)


def _looking_up() -> set[Thread]:
    return {thread for thread in enumerate_threads() if thread.name == "champion"}
