"""Reports what is wrong with the declared tables, and what to do about it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from models.counting import counted
from models.declaration import load_community
from pipelines.ingest import ingest
from pipelines.loading import told_twice

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from models.training import Progress
    from pipelines.intake_record import Ingested
    from pipelines.workspace import Workspace

LEVELS = {"error": "bold red", "warning": "yellow", "advice": "cyan"}


def check(workspace: Workspace, console: Console, *, now: datetime, as_json: bool = False, progress: Progress = lambda _: None) -> int:
    """The exit code: 0, or 1 where a finding is an error. Rejected rows are written beside their tables. Raises InputError."""
    community = load_community(workspace.declaration)
    taken = ingest(workspace, community, now=now, progress=progress)
    found = replace(taken, findings=(*taken.findings, *told_twice(workspace, community, taken.log, now=now)))
    (_print_json if as_json else _print_table)(found, console)
    return int(bool(found.errors))


def _print_json(found: Ingested, console: Console) -> None:
    content = {
        "events": found.log.events,
        "members": found.log.members.height,
        "rejected": found.rejected,
        "rejected_files": [str(path) for path in found.rejected_files],
        "first": found.log.first.isoformat(),
        "last": found.log.last.isoformat(),
        "findings": [finding.to_dict() for finding in found.findings],
    }
    console.out(json.dumps(content, ensure_ascii=False, indent=2), highlight=False)


def _print_table(found: Ingested, console: Console) -> None:
    log = found.log
    span = f"{log.first:%Y-%m-%d} to {log.last:%Y-%m-%d}"
    whole = f"{counted(log.events, 'event')} of {counted(log.members.height, 'member')}"
    console.print(f"{whole}, {span}; {counted(found.rejected, 'row')} rejected", highlight=False)
    for path in found.rejected_files:
        console.print(f"rejected rows, each with its line and reason: {path}", highlight=False, soft_wrap=True)
    if not found.findings:
        console.print("nothing found")
        return
    table = Table("level", "column", "line", "what was found", "what to do", show_lines=True)
    for level, style in LEVELS.items():
        for finding in found.findings:
            if finding.level == level:
                line = "" if finding.line is None else f"{finding.line:,}"
                table.add_row(
                    f"[{style}]{level}[/]", escape(finding.column or ""), line, escape(finding.message), escape(finding.what_to_do)
                )
    console.print(table, highlight=False)
