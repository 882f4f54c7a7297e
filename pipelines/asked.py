"""A question about a plan, as it is typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from models.audience import BINS
from models.audience_filter import AudienceFilter
from models.errors import InputError
from models.simulated_plan import Question
from models.supply import Capacity

CHANNEL = "channel:"
KINDS = {"risk_band": "risk_bands", "stage": "stages", "tier": "tiers", "tag": "tags", "cohort": "cohorts"}
RISKS, GROUP = ("from", "to"), "group"


def question_of(budget: float | None, capacity: Sequence[str], only: Sequence[str] | None, *, hold_out: float, points: int) -> Question:
    """Raises InputError for a capacity that is not NAME=NUMBER."""
    places = dict(_place(text) for text in capacity)
    channels = {name.removeprefix(CHANNEL): number for name, number in places.items() if name.startswith(CHANNEL)}
    interventions = {name: number for name, number in places.items() if not name.startswith(CHANNEL)}
    asked = Capacity(interventions=interventions, channels=channels, budget=budget)
    return Question(asked, None if not only else tuple(only), hold_out, points)


def _place(text: str) -> tuple[str, int]:
    name, sign, number = text.rpartition("=")
    if not (sign and name and number.isascii() and number.isdigit()):
        raise InputError(f'"{text}" is no capacity; write it as coupon=100, or channel:email=500')
    return name, int(number)


def audience_of(text: str) -> AudienceFilter:
    """Several values of one kind, `stage=new&stage=silent`, belong together. Raises InputError for a key that is none of the page's."""
    audience = AudienceFilter()
    for key, value in parse_qsl(text):
        if key in RISKS:
            bound = _bin(key, value)
            audience = replace(audience, low=bound) if key == "from" else replace(audience, high=bound)
        elif key in KINDS:
            values: Any = {KINDS[key]: (*getattr(audience, KINDS[key]), value)}
            audience = replace(audience, **values)
        elif key == GROUP and ":" in value:
            column, _, name = value.partition(":")
            audience = replace(audience, groups={**audience.groups, column: (*audience.groups.get(column, ()), name)})
        else:
            raise InputError(f'an audience has no "{key}={value}"; it has {", ".join((*RISKS, *KINDS))}, and group=COLUMN:VALUE')
    if audience.low >= audience.high:
        raise InputError(f'"{text}": no risk lies between these bounds')
    return audience


def _bin(key: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and int(value) <= 100 and int(value) % (100 // BINS) == 0):
        raise InputError(f"{key}={value}: give a risk in per cent, in steps of {100 // BINS}, from 0 to 100")
    return int(value) * BINS // 100
