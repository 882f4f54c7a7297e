"""Figures for Prometheus: how the service answers and what it decides. None of them tells of a single member.

Several worker processes share a folder of figures, PROMETHEUS_MULTIPROC_DIR, which `keepwell serve --workers` makes; whichever of them
is asked tells the sums.
"""

from __future__ import annotations

import os
from collections import Counter as Tally
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self, TypeVar

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from models.deciding import Choice
from models.engine import Engine
from models.standings import Risk
from models.store_outbox import Standing
from models.store_rows import Fate

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
TWENTIETHS = tuple(round(step / 20, 2) for step in range(1, 21))
Figure = TypeVar("Figure", Counter, Histogram)
LIVE_FILES = "gauge_live*_*.db"
MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

REQUESTS = Histogram("keepwell_request_seconds", "Time to answer a request.", ("method", "route", "status"), buckets=SECONDS)
SCORES = Counter("keepwell_scores", "Members scored, by status.", ("status",))
PROBABILITIES = Histogram("keepwell_churn_probability", "Churn probabilities of the main horizon, as told.", buckets=TWENTIETHS)
DECISIONS = Counter("keepwell_decisions", "Decisions kept, by what was chosen.", ("intervention",))
REMOVED = Counter("keepwell_candidates_removed", "Interventions that a kept decision ruled out, by stage.", ("intervention", "stage"))
EVENTS = Counter("keepwell_events", "Behaviour events received, by what became of them.", ("result",))
STORE_ERRORS = Counter("keepwell_store_errors", "Requests that failed because the store did not answer.")
MODEL = Gauge("keepwell_model_in_force", "Processes that decide by this version.", ("version", "grade"), multiprocess_mode="livesum")
MODEL_STALE = Gauge("keepwell_model_stale", "Processes that could not take the latest champion over.", multiprocess_mode="livesum")


@cache
def labelled(figure: Figure, *labels: str) -> Figure:
    """The one with these labels, of which there are few: to look it up takes longer than to count."""
    return figure.labels(*labels)


def count_scores(risks: Iterable[Risk]) -> None:
    """Of every mode."""
    statuses: Tally[str] = Tally()
    for risk in risks:
        statuses[risk.status] += 1
        if risk.probability is not None:
            PROBABILITIES.observe(risk.probability)
    for status, members in statuses.items():
        labelled(SCORES, status).inc(members)


def count_decisions(choices: Iterable[Choice]) -> None:
    """Of mode `decide`, once they are durable."""
    chosen: Tally[str] = Tally()
    removed: Tally[tuple[str, str]] = Tally()
    for choice in choices:
        chosen[choice.chosen] += 1
        removed.update(choice.removed)
    for intervention, times in chosen.items():
        labelled(DECISIONS, intervention).inc(times)
    for labels, times in removed.items():
        labelled(REMOVED, *labels).inc(times)


def count_events(fates: Sequence[Fate], refused: int) -> None:
    """`refused`: those that the store did not get to see."""
    accepted, duplicate = fates.count("accepted"), fates.count("duplicate")
    for result, number in (("accepted", accepted), ("duplicate", duplicate), ("rejected", refused + len(fates) - accepted - duplicate)):
        labelled(EVENTS, result).inc(number)


def tell_model(before: Engine | None, now: Engine) -> None:
    """That this process decides by another version than before."""
    if before is not None:
        MODEL.labels(before.version, before.grade).set(0)
    MODEL.labels(now.version, now.grade).set(1)


@dataclass(frozen=True)
class Waiting:
    """Webhooks that the store holds, for every endpoint; they are counted when they are asked for, and are the same in every process."""

    pending: int
    dead: int

    @classmethod
    def of(cls, standings: Iterable[Standing]) -> Self:
        told = list(standings)
        return cls(sum(one.pending for one in told), sum(one.dead for one in told))

    def collect(self) -> Iterator[Metric]:
        """As the client of Prometheus asks for it."""
        family = GaugeMetricFamily("keepwell_webhooks", "Webhooks that wait for delivery or could not be delivered.", labels=["state"])
        family.add_metric(["pending"], self.pending)
        family.add_metric(["dead"], self.dead)
        yield family


@dataclass(frozen=True)
class StoreAnswers:
    """Whether the store answered when the figures were asked for."""

    up: bool

    def collect(self) -> Iterator[Metric]:
        """As the client of Prometheus asks for it."""
        yield GaugeMetricFamily("keepwell_store_up", "Whether the store answered just now.", value=float(self.up))


STORE_UP, STORE_DOWN = StoreAnswers(up=True), StoreAnswers(up=False)


def exposition(folder: Path | None, *kept: Collector) -> bytes:
    """The figures of this process, or of all that share the folder, and those that are `kept` in the store, as MEDIA_TYPE."""
    held = CollectorRegistry()
    for figures in kept:
        held.register(figures)
    return generate_latest(REGISTRY if folder is None else _of_all(folder)) + generate_latest(held)


def _of_all(folder: Path) -> CollectorRegistry:
    for pid in {int(file.stem.rpartition("_")[2]) for file in folder.glob(LIVE_FILES)}:
        if not _runs(pid):
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]  # the client gives no types there
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(folder))  # type: ignore[no-untyped-call]  # the same
    return registry


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
