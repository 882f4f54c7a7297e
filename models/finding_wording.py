"""The sentences of a finding: what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from models.texts import messages, plural, text, with_counts

if TYPE_CHECKING:
    from models.declared import Language

ROWS = "rows."
"""Before the code of a fault that rows were rejected for."""


COUNTED = ("count", "found", "lost", "silent", "local")
"""Of what a finding tells, the number that its verb follows: the first that is there."""


def message_of(language: Language, code: str, told: Mapping[str, object], line: int | None) -> str:
    words = _words(language, told)
    if code.startswith(ROWS):
        reason = text(language, f"fault.{code.removeprefix(ROWS)}.found", **words)
        return text(language, "finding.rows", reason=reason, **words)
    at = "" if line is None else text(language, "finding.at", line=line)
    key, number = f"finding.{code}.found", next((told[name] for name in COUNTED if name in told), None)
    if isinstance(number, int) and f"{key}.other" in messages(language):
        return plural(language, key, number, at=at, **words)
    return text(language, key, at=at, **words)


def advice_of(language: Language, code: str, told: Mapping[str, object]) -> str:
    words = _words(language, told)
    if code.startswith(ROWS):
        return text(language, f"fault.{code.removeprefix(ROWS)}.todo", **words)
    return text(language, f"finding.{code}.todo", **words)


def _words(language: Language, told: Mapping[str, object]) -> dict[str, object]:
    join = text(language, "unit.list").join
    words = {name: join(value) if isinstance(value, Sequence) and not isinstance(value, str) else value for name, value in told.items()}
    return with_counts(language, words)
