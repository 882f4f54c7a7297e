"""Waiting for what is sure to come, on however slow a machine."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from http import HTTPStatus

import httpx2

PATIENCE_SECONDS = 600
"""No test may take that long, and none may fail because something takes longer than usual."""

PLAIN = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of our own servers, which speak HTTP: without it each client reads the certificates of the world, for 20 ms."""


def answered(ask: Callable[[], httpx2.Response]) -> httpx2.Response:
    """Asked again for as long as a 503 says so."""
    answers: list[httpx2.Response] = []

    def heard() -> bool:
        answers.append(ask())
        return answers[-1].status_code != HTTPStatus.SERVICE_UNAVAILABLE

    wait_until(heard)
    return answers[-1]


def wait_until(holds: Callable[[], bool]) -> None:
    """A server that does not listen yet counts as not holding. Raises TimeoutError when patience is at its end."""
    deadline, pause = time.monotonic() + PATIENCE_SECONDS, 0.001
    while time.monotonic() < deadline:
        try:
            if holds():
                return
        except httpx2.TransportError:
            pass
        time.sleep(pause)
        pause = min(2 * pause, 0.05)
    raise TimeoutError(f"not within {PATIENCE_SECONDS} seconds")
