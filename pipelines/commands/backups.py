"""Commands that keep what cannot be made again, and bring it back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from pipelines.options import AsJson, Home, now
from pipelines.terminal import OUT, print_json
from pipelines.workspace import Workspace

UNLIKE = 1


def backup(
    output: Annotated[Path, typer.Option("-o", "--output", help="File to write, ending in .zip, or a folder in which the time names it.")],
    config: Home = None,
    as_json: AsJson = False,
) -> None:
    """Copy the store, models, declaration and kept events into one file, while the service runs."""
    from pipelines.backup import backup

    made = backup(Workspace.find(config), output, now=now())
    if as_json:
        print_json(asdict(made) | {"file": str(made.file)})
        return
    rows = ", ".join(f"{count:,} {name}" for name, count in made.rows.items() if count)
    OUT.print(f"{made.file} ({made.bytes / 1e6:,.1f} MB): {rows or 'an empty store'}", highlight=False, soft_wrap=True)
    if not made.mlflow:
        told = "no model" if made.champion is None else f"the files of the champion, version {made.champion}, and no other model"
        OUT.print(f"MLflow is not kept in a file here: {told} is in the backup; back MLflow up by itself", highlight=False, soft_wrap=True)


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `keepwell backup` wrote.")],
    config: Home = None,
    replace: Annotated[bool, typer.Option("--replace", help="In the place of the store and models that are there.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a store, its models and its files of a backup, and look whether all is there; the service has to be stopped."""
    from pipelines.printing_backups import print_restored, told_of_restored
    from pipelines.restore import place, restore

    restored = restore(place(config), file, replace=replace)
    if as_json:
        print_json(told_of_restored(restored))
    else:
        print_restored(restored, OUT)
    if restored.checked.changed:
        raise typer.Exit(UNLIKE)
