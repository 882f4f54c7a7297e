"""Pieces of SQL that the two databases spell differently and SQLAlchemy does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import BindParameter, ColumnElement, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.types import NullType, Text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Column
    from sqlalchemy.sql.compiler import SQLCompiler

EXACTLY = "exactly"
"""The function by which SQLite writes a number with all its digits; every connection brings it along."""


class OneOf(ColumnElement[bool]):
    """`column` is one of the texts that are bound as `name`: the statement is the same for one of them and for a thousand.

    It has no type, for what SQLite makes of a Boolean (`... = 1`) hides the column from its index.
    """

    inherit_cache = True
    type = NullType()  # type: ignore[assignment]  # as said

    def __init__(self, column: Column[str], name: str) -> None:
        self.column = column
        self.bound: BindParameter[Any] = bindparam(name)


@compiles(OneOf, "sqlite")
def _in_json(element: OneOf, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - SQLAlchemy hands on what it was given
    bound = compiler.process(element.bound, **given)
    return f"{compiler.process(element.column, **given)} IN (SELECT value FROM json_each({bound}))"  # noqa: S608 - `bound` is a placeholder


@compiles(OneOf, "postgresql")
def _in_array(element: OneOf, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - as above
    return f"{compiler.process(element.column, **given)} = ANY(CAST({compiler.process(element.bound, **given)} AS TEXT[]))"


class Strung(ColumnElement[str]):
    """The numbers of a group as one text with commas between them, without those that are null: one row for many costs a tenth of many.

    They stand in the order of `order`. SQLite takes them as it meets them: `order` has to be that of the index by which it finds them.
    """

    inherit_cache = True
    type = Text()

    def __init__(self, number: ColumnElement[Any], *order: ColumnElement[Any]) -> None:
        self.number = number
        self.order = order


@compiles(Strung, "sqlite")
def _group_concat(element: Strung, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - as above
    return f"group_concat({compiler.process(element.number, **given)})"


@compiles(Strung, "postgresql")
def _string_agg(element: Strung, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - as above
    order = _listed(element.order, compiler, **given)
    return f"string_agg(CAST({compiler.process(element.number, **given)} AS TEXT), ',' ORDER BY {order})"


class Exact(ColumnElement[str]):
    """A fraction with as many digits as it takes to read the same one back; null stays null."""

    inherit_cache = True
    type = Text()

    def __init__(self, number: Column[Any]) -> None:
        self.number = number


@compiles(Exact, "sqlite")
def _exactly(element: Exact, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - as above
    number = compiler.process(element.number, **given)
    return f"CASE WHEN {number} IS NOT NULL THEN {EXACTLY}({number}) END"


@compiles(Exact, "postgresql")
def _as_text(element: Exact, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - as above
    return f"CAST({compiler.process(element.number, **given)} AS TEXT)"


class Listed(ColumnElement[str]):
    """The rows of a group as one JSON text, an array of arrays; without any it is an empty one, or null.

    They stand in the order of `order`, on the terms of Strung.
    """

    inherit_cache = True
    type = Text()

    def __init__(self, columns: Sequence[ColumnElement[Any]], *order: ColumnElement[Any]) -> None:
        self.columns = columns
        self.order = order


@compiles(Listed, "sqlite")
def _json_group_array(element: Listed, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - as above
    return f"json_group_array(json_array({_listed(element.columns, compiler, **given)}))"


@compiles(Listed, "postgresql")
def _json_agg(element: Listed, compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - as above
    order = _listed(element.order, compiler, **given)
    return f"CAST(json_agg(json_build_array({_listed(element.columns, compiler, **given)}) ORDER BY {order}) AS TEXT)"


def _listed(elements: Sequence[ColumnElement[Any]], compiler: SQLCompiler, **given: Any) -> str:  # noqa: ANN401 - as above
    return ", ".join(compiler.process(one, **given) for one in elements)
