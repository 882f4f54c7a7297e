"""Commands of every day after: watch, and do what is due."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.options import AsJson, AsOf, Home, Seed, now
from pipelines.terminal import ERR, OUT, Steps, print_json
from pipelines.workspace import Workspace

HELD = 4


def monitor(config: Home = None, as_of: AsOf = None, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Watch data, model and decisions: drift, what came true, floors and control. Exit code 1 where a reading raises an alarm."""
    from pipelines.monitor import monitor
    from pipelines.printing_nights import print_monitor

    told = monitor(Workspace.find(config), as_of=as_of, now=now(), seed=seed, progress=Steps())
    print_json(told.to_dict()) if as_json else print_monitor(told, OUT)
    raise typer.Exit(int(bool(told.alarms)))


def run(
    config: Home = None,
    as_of: Annotated[str | None, typer.Option("--as-of", help="The moment to decide at; by default the last midnight.")] = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Do what is due in a night: ingest, check, monitor, train, evaluate, promote what is proved, decide, report. For cron."""
    from models.errors import RunHeld
    from pipelines.printing_nights import print_run
    from pipelines.run import run

    try:
        ran = run(Workspace.find(config), as_of=as_of, now=now(), seed=seed, progress=Steps())
    except RunHeld as held:
        ERR.print(f"keepwell: {held}", style="red", highlight=False, markup=False, soft_wrap=True)
        raise typer.Exit(HELD) from None
    print_json(ran.to_dict()) if as_json else print_run(ran, OUT)
    raise typer.Exit(ran.record.exit_code)
