"""A run over all members of the served world, as `keepwell decide` publishes it, and a way in for a browser."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any

import httpx2
import polars as pl
import pytest

from models.audience import Cells, Selection, standings_of
from models.campaign import Campaign
from models.decision_table import decide_table
from models.events import event_arrays
from models.intervention_figures import INTERVENTIONS
from models.interventions import ContactHistory
from models.kept_frontier import NAME as FRONTIER
from models.kept_frontier import keep_frontier
from models.moments import microseconds
from models.overview import overview_of
from models.plan_figures import Outlook, arms_of
from models.plan_ground import PlanGround
from models.publishing import publish
from models.simulated_plan import EVERYONE, Question, simulate_plan
from models.snapshots import Snapshots
from models.store import Store
from models.store_overviews import StandingQuery
from models.strata import Strata
from models.supply import Capacity, Supply
from models.weighing import weigh
from tests.patience import PATIENCE_SECONDS, PLAIN
from tests.serving_world import DECLARED, NOW, Running, world


def standings(as_of=NOW) -> pl.DataFrame:
    events, members = event_arrays(world().log, DECLARED), world().log.members
    ids = members["member_id"].to_list()
    snapshots = Snapshots.at(events, microseconds(as_of))
    table = decide_table(world().engine, events, snapshots, ids, [f"d-{one}" for one in ids], ContactHistory.empty(), as_of=as_of)
    return standings_of(table, members["joined"], DECLARED.timezone)


def what_budgets_bring() -> tuple[Outlook, ...]:
    """To the members of the world, now."""
    events, ids, engine = event_arrays(world().log, DECLARED), world().log.members["member_id"].to_list(), world().engine
    decision_ids, snapshots = [f"d-{one}" for one in ids], Snapshots.at(events, microseconds(NOW))
    weighed = weigh(engine, events, snapshots, ids, decision_ids, ContactHistory.empty(), as_of=NOW)
    campaign = Campaign.of(engine, [Strata.of(weighed, arms_of(engine))], Supply.of(engine.community, DECLARED.capacity, None))
    return (campaign.outlook(campaign.plan(), None),)


def show_runs(running: Running) -> pl.DataFrame:
    """One of a week ago and one of now, whose standings are returned."""
    events = event_arrays(world().log, DECLARED)
    for as_of in (NOW - timedelta(days=7), NOW):
        rows = standings(as_of)
        overview = overview_of(world().engine, DECLARED, rows, events, as_of)
        publish(running.store, overview, Cells.of(rows), [rows])
    keep_frontier(running.store, NOW, what_budgets_bring())
    return rows


def reader(running: Running, language: str = "en") -> httpx2.Client:
    """A client without a key, as a browser is one."""
    spoken = {"Accept-Language": language}
    return httpx2.Client(base_url=running.client.base_url, timeout=PATIENCE_SECONDS, verify=PLAIN, headers=spoken, follow_redirects=True)


def form_token(page: str) -> str:
    return re.search(r'name="form_token" value="([0-9a-f]+)"', page)[1]


def sign_in(client: httpx2.Client, key: str) -> httpx2.Response:
    token = form_token(client.get("/sign-in").text)
    return client.post("/sign-in", data={"form_token": token, "key": key, "next": "/"})


def figures(store: Store) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
    """Interventions, budgets and the ground of plans."""
    report, frontier = (json.loads(kept.body) for name in (INTERVENTIONS, FRONTIER) if (kept := store.figures(name)))
    key = store.ground_key() or 0
    ground = PlanGround.from_bytes(store.ground(key) or b"")
    plan = simulate_plan(ground.terms, ground.crowd(EVERYONE), Question(Capacity(budget=0.3)), Capacity())
    return report, frontier, plan.to_dict(), store.ground_members(key, "", 1_000).to_dicts()


def shown(store: Store) -> tuple[Any, list[dict[str, Any]], dict[str, dict[str, Any]]]:
    published = store.overview(store.overview_key() or 0)
    assert published is not None
    query = StandingQuery(published.overview_key, Selection())
    standings = {row["member_id"]: row for part in store.all_standings(query) for row in part}
    return json.loads(published.body), Cells.from_text(published.cells).rows.to_dicts(), standings


def assert_same(told: Any, expected: Any) -> None:
    """Numbers within rounding: sums may be taken in another order."""
    if isinstance(expected, dict):
        assert told.keys() == expected.keys()
        for name, value in expected.items():
            assert_same(told[name], value)
    elif isinstance(expected, list | tuple):
        assert len(told) == len(expected)
        for one, other in zip(told, expected, strict=True):
            assert_same(one, other)
    else:
        assert told == (pytest.approx(expected, rel=1e-9) if isinstance(expected, float) else expected)
