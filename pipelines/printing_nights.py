"""What a person reads of what is done every day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape

from models.counting import counted

if TYPE_CHECKING:
    from rich.console import Console

    from models.readings import Monitored
    from pipelines.deliveries import Deliveries, Taken
    from pipelines.run import Ran

MARKS = {"alarm": "[bold red]alarm  [/]", "ok": "[green]ok     [/]", "unknown": "[dim]unknown[/]"}
ORDER = tuple(MARKS)
FEATURES_SHOWN = 5


def print_deliveries(told: Deliveries, console: Console) -> None:
    for one in told.taken:
        console.print(f"{one.file}: {_taken(one)}", highlight=False, soft_wrap=True)
    for name in told.again:
        console.print(f"{name}: taken in before, adds nothing", highlight=False, soft_wrap=True)


def _taken(one: Taken) -> str:
    told = [counted(one.events, "new event"), f"{one.known:,} known already"]
    if one.erased:
        told.append(f"{one.erased:,} of erased members, not kept")
    if one.repeated:
        told.append(f"{one.repeated:,} repeated in the file")
    if one.rejected:
        told.append(f"{one.rejected:,} rejected")
    return ", ".join(told) + ("" if one.rejected_file is None else f", with reasons in {one.rejected_file}")


def print_monitor(told: Monitored, console: Console) -> None:
    version = "no champion" if told.version is None else f"version {told.version}"
    of_all = f"of {counted(len(told.readings), 'reading')}"
    console.print(
        f"{told.as_of.isoformat()}, {version}: {counted(len(told.alarms), f'{of_all} raises', f'{of_all} raise')} an alarm", highlight=False
    )
    for reading in sorted(told.readings, key=lambda one: ORDER.index(one.status)):
        console.print(f"{MARKS[reading.status]} [bold]{reading.name}[/]: {escape(reading.said)}", highlight=False, soft_wrap=True)
        if reading.name == "feature_drift" and told.features:
            names = ", ".join(f"{shift.name} {shift.psi:.2f}" for shift in told.features[:FEATURES_SHOWN])
            console.print(f"        moved most: {escape(names)}", highlight=False, soft_wrap=True)
        if reading.todo:
            console.print(f"        {escape(reading.todo)}", highlight=False, soft_wrap=True)


def print_run(ran: Ran, console: Console) -> None:
    record = ran.record
    if ran.already:
        console.print(f"the run for {record.as_of.isoformat()} is complete already; nothing was changed", highlight=False)
        return
    if ran.took_over is not None:
        console.print(f"took over from {ran.took_over.told}, which did not end", highlight=False, soft_wrap=True)
    for step in record.steps:
        console.print(f"{step.name:<8} {step.state.replace('_', ' '):<8} {escape(step.said)}", highlight=False, soft_wrap=True)
    left = "" if record.complete else "; what is left is tried again by another run for the same moment"
    console.print(f"{record.as_of.isoformat()}: exit code {record.exit_code}{left}", highlight=False, soft_wrap=True)
