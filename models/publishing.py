"""Puts what a run over all members found into the store, where the pages read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.audience import Cells
from models.moments import microseconds

if TYPE_CHECKING:
    import polars as pl

    from models.overview import Overview
    from models.store import Store


def publish(store: Store, overview: Overview, standings: pl.DataFrame) -> None:
    """A run at an earlier date than the one that is shown changes nothing. Raises StoreUnavailable."""
    at_us = microseconds(overview.as_of)
    if (store.shown_as_of() or 0) <= at_us:
        cells = Cells.of(standings)
        store.publish(at_us, overview.to_json(), cells.to_text(), cells.placed(standings))
