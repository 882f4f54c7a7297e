"""Whose rows are learned from, told where the rows are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from models.member_sample import MemberSample
from models.tombstones import Tombstones
from pipelines.distributed_rows import SHAPE, frame_of, to_batches


@dataclass(frozen=True)
class Pick:
    """Of rows in SHAPE those of members of the sample of whom anything is learned; those of no member stay.

    A member's rows are kept or left by the id alone, whatever partition they lie in. `refusing`: of whom nothing is to be learned.
    """

    sample: MemberSample
    tombstones: Tombstones
    refusing: frozenset[str]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = frame_of(batch)
            member = rows["member"]
            ids = member.drop_nulls().unique()
            told = ids.to_list()
            gone = self.tombstones.erased(told) | self.refusing
            picked = ids.filter(pl.Series(self.sample.picks(told)) & ~ids.is_in(list(gone)))
            yield from to_batches(rows.filter(member.is_null() | member.is_in(picked.implode())), SHAPE)
