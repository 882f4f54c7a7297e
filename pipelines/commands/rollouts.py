"""Commands that put a challenger in force step by step: `keepwell rollout start`, `raise`, `status`, `finish`; and `keepwell rollback`."""

from __future__ import annotations

import getpass
from typing import Annotated

import typer

from pipelines.options import AsJson, Home, Version, now
from pipelines.terminal import OUT, log_line, print_json
from pipelines.workspace import Workspace

app = typer.Typer(name="rollout", help="Let a challenger decide for a share of the members, and compare.", no_args_is_help=True)

Share = Annotated[float, typer.Option("--share", help="Per cent of the members, such as 5.")]
Because = Annotated[str | None, typer.Option("--because", help="Why; kept with it.")]
By = Annotated[str | None, typer.Option("--by", help="Who; by default the user of this machine.")]


@app.command()
def start(
    share: Share, config: Home = None, version: Version = None, because: Because = None, by: By = None, as_json: AsJson = False
) -> None:
    """Let a version, by default the challenger, decide for a share of the members from now on."""
    from pipelines.printing_rollouts import print_rollout
    from pipelines.rollout import Said, start

    started = start(Workspace.find(config), share, version, Said(_who(by), because), now=now())
    if as_json:
        print_json({**started.rollout.to_dict(), "notes": list(started.notes)})
        return
    print_rollout(started.rollout, OUT)
    for note in started.notes:
        OUT.print(note, highlight=False, soft_wrap=True)


@app.command(name="raise")
def raise_(share: Share, config: Home = None, because: Because = None, by: By = None, as_json: AsJson = False) -> None:
    """Raise the share; the members who were in stay in."""
    from pipelines.printing_rollouts import print_rollout
    from pipelines.rollout import Said, raise_share

    rollout = raise_share(Workspace.find(config), share, Said(_who(by), because), now=now())
    print_json(rollout.to_dict()) if as_json else print_rollout(rollout, OUT)


def rollback(config: Home = None, version: Version = None, because: Because = None, by: By = None, as_json: AsJson = False) -> None:
    """End the roll-out that runs, at once; where none does, put the champion before, or --version, back in force."""
    from pipelines.printing_rollouts import print_rolled_back
    from pipelines.rollout import Said, roll_back

    told = roll_back(Workspace.find(config), version, Said(_who(by), because), now=now())
    log_line("rolled_back", champion=told.champion, replaced=told.replaced, because=because)
    print_json(told.to_dict()) if as_json else print_rolled_back(told, OUT)


def _who(by: str | None) -> str:
    """A container may have a user without a name."""
    try:
        return by or getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
