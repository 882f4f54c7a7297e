"""How the cells of whole columns are written, found out from parts of a table that are looked at apart."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Self

from models.marks import Marks
from models.reading import Habits, is_text, not_a_number, numbers
from models.times import Sighting, Unordered

if TYPE_CHECKING:
    import polars as pl


class Counted(NamedTuple):
    """Cells that are numbers, and cells that hold something else."""

    numbers: int
    others: int


@dataclass(frozen=True)
class Asked:
    """Columns: of times, of amounts, and of what may be numbers or text."""

    times: tuple[str, ...] = ()
    amounts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.times, *self.amounts, *self.labels)))


@dataclass(frozen=True)
class Clues:
    """What a part shows of its columns; the clues of parts add up to those of the table."""

    times: Mapping[str, Unordered] = field(default_factory=dict)
    amounts: Mapping[str, Marks] = field(default_factory=dict)
    labels: Mapping[str, Counted] = field(default_factory=dict)

    @classmethod
    def of(cls, raw: pl.DataFrame, asked: Asked, zone: str) -> Self:
        return cls(
            {name: Unordered.of(raw[name], zone) for name in asked.times},
            {name: Marks.of(raw[name]) for name in asked.amounts if is_text(raw[name])},
            {name: _counted(raw[name]) for name in asked.labels},
        )

    def __add__(self, other: Self) -> Self:
        times = dict(self.times)
        for name, seen in other.times.items():
            times[name] = times[name] + seen if name in times else seen
        labels = dict(self.labels)
        for name, counted in other.labels.items():
            before = labels.get(name, Counted(0, 0))
            labels[name] = Counted(before.numbers + counted.numbers, before.others + counted.others)
        amounts = dict(self.amounts)
        for name, marks in other.amounts.items():
            amounts[name] = amounts.get(name, Marks()) | marks
        return type(self)(times, amounts, labels)

    def habits(self, *, semicolons: bool) -> Habits:
        """Raises InputError where the day and the month of a column of times cannot be told apart."""
        return Habits(
            orders={name: seen.orders(name) for name, seen in self.times.items()},
            decimals={name: marks.decimal(semicolons=semicolons) for name, marks in self.amounts.items()},
            quantities=frozenset(name for name, counted in self.labels.items() if counted.numbers and not counted.others),
        )

    def to_json(self) -> str:
        times = {name: asdict(seen) for name, seen in self.times.items()}
        return json.dumps({"times": times, "amounts": self.amounts, "labels": self.labels}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        told = json.loads(text)
        times = {
            name: Unordered(seen["texts"], seen["unread"], tuple(Sighting(*one) for one in seen["seen"]))
            for name, seen in told["times"].items()
        }
        amounts = {name: Marks(*marks) for name, marks in told["amounts"].items()}
        return cls(times, amounts, {name: Counted(*counted) for name, counted in told["labels"].items()})


def habits_of(parts: Iterable[Clues], *, semicolons: bool) -> Habits:
    return sum(parts, Clues()).habits(semicolons=semicolons)


def _counted(column: pl.Series) -> Counted:
    number = numbers(column)
    return Counted(number.count(), int(not_a_number(column, number).sum()))
