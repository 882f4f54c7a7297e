"""What a person reads of endpoints and of what could not be delivered."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE
from rich.table import Column, Table

from models.moments import EPOCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from models.outbox import DeadLetter, Standing


def print_endpoints(standings: Sequence[Standing], console: Console) -> None:
    if not standings:
        console.print("no endpoint is told anything; `keepwell webhooks add URL` adds one", highlight=False)
        return
    table = Table("endpoint", "URL", "is told of", *(Column(name, justify="right") for name in COUNTS), "last delivered", box=SIMPLE)
    for told in told_of_endpoints(standings):
        counts = (f"{told[name]:,}" for name in COUNTS)
        table.add_row(told["endpoint_id"], told["url"], ", ".join(told["events"]), *counts, told["delivered_at"] or "never")
    console.print(table)


def print_dead_letters(letters: Sequence[DeadLetter], console: Console) -> None:
    if not letters:
        console.print("every message was delivered, or is still being tried", highlight=False)
        return
    table = Table(
        Column("number", justify="right"), "message", "endpoint", "type", "of", Column("attempts", justify="right"), "why", box=SIMPLE
    )
    for letter in letters:
        table.add_row(
            str(letter.delivery_key),
            letter.message_id,
            letter.endpoint_id,
            letter.type,
            _moment(letter.created_us),
            str(letter.attempts),
            letter.error or "",
        )
    console.print(table)


COUNTS = ("delivered", "pending", "dead")


def told_of_endpoints(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """Everything but the secrets."""
    return [
        {
            "endpoint_id": standing.endpoint.endpoint_id,
            "url": standing.endpoint.url,
            "events": list(standing.endpoint.events),
            **{name: getattr(standing, name) for name in COUNTS},
            "delivered_at": None if standing.delivered_us is None else _moment(standing.delivered_us),
        }
        for standing in standings
    ]


def _moment(at_us: int) -> str:
    return (EPOCH + timedelta(microseconds=at_us)).isoformat(timespec="seconds")
