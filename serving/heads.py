"""How HTTP is read from a connection: within a bound on what may stand before the body, and refused with a problem like all else."""

from __future__ import annotations

from collections.abc import Iterable
from secrets import token_hex

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from serving.problems import HEAD_TOO_LARGE, NO_HTTP, Refusal

MOST_HEAD_BYTES = 1 << 16
"""Of one request line with its headers."""

TOO_LONG = Refusal(HEAD_TOO_LARGE, f"the request line and its headers may have {MOST_HEAD_BYTES:,} bytes")
NOT_READ = Refusal(NO_HTTP, "what was sent cannot be read as HTTP/1.1; look at its request line, its headers and its lengths")


class BoundedHeads(HttpToolsProtocol):
    """Uvicorn's own, which would keep a head in memory however long it goes on, before any key is looked at."""

    _in_head, _heads, _head_bytes = True, 0, 0
    _may_be_long, _is_long = False, False

    def data_received(self, data: bytes) -> None:
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
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        self._refuse(TOO_LONG if self._is_long else NOT_READ)

    def _refuse(self, refusal: Refusal) -> None:
        answer = refusal.response(token_hex(8))
        title = {HEAD_TOO_LARGE: b"Request Header Fields Too Large", NO_HTTP: b"Bad Request"}[refusal.kind]
        lines = [b"HTTP/1.1 %d %s" % (answer.status_code, title), *(b"%s: %s" % header for header in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)]))
        self.transport.close()


def _size(method: bytes, url: bytes, headers: Iterable[tuple[bytes, bytes]]) -> int:
    """As they were sent, but for blanks that nobody needs."""
    line = len(method) + len(url) + len("  HTTP/1.1\r\n")
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in headers) + len("\r\n")
