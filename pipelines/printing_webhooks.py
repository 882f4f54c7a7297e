"""What a person reads of endpoints and of what could not be delivered."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from models.moments import EPOCH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from models.outbox import DeadLetter, Standing


def print_endpoints(standings: Sequence[Standing], console: Console) -> None:
    if not standings:
        console.print("no endpoint is told anything; `keepwell webhooks add URL` adds one", highlight=False)
        return
    for told in told_of_endpoints(standings):
        counts = ", ".join(f"{told[name]:,} {name}" for name in COUNTS)
        last = "" if told["delivered_at"] is None else f", the last at {told['delivered_at']}"
        _say(f"{told['endpoint_id']} {told['url']}: {counts}{last}; is told of {', '.join(told['events'])}", console)


def print_dead_letters(letters: Sequence[DeadLetter], console: Console) -> None:
    if not letters:
        console.print("every message was delivered, or is still being tried", highlight=False)
        return
    for letter in letters:
        what = f"{letter.type} of {_moment(letter.created_us)}"
        tried = f"{letter.attempts} attempt{'' if letter.attempts == 1 else 's'}, {letter.error or 'no answer'}"
        _say(f"{letter.delivery_key} {letter.message_id} to {letter.endpoint_id}: {what}; {tried}", console)


def _say(line: str, console: Console) -> None:
    """In one line, however wide the terminal is: ids are copied from it."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)


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
