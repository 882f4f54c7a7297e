"""The latest run over all members, as pages and their twins in JSON read it: loaded once, and again when there is a newer one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from models.audience import Cells
from models.overview import Overview
from models.store import Store
from serving.problems import NO_RUN, Refusal


@dataclass(frozen=True)
class Run:
    """`before` is the run at the date before, None for a first one."""

    overview_key: int
    overview: Overview
    before: Overview | None
    cells: Cells


class LatestRun:
    """One for each process."""

    def __init__(self, store: Callable[[], Store]) -> None:
        self._store = store
        self._run: Run | None = None
        self._lock = Lock()

    def shown(self) -> Run:
        """Raises StoreUnavailable, and Refusal before the first run."""
        with self._lock:
            key = self._store().overview_key()
            if self._run is None or self._run.overview_key != key:
                self._run = None if key is None else self._load(key)
            if self._run is None:
                raise Refusal(NO_RUN, "`keepwell decide` or a decision job over all members puts what it finds here")
            return self._run

    def _load(self, key: int) -> Run | None:
        published = self._store().overview(key)
        if published is None:
            return None
        before = None if published.before is None else Overview.from_json(published.before)
        return Run(key, Overview.from_json(published.body), before, Cells.from_text(published.cells))
