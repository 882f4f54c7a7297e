"""How long the pages take for communities of 10,000 and of a million members, and how long it takes to publish a run over them.

Served over HTTP from a SQLite store. Where members stand is drawn at random from distributions like those of a real community.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from models.api_keys import create_key
from models.audience import BINS, Cells
from models.declared import STAGES, TAGS
from models.events import event_arrays
from models.overview import overview_of
from models.publishing import publish
from models.store import Store
from tests.serving_world import DECLARED, NOW, serving, settings_of, world, write_home
from tests.shown_run import reader, sign_in

GROUPED = DECLARED.model_copy(update={"members": DECLARED.members.model_copy(update={"groups": ("chat", "plan")})})
SIZES = (10_000, 1_000_000)
TIMES = 15
PATHS = (
    "/",
    "/audience",
    "/audience?from=40&stage=silent&tag=estrangement",
    "/audience?group=chat:c7&group=plan:paid",
    "/audience?from=95&tier=KOL&cohort=2023-01",
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


def measure(folder: Path, n: int, rng: np.random.Generator) -> None:
    home = write_home(folder / "home", GROUPED)
    rows = community(n, rng)
    began = time.perf_counter()
    overview = overview_of(world().engine, DECLARED, rows, event_arrays(world().log, DECLARED), NOW)
    counted = time.perf_counter()
    with closing(Store.open(settings_of(home).store_url)) as store:
        publish(store, overview, rows)
    print(
        f"{n:>9,} members: {Cells.of(rows).rows.height:,} cells; overview in {counted - began:.1f} s, "
        f"published in {time.perf_counter() - counted:.1f} s"
    )
    with serving(home, world().log) as running, reader(running) as client:
        sign_in(client, create_key(running.store, "speed", ["read"], now=NOW))
        for path in PATHS:
            show(path, lambda path=path: client.get(path).raise_for_status())
        body = {"add": [{"type": "post", "timestamp": NOW.isoformat()}]}
        show("/v1/members/m0000003/what-if", lambda: running.client.post("/v1/members/m0000003/what-if", json=body).raise_for_status())
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
