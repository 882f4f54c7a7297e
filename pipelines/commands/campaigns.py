"""Commands of those who act on members: decide for all of them, tell about one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import AsOf, Home, Lang, language_of, now
from pipelines.terminal import OUT, Steps
from pipelines.workspace import Workspace


def decide(
    output: Annotated[Path, typer.Option("-o", "--output", help="Table to write, .parquet or .csv.")],
    config: Home = None,
    as_of: AsOf = None,
    lang: Lang = None,
) -> None:
    """Decide for all members: risk, reasons and ranked interventions, one row for each."""
    from pipelines.decide import decide_all
    from pipelines.printing import print_decisions

    decided = decide_all(Workspace.find(config), output, as_of=as_of, language=language_of(lang), now=now(), progress=Steps())
    print_decisions(decided, output, OUT)


def report(
    member: Annotated[str, typer.Option("--member", help="The member's id.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Page to write, .html.")],
    config: Home = None,
    as_of: AsOf = None,
    lang: Lang = None,
) -> None:
    """Write the report of one member as one standalone HTML page."""
    from pipelines.report import report_member

    report_member(Workspace.find(config), member, output, as_of=as_of, language=language_of(lang), now=now())
    OUT.print(f"Wrote {output}", highlight=False, soft_wrap=True)
