"""What a person reads of a run on Spark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.counting import counted
from pipelines.plan_printing import print_followed
from pipelines.printing import print_actions, print_recorded

if TYPE_CHECKING:
    from rich.console import Console

    from pipelines.distributed import DecidedOnSpark


def print_decided_on_spark(decided: DecidedOnSpark, console: Console) -> None:
    print_actions(decided.actions, decided.as_of, decided.version, decided.place, console)
    sums = decided.sums
    seen = f"{counted(sums.events, 'event')} of {counted(sums.members, 'member')}"
    told = f"from {seen}; the actions cost {decided.spent:,.2f} {decided.currency}"
    console.print(told, highlight=False, soft_wrap=True)
    if decided.recorded is not None:
        print_recorded(decided.recorded, console)
    if (plan := decided.plan) is not None:
        print_followed(plan.gap, plan.prices, plan.exploration, decided.spent, decided.currency, console)
    if sums.refused:
        tables = ", ".join(f"{rows:,} of {table}" for table, rows in sorted(sums.refused.items()))
        console.print(f"rows that cannot be used: {tables}; with their reasons in {decided.rejected}", highlight=False, soft_wrap=True)
