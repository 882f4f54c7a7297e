"""Finds columns of the members table that were measured after the fact: they know what a member did later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from scipy.stats import rankdata

from models.errors import InputError
from models.times import read_times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.census import Past

LEAST_CORRELATION, LEAST_Z = 0.3, 4.5
LEAST_MEMBERS = 40
MOST_CATEGORIES = 20


@dataclass(frozen=True)
class Leak:
    """`correlation` of a column with the number of later events, over `members`, given all that their past tells."""

    column: str
    correlation: float
    members: int


def leaks(columns: pl.DataFrame, pasts: Sequence[Past]) -> tuple[Leak, ...]:
    """columns: one row for each member of the log; `pasts` are those of the log's `Census`, whose members are in the same order.

    At a cut, the partial rank correlation (Spearman) of a column with the number of qualifying events from then on, given their number
    before, the number in the last `active_days`, the recency and the time of joining. What is fixed at joining adds little to a known
    past; a total, a last visit or a final status, measured at the end, adds much. Asked of the members active before the cut and of
    those active before and after it: some columns tell who leaves, others how much the rest do.
    """
    questions = [question for past in pasts for question in _questions(past)]
    return tuple(leak for column in columns if (leak := _strongest(column, questions)) is not None)


@dataclass(frozen=True)
class _Question:
    """One group of members at one cut. past: what was known, shape (n, 4). later: number of later events, shape (n,)."""

    members: np.ndarray
    past: np.ndarray
    later: np.ndarray


def _questions(at: Past) -> list[_Question]:
    if not at.before.any():
        return []
    past = np.column_stack([at.before, at.recent, at.latest_us, at.joined_us])
    groups = np.flatnonzero(at.recent > 0), np.flatnonzero((at.before > 0) & (at.later > 0))
    return [_Question(rows, past[rows], at.later[rows]) for rows in groups]


def _strongest(column: pl.Series, questions: list[_Question]) -> Leak | None:
    found = [leak for measured in _measured(column) for question in questions if (leak := _asked(column.name, measured, question))]
    return max(found, key=lambda leak: abs(leak.correlation), default=None)


def _asked(name: str, measured: np.ndarray, question: _Question) -> Leak | None:
    values = measured[question.members]
    rows = np.isfinite(values)
    n = int(rows.sum())
    if n < LEAST_MEMBERS:
        return None
    correlation = _partial(rankdata(values[rows]), rankdata(question.later[rows]), rankdata(question.past[rows], axis=0))
    z = np.arctanh(np.clip(correlation, -0.999, 0.999)) * np.sqrt(n - 7)
    return Leak(name, correlation, n) if abs(correlation) >= LEAST_CORRELATION and abs(z) >= LEAST_Z else None


def _partial(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    design = np.column_stack([np.ones(len(x)), given])
    residual = np.column_stack([x, y]) - design @ np.linalg.lstsq(design, np.column_stack([x, y]), rcond=None)[0]
    spread = np.sqrt((residual**2).sum(axis=0))
    return float(residual[:, 0] @ residual[:, 1] / spread.prod()) if spread.min() > 1e-6 * len(x) else 0.0


def _measured(column: pl.Series) -> Iterator[np.ndarray]:
    """A column as numbers, NaN where missing: itself, its time, or one indicator for each category; and whether it is missing."""
    missing = column.is_null().to_numpy()
    if missing.any():
        yield missing.astype(np.float64)
    if column.dtype.is_numeric():
        yield column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    elif (at := _as_time(column)) is not None:
        yield at
    elif column.n_unique() <= MOST_CATEGORIES:
        for category in column.drop_nulls().unique().sort():
            yield (column == category).fill_null(value=False).to_numpy().astype(np.float64)


def _as_time(column: pl.Series) -> np.ndarray | None:
    try:
        at = read_times(column, "UTC").timestamp
    except InputError:
        return None
    if not at.count() or at.null_count() > column.null_count() + 0.1 * len(column):
        return None
    return at.to_physical().cast(pl.Float64).fill_null(np.nan).to_numpy()
