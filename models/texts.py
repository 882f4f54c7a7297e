"""Texts of the product by key and language, and how numbers, money, durations and dates are written in each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

from models.declared import Language

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date, datetime

LANGUAGES: tuple[Language, ...] = get_args(Language)
MINUS = "\N{MINUS SIGN}"
JOINER = "\N{WORD JOINER}"
"""Between a sign and a mark of currency, where a line could break."""
PARTS = ("", "pages.", "findings.", "monitor.", "proof.")
_FOLDER = Path(__file__).parent / "messages"
_TEN_THOUSANDS_FROM = 100_000
WHOLE_FROM = 10
GAPS: Mapping[Language, str] = {"en": " ", "zh": ""}
"""What stands between two sentences."""
WITHOUT_HUNDREDTHS = ("JPY",)


@cache
def messages(language: Language) -> Mapping[str, str]:
    """Every text by its dotted key, `unit.days.other`; those of PARTS have files of their own."""
    files = (_FOLDER / name for name in (f"{part}{language}.yaml" for part in PARTS))
    return dict(pair for file in files for pair in _flat(yaml.safe_load(file.read_text(encoding="utf-8")), ""))


def _flat(node: Mapping[str, object], prefix: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for key, below in node.items():
        found += _flat(below, f"{prefix}{key}.") if isinstance(below, dict) else [(f"{prefix}{key}", str(below))]
    return found


def text(language: Language, key: str, /, **values: object) -> str:
    """Raises KeyError for an unknown key or a missing value: both are faults of the program."""
    return messages(language)[key].format(**values)


def plural(language: Language, key: str, count: float, /, **values: object) -> str:
    """The form of `key` for `count` things; `{n}` in it is the written number, unless given."""
    form = "one" if count == 1 and language == "en" else "other"
    return text(language, f"{key}.{form}", **{"n": number(language, count), **values})


@dataclass(frozen=True)
class Count:
    """A whole number in a text: `{n:days}` is `1 day` or `2 days`, after `unit.days`; `{n}` is written as `number` does."""

    language: Language
    value: int

    def __format__(self, form: str) -> str:
        if not form:
            return number(self.language, self.value)
        return plural(self.language, f"unit.{form}", self.value) if names_things(form) else format(self.value, form)


def names_things(form: str) -> bool:
    """Whether a format is the plural of what is counted; those of numbers are signs or single letters."""
    return form.isalpha() and len(form) > 1


def with_counts(language: Language, told: Mapping[str, Any]) -> dict[str, Any]:
    """Whole numbers as counts, all else as it is."""
    whole = {name: int(value) for name, value in told.items() if not isinstance(value, bool) and isinstance(value, Integral)}
    return {**told, **{name: Count(language, value) for name, value in whole.items()}}


def named(language: Language, family: str, name: str) -> str:
    """A known name's text; one that only the community knows is shown as it was declared."""
    return messages(language).get(f"{family}.{name}", name.replace("_", " "))


def number(language: Language, value: float) -> str:
    """Whole from 10 on, with one decimal below; Chinese counts from 100,000 on in ten thousands."""
    if language == "zh" and abs(value) >= _TEN_THOUSANDS_FROM:
        return f"{_written(value / 10_000, 1)}万"
    return _written(value, 0 if abs(value) >= 10 else 1)


def decimal(value: float, places: int, *, signed: bool = False) -> str:
    """`places` decimals exactly; `signed` writes the plus too."""
    shown = f"{abs(value):,.{places}f}"
    if value >= 0 and not signed:
        return shown
    zero = not shown.strip("0.,")
    plus = "+" if signed and not zero else ""
    return f"{MINUS if value < 0 and not zero else plus}{shown}"


def _written(value: float, places: int) -> str:
    shown = decimal(value, places)
    return shown.rstrip("0").rstrip(".") if "." in shown else shown


def share(value: float) -> str:
    """In whole per cent; what would round to none or all without being it is told as below 1 or above 99."""
    if 0 < value < 0.005:
        return "<1%"
    return ">99%" if 0.995 < value < 1 else f"{decimal(value * 100, 0)}%"


def share_in_words(language: Language, value: float) -> str:
    """As it stands within a sentence: below 1 or above 99 per cent is said."""
    shown = share(value)
    key = {"<": "unit.below", ">": "unit.above"}.get(shown[0])
    return shown if key is None else text(language, key, share=shown[1:])


def points(language: Language, value: float) -> str:
    """A difference of shares, in percentage points with its sign."""
    return text(language, "unit.points", n=decimal(value, 1, signed=True))


def money(language: Language, value: float, currency: str, *, signed: bool = False) -> str:
    """Whole from 10 on, below with hundredths where it has some; `signed` is for a difference."""
    return moneys(language, [value], currency, signed=signed)[0]


def moneys(language: Language, values: Sequence[float], currency: str, *, signed: bool = False) -> list[str]:
    """Amounts that belong together, such as one with its interval: whole where the largest is 10 or more, but for what would become 0."""
    large = max(abs(value) for value in values) >= WHOLE_FROM
    whole = currency in WITHOUT_HUNDREDTHS or all(round(value, 2) == round(value) for value in values)
    places = [0 if whole or (large and (round(abs(value)) >= 1 or round(value, 2) == 0)) else 2 for value in values]
    return [_money(language, value, currency, at, signed=signed) for value, at in zip(values, places, strict=True)]


def price(language: Language, value: float, currency: str) -> str:
    """An amount that was declared or paid: to the hundredth, and below 1 with as many decimals as it has, up to four."""
    if abs(value) >= 1:
        places = 0 if currency in WITHOUT_HUNDREDTHS or round(value, 2) == round(value) else 2
    else:
        places = next(places for places in (0, 2, 3, 4) if round(value, places) == round(value, 4))
    return _money(language, value, currency, places, signed=False)


def _money(language: Language, value: float, currency: str, places: int, *, signed: bool) -> str:
    """A sign stays on the line of its amount."""
    amount = decimal(abs(value), places)
    shown = messages(language).get(f"currency.{currency}", f"{currency} {{n}}").format(n=amount)
    if not amount.strip("0."):
        return shown
    sign = MINUS if value < 0 else "+" if signed else ""
    return f"{sign}{'' if not sign or shown[0].isalpha() else JOINER}{shown}"


def span(language: Language, low: str, high: str) -> str:
    """The two ends of an interval or a range, as every sentence, table and chart writes them."""
    return text(language, "unit.span", low=low, high=high)


def estimate(language: Language, value: str, low: str, high: str) -> str:
    """With its interval."""
    return text(language, "unit.estimate", value=value, bounds=span(language, low, high))


def duration(language: Language, days: float) -> str:
    """Whole days, below one day whole hours, rounded down."""
    if days >= 1:
        return plural(language, "unit.days", int(days))
    hours = int(days * 24)
    return plural(language, "unit.hours", hours) if hours >= 1 else text(language, "unit.under_an_hour")


def window(language: Language, days: int) -> str:
    """As it follows "in the last": `30 days`, but `day` and never `1 day`."""
    return plural(language, "unit.window", days)


def calendar_day(language: Language, day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日" if language == "zh" else f"{day.day} {day:%b} {day.year}"


def day_of_year(language: Language, day: date) -> str:
    """Without its year."""
    return f"{day.month}月{day.day}日" if language == "zh" else f"{day.day} {day:%b}"


def month_of_year(language: Language, month: date) -> str:
    return f"{month.year}年{month.month}月" if language == "zh" else f"{month:%b} {month.year}"


def moment(language: Language, at: datetime) -> str:
    return f"{calendar_day(language, at)} {at:%H:%M}"


def sentences(language: Language, told: Sequence[str]) -> str:
    """One after the other, as the language sets them."""
    return GAPS[language].join(told)


def listed(language: Language, items: list[str]) -> str:
    """None of them is said too."""
    return text(language, "unit.list").join(items) or text(language, "unit.none")
