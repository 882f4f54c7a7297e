"""Assignments with known chances, those of the service and those of the declared touches: what interventions are read from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.arm_counts import touched_groups
from models.assignments import assignments_among, snapshots_of_touches
from models.declared_and_kept import rows_of_kept
from models.groups import group_columns
from models.histories import EventHistories
from models.last_draws import at_rest
from models.logged_chances import PREFIX, believable
from models.posted import chance_columns
from models.same_touches import OWN
from models.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.arrays import Flags, Floats
    from models.assignments import Assignments
    from models.experiments import Record

LEFT_OUT = {
    "never_none": "experiment.left_never_none",
    "unlogged": "experiment.left_unlogged",
    "unsound": "experiment.left_unsound",
    "absent": "experiment.left_absent",
    "again": "experiment.left_again",
}
SENT_AFTER_ALL = "experiment.sent_after_all"
COLUMNS = ("member", "timestamp", "intervention", "propensities")


@dataclass(frozen=True)
class DrawnPool:
    """What was `made`, of members who were in the population then; its outcome may not be known yet. shares: its propensities.

    declared (n,): whether the declared touches tell it; else it is a decision of the service. `left_out`: for each intervention how many of
    the declared touches that were it, or could have been, are not in it, by the keys of LEFT_OUT. `whole_groups`: the column of groups to
    which declared touches seem to have been given as wholes, though that is not declared.
    """

    made: Assignments
    shares: Floats
    declared: Flags
    left_out: Mapping[str, Mapping[str, int]]
    whole_groups: str | None

    @classmethod
    def of(cls, record: Record) -> Self:
        catalogue = [NO_ACTION, *(intervention.id for intervention in record.community.interventions)]
        histories = EventHistories.of(record.events, record.community)
        rows = _rows(record, catalogue)
        present = histories.present(snapshots_of_touches(rows, histories.joined_us))
        fate = _fates(rows, present, at_rest(rows, rows, record.community))
        read = rows.filter(fate.is_null(), pl.col("intervention").is_in(catalogue))
        made = assignments_among(read, histories, record.community, until_us=np.iinfo(np.int64).max)
        assert made.propensities is not None  # noqa: S101 - each row has believable ones of all arms
        told = read.filter("declared")
        column = None if told.is_empty() or made.units is not None else _whole_groups(record, told)
        return cls(made, made.propensities, read["declared"].to_numpy(), _left_out(record, rows, fate, catalogue[1:]), column)

    def notes(self, intervention: str) -> tuple[Statement, ...]:
        counts = self.left_out[intervention]
        left_out = (Statement(key, {"n": counts[name]}) for name, key in LEFT_OUT.items() if counts.get(name))
        soon = (Statement(SENT_AFTER_ALL, note.told) for note in self.made.notes if note.key == "proof.sent_after_all")
        return (*soon, *left_out)


def _rows(record: Record, catalogue: Sequence[str]) -> pl.DataFrame:
    """All with chances, by member and time, a column of chances for each arm; `again`: a declared one that is a decision too."""
    decided = record.decided.select(*COLUMNS, declared=pl.lit(value=False), again=pl.lit(value=False))
    rows = pl.concat([decided, _declared(record)]).filter(pl.col("propensities").is_not_null())
    chances = chance_columns(rows["propensities"])
    absent = (pl.lit(0.0).alias(f"{PREFIX}{name}") for name in catalogue if f"{PREFIX}{name}" not in chances.columns)
    told = rows.drop("propensities").hstack(chances).with_columns(*absent).with_columns(pl.col(f"^{PREFIX}.*$").fill_null(0.0))
    return told.sort("member", "timestamp", maintain_order=True)


def _declared(record: Record) -> pl.DataFrame:
    """Of the declared touches those on the members of the log."""
    codes = record.log.members.select("member_id", member=pl.int_range(pl.len(), dtype=pl.UInt32))
    told = record.declared.rows.join(codes, on="member_id").sort("timestamp", maintain_order=True)
    same = rows_of_kept(told, record.decided, record.community.same_touch_us)
    return told.select(*COLUMNS, declared=pl.lit(value=True), again=pl.Series(same != OWN))


def _fates(rows: pl.DataFrame, present: Flags, resting: Flags) -> pl.Series:
    """Why each row is not read, shape (n,); null for those that are. Of decisions nobody is told, and of members at rest."""
    told = {
        "again": pl.col("again"),
        "unsound": ~pl.lit(pl.Series(believable(rows), dtype=pl.Boolean)),
        "absent": ~pl.lit(pl.Series(present, dtype=pl.Boolean)),
        "at_rest": pl.lit(pl.Series(resting, dtype=pl.Boolean)),
        "never_none": pl.col("declared") & (pl.col(f"{PREFIX}{NO_ACTION}") <= 0),
    }
    return rows.select(pl.coalesce(pl.when(holds).then(pl.lit(name)) for name, holds in told.items()).alias("fate")).to_series()


def _left_out(record: Record, rows: pl.DataFrame, fate: pl.Series, interventions: Sequence[str]) -> dict[str, dict[str, int]]:
    declared = rows.with_columns(fate=fate).filter("declared")
    unlogged = record.declared.unlogged
    return {name: {**_counts(declared, name), "unlogged": unlogged.get(name, 0)} for name in interventions}


def _counts(declared: pl.DataFrame, name: str) -> dict[str, int]:
    of_it = (pl.col("intervention") == name) | (pl.col(f"{PREFIX}{name}") > 0)
    return dict(declared.filter(of_it).drop_nulls("fate").group_by("fate").len().iter_rows())


def _whole_groups(record: Record, touches: pl.DataFrame) -> str | None:
    columns = [name for name in group_columns(record.community) if name in record.log.members.columns]
    found = touched_groups(record.log.members.select(columns), touches, record.community) if columns else None
    return None if found is None else found.column
