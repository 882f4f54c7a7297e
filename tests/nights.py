"""A community whose log grows by a file a day: the days before are declared as its log, the others are delivered."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl
import yaml

from models.simulation import SimulationConfig, simulate
from pipelines.run import Ran, run
from pipelines.run_record import StepRecord
from pipelines.workspace import Workspace
from tests.empty_registry import with_registry
from tests.planted import community, intervention, signal

SIGNALS = [
    *(signal(name) for name in ("post", "comment", "reaction")),
    signal("purchase", value="money"),
    *(signal(name, qualifying=False) for name in ("read", "service")),
]
LOG = {
    "path": "events.csv",
    "member": "member_id",
    "time": "timestamp",
    "type": "type",
    "value": "value",
    "event_id": "event_id",
    "channel": "channel",
}
FORMAT = {"datetime_format": "%Y-%m-%dT%H:%M:%S%.fZ"}


@dataclass(frozen=True)
class Growing:
    """`base` days are in the log from the start, the days after come one by one."""

    events: pl.DataFrame
    start: date
    base: int
    folder: Path

    @classmethod
    def simulated(cls, config: SimulationConfig, seed: int, base: int, folder: Path) -> Self:
        return cls(simulate(config, np.random.default_rng(seed)).events.sort("timestamp", "event_id"), config.start, base, folder)

    def copied(self, folder: Path) -> Self:
        """As it is now, in a folder of its own."""
        shutil.copytree(self.folder, folder)
        return replace(self, folder=folder)

    @property
    def workspace(self) -> Workspace:
        return Workspace.find(self.folder)

    def day(self, number: int) -> date:
        return self.start + timedelta(days=number)

    def midnight(self, number: int) -> datetime:
        """When the day before this one is over."""
        return datetime.combine(self.day(number), datetime.min.time(), UTC)

    def of_day(self, number: int) -> pl.DataFrame:
        return self.events.filter(pl.col("timestamp").dt.date() == self.day(number))

    def begin(self, **changes: object) -> None:
        """The folder with the declaration and the log as it was on the morning of day `base`."""
        (self.folder / "days").mkdir(parents=True)
        self.events.filter(pl.col("timestamp").dt.date() < self.day(self.base)).write_csv(self.folder / "events.csv", **FORMAT)
        schedule = {"deliveries": "days/*", **changes.pop("schedule", {})}
        declared = community(intervention("coupon", cost=0, starting_uplift=0.05), signals=SIGNALS, log=LOG, schedule=schedule, **changes)
        content = declared.model_dump(mode="json", exclude_defaults=True)
        (self.folder / "keepwell.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
        with_registry(self.folder)

    def file(self, number: int, name: str | None = None) -> Path:
        return self.folder / "days" / (name or f"{self.day(number)}.csv")

    def deliver(self, number: int, name: str | None = None) -> Path:
        """The whole day, as one file."""
        self.of_day(number).write_csv(self.file(number, name), **FORMAT)
        return self.file(number, name)

    def night(self, number: int, **options: object) -> Ran:
        """Two hours after the midnight at which day `number` begins."""
        return run(self.workspace, as_of=None, now=self.midnight(number) + timedelta(hours=2), **options)


def states(ran: Ran) -> dict[str, str]:
    return {step.name: step.state for step in ran.record.steps}


def step(ran: Ran, name: str) -> StepRecord:
    found = ran.record.of(name)
    assert found is not None, states(ran)
    return found
