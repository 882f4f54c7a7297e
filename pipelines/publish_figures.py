"""What commands found out about interventions, models and tables, put into the store for the pages."""

from __future__ import annotations

from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from models.drift_figures import DRIFT, drift_figures
from models.errors import StoreUnavailable
from models.events import EventArrays
from models.input_figures import INPUT, InputFigures, told_findings
from models.intervention_figures import INTERVENTIONS, InterventionReport, intervention_report
from models.model_figures import MODEL, ModelFigures, latest_policies, measured_of
from models.moments import microseconds
from models.registry import CHALLENGER, CHAMPION
from models.store import Store
from pipelines.loading import registry

if TYPE_CHECKING:
    from datetime import datetime

    from models.engine import Engine
    from models.schedule import Watch
    from pipelines.log_parts import LogParts
    from pipelines.part_figures import PartFigures
    from pipelines.workspace import Workspace

VERSIONS_SHOWN = 12


def publish_figures(
    workspace: Workspace, engine: Engine, log: LogParts, figures: PartFigures, table: pl.DataFrame, *, now: datetime
) -> None:
    """Of a decision table and the log that it was decided on; as `keep_figures`."""
    touches = pl.concat(figures.touches, how="diagonal") if figures.touches else None
    report = intervention_report(engine, table, touches, EventArrays.together(figures.recent), figures.at)
    run = RunFigures(report, EventArrays.together(figures.sampled), input_figures(log, figures, now))
    keep_figures(workspace, engine, run, log.community.monitor, now=now)


@dataclass(frozen=True)
class RunFigures:
    """`sampled`: events of some members. The behaviour of members who switched personalisation off is not looked at."""

    report: InterventionReport
    sampled: EventArrays
    taken_in: InputFigures


def keep_figures(workspace: Workspace, engine: Engine, run: RunFigures, limits: Watch, *, now: datetime) -> None:
    """What belongs to a later run stays. Raises StoreUnavailable."""
    at = run.report.as_of
    drift = drift_figures(engine, run.sampled, at, limits)
    bodies = {INTERVENTIONS: run.report.to_json()} | ({} if drift is None else {DRIFT: drift.to_json()})
    with closing(Store.open(workspace.store_url)) as store:
        for name, body in bodies.items():
            store.keep_figures(name, microseconds(at), body)
        store.keep_figures(INPUT, microseconds(now), run.taken_in.to_json())
        store.keep_figures(MODEL, microseconds(now), model_figures(workspace, now).to_json())


def publish_models(workspace: Workspace, *, now: datetime) -> None:
    """What the versions keep of their measurements; where the store does not answer, the next run of `decide` puts it there."""
    figures = model_figures(workspace, now)
    with suppress(StoreUnavailable), closing(Store.open(workspace.store_url)) as store:
        store.keep_figures(MODEL, microseconds(now), figures.to_json())


def model_figures(workspace: Workspace, now: datetime) -> ModelFigures:
    """Of champion and challenger, and of the last versions. Raises RegistryUnavailable."""
    models = registry(workspace)
    aliases, versions = models.aliases(), models.versions()
    roles = {role: aliases.get(role) for role in (CHAMPION, CHALLENGER)}
    shown = sorted({*versions[:VERSIONS_SHOWN], *(version for version in roles.values() if version is not None)}, key=int)
    kept = {version: models.measured(version) for version in shown}
    gates = {version: models.gate(version) for version in shown}
    measured = sorted(
        (one for version in shown for one in measured_of(version, kept[version])), key=lambda one: (one.as_of, int(one.version))
    )
    return ModelFigures(now, roles[CHAMPION], roles[CHALLENGER], tuple(measured), latest_policies(kept, gates))


def input_figures(log: LogParts, figures: PartFigures, now: datetime) -> InputFigures:
    first, last = log.span
    return InputFigures(
        at=now,
        first=first,
        last=last,
        events=figures.events,
        members=sum(members.height for members in figures.joined),
        rejected=log.taken.rejected,
        findings=told_findings(log.taken.findings),
    )
