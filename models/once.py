"""What follows from a declaration alone, worked out once for each: a request of one member has no time to do it again."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

Declared = TypeVar("Declared")
Found = TypeVar("Found")
MOST = 32


class Once(Generic[Declared, Found]):
    """A function of one object that never changes, which is known by its identity: to compare or hash a declaration costs as much.

    The last MOST are held, with what was found of them.
    """

    def __init__(self, find: Callable[[Declared], Found]) -> None:
        self._find = find
        self._held: dict[int, tuple[Declared, Found]] = {}
        self._mutex = Lock()

    def __call__(self, declared: Declared) -> Found:
        held = self._held.get(id(declared))
        if held is None:
            held = declared, self._find(declared)
            with self._mutex:
                while len(self._held) >= MOST:
                    del self._held[next(iter(self._held))]
                self._held[id(declared)] = held
        return held[1]
