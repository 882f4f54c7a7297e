"""Splits the rows of a table into those that can be used and those that cannot, each with its line and its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
import polars as pl

from models.errors import InputError
from models.findings import Finding
from models.tables import Table, free_name

if TYPE_CHECKING:
    from collections.abc import Sequence

SERIOUS_SHARE = 0.05
SHOWN_CHARACTERS = 60
MISFIT = "the row has more fields than the header"


@dataclass(frozen=True)
class Fault:
    """One reason to refuse a row: where `mask` is True. `{}` in `reason` stands for the value of `column`."""

    mask: pl.Series
    column: str
    reason: str
    what_to_do: str


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
        code = np.zeros(len(faults[0].mask), dtype=np.uint8)
        for number in reversed(range(len(faults))):
            code[faults[number].mask.to_numpy()] = number + 1
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


def _rejected(table: Table, faults: Sequence[Fault], code: np.ndarray) -> pl.DataFrame:
    rows = pl.Series(np.flatnonzero(code))
    whole = table.whole(rows)
    number = pl.Series("number", code[rows.to_numpy()])
    reason = pl.coalesce(
        [pl.when(pl.lit(number) == position + 1).then(_reason(fault)) for position, fault in enumerate(faults)]
        + [pl.lit(None, dtype=pl.String)]
    )
    line_name, reason_name = free_name("line", table.columns), free_name("reason", table.columns)
    kept = whole.select(table.lines_of(rows).alias(line_name), reason.alias(reason_name), pl.all())
    odd = table.misfits.select(pl.Series(line_name, table.misfit_lines, dtype=pl.Int64), pl.lit(MISFIT).alias(reason_name), pl.all())
    return pl.concat([kept, odd], how="diagonal").sort(line_name) if table.misfit_lines else kept


def _reason(fault: Fault) -> pl.Expr:
    if "{}" not in fault.reason:
        return pl.lit(fault.reason)
    value = pl.col(fault.column).cast(pl.String, strict=False).fill_null("").str.replace_all(r"\s+", " ").str.slice(0, SHOWN_CHARACTERS)
    return pl.format(fault.reason, value)


def _findings(table: Table, faults: Sequence[Fault], code: np.ndarray, rejected: pl.DataFrame) -> tuple[Finding, ...]:
    """One for each fault that some row has, the commonest first; the example is that of the first such row."""
    total, found = len(code) + len(table.misfit_lines), []
    lines, reasons = rejected.columns[:2]
    for number, fault in enumerate(faults, 1):
        count = int((code == number).sum())
        if count:
            line = table.line(int(np.argmax(code == number)))
            example = rejected.filter(pl.col(lines) == line)[reasons][0]
            found.append((count, Finding(_level(count, total), fault.column, line, f"{_of(count, total)}: {example}", fault.what_to_do)))
    if odd := len(table.misfit_lines):
        found.append(
            (
                odd,
                Finding(
                    _level(odd, total),
                    None,
                    table.misfit_lines[0],
                    f"{_of(odd, total)}: {MISFIT}",
                    "put quotation marks around values that hold the separator",
                ),
            )
        )
    return tuple(finding for _, finding in sorted(found, key=lambda pair: -pair[0]))


def _level(count: int, total: int) -> Literal["error", "warning"]:
    return "error" if count > SERIOUS_SHARE * total else "warning"


def _of(count: int, total: int) -> str:
    return f"{count:,} of {total:,} rows rejected"
