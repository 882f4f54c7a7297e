"""What the check of a log found, and how the findings about its rows are worded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["error", "warning", "advice"]
Step = Literal["events", "members", "touches", "leakage", "log", "files"]
OF_ROWS: tuple[Step, ...] = ("events", "members", "touches")


@dataclass(frozen=True)
class Finding:
    """`line` is of the table that `column` is in, or of keepwell.yaml where `column` names one of its keys.

    `step` of the check: reading one of the tables, looking for what tells of the future, looking at the accepted log as a whole, or writing
    rejected rows.
    """

    level: Level
    column: str | None
    line: int | None
    message: str
    what_to_do: str
    step: Step = "log"
