"""Declared attributes of members as columns of the feature matrix: which labels count is learned, and stored as plain JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import polars as pl

from models.features import compute_features

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.arrays import Floats, Integers
    from models.community import Community
    from models.events import EventArrays
    from models.features import FeatureSpec
    from models.snapshots import Snapshots

OTHER = "other"
MISSING = -1


@dataclass(frozen=True)
class Attribute:
    """A label with its frequent `levels`, the most frequent first, each a column of 0 and 1, and one more column for all others.

    Without `levels` it is a number, one column. A missing label is 0 in every column, a missing number NaN.
    """

    name: str
    levels: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f"{self.name}: {level}" for level in (*self.levels, OTHER)) if self.levels else (f"{self.name}:",)

    def columns(self, texts: pl.Series) -> Floats:
        """Shape (n, n_columns) float32; a label never seen, or rare, is `other`."""
        if not self.levels:
            return as_numbers(texts).astype(np.float32)[:, None]
        rare, column_of = len(self.levels), self._column_of
        code = np.array([column_of.get(told, rare) for told in texts.to_list()], dtype=np.int64)
        one_hot: Floats = (code[:, None] == np.arange(rare + 1)).astype(np.float32)
        return one_hot

    @cached_property
    def _column_of(self) -> dict[str | None, int]:
        return {level: column for column, level in enumerate(self.levels)} | {None: MISSING}

    def told(self, columns: Floats) -> float | str | None:
        """The number or the level (OTHER for all that are rare) of one row, None where it is missing."""
        if not self.levels:
            return None if np.isnan(columns[0]) else float(columns[0])
        return (*self.levels, OTHER)[int(columns.argmax())] if columns.any() else None

    def usual(self, columns: Floats) -> Floats:
        """The median of a number; the columns of the commonest label, all 0 where it is commonest to have none. Shape (n_columns,)."""
        if not self.levels:
            known = columns[~np.isnan(columns)]
            return np.array([np.median(known) if len(known) else np.nan])
        share = columns.mean(axis=0)
        commonest = np.arange(len(share)) == share.argmax()
        return np.where(commonest & (share.max() >= 1 - share.sum()), 1.0, 0.0)


@dataclass(frozen=True)
class AttributeEncoding:
    """The attributes that a model reads, in the order of the declaration."""

    attributes: tuple[Attribute, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Of the columns; they hold a colon, and no behavioural feature does."""
        return tuple(name for attribute in self.attributes for name in attribute.names)

    @property
    def places(self) -> tuple[tuple[Attribute, slice], ...]:
        """Each attribute with its columns, counted from the first one."""
        edges = accumulate((len(attribute.names) for attribute in self.attributes), initial=0)
        return tuple((attribute, slice(*bounds)) for attribute, bounds in zip(self.attributes, pairwise(edges), strict=True))

    def columns(self, texts: pl.DataFrame | None, member: Integers) -> Floats:
        """Shape (n, n_columns) float32 for the members in these rows of `texts`; an attribute that they lack is missing."""
        if not self.attributes:
            return np.empty((len(member), 0), dtype=np.float32)
        held = {} if texts is None else {column.name: column for column in rows_at(texts, member)}
        held |= {one.name: pl.Series([None] * len(member), dtype=pl.String) for one in self.attributes if one.name not in held}
        return np.concatenate([attribute.columns(held[attribute.name]) for attribute in self.attributes], axis=1)

    def usual(self, columns: Floats) -> Floats:
        return np.concatenate([np.empty(0), *(attribute.usual(columns[:, place]) for attribute, place in self.places)])

    def to_list(self) -> list[dict[str, Any]]:
        return [asdict(attribute) for attribute in self.attributes]

    @classmethod
    def from_list(cls, stored: Sequence[Mapping[str, Any]]) -> Self:
        return cls(tuple(Attribute(one["name"], tuple(one["levels"])) for one in stored))


NO_ATTRIBUTES = AttributeEncoding()


def rows_at(texts: pl.DataFrame, member: Integers) -> pl.DataFrame:
    """The rows at these positions; where those are all rows in their order, which is usual, nothing is gathered."""
    everyone = len(member) == texts.height and (member == np.arange(texts.height)).all()
    return texts if everyone else texts[member]


def as_numbers(texts: pl.Series) -> Floats:
    """float64, NaN for what is no finite number of float32."""
    number = texts.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()
    return np.where(np.abs(number) <= np.finfo(np.float32).max, number, np.nan)


def feature_matrix(
    events: EventArrays, snapshots: Snapshots, spec: FeatureSpec, encoding: AttributeEncoding, *, threads: int = 1
) -> Floats:
    """What the models read, float32: the behavioural features, then the columns of the attributes."""
    behaviour = compute_features(events, snapshots, spec, threads=threads)
    return with_attributes(behaviour, encoding, events.attributes, snapshots.member)


def with_attributes(behaviour: Floats, encoding: AttributeEncoding, texts: pl.DataFrame | None, member: Integers) -> Floats:
    """`behaviour` (n, n_behaviour) beside the columns of the attributes of the members in these rows (n,) of `texts`."""
    return np.concatenate([behaviour, encoding.columns(texts, member)], axis=1) if encoding.attributes else behaviour


def declared_attributes(community: Community) -> tuple[str, ...]:
    return () if community.members is None else community.members.attributes


def attributes_to_json(texts: pl.DataFrame) -> list[str]:
    """One object for each row, null where an attribute is missing."""
    return texts.select(pl.struct(pl.all().cast(pl.String)).struct.json_encode()).to_series().to_list()


def attributes_from_json(rows: Sequence[str | None], names: Sequence[str]) -> pl.DataFrame | None:
    """A text column for each name, null where a row has none; None without names."""
    if not names:
        return None
    objects = [{} if row is None else json.loads(row) for row in rows]
    return pl.from_dicts([{name: _text(one.get(name)) for name in names} for one in objects], schema=dict.fromkeys(names, pl.String))


def _text(value: object) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
