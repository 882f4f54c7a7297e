"""Full decisions over HTTP beside `mlflow models serve`, which answers a plain predict of the churn model alone, on the same cores.

A decision: stored history of about 300 events, features, churn at three horizons, uplift of eight interventions, policy, SHAP reasons for
risk and for the first action's effect, in mode `decide` a durable write, JSON. The load generator is a third process on the same cores.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import mlflow.lightgbm
import numpy as np
import pandas as pd
from mlflow.models import ModelSignature, infer_signature

from models.margins import BlendedMargin, BoosterMargin
from tests.benchmarks.servers import Load, Server, keepwell, mlflow_models_serve, put_load
from tests.benchmarks.service_world import ServiceWorld, make_world
from tests.databases import postgres_server

FEW, CONNECTIONS = 4, 16
"""As many as the reference was measured with, and as many as keep a service of turns busy."""
MODES = ("score_only", "simulate", "decide")
REQUIRED = {"score_only": 20, "simulate": 10, "decide": 10}
HALF_LOAD_P99_MS = {"SQLite": 15, "PostgreSQL": 25}
REFERENCE_P50_MS = 140
"""Of the plain predict over FEW connections, where those limits were set: machines are compared by their ratio to it."""
BATCH = 1000
SETTLING_SECONDS = 6
"""After it is ready a process imports MLflow beside its answers, to look for a newer champion."""


@dataclass(frozen=True)
class Plain:
    """The plain predict of the same run: its best rate, and the median of its latency over FEW connections."""

    rate: float
    p50_ms: float

    def as_there(self, load: Load, store: str) -> str:
        limit = HALF_LOAD_P99_MS[store] / REFERENCE_P50_MS
        return f"p99 {load.quantile_ms(0.99) / self.p50_ms:.3f} x the median of plain predict (required {limit:.3f})"


def bodies(world: ServiceWorld, mode: str) -> list[str]:
    return [json.dumps({"member_id": member_id, "mode": mode}) for member_id in world.asked]


def main() -> None:
    parser = argparse.ArgumentParser(prog="service_speed", description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of the community, kept for the next run; by default a new one")
    parser.add_argument("--members", type=int, default=2500)
    parser.add_argument("--seconds", type=float, default=8, help="of each load")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="processes of keepwell")
    parser.add_argument("--postgres", action="store_true", help="on PostgreSQL too")
    options = parser.parse_args()
    with folder_of(options.home) as folder:
        world = make_world(folder, options.members)
        print(f"  {len(world.asked)} members are asked about, with {world.mean_events:.0f} events each on average", flush=True)
        plain = beside(world, folder, options.seconds)
        print(f"  the disk: {syncs(folder)}", flush=True)
        print(f"  the cores: {steadiness()}", flush=True)
        for workers in options.workers:
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                report("SQLite", world, workers, options.seconds, plain, f"sqlite:///{fresh}/keepwell.db")
        if options.postgres:
            with postgres_server() as postgres, postgres.database() as url:
                report("PostgreSQL", world, max(options.workers), options.seconds, plain, url)


def beside(world: ServiceWorld, folder: Path, seconds: float) -> Plain:
    """What it takes of `mlflow models serve` with the booster of the main horizon as MLflow asks for it to be logged: with its signature.

    Beside it what the same server answers where nothing is checked: a frame of a model without signature, and a bare tensor.
    """
    margin = world.engine.churn.main_model.margin
    assert isinstance(margin, BlendedMargin)
    part = next(part for part in margin.parts if isinstance(part, BoosterMargin))
    names = [f"feature_{column}" for column in part.columns]
    usual = np.nan_to_num(world.engine.reference.values[part.columns]).tolist()
    frame = json.dumps({"dataframe_split": {"columns": names, "data": [usual]}})
    signature = infer_signature(pd.DataFrame([usual], columns=names), np.array([0.5]))
    signed = _rates("signed, a frame", _saved(folder / "plain-signed", part, signature), frame, seconds)
    unsigned = _saved(folder / "plain-unsigned", part, None)
    _rates("unsigned, a frame", unsigned, frame, seconds)
    _rates("unsigned, a tensor", unsigned, json.dumps({"inputs": [usual]}), seconds)
    return signed


def _saved(folder: Path, part: BoosterMargin, signature: ModelSignature | None) -> Path:
    if not folder.exists():
        mlflow.lightgbm.save_model(lgb.Booster(model_str=part.model_text), str(folder), signature=signature, pip_requirements=["lightgbm"])
    return folder


def _rates(name: str, model: Path, body: str, seconds: float) -> Plain:
    with mlflow_models_serve(model) as server:
        print(f"mlflow models serve, {name}: ready after {server.started_s:.1f} s, {server.resident_mb:,.0f} MB")
        loads = {n: put_load(server, "/invocations", [body], connections=n, seconds=seconds) for n in (FEW, CONNECTIONS)}
    for n, load in loads.items():
        print(f"  plain predict {n:3} connections    {load.told()}", flush=True)
    return Plain(max(load.rate for load in loads.values()), loads[FEW].quantile_ms(0.5))


def report(name: str, world: ServiceWorld, workers: int, seconds: float, plain: Plain, store_url: str) -> None:
    """On a store of its own, filled at start: one that is kept has hundreds of decisions of each member after a few runs."""
    with keepwell(world, workers=workers, store_url=store_url) as server:
        print(f"keepwell serve --workers {workers}, {name}: ready after {server.started_s:.1f} s, {server.resident_mb:,.0f} MB", flush=True)
        time.sleep(SETTLING_SECONDS)
        rates = {mode: _full_and_halves(server, world, mode, seconds, plain, name) for mode in MODES}
        alone = _one_connection(server, world, seconds)
        _batches(server, world, alone, rates)
        print(f"  after all that {server.resident_mb:,.0f} MB", flush=True)


def syncs(folder: Path) -> str:
    """What a kept decision waits for at least: 16 kB appended to a file and synced, 300 times with 3 ms between."""
    took = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(300):
            file.write(bytes(16_384))
            file.flush()
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            took.append(1000 * (time.perf_counter() - began))
            time.sleep(0.003)
    p50, p95, p99 = np.quantile(took, [0.5, 0.95, 0.99])
    return f"a sync takes p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms"


def steadiness() -> str:
    """How much the machine itself spreads latencies: the CPU of the same plain work, 500 times with 5 ms between, as turns are met."""
    tables = [{str(number): number for number in range(2_000)} for _ in range(30)]
    took = []
    for _ in range(500):
        began = time.thread_time()
        for table in tables:
            sum(table[name] for name in table)
        took.append(1000 * (time.thread_time() - began))
        time.sleep(0.005)
    p50, p95, p99 = np.quantile(took, [0.5, 0.95, 0.99])
    return f"the same work takes p50 {p50:.1f} ms of CPU, p95 {p95:.1f} ms, p99 {p99:.1f} ms: {p99 / p50:.2f} times the median"


def _full_and_halves(server: Server, world: ServiceWorld, mode: str, seconds: float, plain: Plain, store: str) -> float:
    """Latencies at half of what it reaches, over FEW connections and CONNECTIONS, and at half of what is required of it, by both ways to
    keep a rate."""
    asked = bodies(world, mode)
    rates = {"required": REQUIRED[mode] * plain.rate}
    for connections in (FEW, CONNECTIONS):
        full = put_load(server, "/v1/score", asked, connections=connections, seconds=seconds)
        _tell(mode, f"{connections} connections", full, f"{full.rate / plain.rate:5.1f} x plain predict (required {REQUIRED[mode]})")
        rates[f"{connections} connections"] = full.rate
    for base, rate in rates.items():
        for evenly in (False, True):
            half = put_load(server, "/v1/score", asked, connections=64, seconds=seconds, rate=rate / 2, evenly=evenly)
            _tell(mode, f"half of {base}, {'evenly' if evenly else 'at random'}", half, plain.as_there(half, store))
    return rates[f"{CONNECTIONS} connections"]


def _tell(mode: str, asked: str, load: Load, factor: str = "") -> None:
    print(f"  {mode:10} {asked:34} {load.told()}  {factor}".rstrip(), flush=True)


def _one_connection(server: Server, world: ServiceWorld, seconds: float) -> dict[str, float]:
    rates: dict[str, float] = {}
    for mode in MODES:
        load = put_load(server, "/v1/score", bodies(world, mode), connections=1, seconds=seconds / 2)
        _tell(mode, "1 connection", load)
        rates[mode] = load.rate
    return rates


def _batches(server: Server, world: ServiceWorld, alone: dict[str, float], together: dict[str, float]) -> None:
    """Of as many members as there are, at most 1,000, beside single calls of the same mode: over one connection, and over CONNECTIONS.

    One batch follows the other, so that the mean time of one tells the rate; of the dozen that fit into the time of a load the last, which
    ends after it, would not be counted.
    """
    asked = world.asked[:BATCH]
    for mode in MODES:
        body = json.dumps({"requests": [{"member_id": member_id, "mode": mode} for member_id in asked]})
        load: Load = put_load(server, "/v1/score/batch", [body], connections=1, seconds=6)
        members = len(asked) / float(load.latency_s.mean())
        factors = f"{members / alone[mode]:.1f} x one connection, {members / together[mode]:.1f} x {CONNECTIONS}"
        print(f"  {mode:10} batches of {len(asked)}: {members:,.0f} members/s, {factors} ({load.told().strip()})", flush=True)


@contextmanager
def folder_of(home: Path | None) -> Iterator[Path]:
    if home is not None:
        home.mkdir(parents=True, exist_ok=True)
        yield home
        return
    with tempfile.TemporaryDirectory(prefix="keepwell-speed-") as folder:
        yield Path(folder)


if __name__ == "__main__":
    main()
