"""The words that all parts of a declaration share: languages, stages and tags, and how a value is checked."""

from __future__ import annotations

from datetime import time
from functools import cache
from typing import Annotated, Literal
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

Language = Literal["en", "zh"]
Stage = Literal["new", "growing", "active", "stable", "silent", "lost"]
STAGES: tuple[Stage, ...] = ("new", "growing", "active", "stable", "silent", "lost")
Tag = Literal["newcomer_at_risk", "interest_decay", "demand_mismatch", "estrangement", "win_back_candidate", "high_value"]
TAGS: tuple[Tag, ...] = ("newcomer_at_risk", "interest_decay", "demand_mismatch", "estrangement", "win_back_candidate", "high_value")


@cache
def known_zones() -> frozenset[str]:
    """The IANA names that this machine knows."""
    return frozenset(available_timezones())


def _known_zone(name: str) -> str:
    if name not in known_zones():
        message = f'unknown time zone "{name}"; use an IANA name such as "Asia/Shanghai" or "UTC"'
        raise ValueError(message)
    return name


def _ascending(days: tuple[int, ...]) -> tuple[int, ...]:
    if list(days) != sorted(set(days)):
        message = f"{list(days)} must be rising whole days without repeats"
        raise ValueError(message)
    return days


def _not_counted(given: object) -> object:
    """Pydantic would take a number for seconds since midnight."""
    if isinstance(given, int | float):
        message = f"{given} is refused: write a time of day, like 08:30"
        raise ValueError(message)  # noqa: TRY004 - pydantic makes a ValueError a fault of the declaration
    return given


TimeZone = Annotated[str, AfterValidator(_known_zone)]
PositiveDays = Annotated[int, Field(gt=0, le=3650)]
RisingDays = Annotated[tuple[PositiveDays, ...], Field(min_length=1), AfterValidator(_ascending)]
TimeOfDay = Annotated[time, BeforeValidator(_not_counted)]
IDENTIFIER = r"^[a-z][a-z0-9_]{0,63}$"
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
Share = Annotated[float, Field(ge=0, le=1)]


class Declared(BaseModel):
    """Unknown keys are refused, so that a misspelt key is an error and never a silent default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Label(Declared):
    """What a person reads, in each language of the product."""

    en: str
    zh: str

    def of(self, language: Language) -> str:
        return self.zh if language == "zh" else self.en
