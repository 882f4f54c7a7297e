"""What the process does beside answering: decision jobs, messages to endpoints outside, word of a new model, plans, the challenger."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np

from models.errors import KeepwellError
from models.moments import microseconds
from serving.deliveries import POLL_SECONDS, Deliveries
from serving.job_worker import JobWorker
from serving.leaving import cancelled, in_thread
from serving.logs import LOGGER
from serving.service import Service
from serving.settings import wall_clock
from serving.shadow import Shadow

HEAD_START_SECONDS, LOOK_SECONDS = 10.0, 30.0


@asynccontextmanager
async def background(service: Service, shadow: Shadow | None) -> AsyncIterator[None]:
    """Under way within the block."""
    deliveries = Deliveries(lambda: service.store, service.settings.seal, wall_clock, np.random.default_rng())
    tasks = [asyncio.create_task(work) for work in (deliveries.run(), _announce_models(service), _plan_ahead(service))]
    threads: list[JobWorker | Shadow] = [JobWorker(service), *([] if shadow is None else [shadow])]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            await asyncio.to_thread(thread.stop)
        await cancelled(*tasks)


async def _plan_ahead(service: Service) -> None:
    """Until it is cancelled; some seconds after the start, when those who waited for it have their answers."""
    wait = HEAD_START_SECONDS
    while True:
        await asyncio.sleep(wait)
        try:
            await in_thread(service.plan_desk.make_ready)
        except KeepwellError as error:
            LOGGER.warning("plans are made ready later", why=str(error))
        wait = LOOK_SECONDS


async def _announce_models(service: Service) -> None:
    """Until it is cancelled: each version once, the first of a store in silence."""
    told: str | None = None
    while True:
        version = service.models.version
        if version not in (None, told):
            try:
                await in_thread(service.store.announce_model, version, microseconds(wall_clock()))
                told = version
            except KeepwellError as error:
                LOGGER.warning("the model is announced later", why=str(error))
        await asyncio.sleep(POLL_SECONDS)
