"""Is what was known before alike in two arms? Where nothing but the logged chances decided who got what, it is, up to chance."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri

from models.standardising import Standard

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from models.arrays import Flags, Floats, Integers
    from models.trial import Trial

CHANCE = 0.001
"""Of finding any column of any arm unlike where chance alone decided."""
MOST_NAMED = 5
SIZE = -1


class Unlike(NamedTuple):
    """A column of the features, by its position, whose mean differs by `z` standard errors; above 0 where it is larger with the arm.

    SIZE in its place: the arm was assigned so much more often than its chances say.
    """

    column: int
    arm: int
    z: float


class Draw(NamedTuple):
    """Rows that could have been either of two arms and were one, shape (n,): was it the arm, and how likely was that of the two?

    unit: codes of members, or groups; one draw may have decided all rows of one.
    """

    treated: Flags
    chance: Floats
    unit: Integers

    def z(self, known: Floats) -> float:
        """Sum x (T - q) over its standard error, x what was known, centred by weights q (1 - q): sizes of the arms are no part of it.

        The variance is the larger of that by the draws, sum x^2 q (1 - q), and that of the sums of the units, squared.
        """
        total = float(self._spread.sum())
        if not total or not np.ptp(known):
            return 0.0
        return self._moved(known - float(known @ self._spread) / total)

    @property
    def size_z(self) -> float:
        """The same of how many were treated."""
        return self._moved(np.ones(len(self.chance)))

    @property
    def _spread(self) -> Floats:
        return self.chance * (1 - self.chance)

    def _moved(self, known: Floats) -> float:
        moved = known * (self.treated - self.chance)
        variance = max(float(known**2 @ self._spread), float(np.square(np.bincount(self.unit, weights=moved)).sum()))
        return float(moved.sum()) / float(np.sqrt(variance)) if variance > 0 else 0.0


def unlike(trial: Trial) -> tuple[Unlike, ...]:
    """What differs between an arm and `none` further than CHANCE allows any (Bonferroni): columns, whether they are missing, and sizes."""
    shares = trial.propensities
    if shares is None:
        return ()
    standard, missing = Standard.of(trial.features)(trial.features), np.isnan(trial.features)
    holes = np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0))
    columns = [*enumerate(standard.T), *((int(hole), missing[:, hole].astype(np.float64)) for hole in holes)]
    draws = {arm: _draw(trial, shares, arm) for arm in range(1, 1 + len(trial.interventions))}
    told = [Unlike(column, arm, draw.z(known[rows])) for arm, (rows, draw) in draws.items() for column, known in columns]
    told += [Unlike(SIZE, arm, draw.size_z) for arm, (_, draw) in draws.items()]
    reach = farthest(len(told))
    return tuple(sorted((one for one in told if abs(one.z) > reach), key=lambda one: -abs(one.z)))


def any_unlike(compared: Iterable[tuple[Draw, Sequence[Floats]]]) -> bool:
    """Whether any of what was known of the rows of each draw, such as counts, differs further than CHANCE allows one of them."""
    z = [abs(draw.z(np.sign(known) * np.log1p(np.abs(known)))) for draw, columns in compared for known in columns]
    return bool(z) and max(z) > farthest(len(z))


def farthest(comparisons: int) -> float:
    """Standard errors that the largest of so many differences reaches by chance once in 1 / CHANCE."""
    return float(ndtri(1 - CHANCE / 2 / max(comparisons, 1)))


def _draw(trial: Trial, shares: Floats, arm: int) -> tuple[Integers, Draw]:
    rows = np.flatnonzero(((trial.arm == 0) | (trial.arm == arm)) & (shares[:, 0] > 0) & (shares[:, arm] > 0))
    chance = shares[rows, arm] / (shares[rows, 0] + shares[rows, arm])
    return rows, Draw(trial.arm[rows] == arm, chance, trial.member[rows])


def unlike_warning(found: Sequence[Unlike], interventions: Sequence[str], names: Sequence[str]) -> str:
    """`found` as `unlike` gives it; of each column the arm that is farthest."""
    sizes = {one.arm: one for one in found if one.column == SIZE}.values()
    columns = sorted({one.column: one for one in reversed(found) if one.column != SIZE}.values(), key=lambda one: -abs(one.z))
    often = {True: "more", False: "less"}
    parts = [f"{_told(one, interventions)} was assigned {often[one.z > 0]} often than the logged chances say" for one in sizes]
    if columns:
        named = ", ".join(f'"{names[one.column].removesuffix(":")}" with {_told(one, interventions)}' for one in columns[:MOST_NAMED])
        more = f" and {len(columns) - MOST_NAMED} more" if len(columns) > MOST_NAMED else ""
        parts.append(
            f"what was known before differs between those who were given something and those left alone: {named}{more}; such a column was "
            "measured after the assignment, or tells it, or the chances are not those of the draw"
        )
    return f"the logged chances do not explain the assignments; believe no effect until that is mended: {'; '.join(parts)}"


def _told(one: Unlike, interventions: Sequence[str]) -> str:
    return f"{interventions[one.arm - 1]} (z {one.z:+.1f})"
