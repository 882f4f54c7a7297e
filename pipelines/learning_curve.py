"""Tells how many snapshots are enough to learn the risk from, on the community's own log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
from rich.box import SIMPLE
from rich.table import Column, Table

from models.counting import counted
from models.learning_curve import learning_curve
from models.training_rows import default_test_as_of
from pipelines.dates import moment
from pipelines.loading import load_to_learn

if TYPE_CHECKING:
    from datetime import datetime

    from rich.console import Console

    from models.intervals import Estimate
    from models.learning_curve import LearningCurve
    from models.training import Progress
    from pipelines.workspace import Workspace


def measure_learning_curve(
    workspace: Workspace, *, test_as_of: str | None, most_snapshots: int, seed: int, now: datetime, progress: Progress
) -> LearningCurve:
    """Raises InputError, NotEnoughData."""
    progress("log")
    loaded = load_to_learn(workspace, now=now)
    at = default_test_as_of(loaded.arrays, loaded.community) if test_as_of is None else moment(test_as_of, loaded.community)
    curve = learning_curve(
        loaded.arrays,
        loaded.community,
        test_as_of=at,
        most_snapshots=most_snapshots,
        cpu_seconds=time.process_time,
        rng=np.random.default_rng(seed),
        progress=progress,
    )
    progress("done")
    return curve


def print_learning_curve(curve: LearningCurve, console: Console) -> None:
    console.print(
        f"risk over {counted(curve.horizon_days, 'day')}, tested on {counted(curve.tested, 'member')} at {curve.test_as_of:%Y-%m-%d}",
        highlight=False,
    )
    heads = ("snapshots", "CPU s", "AUC", "log loss", "less than at half")
    table = Table(*(Column(head, justify="right", no_wrap=True) for head in heads), box=SIMPLE, padding=(0, 1, 0, 0))
    for point in curve.points:
        gain = "" if point.gain is None else _told(point.gain, 4)
        table.add_row(f"{point.snapshots:,}", f"{point.seconds:.1f}", _told(point.auc, 3), _told(point.log_loss, 4), gain)
    console.print(table, highlight=False)
    console.print(f"± at 95 %. {curve.sentence[0].upper()}{curve.sentence[1:]}.", highlight=False)


def _told(estimate: Estimate, digits: int) -> str:
    """Half of the interval's width after ±."""
    return f"{estimate.value:.{digits}f} ± {(estimate.upper - estimate.lower) / 2:.{digits}f}"
