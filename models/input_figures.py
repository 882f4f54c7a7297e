"""What the check of the tables found, for the page: without any cell of theirs, which may name a member."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from pydantic import TypeAdapter

from models.findings import UNTOLD, Finding, finding_of

INPUT = "input"
"""Their name in the store."""
LEVELS = ("error", "warning", "advice")


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
        told = _FIGURES.dump_python(self, mode="json", exclude={"findings"})
        return json.dumps(told | {"findings": [asdict(one) for one in self.findings]}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> InputFigures:
        kept = json.loads(text)
        found = tuple(finding_of(one) for one in kept.pop("findings"))
        return replace(_FIGURES.validate_python(kept | {"findings": ()}), findings=found)


_FIGURES = TypeAdapter(InputFigures)


def told_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """The gravest first; of a cell that a finding shows nothing is told: its line says where it stands."""
    told = [replace(one, told=dict(one.told) | {"value": UNTOLD}) if "value" in one.told else one for one in findings]
    return tuple(sorted(told, key=lambda one: LEVELS.index(one.level)))
