"""Logs: one JSON object a line on the standard error, or coloured lines on a terminal. What uvicorn and libraries say goes the same way.

Nothing in them is about a member: paths are logged as the templates of their routes, and of an unforeseen error its kind and its
place, for its message may quote what was sent.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from traceback import extract_tb
from typing import Any

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import EventDict, Processor, WrappedLogger

_WITHIN_A_LINE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str)


class _StandardError:
    """Looked up for each line, and not through `logging`, which takes twice as long. A request does not fail for want of its line."""

    def msg(self, line: str) -> None:
        with suppress(OSError, ValueError):
            sys.stderr.write(f"{line}\n")

    debug = info = warning = error = critical = msg


def _with_process(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    event["process"] = os.getpid()
    return event


def _without_messages(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """`exc_info` as the chain of errors, the first cause first: the class of each and where it passed, innermost call last."""
    given = event.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else (sys.exc_info() if given is True else given or (None, None, None))[1]
    if error is not None:
        event["errors"] = list(_told(error))
    return event


def _told(error: BaseException) -> Iterator[dict[str, Any]]:
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _told(cause)
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(error.__traceback__)]
    yield {"error": type(error).__qualname__, "at": places}


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return _WITHIN_A_LINE.encode(event)


_OF_EVERY_LINE: tuple[Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="time"),
    _with_process,
    _without_messages,
)
_SHOWN: Processor = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else _json

structlog.configure(
    processors=[*_OF_EVERY_LINE, _SHOWN],
    wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    logger_factory=_StandardError,
    cache_logger_on_first_use=True,
)

LOGGER: structlog.typing.FilteringBoundLogger = structlog.get_logger()


def line_formatter() -> logging.Formatter:
    """For `logging.config`, which calls it by name: what others log looks as what is logged here."""
    logging.captureWarnings(capture=True)
    return ProcessorFormatter(foreign_pre_chain=_OF_EVERY_LINE, processors=[ProcessorFormatter.remove_processors_meta, _SHOWN])
