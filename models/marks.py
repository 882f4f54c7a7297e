"""How amounts are written as text: which mark begins the decimals, which one parts thousands, and marks of currency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import polars as pl

from models.tables import cell_texts

if TYPE_CHECKING:
    from collections.abc import Sequence

Decimal = Literal[".", ",", ""]
"""The mark of the decimals; where it is empty, none is known, and a comma is no part of a number."""
_MONEY = r"(?:[\p{Sc}元]|EUR|USD|GBP|CHF|CNY|RMB|JPY)"
CURRENCY = rf"^([-+]?)\s*{_MONEY}\s*|\s*{_MONEY}$"
GROUPING = r"[ '’\u{a0}\u{202f}]"
SPACED = rf"^[-+]?\d{{1,3}}({GROUPING}\d{{3}})+([.,]\d+)?$"


def _surely(decimal: str, group: str) -> str:
    """Matches what this mark of the decimals alone makes sense of: for a comma `12,5`, `0,125`, `1.234,567` or `1.234.567`, not `1,234`."""
    grouped = rf"\d{{1,3}}(\{group}\d{{3}})+"
    return rf"^[-+]?((\d+|{grouped}){decimal}(\d{{1,2}}|\d{{4,}})|(0|{grouped})\{decimal}\d+|\d{{1,3}}(\{group}\d{{3}}){{2,}})$"


SURELY = {",": _surely(",", "."), ".": _surely(r"\.", ",")}


class Marks(NamedTuple):
    """What the cells of a column, or of a part of it, show: points at all, and decimals that only a comma, or only a point, can begin."""

    points: bool = False
    commas_decide: bool = False
    points_decide: bool = False

    @classmethod
    def of(cls, column: pl.Series) -> Self:
        text = _bare(cell_texts(column))
        points = bool(text.str.contains(".", literal=True).any())
        return cls(points, *(bool(text.str.contains(SURELY[mark]).any()) for mark in (",", ".")))

    def __or__(self, other: Marks) -> Marks:
        return Marks(*(mine or its for mine, its in zip(self, other, strict=True)))

    def decimal(self, *, semicolons: bool) -> Decimal:
        """Where cells tell nothing, or contradict each other: a comma if fields are separated by semicolons and no cell has a point."""
        if self.commas_decide != self.points_decide:
            return "," if self.commas_decide else "."
        return "," if semicolons and not self.points else ""


def decimal_of(parts: Sequence[Marks], *, semicolons: bool) -> Decimal:
    told = Marks()
    for part in parts:
        told |= part
    return told.decimal(semicolons=semicolons)


def plain_numbers(text: pl.Series, decimal: Decimal) -> pl.Series:
    """Texts of numbers as programs write them, `1234.5`; what is no number stays none."""
    bare = _bare(text)
    if not decimal:
        return bare
    group = "." if decimal == "," else ","
    grouped = bare.str.contains(rf"^[-+]?\d{{1,3}}(\{group}\d{{3}})+(\{decimal}\d+)?$")
    bare = bare.zip_with(~grouped.fill_null(value=False), bare.str.replace_all(group, "", literal=True))
    return bare.str.replace(",", ".", literal=True) if decimal == "," else bare


def _bare(text: pl.Series) -> pl.Series:
    """Without marks of currency, and without blanks or apostrophes between thousands."""
    bare = text.str.strip_chars().str.replace_all(CURRENCY, "$1")
    spaced = bare.str.contains(SPACED).fill_null(value=False)
    return bare.zip_with(~spaced, bare.str.replace_all(GROUPING, ""))
