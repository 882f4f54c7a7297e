"""Those who want to write to one database, in a line."""

from __future__ import annotations

from collections import deque
from threading import Event, Lock


class Line:
    """Turns, in the order of arrival."""

    def __init__(self, wait_seconds: float) -> None:
        self._wait_seconds = wait_seconds
        self._mutex = Lock()
        self._waiting: deque[Event] = deque()
        self._taken = False

    def wait(self) -> bool:
        """Whether the turn came in time; it is then to be given on by `called` or `go_on`."""
        with self._mutex:
            if not self._taken:
                self._taken = True
                return True
            mine = Event()
            self._waiting.append(mine)
        if mine.wait(self._wait_seconds):
            return True
        with self._mutex:
            if mine in self._waiting:
                self._waiting.remove(mine)
                return False
        return mine.wait()

    def called(self) -> Event | None:
        """The next in line, who no longer gives up and goes on when the event is set; None where nobody waits."""
        with self._mutex:
            return self._waiting.popleft() if self._waiting else None

    def go_on(self) -> None:
        """Gives the turn to the next in line, if there is one."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False
