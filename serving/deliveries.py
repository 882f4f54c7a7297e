"""Messages of the outbox on their way: each endpoint has its own turn, so that one which hangs holds up no other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING

import httpx2

from models.errors import InputError, KeepwellError, SecretLocked
from models.moments import microseconds
from models.outbox import Delivery, Leased
from models.webhooks import Endpoint, retry_seconds
from serving.leaving import cancelled, in_thread
from serving.logs import LOGGER

if TYPE_CHECKING:
    import numpy as np

    from models.sealing import Seal
    from models.store import Store
    from serving.settings import Clock

AT_ONCE = 16
ATTEMPT_SECONDS = 15.0
POLL_SECONDS = 1.0
SWEEP_SECONDS = 3_600.0
GONE = 410


@dataclass(frozen=True)
class Failure:
    """Why an attempt failed, in words without any data; `final` where the receiver said that it wants no more."""

    reason: str
    final: bool = False


@dataclass
class Deliveries:
    """`wall` is the real clock, which signatures and retries go by; `store` opens it when it is first asked for.

    Several processes may each run one: what one has leased the others leave alone.
    """

    store: Callable[[], Store]
    seal: Seal
    wall: Clock
    rng: np.random.Generator
    attempt_seconds: float = ATTEMPT_SECONDS
    _turns: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _told: set[str] = field(default_factory=set)

    async def run(self) -> None:
        """Until it is cancelled. Secrets of the time before they were sealed are sealed first."""
        headers = {"user-agent": f"Keepwell/{version('keepwell')}"}
        async with httpx2.AsyncClient(headers=headers, follow_redirects=False, timeout=self.attempt_seconds) as client:
            try:
                await self._rounds(client)
            finally:
                await cancelled(*self._turns.values())

    async def _rounds(self, client: httpx2.AsyncClient) -> None:
        swept, sealed = self.wall(), False
        while True:
            try:
                sealed = sealed or await self._seal()
                await self.round(client)
                if (self.wall() - swept).total_seconds() > SWEEP_SECONDS:
                    swept = self.wall()
                    await in_thread(self.store().sweep_outbox, microseconds(swept))
            except KeepwellError as error:
                LOGGER.warning("webhooks wait for the store", why=str(error))
            await asyncio.sleep(POLL_SECONDS)

    async def _seal(self) -> bool:
        """Tried, be it in vain for want of a key: then they sign as they are."""
        try:
            sealed = await in_thread(lambda: self.store().seal_secrets(self.seal))
        except (InputError, SecretLocked) as error:
            LOGGER.warning("secrets of webhooks are not sealed", why=str(error))
        else:
            if sealed:
                LOGGER.info("secrets of webhooks are sealed from now on", secrets=sealed)
        return True

    async def round(self, client: httpx2.AsyncClient) -> None:
        """Begins a turn of every endpoint that has something due and is not at it already."""
        due = await in_thread(lambda: self.store().endpoints_due(self._now_us()))
        self._turns = {name: turn for name, turn in self._turns.items() if not turn.done()}
        for endpoint_id in due:
            if endpoint_id not in self._turns:
                self._turns[endpoint_id] = asyncio.create_task(self._turn(client, endpoint_id))

    async def settled(self) -> None:
        """When every turn that has begun is over."""
        await asyncio.gather(*self._turns.values())

    async def _turn(self, client: httpx2.AsyncClient, endpoint_id: str) -> None:
        """Until nothing more is due."""
        try:
            while leased := await in_thread(self._lease, endpoint_id):
                self._told.discard(endpoint_id)
                await self._deliver(client, leased)
        except SecretLocked as error:
            if endpoint_id not in self._told:
                LOGGER.error("webhooks wait for the key of their secret", endpoint_id=endpoint_id, why=str(error))
            self._told.add(endpoint_id)
        except KeepwellError as error:
            LOGGER.warning("webhooks wait for the store", why=str(error))

    def _lease(self, endpoint_id: str) -> Leased | None:
        return self.store().lease_deliveries(endpoint_id, self._now_us(), AT_ONCE, self.seal)

    async def _deliver(self, client: httpx2.AsyncClient, leased: Leased) -> None:
        failures = await asyncio.gather(*(self._attempt(client, leased.endpoint, delivery) for delivery in leased.deliveries))
        outcome = list(zip(leased.deliveries, failures, strict=True))
        delivered = [delivery.delivery_key for delivery, failure in outcome if failure is None]
        failed = {delivery.delivery_key: self._again(delivery, failure) for delivery, failure in outcome if failure is not None}
        if failed:
            LOGGER.warning(
                "webhooks failed", failed=len(failed), endpoint_id=leased.endpoint.endpoint_id, why=next(iter(failed.values()))[0]
            )
        await in_thread(self.store().settle_deliveries, leased.endpoint.endpoint_id, delivered, failed, self._now_us())

    async def _attempt(self, client: httpx2.AsyncClient, endpoint: Endpoint, delivery: Delivery) -> Failure | None:
        """Only the status of the answer is looked at; its body is not read."""
        headers = endpoint.headers(delivery.message_id, delivery.body, self.wall())
        try:
            async with asyncio.timeout(self.attempt_seconds):
                async with client.stream("POST", endpoint.url, content=delivery.body.encode(), headers=headers) as answer:
                    status = answer.status_code
        except TimeoutError:
            return Failure(f"no answer within {self.attempt_seconds:g} s")
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return Failure(type(error).__name__)
        return None if 200 <= status < 300 else Failure(f"status {status}", final=status == GONE)

    def _again(self, delivery: Delivery, failure: Failure) -> tuple[str, int | None]:
        seconds = None if failure.final else retry_seconds(delivery.attempts, self.rng)
        return failure.reason, None if seconds is None else microseconds(self.wall() + timedelta(seconds=seconds))

    def _now_us(self) -> int:
        return microseconds(self.wall())
