"""What the check of a log found, and how the findings about its rows are worded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "advice"]


@dataclass(frozen=True)
class Finding:
    """`line` is of the table that `column` is in, or of keepwell.yaml where `column` names one of its keys."""

    level: Level
    column: str | None
    line: int | None
    message: str
    what_to_do: str
