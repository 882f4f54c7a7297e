"""Commands about webhooks: `keepwell webhooks add`, `list`, `rotate`, `remove`, `dead`, `redeliver`, and about what seals their secrets."""

from __future__ import annotations

from typing import Annotated

import typer

from models.counting import counted
from models.webhooks import EVENT_TYPES
from pipelines.options import AsJson, Home, named, now
from pipelines.terminal import OUT, print_json
from pipelines.workspace import Workspace

app = typer.Typer(name="webhooks", help="Tell endpoints outside what happens, signed by Standard Webhooks.", no_args_is_help=True)

EVERY_TYPE: list[str] = list(EVENT_TYPES)
EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id, as `keepwell webhooks list` shows it.")]


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="Where messages are posted to: https://, or http:// on this machine.")],
    events: Annotated[list[str], typer.Option("--events", help="Types of messages, repeated or by commas.")] = EVERY_TYPE,
    config: Home = None,
) -> None:
    """Add an endpoint and show its secret once."""
    from pipelines.webhooks import add_endpoint

    endpoint = add_endpoint(Workspace.find(config), url, named(events), now=now())
    OUT.print(f"{endpoint.endpoint_id} is told of {', '.join(endpoint.events)}", highlight=False, soft_wrap=True)
    _show_secret(endpoint.secret)


@app.command(name="list")
def list_(config: Home = None, as_json: AsJson = False) -> None:
    """Show the endpoints, and how much was, is to be and could not be delivered to each."""
    from pipelines.printing_webhooks import print_endpoints, told_of_endpoints
    from pipelines.webhooks import endpoints

    standings = endpoints(Workspace.find(config))
    if as_json:
        print_json({"endpoints": told_of_endpoints(standings)})
    else:
        print_endpoints(standings, OUT)


@app.command()
def rotate(endpoint: EndpointId, config: Home = None) -> None:
    """Give an endpoint a new secret, shown once; for a day messages are signed with the old one too."""
    from pipelines.webhooks import rotate_secret

    _show_secret(rotate_secret(Workspace.find(config), endpoint, now=now()))


@app.command()
def rekey(config: Home = None) -> None:
    """Seal the secrets in the store with a new key: a new one in the key's file, or the first of KEEPWELL_SECRET_KEY."""
    from pipelines.webhooks import rekey as rekey_secrets

    number = rekey_secrets(Workspace.find(config))
    sealed = counted(number, "secret is", "secrets are")
    OUT.print(f"{sealed} sealed with the new key; those that endpoints verify by are the same", highlight=False)


@app.command(name="key")
def new_key() -> None:
    """Print a new key for KEEPWELL_SECRET_KEY; nothing is changed."""
    from models.sealing import new_key as made

    OUT.print(made(), highlight=False, soft_wrap=True)


@app.command()
def remove(endpoint: EndpointId, config: Home = None) -> None:
    """Remove an endpoint, with all that was still to be sent to it."""
    from pipelines.webhooks import store_of

    with store_of(Workspace.find(config)) as store:
        store.remove_endpoint(endpoint)
    OUT.print(f"{endpoint} is told nothing any more", highlight=False)


@app.command()
def dead(
    after: Annotated[int, typer.Option("--after", min=0, help="Those after the letter of this number.")] = 0,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many at most.")] = 100,
    config: Home = None,
    as_json: AsJson = False,
) -> None:
    """Show the messages that could not be delivered, oldest first."""
    from pipelines.printing_webhooks import print_dead_letters
    from pipelines.webhooks import dead_letters

    letters = dead_letters(Workspace.find(config), after, limit)
    if as_json:
        print_json({"dead_letters": [letter._asdict() for letter in letters]})
    else:
        print_dead_letters(letters, OUT)


@app.command()
def redeliver(
    endpoint: Annotated[str | None, typer.Option("--endpoint", help="Those to this endpoint alone.")] = None,
    message: Annotated[str | None, typer.Option("--message", help="This message alone, by its id.")] = None,
    config: Home = None,
) -> None:
    """Send again, by the service, what could not be delivered."""
    from models.moments import microseconds
    from pipelines.webhooks import store_of

    with store_of(Workspace.find(config)) as store:
        number = store.redeliver(microseconds(now()), endpoint, message)
    OUT.print(f"{counted(number, 'message is', 'messages are')} due again", highlight=False)


def _show_secret(secret: str) -> None:
    OUT.print(f"Secret, shown this once: {secret}", highlight=False, soft_wrap=True)
