"""What follows from a declaration alone, worked out once for each: a request of one member has no time to do it again."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar, TypeVarTuple

Declared = TypeVarTuple("Declared")
Found = TypeVar("Found")
MOST = 32


class Once(Generic[*Declared, Found]):
    """A function of objects that never change, which are known by their identity: to compare or hash a declaration costs as much.

    The last MOST are held, with what was found of them.
    """

    def __init__(self, find: Callable[[*Declared], Found]) -> None:
        self._find = find
        self._held: dict[tuple[int, ...], tuple[tuple[*Declared], Found]] = {}
        self._mutex = Lock()

    def __call__(self, *declared: *Declared) -> Found:
        key = tuple(map(id, declared))
        held = self._held.get(key)
        if held is None:
            held = declared, self._find(*declared)
            with self._mutex:
                while len(self._held) >= MOST:
                    del self._held[next(iter(self._held))]
                self._held[key] = held
        return held[1]
