"""JSON of many rows, put together from columns: to make an object of each row first would cost more than all else."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pydantic_core import to_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

Texts = list[str]
"""Of each row the JSON of one value."""
NULL = "null"


def written(value: object) -> str:
    return to_json(value, inf_nan_mode="null").decode()


@lru_cache(maxsize=4096)
def word(value: str | None) -> str:
    """As `written`, of what is said again and again."""
    return written(value)


def numbers(values: Sequence[float | None]) -> Texts:
    """NaN is null, as is what is not finite; flags are numbers here."""
    return written(values)[1:-1].split(",") if values else []


def columns(*each: Sequence[float | None]) -> list[Texts]:
    """As `numbers`, of several columns of one length."""
    every, length = numbers([value for column in each for value in column]), len(each[0])
    return [every[at * length : (at + 1) * length] for at in range(len(each))]


BETWEEN, WITHIN = '","', '\\","'
"""What stands between two texts; and also at the end of one that ends in a quotation mark and a comma, after a backslash."""


def strings(values: Sequence[str]) -> Texts:
    inner = written(values)[2:-2]
    if WITHIN in inner:
        return [written(value) for value in values]
    return [f'"{text}"' for text in inner.split(BETWEEN)] if values else []


def named(values: Sequence[str | None]) -> Texts:
    """As `strings`, of few different names, or null."""
    return [word(name) for name in values]


def moments(values: Sequence[datetime | None]) -> Texts:
    return numbers(values)  # type: ignore[arg-type]  # no moment holds a comma either


def escaped(text: str) -> str:
    """As it stands in a frame."""
    return text.replace("%", "%%")


def objects(columns: Mapping[str, Iterable[str] | str]) -> Texts:
    """An object of each row, whose keys are those of `columns`; one text instead of a column is that of all rows."""
    told = [f'"{name}":{escaped(each) if isinstance(each, str) else "%s"}' for name, each in columns.items()]
    frame = "{" + ",".join(told) + "}"
    return [frame % row for row in zip(*(each for each in columns.values() if not isinstance(each, str)), strict=True)]


def lists(items: Sequence[str], lengths: Iterable[int]) -> Texts:
    """`items`, so many of them in each list."""
    told, begin = [], 0
    for length in lengths:
        told.append(f"[{','.join(items[begin : begin + length])}]")
        begin += length
    return told
