"""Logs: one JSON object a line, or coloured lines on a terminal. What uvicorn and libraries say goes the same way.

Nothing in them is about a member: paths are logged as the templates of their routes, and of an unforeseen error its kind and its
place, for its message may quote what was sent.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from traceback import extract_tb
from typing import Any

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

NAME = "keepwell"

_OF_EVERY_LINE: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
)

structlog.configure(
    processors=[structlog.stdlib.filter_by_level, *_OF_EVERY_LINE, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
    wrapper_class=structlog.stdlib.BoundLogger,
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)

LOGGER: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(NAME)


def line_formatter() -> logging.Formatter:
    """For `logging.config`, which calls it by name: JSON unless the standard error is a terminal."""
    logging.captureWarnings(capture=True)
    shown: Processor = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer(_compact)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_OF_EVERY_LINE, structlog.stdlib.ExtraAdder(allow=())],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _without_messages, shown],
    )


def _compact(event: EventDict, **_given: Any) -> str:  # noqa: ANN401 - structlog hands over a fallback that plain values do not need
    return json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)


def _without_messages(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """`exc_info` as the chain of errors, the first cause first: the class of each and where it passed, innermost call last."""
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["errors"] = list(_told(error))
    return event


def _told(error: BaseException) -> Iterator[dict[str, Any]]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _told(cause)
    yield {
        "error": type(error).__qualname__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)],
    }
