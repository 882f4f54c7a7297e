"""What a person reads of what is done every day."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.deliveries import Deliveries


def print_deliveries(told: Deliveries, console: Console) -> None:
    for one in told.taken:
        rejected = "" if one.rejected_file is None else f", {one.rejected:,} rejected, with reasons in {one.rejected_file}"
        console.print(f"{one.file}: {one.events:,} new events, {one.known:,} known already{rejected}", highlight=False, soft_wrap=True)
    for name in told.again:
        console.print(f"{name}: taken in before, adds nothing", highlight=False, soft_wrap=True)
