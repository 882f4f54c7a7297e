"""A Sankey diagram of two columns, as the coordinates of an SVG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Floats, Integers

HEIGHT, BAR, GAP = 320.0, 12.0, 12.0


@dataclass(frozen=True)
class Sheet:
    """How wide the drawing is, and where its two columns of bars begin; names stand outside of them."""

    width: float
    left: float
    right: float


WIDE, NARROW = Sheet(640.0, 120.0, 520.0), Sheet(340.0, 114.0, 214.0)


@dataclass(frozen=True)
class Node:
    """A bar; its label stands beside it, at `middle`, outwards."""

    x: float
    y: float
    height: float
    name: str
    members: int
    outwards: bool

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


@dataclass(frozen=True)
class Ribbon:
    """`path` is the attribute `d` of an SVG path; `kind` the name of where it leads."""

    path: str
    kind: str
    before: str
    after: str
    members: int


@dataclass(frozen=True)
class Sankey:
    sheet: Sheet
    nodes: tuple[Node, ...]
    ribbons: tuple[Ribbon, ...]


def sankey(counts: Integers, before: Sequence[str], after: Sequence[str], sheet: Sheet = WIDE) -> Sankey:
    """Counts (n_before, n_after); heights are in proportion to members on both sides, and nodes without any are left out."""
    scale = (HEIGHT - GAP * (max(counts.shape) - 1)) / max(int(counts.sum()), 1)
    left, right = (_tops(counts.sum(axis=axis) * scale) for axis in (1, 0))
    sides = ((counts.sum(axis=1), before, left, sheet.left, scale, 0), (counts.sum(axis=0), after, right, sheet.right, scale, 1))
    nodes = tuple(node for side in sides for node in _nodes(*side))
    begin = left[:, None] + (np.cumsum(counts, axis=1) - counts) * scale
    end = right[None, :] + (np.cumsum(counts, axis=0) - counts) * scale
    ribbons = tuple(
        Ribbon(_path(sheet, begin[i, j], end[i, j], counts[i, j] * scale), after[j], before[i], after[j], int(counts[i, j]))
        for i, j in zip(*np.nonzero(counts), strict=True)
    )
    return Sankey(sheet, nodes, ribbons)


def _tops(heights: Floats) -> Floats:
    """Where each bar begins; bars without members take no gap."""
    taken = heights + GAP * (heights > 0)
    return np.asarray(np.cumsum(taken) - taken)


def _nodes(members: Integers, names: Sequence[str], tops: Floats, x: float, scale: float, column: int) -> tuple[Node, ...]:
    told = zip(members.tolist(), names, tops.tolist(), strict=True)
    return tuple(Node(x, top, count * scale, name, count, column == 1) for count, name, top in told if count)


def _path(sheet: Sheet, begin: float, end: float, height: float) -> str:
    """Along the upper edge to the right, and back along the lower."""
    one, other, middle = sheet.left + BAR, sheet.right, (sheet.left + BAR + sheet.right) / 2
    below, beside = begin + height, end + height
    there = f"M{one:.1f},{begin:.1f} C{middle:.1f},{begin:.1f} {middle:.1f},{end:.1f} {other:.1f},{end:.1f}"
    return f"{there} L{other:.1f},{beside:.1f} C{middle:.1f},{beside:.1f} {middle:.1f},{below:.1f} {one:.1f},{below:.1f} Z"
