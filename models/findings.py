"""What the check of a log found: a code with its figures, worded for whoever reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from models.finding_wording import advice_of, message_of

if TYPE_CHECKING:
    from models.declared import Language

Figure = int | float | str | Sequence[str]
Told = Mapping[str, Figure]
Level = Literal["error", "warning", "advice"]
Step = Literal["events", "members", "touches", "leakage", "log", "files"]


UNTOLD = "…"
"""For a cell that is not shown."""


@dataclass(frozen=True)
class Finding:
    """`line` is of the table that `column` is in, or of keepwell.yaml where `column` names one of its keys.

    `code` names the message, `told` what stands in it; lists are joined as the language does. `value` is a cell of a table.
    `step` of the check: reading one of the tables, looking for what tells of the future, looking at the accepted log as a whole, or writing
    rejected rows.
    """

    level: Level
    column: str | None
    line: int | None
    code: str
    told: Told
    step: Step = "log"

    @property
    def message(self) -> str:
        """In English, as logs and errors say it."""
        return self.message_in("en")

    @property
    def what_to_do(self) -> str:
        return self.what_to_do_in("en")

    def message_in(self, language: Language) -> str:
        return message_of(language, self.code, self.told, self.line)

    def what_to_do_in(self, language: Language) -> str:
        return advice_of(language, self.code, self.told)

    def to_dict(self, language: Language = "en") -> dict[str, Any]:
        return asdict(self) | {"message": self.message_in(language), "what_to_do": self.what_to_do_in(language)}


def finding_of(kept: Mapping[str, Any]) -> Finding:
    """Of one that was kept as a dict; what was kept as two sentences before findings had codes is told as it was."""
    if "code" in kept:
        return Finding(**{name: value for name, value in kept.items() if name not in WORDS})
    told = {name: kept[name] for name in WORDS}
    return Finding(**{name: value for name, value in kept.items() if name not in WORDS}, code="as_told", told=told)


WORDS = ("message", "what_to_do")
