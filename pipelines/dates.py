"""Dates as a person types them, by the community's clock."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import TYPE_CHECKING

from models.errors import InputError
from models.times import YEARS

if TYPE_CHECKING:
    from models.community import Community


def midnight(day: date, community: Community) -> datetime:
    return datetime.combine(day, time(), tzinfo=community.zone)


def moment(text: str, community: Community) -> datetime:
    """A date (midnight by the community's clock) or a time, as ISO 8601, within `YEARS`; raises InputError."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        message = f'"{text}" is no date; write it as 2026-01-31 or 2026-01-31T09:00:00+08:00'
        raise InputError(message) from None
    if at.year not in YEARS:
        message = f'"{text}": a year from {YEARS[0]} to {YEARS[-1]} is needed'
        raise InputError(message)
    return at if at.tzinfo else at.replace(tzinfo=community.zone)
