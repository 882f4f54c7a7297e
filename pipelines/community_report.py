"""Writes the report of the whole community as one standalone page, with its figures as JSON beside it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import polars as pl

from models.community_figures import CommunityFigures, figures_of
from models.community_report import render_community_report
from models.decision_table import table_of
from models.errors import InputError
from pipelines.dates import moment
from pipelines.everyone import weigh_everyone
from pipelines.experiments import tell_experiments
from pipelines.loading import decision_time, engine_of, load
from pipelines.output import check_writable, writing
from pipelines.parts import strata_of
from pipelines.publish import shown_of_log

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from models.declared import Language
    from models.engine import Engine
    from models.read_out import ReadOut
    from models.training import Progress
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace

PAGE, FIGURES = "community.html", "community.json"


def report_all(
    workspace: Workspace,
    folder: Path,
    *,
    as_of: str | None,
    since: str | None,
    language: Language | None,
    now: datetime,
    progress: Progress,
) -> CommunityFigures:
    """By default at the date of `decide_all`, with paths from one churn horizon earlier.

    Raises InputError, NoChampion, ModelRefused.
    """
    for name in (PAGE, FIGURES):
        check_writable(folder / name)
    progress("log")
    loaded = load(workspace, now=now)
    engine = engine_of(workspace, None)
    at = decision_time(loaded, as_of, now=now)
    told_in = language or loaded.community.language
    figures = _figures(workspace, loaded, engine, at, _earlier(loaded, since, at), now, progress)
    page = render_community_report(figures, loaded.community, generated_at=now, language=told_in)
    for name, content in ((PAGE, page), (FIGURES, json.dumps(figures.to_dict(loaded.community, told_in), ensure_ascii=False, indent=2))):
        with writing(folder / name):
            (folder / name).write_text(content, encoding="utf-8")
    return figures


def _earlier(loaded: Loaded, since: str | None, at: datetime) -> datetime:
    earlier = at - timedelta(days=loaded.community.churn.horizon_days) if since is None else moment(since, loaded.community)
    if earlier >= at:
        message = f"{since} is not before {at:%Y-%m-%d}, the date of the report; choose an earlier day for --since"
        raise InputError(message)
    return earlier


def _figures(
    workspace: Workspace, loaded: Loaded, engine: Engine, at: datetime, earlier: datetime, now: datetime, progress: Progress
) -> CommunityFigures:
    progress("members")
    tables, parts = [], []
    for batch in weigh_everyone(engine, loaded, at):
        tables.append(table_of(engine, batch.weighed, batch.member_ids, batch.decision_ids, at))
        parts.append(strata_of(engine, batch))
    progress("plans")
    run = shown_of_log(engine, loaded, pl.concat(tables), parts, at, earlier)
    progress("experiments")
    return figures_of(loaded.community, run.overview, run.frontier, _experiments(workspace, now))


def _experiments(workspace: Workspace, now: datetime) -> tuple[ReadOut, ...]:
    """None where no service ever ran here."""
    if workspace.store_file is not None and not workspace.store_file.is_file():
        return ()
    return tell_experiments(workspace, None, language=None, now=now).read
