"""Work outside of Python - it does not hold the interpreter - on several cores at once."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Result = TypeVar("Result")


def cores() -> int:
    """Those that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def in_parts(rows: int, fewest: int, work: Callable[[slice], None]) -> None:
    """All rows, cut into a part for each core, none of fewer than `fewest` rows: below twice that many there is one, in this thread.

    What any of them raises is raised, once all have ended.
    """
    parts = max(1, min(cores(), rows // fewest))
    edges = [rows * part // parts for part in range(parts + 1)]
    first, *others = (slice(*ends) for ends in pairwise(edges))
    if not others:
        work(first)
        return
    with ThreadPoolExecutor(len(others)) as pool:
        waiting = [pool.submit(work, part) for part in others]
        work(first)
    for part in waiting:
        part.result()


def begun(work: Callable[[], Result]) -> Callable[[], Result]:
    """Begins `work` beside what this thread does next; what is returned waits for its result, and raises what it raises."""
    with_one = ThreadPoolExecutor(1)
    coming = with_one.submit(work)
    with_one.shutdown(wait=False)
    return coming.result
