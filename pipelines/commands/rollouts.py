"""Commands that put a challenger in force step by step: `keepwell rollout start`, `raise`, `status`, `finish`; and `keepwell rollback`."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.options import AsJson, Home, Lang, Seed, Version, language_of, now
from pipelines.terminal import OUT, Steps, log_line, print_json
from pipelines.workspace import Workspace

if TYPE_CHECKING:
    from datetime import datetime

app = typer.Typer(name="rollout", help="Let a challenger decide for a share of the members, and compare.", no_args_is_help=True)

Share = Annotated[float, typer.Option("--share", help="Per cent of the members, such as 5.")]
Because = Annotated[str | None, typer.Option("--because", help="Why; kept with it.")]
By = Annotated[str | None, typer.Option("--by", help="Who; by default the user of this machine.")]

At = Annotated[str | None, typer.Option("--at", help="From which moment on decisions count; by default now.")]


@app.command()
def start(
    share: Share,
    config: Home = None,
    version: Version = None,
    at: At = None,
    because: Because = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Let a version, by default the challenger, decide for a share of the members from now on."""
    from pipelines.printing_rollouts import print_rollout
    from pipelines.rollout import Said, start

    workspace = Workspace.find(config)
    started = start(workspace, share, version, Said(_who(by), because), now=_moment(workspace, at))
    if as_json:
        print_json({**started.rollout.to_dict(), "notes": list(started.notes)})
        return
    print_rollout(started.rollout, OUT)
    for note in started.notes:
        OUT.print(note, highlight=False, soft_wrap=True)


@app.command(name="raise")
def raise_(share: Share, config: Home = None, at: At = None, because: Because = None, by: By = None, as_json: AsJson = False) -> None:
    """Raise the share; the members who were in stay in."""
    from pipelines.printing_rollouts import print_rollout
    from pipelines.rollout import Said, raise_share

    workspace = Workspace.find(config)
    rollout = raise_share(workspace, share, Said(_who(by), because), now=_moment(workspace, at))
    print_json(rollout.to_dict()) if as_json else print_rollout(rollout, OUT)


@app.command()
def status(config: Home = None, lang: Lang = None, as_json: AsJson = False) -> None:
    """Show the roll-out that runs, or the last: who decides for whom, the comparison so far, and what to do."""
    from pipelines.printing_rollouts import print_status
    from pipelines.rollout_watch import rollout_status

    language = language_of(lang)
    told = rollout_status(Workspace.find(config), now=now())
    if as_json:
        print_json({"rollout": None} if told is None else told.to_dict(language or told.community.language))
    else:
        print_status(told, language, OUT)


@app.command()
def finish(
    config: Home = None,
    force: Annotated[bool, typer.Option("--force", help="Without proof; goes with --because.")] = False,
    because: Because = None,
    by: By = None,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Make the challenger the champion, where the comparison or the gate of `keepwell promote` is for it."""
    from pipelines.printing_proof import print_promotion
    from pipelines.rollout import Said
    from pipelines.rollout_watch import finish

    if force and not because:
        raise typer.BadParameter("--force needs --because: what is put in force without proof needs its reason")
    promotion = finish(Workspace.find(config), Said(_who(by), because), now=now(), force=force, seed=seed, progress=Steps())
    if force:
        log_line("promotion_forced", version=promotion.version, against=promotion.against, at=promotion.at.isoformat(), because=because)
    print_json(promotion.to_dict()) if as_json else print_promotion(promotion, OUT)


def rollback(config: Home = None, version: Version = None, because: Because = None, by: By = None, as_json: AsJson = False) -> None:
    """End the roll-out that runs, at once; where none does, put the champion before, or --version, back in force."""
    from pipelines.printing_rollouts import print_rolled_back
    from pipelines.rollout import Said, roll_back

    told = roll_back(Workspace.find(config), version, Said(_who(by), because), now=now())
    log_line("rolled_back", champion=told.champion, replaced=told.replaced, because=because)
    print_json(told.to_dict()) if as_json else print_rolled_back(told, OUT)


def _moment(workspace: Workspace, at: str | None) -> datetime:
    """Raises InputError for what is no time."""
    from models.declaration import load_community
    from pipelines.dates import moment

    if at is None:
        return now()
    found = moment(at, load_community(workspace.declaration))
    if found > now():
        raise typer.BadParameter(f"--at {at} lies ahead; a roll-out begins now, or began for a service whose clock is stopped")
    return found


def _who(by: str | None) -> str:
    """A container may have a user without a name."""
    try:
        return by or getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
