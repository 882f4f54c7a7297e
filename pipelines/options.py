"""The options that several commands share, and what their texts stand for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from models.declared import Language
from models.errors import InputError
from models.times import YEARS

Home = Annotated[Path | None, typer.Option("--config", "-c", help="keepwell.yaml, or its folder; by default the nearest one upwards.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="A date or time: what was known just before it is used, nothing after.")]
Version = Annotated[str | None, typer.Option("--version", help="A registered version.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of all random draws.")]
Lang = Annotated[str | None, typer.Option("--lang", help="en or zh; by default the community's language.")]


class Where(StrEnum):
    """What reads the log and runs the code over its members."""

    HERE = "here"
    SPARK = "spark"


OnWhat = Annotated[Where, typer.Option("--engine", help="Where the work is done: in this process, or on Spark (docs/spark.md).")]
Master = Annotated[
    str | None, typer.Option("--master", help="With --engine spark: its master, such as spark://host:7077, yarn, k8s://... or local[4].")
]
SparkConf = Annotated[
    list[str] | None,
    typer.Option("--conf", help="With --engine spark: a setting of Spark as KEY=VALUE, which may hold commas; repeated for several."),
]
Budget = Annotated[float | None, typer.Option("--budget", min=0, help="Money that all interventions together may cost.")]


def named(given: Sequence[str]) -> tuple[str, ...]:
    """Of an option that may be repeated, and may have several names by commas each time; each name once."""
    return tuple(dict.fromkeys(name.strip() for one in given for name in one.split(",")))


def now() -> datetime:
    return datetime.now(UTC)


def day_of(text: str) -> date:
    """Raises InputError for what is no day, or none within `YEARS`."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise InputError(f'"{text}" is no day; write it as 2025-01-01') from None
    if day.year not in YEARS:
        raise InputError(f"{day}: a year from {YEARS[0]} to {YEARS[-1]} is needed")
    return day


def language_of(text: str | None) -> Language | None:
    """None where none was given."""
    if text is None or text in ("en", "zh"):
        return text  # type: ignore[return-value]  # narrowed by the line above
    raise typer.BadParameter(f'"{text}" is no language of the reports; give en or zh')
