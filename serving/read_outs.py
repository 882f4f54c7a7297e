"""What experiments say, read in a thread of its own when somebody asks and something has come since; answers never wait for a later one."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from fastapi.concurrency import run_in_threadpool

from models.errors import KeepwellError
from models.kept_read_outs import KeptReadOuts, is_stale, kept_read_outs, read_and_keep
from serving.leaving import joined
from serving.logs import LOGGER
from serving.problems import NOT_READ, Refusal
from serving.settings import wall_clock

if TYPE_CHECKING:
    from serving.service import Service

REST = 20
"""So many times as long as a reading took nothing is read again: one part in twenty of a core, however many ask."""
OLDEST = timedelta(days=1)
"""As time passes more members have been watched for long enough, though nothing came."""
FIRST_SECONDS, POLL_SECONDS = 10.0, 0.1


class ReadOutReader:
    """One for each process; the thread begins with the first that asks."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._asked = Event()
        self._stopped = Event()
        self._begun = Lock()
        self._thread = Thread(target=self._watch, name="read-outs", daemon=True)

    def shown(self) -> KeptReadOuts | None:
        """As they were last read, None before the first time; whether they are stale is looked at afterwards. Raises StoreUnavailable."""
        kept = kept_read_outs(self._service.store, self._service.community)
        if self._begun.acquire(blocking=False):
            self._thread.start()
        self._asked.set()
        return kept

    async def first(self) -> KeptReadOuts:
        """Waits a little where they were never read. Raises Refusal, StoreUnavailable."""
        for _ in range(round(FIRST_SECONDS / POLL_SECONDS)):
            kept = await run_in_threadpool(self.shown)
            if kept is not None:
                return kept
            await asyncio.sleep(POLL_SECONDS)
        raise Refusal(NOT_READ, "ask again in a moment; `keepwell experiments` reads them too")

    def stop(self) -> None:
        self._stopped.set()
        self._asked.set()
        joined(self._thread)

    def _watch(self) -> None:
        while self._asked.wait() and not self._stopped.is_set():
            self._asked.clear()
            began = time.monotonic()
            try:
                self._look()
            except KeepwellError as error:
                LOGGER.warning("the experiments are read later", why=str(error))
            except Exception:  # noqa: BLE001 - the thread has to outlive one reading, whatever is wrong with it
                LOGGER.exception("the experiments could not be read")
            self._stopped.wait(REST * (time.monotonic() - began))

    def _look(self) -> None:
        """Raises StoreUnavailable."""
        store, community = self._service.store, self._service.community
        kept = kept_read_outs(store, community)
        if kept is None or wall_clock() - kept.read_at > OLDEST or is_stale(kept, store):
            read_and_keep(store, community, self._service.clock(), wall_clock())
