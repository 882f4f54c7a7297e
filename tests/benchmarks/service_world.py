"""A community to put load on: eight interventions whose effects were learned, members with about 300 events, a registered champion."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import yaml
from rich.console import Console

from models.declaration import load_community
from models.engine import Engine
from models.registry import Registry
from models.simulation import WORLDS, SimulationConfig
from pipelines.ingest import ingest
from pipelines.init import InitOptions, initialise
from pipelines.lessons import Asked
from pipelines.simulate import write_simulation
from pipelines.train import train_challenger
from pipelines.workspace import Workspace

START, DAYS = date(2025, 1, 1), 365
AS_OF = datetime(2025, 12, 31, 10, tzinfo=UTC)
FEWEST_EVENTS, MOST_EVENTS, SILENT_DAYS = 200, 400, 20
EVENTS_OF_A_MEMBER = 300


@dataclass(frozen=True)
class ServiceWorld:
    """`asked`: members with a score and 200 to 400 events in the lookback, about 300 on average."""

    workspace: Workspace
    asked: list[str]
    mean_events: float

    @property
    def engine(self) -> Engine:
        return Registry(self.workspace.mlflow_uri).champion(self.workspace.model_cache)


def make_world(folder: Path, members: int, seed: int = 1) -> ServiceWorld:
    """Made anew unless the folder holds one; takes a minute for 2,500 members.

    Nothing rests and no cap binds, so that each decision is a full one.
    """
    workspace = Workspace(folder)
    if not workspace.declaration.exists():
        config = SimulationConfig(
            members=members,
            days=DAYS,
            start=START,
            visits_per_day=0.22,
            visits_spread=0.3,
            actions_per_visit=2.6,
            truth_paths=2,
            truth_as_of=(date(2025, 12, 1),),
            world=WORLDS["strong"],
        )
        files = write_simulation(folder / "log", config, seed)
        declare(workspace, files.events, files.members, files.touches)
        now = datetime.now(UTC)
        ingest(workspace, load_community(workspace.declaration), now=now)
        train_challenger(workspace, Asked(seed=seed), now=now, progress=lambda _: None)
        Registry(workspace.mlflow_uri, workspace.mlflow_artifacts).promote(None, workspace.model_cache)
    asked = members_to_ask(folder / "log" / "events.parquet")
    return ServiceWorld(workspace, asked["member_id"].to_list(), float(asked["events"].mean()))  # type: ignore[arg-type]  # polars types a mean as any literal


def declare(workspace: Workspace, events: Path, members: Path, touches: Path) -> None:
    options = InitOptions(
        log=events,
        member="member_id",
        time="timestamp",
        type="type",
        value="value",
        members=members,
        joined="joined",
        touches=touches,
        output=workspace.declaration,
    )
    initialise(options, Console(quiet=True), now=AS_OF)
    declared = yaml.safe_load(workspace.declaration.read_text(encoding="utf-8"))
    for intervention in declared["interventions"]:
        intervention["cooldown_days"] = 0
    for cap in declared["contact_policy"]["caps"]:
        cap["max_contacts"] = 1_000_000
    workspace.declaration.write_text(yaml.safe_dump(declared, allow_unicode=True, sort_keys=False), encoding="utf-8")


def members_to_ask(events: Path) -> pl.DataFrame:
    """member_id, events; in random order."""
    rows = pl.scan_parquet(events).group_by("member_id").agg(pl.len().alias("events"), pl.col("timestamp").max().alias("last"))
    since = pl.lit(AS_OF).dt.convert_time_zone("UTC") - pl.duration(days=SILENT_DAYS)
    fitting = rows.filter(pl.col("events").is_between(FEWEST_EVENTS, MOST_EVENTS), pl.col("last") > since)
    return fitting.sort("member_id").collect().sample(fraction=1, shuffle=True, seed=1)
