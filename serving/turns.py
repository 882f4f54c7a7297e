"""Taking turns: what comes in while others are served waits, and is then served together with all else that waits."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from models.errors import KeepwellError

Item = TypeVar("Item")
Result = TypeVar("Result")


class Patience(NamedTuple):
    """How long those whom a turn answered are expected to ask again, and the pause without a sign of anybody that ends it; in seconds."""

    most: float = 0.0
    pause: float = 0.0


NONE = Patience()
SLOW_SECONDS = 0.002
"""After which the end of a turn takes long."""
LOOKS = 3
"""Rounds of the loop before a turn begins, in which it reads who came while it was busy, and sends the answers of the last turn."""


@dataclass(eq=False)
class _Waiting(Generic[Item, Result]):
    item: Item
    future: asyncio.Future[Result]
    alone: bool = False


Ending = Callable[[], None]
"""By a turn, from its thread: nothing is left of it but to keep what came out."""


def _nothing(_item: object) -> Hashable:
    return None


class Turns(Generic[Item, Result]):
    """`serve` gets the items of one turn, at most `most`, in a thread, and gives a result for each; what it raises meets them all.

    It may say that it is `Ending`: where that takes long, for the disk is slow, and as many wait by then as it serves, their turn begins
    beside its end. Else one thread serves turn after turn: what the last one touched is at hand on its core, and not on that of another.

    Nobody waits for a turn to fill but for what the loop has at hand (`LOOKS`): an item that comes alone is served alone, and under load
    turns grow, so that what a turn costs whatever its size is shared. Only after a turn of several those whom it answered have `patience`
    to ask again, until most of them have: one straggler would else have a turn to itself, and all the others wait for it.
    An item is served after it came, never with what was read before. Those of one turn have the same `together` and different `apart`,
    from those of one that is ending too; the others take the next one. After an error that nobody foresaw each is served alone, for it
    may concern one of them.
    All belongs to one event loop.
    """

    def __init__(
        self,
        serve: Callable[[Sequence[Item], Ending], Sequence[Result]],
        *,
        most: int,
        at_once: int = 1,
        patience: Patience = NONE,
        together: Callable[[Item], Hashable] = _nothing,
        apart: Callable[[Item], Hashable] = id,
    ) -> None:
        self._serve = serve
        self._most = most
        self._free = at_once
        self._together = together
        self._apart = apart
        self._waiting: list[_Waiting[Item, Result]] = []
        self._patience = patience
        self._awaited = 0
        self._awaited_until = 0.0
        self._stirred = 0.0
        self._looking = False
        self._about_to_begin = False
        self._ending: list[_Waiting[Item, Result]] = []
        self._threads = [ThreadPoolExecutor(1, thread_name_prefix=f"turn-{number}") for number in range(at_once + 1)]
        self._under_way: dict[ThreadPoolExecutor, list[_Waiting[Item, Result]]] = {}

    async def result(self, item: Item) -> Result:
        """Raises what `serve` raises."""
        loop = asyncio.get_running_loop()
        waiting: _Waiting[Item, Result] = _Waiting(item, loop.create_future())
        self._waiting.append(waiting)
        now = loop.time()
        self._awaited = self._awaited if now < self._waits_until else 0
        self._stirred = now
        self._begin_soon(loop)
        try:
            return await waiting.future
        finally:
            self._stirred = loop.time()

    def close(self) -> None:
        """When the turns under way have ended, also those for which nobody waits any more: they may use the store.

        Whoever waits then, or comes later, is told by a RuntimeError.
        """
        for thread in self._threads:
            thread.shutdown(wait=True, cancel_futures=True)

    @property
    def _waits_until(self) -> float:
        return min(self._awaited_until, self._stirred + self._patience.pause)

    def _begin_soon(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._free and not self._about_to_begin:
            self._about_to_begin = True
            loop.call_soon(self._look, loop, LOOKS)

    def _look(self, loop: asyncio.AbstractEventLoop, times: int) -> None:
        if times:
            loop.call_soon(self._look, loop, times - 1)
            return
        self._about_to_begin = False
        self._begin()

    def _begin(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        while self._free and self._waiting and not (len(self._waiting) < self._awaited and now < self._waits_until):
            turn = self._take()
            if not turn:
                return
            self._free -= 1
            thread = next(thread for thread in self._threads if thread not in self._under_way)
            try:
                served = loop.run_in_executor(thread, self._results, turn, partial(self._told_of_end, loop, turn))
            except RuntimeError as error:
                self._free += 1
                _tell(turn, error)
            else:
                self._under_way[thread] = turn
                served.add_done_callback(partial(self._end, thread, turn))
        if self._free and self._waiting and not self._looking:
            self._looking = True
            loop.call_later(self._waits_until - now, self._look_again)

    def _results(self, turn: Sequence[_Waiting[Item, Result]], ending: Ending) -> Sequence[Result]:
        """In the thread of the turn. Raises what can be handed to those who wait: no StopIteration, which a future does not take."""
        try:
            results = self._serve([waiting.item for waiting in turn], ending)
        except StopIteration as error:
            raise RuntimeError("a turn ended in a StopIteration") from error
        if len(results) != len(turn):
            raise RuntimeError(f"{len(turn)} items were served with {len(results)} results")
        return results

    def _look_again(self) -> None:
        self._looking = False
        self._begin()

    def _take(self) -> list[_Waiting[Item, Result]]:
        """From those who wait, in their order; nobody where all of them have to be apart from those whose turn is ending."""
        first = self._waiting[0]
        kind, most = self._together(first.item), 1 if first.alone else self._most
        taken: list[_Waiting[Item, Result]] = []
        left: list[_Waiting[Item, Result]] = []
        met = {self._apart(waiting.item) for waiting in self._ending}
        for waiting in self._waiting:
            mark = self._apart(waiting.item)
            fits = len(taken) < most and mark not in met and self._together(waiting.item) == kind
            (taken if fits else left).append(waiting)
            met.add(mark)
        self._waiting = left
        return taken

    def _told_of_end(self, loop: asyncio.AbstractEventLoop, turn: list[_Waiting[Item, Result]]) -> None:
        """From the thread of the turn."""
        loop.call_soon_threadsafe(loop.call_later, SLOW_SECONDS, self._begin_beside, turn)

    def _begin_beside(self, turn: list[_Waiting[Item, Result]]) -> None:
        ends = any(each is turn for each in self._under_way.values())
        if ends and not self._ending and len(self._waiting) >= len(turn):
            self._ending = turn
            self._free += 1
            self._begin()

    def _end(self, thread: ThreadPoolExecutor, turn: list[_Waiting[Item, Result]], served: asyncio.Future[Sequence[Result]]) -> None:
        """Who asked may have gone in the meantime."""
        del self._under_way[thread]
        if turn is self._ending:
            self._ending = []
        else:
            self._free += 1
        error = served.exception()
        if error is None:
            for waiting, result in zip(turn, served.result(), strict=True):
                if not waiting.future.done():
                    waiting.future.set_result(result)
        elif len(turn) > 1 and not isinstance(error, KeepwellError):
            self._waiting[:0] = [_Waiting(waiting.item, waiting.future, alone=True) for waiting in turn]
        else:
            _tell(turn, error)
        self._go_on(3 * len(turn) // 4)

    def _go_on(self, awaited: int) -> None:
        loop = asyncio.get_running_loop()
        self._awaited = awaited
        self._stirred = loop.time()
        self._awaited_until = self._stirred + self._patience.most
        self._begin_soon(loop)


def _tell(turn: Sequence[_Waiting[Item, Result]], error: BaseException) -> None:
    for waiting in turn:
        if not waiting.future.done():
            waiting.future.set_exception(error)
