"""How HTTP is read from a connection: within bounds on what may stand before the body and on the time it takes, and refused with a problem.

Clients that speak HTTP/2 too, such as Java's, offer to change over with a request (`Upgrade: h2c`). The offer is passed over and the
request answered as HTTP/1.1 (RFC 9110, section 7.8); httptools takes what follows the head for another protocol, and would lose the body.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from secrets import token_hex
from typing import TYPE_CHECKING

from httptools import HttpRequestParser
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.problems import HEAD_TOO_LARGE, NO_HTTP, TOO_SLOW, Refusal

if TYPE_CHECKING:
    import asyncio

    from uvicorn._types import ASGI3Application
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

READ_SECONDS = 75.0
"""In which a request has to come whole, or up to twice that; for as long a connection is kept that nobody uses."""
MOST_HEAD_BYTES = 1 << 16
"""Of one request line with its headers."""

TOO_LONG = Refusal(HEAD_TOO_LARGE, f"the request line and its headers may have {MOST_HEAD_BYTES:,} bytes")
NOT_WHOLE = Refusal(
    TOO_SLOW, f"the request did not come whole within {READ_SECONDS:.0f} s; look whether its Content-Length is the length of its body"
)
NOT_READ = Refusal(NO_HTTP, "what was sent cannot be read as HTTP/1.1; look at its request line, its headers and its lengths")


class BoundedHeads(HttpToolsProtocol):
    """Uvicorn's own, which would keep a head in memory however long it goes on, before any key is looked at."""

    _in_head, _heads, _head_bytes, _whole = True, 0, 0, 0
    _may_be_long, _is_long = False, False
    _answered: RequestResponseCycle | None = None
    _without_offer, _parsed = b"", 0
    """The head of a request that offers another protocol, as it would be without; and how much of the piece was read with it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own has it
        super().connection_made(transport)
        self._look_again()

    def connection_lost(self, exc: Exception | None) -> None:
        """Uvicorn tells the last request alone that nobody waits any more, and not the one before it that is being answered."""
        self._next_look.cancel()
        if self._answered is not None:
            self._answered.disconnected = True
        super().connection_lost(exc)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _look_again(self) -> None:
        self._next_look = self.loop.call_later(READ_SECONDS, self._look, self._whole)

    def _look(self, whole: int) -> None:
        """One timer for each connection costs a request nothing. `whole`: requests that had come when it was set."""
        if whole < self._whole or self._is_answering:
            self._look_again()
        elif self._has_begun:
            self._refuse(NOT_WHOLE)
        else:
            self.transport.close()

    @property
    def _is_answering(self) -> bool:
        """A request that has come whole, be it before the last one."""
        return self._answered is not None and not self._answered.more_body and not self._answered.response_complete

    @property
    def _has_begun(self) -> bool:
        """A request of which there is no answer yet."""
        return self._head_bytes > 0 if self._in_head else not self.cycle.response_started

    def data_received(self, data: bytes) -> None:
        self._receive(data)
        while self._without_offer:
            data = self._without_offer + data[self._parsed :]
            self._without_offer, self.parser = b"", HttpRequestParser(self)
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        """A piece in which a head or a body ends is not counted, for the one may come with the other; its heads are measured."""
        in_head, heads = self._in_head, self._heads
        self._may_be_long = self._head_bytes + len(data) > MOST_HEAD_BYTES
        super().data_received(data)
        if in_head and self._heads == heads and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEAD_BYTES:
                self._refuse(TOO_LONG)

    def on_headers_complete(self) -> None:
        """What is raised ends the parsing, and uvicorn has it answered by `send_400_response`."""
        if self._may_be_long and _size(self.parser.get_method(), self.url, self.headers) > MOST_HEAD_BYTES:
            self._is_long = True
            raise ValueError(TOO_LONG.detail)
        self._in_head, self._heads, self._head_bytes = False, self._heads + 1, 0
        if self.parser.should_upgrade():
            self._pass_over_offer()
        else:
            super().on_headers_complete()

    def _pass_over_offer(self) -> None:
        """Raises ValueError for CONNECT, which is for proxies."""
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        if method == b"CONNECT":
            raise ValueError(NOT_READ.detail)
        lines = (b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade")
        self._without_offer = b"".join([b"%s %s HTTP/%s\r\n" % (method, self.url, version), *lines, b"\r\n"])

    def on_message_complete(self) -> None:
        self._in_head = True
        self._whole += 1
        if not self._without_offer:
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return False

    def _unsupported_upgrade_warning(self) -> None:
        """Called where the parser stops behind a head with an offer, with the place where it does."""
        offer = sys.exception()
        self._parsed = offer.args[0] if offer else 0

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        self._refuse(TOO_LONG if self._is_long else NOT_READ)

    def _refuse(self, refusal: Refusal) -> None:
        answer = refusal.response(token_hex(8))
        title = {HEAD_TOO_LARGE: b"Request Header Fields Too Large", TOO_SLOW: b"Request Timeout", NO_HTTP: b"Bad Request"}[refusal.kind]
        lines = [b"HTTP/1.1 %d %s" % (answer.status_code, title), *(b"%s: %s" % header for header in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)]))
        self.transport.close()


def _size(method: bytes, url: bytes, headers: Iterable[tuple[bytes, bytes]]) -> int:
    """As they were sent, but for blanks that nobody needs."""
    line = len(method) + len(url) + len("  HTTP/1.1\r\n")
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in headers) + len("\r\n")
