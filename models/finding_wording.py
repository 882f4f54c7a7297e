"""The sentences of a finding: what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from models.texts import text

if TYPE_CHECKING:
    from models.declared import Language

ROWS = "rows."
"""Before the code of a fault that rows were rejected for."""


def message_of(language: Language, code: str, told: Mapping[str, object], line: int | None) -> str:
    words = _words(language, told)
    if code.startswith(ROWS):
        reason = text(language, f"fault.{code.removeprefix(ROWS)}.found", **words)
        return text(language, "finding.rows", reason=reason, **words)
    at = "" if line is None else text(language, "finding.at", line=line)
    return text(language, f"finding.{code}.found", at=at, **words)


def advice_of(language: Language, code: str, told: Mapping[str, object]) -> str:
    words = _words(language, told)
    if code.startswith(ROWS):
        return text(language, f"fault.{code.removeprefix(ROWS)}.todo", **words)
    return text(language, f"finding.{code}.todo", **words)


def _words(language: Language, told: Mapping[str, object]) -> dict[str, object]:
    join = text(language, "unit.list").join
    return {name: join(value) if isinstance(value, Sequence) and not isinstance(value, str) else value for name, value in told.items()}
