"""Commands about the API keys of the service; each takes effect with the next request, in every process."""

from __future__ import annotations

from typing import Annotated

import typer

from pipelines.options import Home, named, now
from pipelines.terminal import OUT, show_key
from pipelines.workspace import Workspace

app = typer.Typer(help="Make, list, renew and end the API keys of the service.", no_args_is_help=True)

USUAL_SCOPES = ["score", "read"]
KeyId = Annotated[str, typer.Argument(help="Id of the key, as `keepwell keys list` shows it.")]


@app.command("list")
def list_(config: Home = None) -> None:
    """Show the keys with their scopes and ends; no secret can be read again."""
    from pipelines.keys import every_key, key_table

    OUT.print(key_table(every_key(Workspace.find(config)), now=now()))


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Who it is for; stands in the store beside the key's hash.")],
    scopes: Annotated[
        list[str],
        typer.Option("--scopes", help="What it may do, of score, ingest, read, plan, privacy, metrics, admin, repeated or by commas."),
    ] = USUAL_SCOPES,
    days: Annotated[int | None, typer.Option("--days", min=1, help="Valid for so many days; by default until it is revoked.")] = None,
    config: Home = None,
) -> None:
    """Make another API key and show it once."""
    from pipelines.keys import make_key

    show_key(make_key(Workspace.find(config), name, named(scopes), now=now(), days=days))


@app.command()
def rotate(
    key_id: KeyId,
    overlap_hours: Annotated[float, typer.Option("--overlap-hours", min=0, help="How long the old key stays valid.")] = 24.0,
    config: Home = None,
) -> None:
    """Make a new key with the name and scopes of another, which ends after the overlap."""
    from pipelines.keys import renew_key

    show_key(renew_key(Workspace.find(config), key_id, now=now(), overlap_hours=overlap_hours))


@app.command()
def revoke(key_id: KeyId, config: Home = None) -> None:
    """End a key at once."""
    from pipelines.keys import end_key

    end_key(Workspace.find(config), key_id, now=now())
    OUT.print(f"key {key_id} is revoked", highlight=False)
