"""Watches data, model and decisions: what moved, what came true, what was drawn; keeps the readings for the service."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.errors import NoChampion, NotEnoughData
from models.events import between
from models.moments import microseconds
from models.plan_in_force import PlanInForce
from models.readings import MONITOR, Monitored, Reading, freshness, judged, rejected_rows
from models.store import Store
from models.supply import Supply
from models.watched_decisions import Drawn, decision_readings
from models.watched_declaration import declared_reading
from models.watched_model import ModelWatch, model_readings
from models.watched_plan import no_plan, plan_given
from pipelines.deliveries import delivered_since
from pipelines.loading import decision_time, engine_of, load, without_refusing
from pipelines.rollout_watch import watch_rollout

if TYPE_CHECKING:
    from datetime import datetime

    from models.arrays import Flags
    from models.community import Community
    from models.engine import Engine
    from models.training import Progress
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace

LATELY_DAYS = 7


def monitor(workspace: Workspace, *, as_of: str | None, now: datetime, seed: int = 0, progress: Progress = lambda _: None) -> Monitored:
    """By default at the date of `decide_all`. The store keeps the readings, where `/metrics` and the pages find them.

    Raises InputError, ModelRefused, RegistryUnavailable, StoreUnavailable.
    """
    progress("log")
    loaded = load(workspace, now=now)
    at = decision_time(loaded, as_of, now=now)
    watch = loaded.community.monitor
    rows = loaded.log.events.height + loaded.rejected
    data = (
        freshness(loaded.log.last, at, watch),
        rejected_rows("rejected", loaded.rejected, rows, watch),
        *_days(workspace, loaded, at),
    )
    progress("model")
    try:
        told = _with_model(engine_of(workspace, None), without_refusing(loaded), min(at, loaded.end), np.random.default_rng(seed))
    except NoChampion:
        told = Monitored(at, None, (Reading("champion", "model", "unknown", "no_champion", {}),))
    progress("decisions")
    drawn = _drawn(workspace, loaded, at)
    rollout = _rolling_out(workspace, now)
    with closing(Store.open(workspace.store_url)) as store:
        declared = not Supply.of(loaded.community, loaded.community.capacity, loaded.community.capacity.budget).endless
        decisions = decision_readings(drawn, loaded.community, limited=declared or by_plans(drawn, store, loaded.community))
        planned = plan_reading(store, loaded, at)
        readings = (*data, *told.readings, *decisions, planned, *rollout)
        before = store.figures(MONITOR)
        monitored = Monitored(at, told.version, readings, told.features, told.matured, told.foreseen)
        monitored = monitored.after(None if before is None else before.body)
        store.keep_figures(MONITOR, microseconds(at), monitored.to_json())
    progress("done")
    return monitored


def by_plans(drawn: Drawn, store: Store, community: Community) -> Flags:
    """Which decisions below the floor, shape (n,), went by a plan, whoever asked for it: what it shares out may lower exploration."""
    limited = np.zeros(len(drawn), dtype=np.bool_)
    if drawn.decision_ids:
        below = np.flatnonzero(drawn.below(community.policy.exploration))
        ids = [drawn.decision_ids[row] for row in below.tolist()]
        planned = store.planned(ids)
        limited[below] = [one in planned for one in ids]
    return limited


def _days(workspace: Workspace, loaded: Loaded, at: datetime) -> tuple[Reading, ...]:
    """Of the days' files that came in the last week; nothing where none did. Rows that say what is known already can be used."""
    files = delivered_since(workspace, at - timedelta(days=LATELY_DAYS))
    rejected = sum(one.rejected for one in files)
    rows = sum(one.rows for one in files)
    return (rejected_rows("rejected_lately", rejected, rows, loaded.community.monitor),) if files else ()


def _rolling_out(workspace: Workspace, now: datetime) -> tuple[Reading, ...]:
    """Nothing where no roll-out runs."""
    watched = watch_rollout(workspace, now=now)
    if watched is None:
        return ()
    code = "rollout_ended" if watched.ended else "rollout"
    return (judged("rollout", "decisions", beyond=watched.alarm, code=code, told={"said": watched.told}),)


def _with_model(engine: Engine, loaded: Loaded, at: datetime, rng: np.random.Generator) -> Monitored:
    """Members who switched personalisation off are left aside. `at` is no later than the log goes: its end is no drift of its members."""
    declared, watching = declared_reading(loaded.community, engine), ModelWatch.of(engine, loaded.arrays, at)
    moving, maturing = rng.spawn(2)
    matured = watching.matured(rng=maturing)
    try:
        moved = watching.moved(at, rng=moving)
    except NotEnoughData:
        readings = (declared, *model_readings(loaded.community.monitor, None, matured))
        return Monitored(at, engine.version, readings, matured=matured)
    readings = (declared, *model_readings(loaded.community.monitor, moved, matured))
    return Monitored(at, engine.version, readings, moved.features, matured, moved.foreseen)


def plan_reading(store: Store, loaded: Loaded, at: datetime) -> Reading:
    """Of the decisions that the store keeps since the plan in force was put there."""
    body = store.plan_in_force()
    plan = None if body is None else PlanInForce.from_json(body)
    touches = loaded.log.touches
    if plan is None or not plan.planned:
        return no_plan()
    if touches is None or "decision_id" not in touches.columns:
        return plan_given(plan, 0, {}, loaded.community)
    since, until = plan.activated_at, min(at, plan.valid_until)
    made = touches.filter(pl.col("decision_id").is_not_null(), between(since, until))
    counts = made.group_by(pl.col("intervention").cast(pl.String)).len().filter(pl.col("intervention") != NO_ACTION)
    return plan_given(plan, made["member"].n_unique(), dict(counts.iter_rows()), loaded.community)


def _drawn(workspace: Workspace, loaded: Loaded, at: datetime) -> Drawn:
    """The decisions that the store keeps of the last days; where it has none, those that the last run wrote."""
    touches, since = loaded.log.touches, at - timedelta(days=loaded.community.monitor.days)
    if touches is not None and "decision_id" in touches.columns:
        lately = touches.filter(pl.col("decision_id").is_not_null(), between(since, at))
        if not lately.is_empty():
            ids = loaded.log.members["member_id"].gather(lately["member"]).alias("member_id")
            return Drawn.of(lately.with_columns(ids), "intervention", loaded.community)
    if workspace.decisions.is_file():
        return Drawn.of(pl.read_parquet(workspace.decisions), "chosen", loaded.community)
    return Drawn.of(pl.DataFrame(schema={"member_id": pl.String, "chosen": pl.String}), "chosen", loaded.community)
