"""What `keepwell monitor` read last, as the service answers it and as Prometheus takes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from pydantic import BaseModel

from models.community import Community
from models.declared import Language
from models.moments import EPOCH
from models.monitor_wording import limit_of, means_of, said_of, title_of, todo_of
from models.readings import MONITOR, Status, Subject
from models.store import Store
from serving.problems import NO_RUN, Refusal

Interval = tuple[float, float]


class ReadingAnswer(BaseModel):
    """`interval` is that of the value, or what chance alone would leave; `todo` is empty where no alarm is raised.

    `code` names the sentence `said`, `told` the figures in it; `since` is when the alarm was first raised. `means` tells what is measured,
    `limit` what the threshold stands for.
    """

    name: str
    subject: Subject
    status: Status
    code: str | None = None
    told: dict[str, Any] = {}
    title: str
    said: str
    means: str
    limit: str
    since: datetime | None = None
    value: float | None
    threshold: float | None
    expected: float | None
    interval: Interval | None
    todo: str


class ShiftAnswer(BaseModel):
    """A feature: its stability index, what chance alone stays below, and the share of the model that rests on it."""

    name: str
    psi: float
    chance: float
    weight: float


class EstimateAnswer(BaseModel):
    value: float
    lower: float
    upper: float


class ForeseenAnswer(BaseModel):
    """What is to be expected of today's members if the risks are right, before their outcomes are known."""

    members: int
    auc: EstimateAnswer
    log_loss: EstimateAnswer
    churn_rate: EstimateAnswer


class SeenAnswer(BaseModel):
    n: int
    n_churned: int
    base_rate: float
    auc: float
    auc_interval: Interval
    log_loss: float
    log_loss_interval: Interval
    ece: float
    ece_interval: Interval


class MaturedAnswer(BaseModel):
    """What came true over one horizon, beside what was to be expected."""

    horizon_days: int
    as_of: datetime
    out_of_time: bool
    seen: SeenAnswer
    expected: ForeseenAnswer


class MonitorAnswer(BaseModel):
    """`alarms` are names of readings; `version` is null where no model is in force; `features` those that moved most."""

    as_of: datetime
    version: str | None
    alarms: list[str]
    readings: list[ReadingAnswer]
    features: list[ShiftAnswer]
    matured: list[MaturedAnswer]
    foreseen: ForeseenAnswer | None


def latest_monitor(store: Store, community: Community, language: Language) -> MonitorAnswer:
    """Raises Refusal before the first run."""
    kept = store.figures(MONITOR)
    if kept is None:
        raise Refusal(NO_RUN, "`keepwell monitor` and `keepwell run` put what they read here")
    told: dict[str, Any] = json.loads(kept.body)
    labels = {one.id: one.label.of(language) for one in community.interventions}
    return MonitorAnswer.model_validate(told | {"readings": [_worded(one, language, labels) for one in told["readings"]]})


def _worded(kept: dict[str, Any], language: Language, labels: Mapping[str, str]) -> dict[str, Any]:
    """What was kept before sentences had codes is told as it was."""
    if "code" not in kept:
        return kept | {"title": kept["name"], "means": "", "limit": ""}
    code, told = kept["code"], kept["told"]
    return kept | {
        "title": title_of(language, kept["name"], code, told),
        "said": said_of(language, code, told, labels),
        "means": means_of(language, code),
        "limit": limit_of(language, code, kept["threshold"]),
        "todo": todo_of(language, code, told, labels) if kept["status"] == "alarm" else "",
    }


@dataclass(frozen=True, eq=False)
class Watched:
    """Gauges of the last readings, the same in every process; nothing before the first run. A registry tells it by its identity."""

    as_of_us: int | None
    readings: tuple[dict[str, Any], ...] = ()

    @classmethod
    def of(cls, store: Store) -> Self:
        kept = store.figures(MONITOR)
        return cls(None) if kept is None else cls(kept.as_of_us, tuple(json.loads(kept.body)["readings"]))

    def collect(self) -> Iterator[Metric]:
        """As the client of Prometheus asks for it. A reading that is unknown has no alarm, neither 0 nor 1."""
        if self.as_of_us is None:
            return
        at = GaugeMetricFamily("keepwell_monitor_as_of_seconds", "Moment that the monitor read for last, since 1970.")
        at.add_metric([], self.as_of_us / 1e6 + EPOCH.timestamp())
        yield at
        told = {reading["name"]: reading for reading in self.readings}
        alarms = {name: int(reading["status"] == "alarm") for name, reading in told.items() if reading["status"] != "unknown"}
        yield _family("alarm", "1 where the reading is beyond its threshold.", alarms)
        for field, meaning in (("value", "What was read."), ("threshold", "From where on it is an alarm.")):
            yield _family(field, meaning, {name: reading[field] for name, reading in told.items() if reading[field] is not None})


def _family(name: str, meaning: str, figures: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(f"keepwell_monitor_{name}", meaning, labels=["reading"])
    for reading, figure in figures.items():
        family.add_metric([reading], figure)
    return family
