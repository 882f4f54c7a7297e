"""What a person reads of experiments."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rich.box import SIMPLE
from rich.table import Column, Table

from models.experiment_wording import (
    arm_label,
    kind_of,
    label_of,
    lift_sentence,
    metric_label,
    notes_of,
    sizes_sentence,
    written,
    written_mean,
    written_p,
)

if TYPE_CHECKING:
    from rich.console import Console

    from models.read_out import Lift, ReadOut
    from pipelines.experiments import ExperimentsTold

FIGURES = ("members", "control", "with it", "lift", "interval", "p of several")


def print_experiments(told: ExperimentsTold, console: Console) -> None:
    for read in told.read:
        print_read_out(read, told, console)


def print_read_out(read: ReadOut, told: ExperimentsTold, console: Console) -> None:
    """The sentences below the figures."""
    community, language = told.community, told.language
    console.print(f"{label_of(read, community, language)} ({read.id})", style="bold", highlight=False)
    heads = (Column(name, overflow="fold") for name in ("metric", "arm"))
    table = Table(*heads, *(Column(name, justify="right", overflow="fold") for name in FIGURES), box=SIMPLE)
    for lift in read.lifts:
        names = (metric_label(lift, read, community, language), arm_label(lift.arm, read, community, language))
        table.add_row(*names, *_figures(lift, read, told))
    console.print(table, highlight=False)
    for lift in read.lifts:
        console.print(lift_sentence(lift, read, community, language), highlight=False, soft_wrap=True)
    style = "yellow" if read.doubtful else "dim"
    console.print(sizes_sentence(read, language), style=style, highlight=False, soft_wrap=True)
    for note in notes_of(read, language):
        console.print(note, style="dim", highlight=False, soft_wrap=True)
    console.print()


def _figures(lift: Lift, read: ReadOut, told: ExperimentsTold) -> tuple[str, ...]:
    kind = kind_of(lift, read, told.community)
    shown = partial(written, kind, language=told.language, currency=told.community.currency)
    mean = partial(written_mean, kind, language=told.language, currency=told.community.currency)
    bounds = ("", "") if lift.lift is None else (shown(lift.lift.value), f"{shown(lift.lift.lower)} … {shown(lift.lift.upper)}")
    return (f"{lift.control_members:,} / {lift.members:,}", mean(lift.control_mean), mean(lift.mean), *bounds, written_p(lift.adjusted_p))
