"""What the executors do when Spark decides: nothing here, or below it, knows the registry or the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import polars as pl
import pyarrow as pa

from models.declared import Language
from pipelines.distributed_check import CHECKED, Checked, PagesLook
from pipelines.distributed_engine import SentEngine
from pipelines.distributed_kept import KEPT, Keeping
from pipelines.distributed_pages import ROWS, SUMS, beside
from pipelines.distributed_parts import Assembly
from pipelines.distributed_plan import SparkPlan, plan_part_of
from pipelines.distributed_rows import SHAPE, to_batches
from pipelines.parts import Part, decide_part, told_table, weigh_part

if TYPE_CHECKING:
    from pyspark import Broadcast

    from models.engine import Engine


BESIDE = pa.schema([(name, pa.binary()) for name in (SUMS, ROWS, CHECKED, KEPT)])
"""Columns beside those of decisions, in rows of their own, in which all others are null."""


@dataclass(frozen=True)
class Decide:
    """Turns the rows of a partition into decisions, of each part into one row for the pages, and rows of the store, both in BESIDE.

    language: of the reasons; look: None where pages are not fed; plan: what all follow, None where nothing is limited; keeping: None where
    the store keeps no decision.
    """

    assembly: Assembly
    engine: SentEngine
    at: datetime
    language: Language
    schema: pa.Schema
    look: PagesLook | None
    plan: Broadcast[SparkPlan] | None = None
    keeping: Keeping | None = None

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        engine = self.engine.load()
        for taken in self.assembly.blocks(batches):
            if self.look is not None:
                checked = Checked.of(taken, self.assembly.declared, self.look)
                yield from to_batches(pl.DataFrame({CHECKED: [checked.to_bytes()]}), self.schema)
            for part in self.assembly.cut(taken):
                yield from self._of_part(engine, part)

    def _of_part(self, engine: Engine, part: Part) -> Iterator[pa.RecordBatch]:
        alone = batch = weigh_part(engine, part, self.at)
        if self.plan is not None:
            plan = self.plan.value
            batch = batch.following(plan.prices, plan.following.outcome(plan_part_of(batch)))
        table = told_table(engine, batch, self.at, self.language)
        yield from to_batches(table, self.schema)
        if self.look is not None:
            yield from to_batches(beside(engine, alone, table, self.look.sample, self.at), self.schema)
        if self.keeping is not None:
            for rows in self.keeping.told(engine, batch, self.at, self.language):
                yield from to_batches(rows, self.schema)


def decision_schema(assembly: Assembly, engine: Engine, at: datetime) -> pa.Schema:
    """Of the table that `decide_part` tells, found out from a part of nobody, and BESIDE."""
    nobody = assembly.taken(pl.DataFrame(pa.Table.from_batches([], SHAPE)))
    told = decide_part(engine, Part.of(assembly.declared, nobody.log), at, engine.community.language).table.to_arrow().schema
    plain = {pa.large_string(): pa.string()}
    return pa.schema([*((field.name, plain.get(field.type, field.type)) for field in told), *BESIDE])
