"""The trace that a request belongs to, as W3C Trace Context names it."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

_TRACEPARENT = re.compile(
    r"(?!ff)(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?"
)
FIRST_VERSION = "00"
_IDS = random.Random()  # noqa: S311 - ids of requests have to differ and are no secret


def new_id(digits: int) -> str:
    """Hexadecimal. To ask the system for each would hand the interpreter to another thread each time."""
    return f"{_IDS.getrandbits(4 * digits):0{digits}x}"


@dataclass(frozen=True)
class Trace:
    """`span_id` is that of the work done here, a child of the sender's."""

    trace_id: str
    span_id: str
    flags: str = "00"

    @property
    def traceparent(self) -> str:
        return f"{FIRST_VERSION}-{self.trace_id}-{self.span_id}-{self.flags}"


def continued(traceparent: str) -> Trace:
    """The sender's trace with a span of our own, or a new trace where the header is absent or breaks the form.

    Of a version later than 00 the parts that 00 has are read (Trace Context, section 3.2.4).
    """
    found = _TRACEPARENT.fullmatch(traceparent.strip())
    whole = found is not None and not (found["version"] == FIRST_VERSION and found["more"])
    if not found or not whole or not found["trace"].strip("0") or not found["span"].strip("0"):
        return Trace(new_id(32), new_id(16))
    return Trace(found["trace"], new_id(16), found["flags"])


Tracer = Callable[[str], Trace]
"""From the header `traceparent`, which may be empty, to the trace that is kept in the log and answered."""
