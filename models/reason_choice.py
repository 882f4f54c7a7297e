"""Which feature speaks for a group of features, for many members at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.precision import Precision
    from models.reason_groups import ReasonGroups, ShownArrays


LEAST = 1e-9


class Speaking(NamedTuple):
    """Position in `ReasonGroups.shown` of the feature that speaks for each group, and whether it drives the group; shapes (n, n_groups)."""

    position: Integers
    drives: Flags


def speaking(contributions: Floats, by_group: Floats, features: Floats, typical: Floats, groups: ReasonGroups) -> Speaking:
    """Of a group's features the one with the strongest contribution in the direction of the group's sum that can be told.

    It can be told where its value, as it is written, differs from the typical one, and in the direction in which a person reads it: few
    comments for a raised risk, many for a lowered one. Features pushing the other way are in the sum all the same; where none can be
    told, the first of the group is shown and does not count as driving it. What is harder to grasp is told where nothing else can be.

    Shapes: contributions and features (n, k), by_group (n, n_groups), typical (k,).
    """
    shown = groups.arrays
    direction = np.sign(by_group)[:, shown.group]
    difference = _difference(features, typical, shown)
    told = (difference * shown.reading == direction) | (np.isnan(difference) | (difference != 0) & (shown.reading == 0))
    push = np.where(told, np.maximum(contributions[:, shown.columns] * direction, 0), 0)
    push[:, shown.second] *= LEAST
    best = np.maximum.reduceat(push, shown.first, axis=1)
    candidates = np.where(push == best[:, shown.group], np.arange(len(shown.columns)), len(shown.columns))
    return Speaking(np.minimum.reduceat(candidates, shown.first, axis=1), best > 0)


def _difference(features: Floats, typical: Floats, shown: ShownArrays) -> Floats:
    """-1, 0 or 1 where the value as written is below, at or above the typical one, NaN where only one of them exists, shape (n, n_shown).

    A trend is told against the member's own time before, not against the typical one: it counts as a rise, or a fall, only where it is
    that against both.
    """
    known = np.concatenate([features[:, shown.columns], typical[None, shown.columns]]).astype(np.float64)
    values = as_written(np.where(np.isnan(known), shown.missing, known), shown.precision)
    member, usual = values[:-1], values[-1]
    difference: Floats = (member > usual).astype(np.float64) - (member < usual)
    difference[np.isnan(member) != np.isnan(usual)] = np.nan
    difference[:, shown.trends] *= np.sign(member[:, shown.trends]) == difference[:, shown.trends]
    return difference


def as_written(values: Floats, precision: Precision) -> Floats:
    """The precision at which `wording.amount` writes, by column: values that are written alike become one number, shape (n, k)."""
    fine = np.abs(values) < precision.whole_from
    scaled = np.where(fine, values * precision.steps, values)
    cut = np.where(precision.floored, np.floor(scaled), np.rint(scaled))
    return np.where(fine, cut / precision.steps, cut)
