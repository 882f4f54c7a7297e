"""What pages show of a run on Spark: each part tells it beside its decisions, as sums and as its members' standings."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from models.activity import Activity
from models.audience import standings_of
from models.events import EventArrays
from models.groups import groups_of_log
from models.intervention_figures import Contacts, RunTally
from models.publishing import Stood
from models.standing_tally import StandingTally
from models.strata import Strata
from models.strata_arrays import strata_arrays, strata_of_arrays
from pipelines.part_figures import behaviour_of
from pipelines.parts import strata_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    import numpy.typing as npt
    from pyspark.sql import DataFrame

    from models.engine import Engine
    from models.member_sample import MemberSample
    from pipelines.parts import Batch

SUMS, ROWS = "__sums", "__rows"
"""Columns beside those of decisions, filled in one row for each part, in which all others are null."""
ARRAYS = ("offsets", "timestamp_us", "signal", "value", "joined_us", "contract_end_us")
TEXTS = ("attributes", "rule_columns")


@dataclass(frozen=True)
class PartSums:
    """Of a part, what adds up, and what plans need of its members; `sampled`: some of them with all their events."""

    tally: StandingTally
    activity: Activity
    run: RunTally
    contacts: Contacts
    strata: Strata
    sampled: EventArrays

    def to_bytes(self) -> bytes:
        frames = {name: frame for name in TEXTS if (frame := getattr(self.sampled, name)) is not None}
        return _archived(
            {
                "tally": _packed(self.tally.rows),
                "activity": _text(self.activity.to_json()),
                "run": _text(self.run.to_json()),
                "contacts": _packed(self.contacts.rows),
                **{f"strata_{name}": array for name, array in strata_arrays(self.strata).items()},
                **{f"sampled_{name}": getattr(self.sampled, name) for name in ARRAYS},
                **{f"sampled_{name}": _packed(frame) for name, frame in frames.items()},
            }
        )

    @classmethod
    def from_bytes(cls, content: bytes, nobodys: Activity) -> Self:
        told = _unarchived(content)
        return cls(
            StandingTally(_unpacked(told["tally"])),
            Activity.from_json(told["activity"].tobytes().decode(), nobodys),
            RunTally.from_json(told["run"].tobytes().decode()),
            Contacts(_unpacked(told["contacts"])),
            strata_of_arrays({name.removeprefix("strata_"): array for name, array in told.items() if name.startswith("strata_")}),
            _arrays(told),
        )


def _arrays(told: Mapping[str, np.ndarray]) -> EventArrays:
    attributes, columns = (_unpacked(told[name]) if (name := f"sampled_{text}") in told else None for text in TEXTS)
    offsets, timestamp_us, signal, value, joined_us, contract_end_us = (told[f"sampled_{name}"] for name in ARRAYS)
    return EventArrays(offsets, timestamp_us, signal, value, joined_us, contract_end_us, attributes, columns)


def beside(engine: Engine, alone: Batch, table: pl.DataFrame, sample: MemberSample, at: datetime) -> pl.DataFrame:
    """The row with SUMS and ROWS. `alone`: the part as weighed before any plan; `table`: what it was told in the end."""
    part, names = alone.part, [one.id for one in engine.community.interventions]
    groups = groups_of_log(alone.members, part.community)
    standings = standings_of(table, alone.members["joined"], part.community.timezone, groups)
    condensed, seen = strata_of(engine, alone), behaviour_of(part)
    sums = PartSums(
        StandingTally.of(standings),
        Activity.of(part.community, part.arrays, at),
        RunTally.of(table, names),
        Contacts.of(engine, seen.log.touches, seen.arrays, at),
        condensed.strata,
        seen.arrays.of_members(np.flatnonzero(sample.picks(seen.log.members["member_id"].to_list()))),
    )
    rows = _archived({"standings": _packed(standings), "code": condensed.code.astype(np.int32)})
    return pl.DataFrame({SUMS: [sums.to_bytes()], ROWS: [rows]})


@dataclass(frozen=True)
class Aside:
    """The rows that `beside` made, which come to this process one part after the other, as often as they are asked for."""

    rows: DataFrame

    def sums(self, nobodys: Activity) -> Iterator[PartSums]:
        for row in self.rows.select(SUMS).toLocalIterator():
            yield PartSums.from_bytes(bytes(row[SUMS]), nobodys)

    def everyone(self) -> Iterator[Stood]:
        for row in self.rows.select(ROWS).toLocalIterator():
            told = _unarchived(bytes(row[ROWS]))
            yield Stood(_unpacked(told["standings"]), told["code"])


def _archived(arrays: Mapping[str, npt.NDArray[np.generic]]) -> bytes:
    written = io.BytesIO()
    np.savez_compressed(written, allow_pickle=False, **arrays)
    return written.getvalue()


def _unarchived(content: bytes) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(content), allow_pickle=False) as held:
        return {name: held[name] for name in held.files}


def _text(told: str) -> npt.NDArray[np.uint8]:
    return np.frombuffer(told.encode(), np.uint8)


def _packed(frame: pl.DataFrame) -> npt.NDArray[np.uint8]:
    written = io.BytesIO()
    frame.write_ipc(written)
    return np.frombuffer(written.getvalue(), np.uint8)


def _unpacked(array: np.ndarray) -> pl.DataFrame:
    return pl.read_ipc(io.BytesIO(array.tobytes()))
