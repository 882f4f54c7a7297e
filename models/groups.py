"""Groups of members: columns of the members table by which people choose whom they look at."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import polars as pl

from models.attributes import attributes_from_json
from models.errors import InputError
from models.findings import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.community import Community


MOST_VALUES = 50
"""Of one column; beyond, it is no list that a person chooses from, and the counts of all selections grow too many to keep."""


def group_columns(community: Community) -> tuple[str, ...]:
    return () if community.members is None else community.members.groups


def groups_of_log(members: pl.DataFrame, community: Community) -> pl.DataFrame:
    """A text column for each that is declared, in the rows of the log's members; null where a member has none."""
    return members.select(pl.col(name).cast(pl.String) for name in group_columns(community))


def groups_of_store(attributes: Sequence[str | None], community: Community) -> pl.DataFrame:
    """The same of attributes as the store keeps them, JSON."""
    texts = attributes_from_json(attributes, group_columns(community))
    return pl.DataFrame() if texts is None else texts


def groups_to_json(groups: pl.DataFrame, n_members: int) -> pl.Series:
    """One object for each member, without what is missing; null where a member is in no group. Written once for each combination."""
    if not groups.width:
        return pl.repeat(None, n_members, dtype=pl.String, eager=True)
    found = groups.unique(maintain_order=True)
    told = [_told(dict(zip(groups.columns, values, strict=True))) for values in found.iter_rows()]
    written = found.with_columns(pl.Series("groups", told, dtype=pl.String))
    return groups.join(written, on=groups.columns, how="left", nulls_equal=True, maintain_order="left")["groups"].alias("groups")


def _told(groups: Mapping[str, str | None]) -> str | None:
    known = {name: value for name, value in groups.items() if value is not None}
    return json.dumps(known, ensure_ascii=False) if known else None


def group_findings(groups: pl.DataFrame) -> list[Finding]:
    """Columns with more values than a list can show."""
    return [
        Finding("error", name, None, "group_values", {"name": name, "count": count, "most": MOST_VALUES})
        for name, count in ((column.name, column.drop_nulls().n_unique()) for column in groups)
        if count > MOST_VALUES
    ]


def check_groups(members: pl.DataFrame, community: Community) -> None:
    """Raises InputError for the first column that has too many values."""
    for finding in group_findings(groups_of_log(members, community)):
        raise InputError(f"{finding.message}; {finding.what_to_do}")
