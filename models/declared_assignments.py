"""Trials of the community's own: assignments that its declared touches tell, with the chances that were logged for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping

DECLARED_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "member_id": pl.String,
    "timestamp": pl.Datetime("us", "UTC"),
    "intervention": pl.String,
    "propensities": pl.String,
    "named": pl.String,
}


@dataclass(frozen=True)
class DeclaredAssignments:
    """rows: in DECLARED_COLUMNS, oldest first, `none` included, their chances as JSON by arm.

    `unlogged`: how many touches have no chance at all, by intervention.
    """

    rows: pl.DataFrame
    unlogged: Mapping[str, int]


NOTHING_DECLARED = DeclaredAssignments(pl.DataFrame(schema=DECLARED_COLUMNS), {})
