"""Which feature speaks for a group of features, for many members at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.precision import as_written

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.usual_member import Usual


class Speaking(NamedTuple):
    """Position in `ReasonGroups.shown` of the feature that speaks for each group, and whether it drives the group; shapes (n, n_groups)."""

    position: Integers
    drives: Flags


def speaking(contributions: Floats, by_group: Floats, features: Floats, usual: Usual) -> Speaking:
    """Of a group's features the one with the strongest contribution in the direction of the group's sum that can be told.

    It can be told where its value, as it is written, differs from the usual one, and in the direction in which a person reads it: few
    comments for a raised risk, many for a lowered one; and where only one of the two exists. Features pushing the other way are in the
    sum all the same; where none can be told, the first of the group is shown and does not count as driving it. What is harder to grasp
    is told where nothing else can be.

    Shapes: contributions and features (n, k), by_group (n, n_groups).
    """
    shown, bounds = usual.groups.arrays, usual.bounds
    direction = np.sign(by_group).take(shown.group, axis=1)
    reads = direction * shown.reading
    value = as_written(shown.known(features), shown.precision)
    told = ((value > bounds.high) & (reads >= 0)) | ((value < bounds.low) & (reads <= 0)) | (np.isnan(value) != bounds.unknown)
    push = np.maximum(contributions.take(shown.columns, axis=1) * direction, 0) * told
    push *= shown.ease
    best = np.maximum.reduceat(push, shown.first, axis=1)
    candidates = np.where(push == best.take(shown.group, axis=1), shown.each, len(shown.columns))
    return Speaking(np.minimum.reduceat(candidates, shown.first, axis=1), best > 0)
