"""The end of what works beside the answers: it is waited for before the store is closed, which a later query would open again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from threading import Thread
from typing import ParamSpec, TypeVar

STOP_SECONDS = 5.0
"""Whatever takes longer is left to the end of the process."""
Asked = ParamSpec("Asked")
Found = TypeVar("Found")


async def in_thread(work: Callable[Asked, Found], *args: Asked.args, **kwargs: Asked.kwargs) -> Found:
    """In a thread of the loop. A task that is cancelled meanwhile waits until the thread has done its work."""
    under_way = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(under_way)
    except asyncio.CancelledError:
        await asyncio.wait([under_way], timeout=STOP_SECONDS)
        raise


async def cancelled(*tasks: asyncio.Task[None]) -> None:
    """When all have ended, however they did."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def joined(thread: Thread | None, seconds: float = STOP_SECONDS) -> None:
    """One that was told to stop, if it was ever begun; waits for it as long as that at most."""
    if thread is not None and thread.is_alive():
        thread.join(seconds)
