"""Commands of every day after: watch, and do what is due."""

from __future__ import annotations

import typer

from pipelines.options import AsJson, AsOf, Home, Seed, now
from pipelines.terminal import OUT, Steps, print_json
from pipelines.workspace import Workspace


def monitor(config: Home = None, as_of: AsOf = None, seed: Seed = 0, as_json: AsJson = False) -> None:
    """Watch data, model and decisions: drift, what came true, floors and control. Exit code 1 where a reading raises an alarm."""
    from pipelines.monitor import monitor
    from pipelines.printing_nights import print_monitor

    told = monitor(Workspace.find(config), as_of=as_of, now=now(), seed=seed, progress=Steps())
    print_json(told.to_dict()) if as_json else print_monitor(told, OUT)
    raise typer.Exit(int(bool(told.alarms)))
