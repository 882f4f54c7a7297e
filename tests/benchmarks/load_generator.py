"""Sends HTTP requests over connections that stay open, and times the answers; takes a plan from stdin, as JSON.

`python -m tests.benchmarks.load_generator`. A process of its own, so that its work is not counted as the server's;
raw sockets, for a common client costs as much as a good server.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field

import uvloop

END_OF_HEAD = b"\r\n\r\n"
LENGTH = b"content-length:"


@dataclass(frozen=True)
class Plan:
    """`rate` requests a second, or (None) each connection asks again as soon as it was answered.

    A rate is kept at random moments (Poisson), or, `evenly`, at equal distances, as wrk2, vegeta and k6 keep it.
    `bodies` are sent in turn, each to its own of `paths` where there are any, for `seconds`, after `warm_seconds` that are not counted.
    """

    host: str
    port: int
    path: str
    headers: dict[str, str]
    bodies: list[str]
    connections: int
    seconds: float
    rate: float | None = None
    warm_seconds: float = 1.0
    seed: int = 1
    paths: list[str] = field(default_factory=list)
    evenly: bool = False

    def request(self, number: int) -> bytes:
        body = self.bodies[number % len(self.bodies)].encode()
        told = {"Host": self.host, "Content-Type": "application/json", "Content-Length": str(len(body)), **self.headers}
        path = self.paths[number % len(self.paths)] if self.paths else self.path
        lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items())]
        return "\r\n".join(lines).encode() + END_OF_HEAD + body


@dataclass
class Measured:
    """Seconds from the moment at which a request was due to its last byte; `statuses` counts the answers; `cpu_s` of the generator."""

    latencies: list[float] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)
    elapsed_s: float = 0.0
    cpu_s: float = 0.0
    answer_bytes: int = 0


class Connection(asyncio.Protocol):
    """One request at a time."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._received = bytearray()
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def ask(self, request: bytes, due: float) -> None:
        self._due = due
        self._received.clear()
        self._transport.write(request)  # type: ignore[attr-defined]  # asyncio gives a stream protocol a stream transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(END_OF_HEAD)
        if end < 0:
            return
        head = bytes(self._received[:end]).lower()
        at = head.index(LENGTH) + len(LENGTH)
        length = int(head[at:].split(b"\r\n", 1)[0])
        if len(self._received) >= end + len(END_OF_HEAD) + length:
            self._load.answered(self, head[9:12].decode(), self._due, len(self._received))

    def connection_lost(self, _error: Exception | None) -> None:
        self._load.lost()


class Load:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.measured = plan, Measured()
        self._requests = [plan.request(number) for number in range(len(plan.bodies))]
        self._sent = 0
        self._free: deque[Connection] = deque()
        self._waiting: deque[float] = deque()
        self._counted_from = 0.0
        self._over = False

    async def run(self) -> Measured:
        loop = asyncio.get_running_loop()
        for _ in range(self.plan.connections):
            _, connection = await loop.create_connection(lambda: Connection(self), self.plan.host, self.plan.port)
            self._free.append(connection)
        begin = time.perf_counter()
        self._counted_from = begin + self.plan.warm_seconds
        end, cpu = self._counted_from + self.plan.seconds, time.process_time()
        if self.plan.rate is None:
            while self._free:
                self._ask(self._free.popleft(), time.perf_counter())
            await asyncio.sleep(end - time.perf_counter())
        else:
            await self._at_rate(self.plan.rate, begin, end)
        self._over = True
        self.measured.elapsed_s, self.measured.cpu_s = time.perf_counter() - self._counted_from, time.process_time() - cpu
        await asyncio.sleep(0.2)
        return self.measured

    async def _at_rate(self, rate: float, due: float, end: float) -> None:
        rng = random.Random(self.plan.seed)  # noqa: S311 - arrivals, no secret
        while (due := due + (1 / rate if self.plan.evenly else rng.expovariate(rate))) < end:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if self._free:
                self._ask(self._free.popleft(), due)
            else:
                self._waiting.append(due)

    def _ask(self, connection: Connection, due: float) -> None:
        connection.ask(self._requests[self._sent % len(self._requests)], due)
        self._sent += 1

    def answered(self, connection: Connection, status: str, due: float, length: int) -> None:
        now = time.perf_counter()
        if due >= self._counted_from and not self._over:
            self.measured.latencies.append(now - due)
            self.measured.statuses[status] = self.measured.statuses.get(status, 0) + 1
            self.measured.answer_bytes += length
        if self._over:
            return
        if self.plan.rate is None:
            self._ask(connection, now)
        elif self._waiting:
            self._ask(connection, self._waiting.popleft())
        else:
            self._free.append(connection)

    def lost(self) -> None:
        if not self._over:
            self.measured.statuses["lost"] = self.measured.statuses.get("lost", 0) + 1


if __name__ == "__main__":
    json.dump(asdict(uvloop.run(Load(Plan(**json.load(sys.stdin))).run())), sys.stdout)
