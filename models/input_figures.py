"""What the check of the tables found, for the page: without any cell of theirs, which may name a member."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter

from models.findings import OF_ROWS, Finding

INPUT = "input"
"""Their name in the store."""
LEVELS = ("error", "warning", "advice")
CELL = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class InputFigures:
    """Of the check at `at`; `findings` with the gravest first."""

    at: datetime
    first: datetime
    last: datetime
    events: int
    members: int
    rejected: int
    findings: tuple[Finding, ...]

    def to_json(self) -> str:
        return _FIGURES.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> InputFigures:
        return _FIGURES.validate_json(text)


_FIGURES = TypeAdapter(InputFigures)


def told_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The gravest first; of a finding about rows the example is left out, its line tells where it stands."""
    told = [replace(one, message=CELL.sub('"…"', one.message)) if one.step in OF_ROWS and one.line is not None else one for one in findings]
    return tuple(sorted(told, key=lambda one: LEVELS.index(one.level)))
