"""How long the pages take for communities of 10,000 and of a million members, and how long it takes to publish a run over them.

Served over HTTP from a SQLite store. Where members stand is drawn at random from distributions like those of a real community.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2
import numpy as np
import polars as pl

from models.api_keys import create_key
from models.audience import BINS, Cells
from models.declared import STAGES, TAGS
from models.drift_figures import DRIFT
from models.events import event_arrays
from models.input_figures import INPUT
from models.intervention_figures import INTERVENTIONS, intervention_report
from models.kept_frontier import keep_frontier
from models.model_figures import MODEL
from models.moments import microseconds
from models.overview import overview_of
from models.publishing import publish
from models.store import Store
from serving.background import HEAD_START_SECONDS
from tests.benchmarks.plan_ground import laid
from tests.serving_world import DECLARED, NOW, serving, settings_of, world, write_home
from tests.shown_figures import drift, found, models
from tests.shown_run import reader, sign_in, what_budgets_bring

GROUPED = DECLARED.model_copy(update={"members": DECLARED.members.model_copy(update={"groups": ("chat", "plan")})})
SIZES = (10_000, 1_000_000)
TIMES = 15
PATHS = (
    "/",
    "/?target=95",
    "/audience",
    "/audience?from=40&stage=silent&tag=estrangement",
    "/audience?group=chat:c7&group=plan:paid",
    "/audience?from=95&tier=KOL&cohort=2023-01",
    "/interventions",
    "/experiments",
    "/experiments/coupon",
    "/model",
    "/members/m0000003",
)


def community(n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Risks as beta(1, 4), a stage, a tier, a set of up to two tags and a month of joining for each member."""
    risk = rng.beta(1, 4, n)
    sets = ["", *(f",{tag}," for tag in TAGS), *(f",{one},{other}," for one in TAGS[:2] for other in TAGS[2:])]
    value = rng.lognormal(3, 1, n)
    return pl.DataFrame(
        {
            "groups": rng.choice([f'{{"chat": "c{chat}", "plan": "{plan}"}}' for chat in range(40) for plan in ("free", "paid")], n),
            "member_id": np.char.add("x", np.arange(n).astype(str)),
            "bin": np.minimum((risk * BINS).astype(np.int64), BINS - 1),
            "probability": risk,
            "risk_band": np.array(["low", "medium", "high"])[np.searchsorted([0.15, 0.4], risk)],
            "stage": rng.choice(STAGES[:5], n),
            "tier": rng.choice(["base", "active", "KOC", "KOL"], n, p=[0.8, 0.15, 0.04, 0.01]),
            "tags": rng.choice(sets, n),
            "cohort": rng.choice([f"202{year}-{month:02d}" for year in (3, 4, 5) for month in range(1, 13)], n),
            "value": value,
            "value_at_risk": risk * value,
            "chosen": rng.choice(["none", "coupon"], n),
        }
    )


def decisions(n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Of a decision table what the figures of interventions are counted from."""
    removed = ["eligibility:already_churned", "contact_policy:weekly", "control:global_control", "arbitration:lower_priority", None]
    chance = rng.dirichlet([1, 1, 1], n)
    told: dict[str, object] = {"chosen": rng.choice(["none", "coupon", "call"], n), "propensity_none": chance[:, 0]}
    for at, name in enumerate(("coupon", "call"), start=1):
        told |= {f"propensity_{name}": chance[:, at], f"removed_{name}": pl.Series(removed).gather(rng.integers(0, len(removed), n))}
    return pl.DataFrame(told)


def contacts(n: int, rng: np.random.Generator) -> pl.DataFrame:
    """Two for each member, within a year, of members of the small log."""
    at = NOW - pl.Series(rng.integers(0, 365 * 86_400, 2 * n)).cast(pl.Duration("ms")) * 1000
    return pl.DataFrame(
        {
            "member": rng.integers(0, 260, 2 * n).astype(np.uint32),
            "timestamp": at.cast(pl.Datetime("us", "UTC")),
            "intervention": rng.choice(["none", "coupon", "call"], 2 * n),
            "delivered": rng.random(2 * n) < 0.9,
            "response": pl.Series(["accepted", "refused", None]).gather(rng.integers(0, 3, 2 * n)),
        }
    )


def keep_figures(store: Store, n: int, rng: np.random.Generator) -> float:
    """Those of interventions and models; the seconds that the former took to count."""
    table, touches = decisions(n, rng), contacts(n, rng)
    began = time.perf_counter()
    report = intervention_report(world().engine, table, touches, event_arrays(world().log, DECLARED), NOW)
    counted = time.perf_counter() - began
    keep_frontier(store, NOW, what_budgets_bring() * 5)
    kept = {INTERVENTIONS: report.to_json(), MODEL: models().to_json(), DRIFT: drift().to_json(), INPUT: found().to_json()}
    for name, figures in kept.items():
        store.keep_figures(name, microseconds(NOW), figures)
    return counted


def keep_ground(store: Store, rows: pl.DataFrame, rng: np.random.Generator) -> str:
    """What plans are made on; the seconds that it took."""
    began = time.perf_counter()
    ground, members = laid(rows, rng)
    counted, body = time.perf_counter(), ground.to_bytes()
    store.lay_ground(microseconds(NOW), body, [members])
    size = f"{len(ground.strata):,} strata, {len(body) / 1e6:.1f} MB"
    return f"ground for plans in {counted - began:.1f} s, written in {time.perf_counter() - counted:.1f} s ({size})"


def show_planner(client: httpx2.Client, api: httpx2.Client) -> None:
    """Every question is another one, so that no answer is remembered; `budget` and `places` are what a slider moves."""
    part, asked = {"HX-Request": "true"}, count(1)

    def get(path: str, **headers: str) -> None:
        client.get(path.format(next(asked)), headers=headers).raise_for_status()

    show("/planner, another audience each time", lambda: get(f"/planner?from={5 * (next(asked) % 18)}&budget=1{{}}"))
    show("/planner, the budget is moved", lambda: get("/planner?budget=10{}", **part))
    show("/planner, places are moved", lambda: get("/planner?budget=500&most:action-3=1{}", **part))
    show("/planner, of an audience", lambda: get("/planner?from=40&stage=silent&tag=estrangement&budget=1{}", **part))
    ask = {"capacity": {"channels": {"email": 1_000}}}
    show("POST /v1/plans, another budget", lambda: api.post("/v1/plans", json=ask | {"budget": 100 + next(asked)}).raise_for_status())
    rows = {"include": ["members"], "limit": 1_000}
    show("POST /v1/plans, with 1,000 members", lambda: api.post("/v1/plans", json=rows | {"budget": 50 + next(asked)}).raise_for_status())


def measure(folder: Path, n: int, rng: np.random.Generator) -> None:
    home = write_home(folder / "home", GROUPED)
    rows = community(n, rng)
    began = time.perf_counter()
    overview = overview_of(world().engine, DECLARED, rows, event_arrays(world().log, DECLARED), NOW)
    counted = time.perf_counter()
    with closing(Store.open(settings_of(home).store_url)) as store:
        publish(store, overview, Cells.of(rows), [rows])
        written = time.perf_counter()
        figures = keep_figures(store, n, rng)
        ground = keep_ground(store, rows, rng)
    print(
        f"{n:>9,} members: {Cells.of(rows).rows.height:,} cells; overview in {counted - began:.1f} s, "
        f"published in {written - counted:.1f} s; figures of interventions in {figures:.1f} s; {ground}"
    )
    with serving(home, world().log) as running, reader(running) as client:
        time.sleep(HEAD_START_SECONDS + 2)
        sign_in(client, create_key(running.store, "speed", ["read"], now=NOW))
        for path in PATHS:
            show(path, lambda path=path: client.get(path).raise_for_status())
        body = {"add": [{"type": "post", "timestamp": NOW.isoformat()}]}
        show("/v1/members/m0000003/what-if", lambda: running.client.post("/v1/members/m0000003/what-if", json=body).raise_for_status())
        show_planner(client, running.client)
        show("/audience (part for htmx)", lambda: client.get("/audience?from=25", headers={"HX-Request": "true"}).raise_for_status())


def show(name: str, ask: Callable[[], object]) -> None:
    seconds = []
    for _ in range(TIMES):
        began = time.perf_counter()
        ask()
        seconds.append(time.perf_counter() - began)
    first, rest = seconds[0], sorted(seconds[1:])
    print(
        f"{'':>9}  {name:<50} first {1000 * first:6.0f} ms   median {1000 * rest[len(rest) // 2]:6.0f} ms   worst {1000 * rest[-1]:6.0f} ms"
    )


def main() -> None:
    world()
    for n in SIZES:
        with TemporaryDirectory() as folder:
            measure(Path(folder), n, np.random.default_rng(1))
