"""Splits the rows of a table into those that can be used and those that cannot, each with its line and its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import polars as pl

from models.errors import InputError
from models.finding_wording import ROWS
from models.findings import UNTOLD, Finding
from models.tables import Table, free_name
from models.texts import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.arrays import Integers
    from models.findings import Told

SERIOUS_SHARE = 0.05
SHOWN_CHARACTERS = 60
MISFIT = "misfit"


@dataclass(frozen=True)
class Fault:
    """One reason to refuse a row: where `mask` is True. `code` names it."""

    mask: pl.Series
    column: str
    code: str

    @property
    def reason(self) -> str:
        """In English, as it stands beside a rejected row; `{}` stands for the value of `column`."""
        return text("en", f"fault.{self.code}.found", value="{}")

    @property
    def told(self) -> pl.Expr:
        """The reason with the value of each row."""
        if "{}" not in self.reason:
            return pl.lit(self.reason)
        return pl.format(self.reason, _value(self))


@dataclass(frozen=True)
class Screened:
    """accepted: one flag for each row of the table. rejected: `line`, `reason` and all columns, rows with too many fields included.

    Accepted and rejected rows are all rows.
    """

    accepted: pl.Series
    rejected: pl.DataFrame
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, table: Table, faults: Sequence[Fault]) -> Self:
        """The first fault that holds gives the reason. Raises InputError where no row is left."""
        return cls.of_codes(table, faults, first_fault(faults))

    @classmethod
    def of_codes(cls, table: Table, faults: Sequence[Fault], code: Integers) -> Self:
        """Where `first_fault` was found out part by part; the masks of `faults` are not looked at. Raises as `of`."""
        rejected = _rejected(table, faults, code)
        findings = _findings(table, faults, code, rejected)
        if not code.size + len(table.misfit_lines):
            raise InputError(f"{table.path} has a header but no rows")
        if np.all(code):
            first = findings[0]
            raise InputError(
                f"{table.path}: none of its {rejected.height:,} rows can be used; {first.message} (line {first.line}); {first.what_to_do}"
            )
        return cls(pl.Series(code == 0), rejected, findings)


def first_fault(faults: Sequence[Fault]) -> Integers:
    """Of each row 1 + the position of the first fault that holds, 0 where none does; shape (n,)."""
    code = np.zeros(len(faults[0].mask), dtype=np.uint8)
    for number in reversed(range(len(faults))):
        code[faults[number].mask.to_numpy()] = number + 1
    return code


def _rejected(table: Table, faults: Sequence[Fault], code: np.ndarray) -> pl.DataFrame:
    rows = pl.Series(np.flatnonzero(code))
    whole = table.whole(rows)
    number = pl.Series("number", code[rows.to_numpy()])
    reason = pl.coalesce(
        [pl.when(pl.lit(number) == position + 1).then(fault.told) for position, fault in enumerate(faults)]
        + [pl.lit(None, dtype=pl.String)]
    )
    line_name, reason_name = free_name("line", table.columns), free_name("reason", table.columns)
    kept = whole.select(table.lines_of(rows).alias(line_name), reason.alias(reason_name), pl.all())
    why = pl.lit(text("en", f"fault.{MISFIT}.found"))
    odd = table.misfits.select(pl.Series(line_name, table.misfit_lines, dtype=pl.Int64), why.alias(reason_name), pl.all())
    return pl.concat([kept, odd], how="diagonal").sort(line_name) if table.misfit_lines else kept


def _value(fault: Fault) -> pl.Expr:
    """As it is shown."""
    return pl.col(fault.column).cast(pl.String, strict=False).fill_null("").str.replace_all(r"\s+", " ").str.slice(0, SHOWN_CHARACTERS)


def _findings(table: Table, faults: Sequence[Fault], code: np.ndarray, rejected: pl.DataFrame) -> tuple[Finding, ...]:
    """One for each fault that some row has, the commonest first; the example is that of the first such row."""
    total, found = len(code) + len(table.misfit_lines), []
    lines = rejected.columns[0]
    for number, fault in enumerate(faults, 1):
        count = int((code == number).sum())
        if count:
            line = table.line(int(np.argmax(code == number)))
            value = rejected.filter(pl.col(lines) == line).select(_value(fault)).item(0, 0)
            told: Told = {"count": count, "total": total, "value": value}
            found.append((count, Finding(_level(count, total), fault.column, line, f"{ROWS}{fault.code}", told)))
    if odd := len(table.misfit_lines):
        misfit = Finding(_level(odd, total), None, table.misfit_lines[0], f"{ROWS}{MISFIT}", {"count": odd, "total": total})
        found.append((odd, misfit))
    return tuple(finding for _, finding in sorted(found, key=lambda pair: -pair[0]))


def counted_findings(counts: Mapping[tuple[str, str | None], int], total: int, ranks: Sequence[str]) -> tuple[Finding, ...]:
    """Of rows that were counted in parts by code and column of their fault, `ranks` in the order of codes: no line or cell is told."""
    rank = {code: at for at, code in enumerate(ranks)}
    ordered = sorted(counts.items(), key=lambda one: (-one[1], rank[one[0][0]]))
    found = []
    for (code, column), count in ordered:
        told: Told = {"count": count, "total": total} | ({} if column is None else {"value": UNTOLD})
        found.append(Finding(_level(count, total), column, None, f"{ROWS}{code}", told))
    return tuple(found)


def _level(count: int, total: int) -> Literal["error", "warning"]:
    return "error" if count > SERIOUS_SHARE * total else "warning"
