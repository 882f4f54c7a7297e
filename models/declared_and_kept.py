"""Declared touches and those that came through the service put together, so that what is both counts once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.events import EventLog
from models.findings import Finding
from models.posted import IDS_APART
from models.same_touches import NAMELESS, OWN, DeclaredTouches, KeptTouches, Same, same_touches, with_what_is_declared
from models.statements import Statement
from models.times import UTC_TIME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.arrays import Flags, Integers, Names
    from models.community import Community
    from models.findings import Told
    from models.sources import TouchesSource

SAME = "same"
"""The column that tells, as `same_touches.Told`, of touches how they stand to those of the other side; null for nothing."""
NAMED, TOUCH_IDS = "named", "touch_ids"


def with_touches(log: EventLog, posted: pl.DataFrame | None, within_us: int) -> EventLog:
    """The log and what `posted_touches` told, each touch once; members whom the log does not have are left out."""
    if posted is None or posted.is_empty():
        return log
    codes = log.members.select("member_id", member=pl.int_range(pl.len(), dtype=pl.UInt32))
    rows = posted.join(codes, on="member_id").drop("member_id")
    held = rows.clear() if log.touches is None else log.touches
    rows = rows.with_columns(pl.col(name).cast(held[name].dtype) for name in rows.columns if name in held.columns)
    touches = counted_once(held, rows, within_us, "member").sort("member", "timestamp", maintain_order=True)
    return EventLog(log.events, log.members, touches)


def counted_once(declared: pl.DataFrame, posted: pl.DataFrame, within_us: int, member: str) -> pl.DataFrame:
    """Both, with the column `member`, each touch once.

    Of what is both a decision stays, with what the declared touches know of it and nobody reported. Of a contact of another system the
    declared touch stays, which may be an assignment with its chances, with what was reported of it.
    """
    if declared.is_empty() or posted.is_empty():
        return _told([declared, posted])
    pairs = Pairs.of(declared, posted, within_us, member)
    both, contact, known = pairs.row != OWN, posted["decision_id"].is_null().to_numpy(), pairs.known()
    of_contact = both & contact[pairs.row]
    first = pl.Series(pairs.row).is_first_distinct().to_numpy()
    met = known[SAME].is_not_null().to_numpy()
    own = declared.with_columns(pairs.told, *_reported(known[np.where(both, pairs.row, 0)], of_contact))
    return _told([own.filter(~both | (of_contact & first)), known.filter(~(contact & met))])


@dataclass(frozen=True)
class Twice:
    """How many touches are declared and kept, by how they were found; of the declared ones that are not, how many should be looked at.

    near: within a day of one that is kept; unknown: naming an id that nothing is kept under.
    """

    by_id: int = 0
    by_time: int = 0
    near: int = 0
    unknown: int = 0

    @classmethod
    def of(cls, touches: pl.DataFrame | None, community: Community) -> Self:
        """Of an EventLog's. An id of a touch that nobody reported is nothing to look at."""
        if touches is None or SAME not in touches.columns:
            return cls()
        counts = dict(touches.group_by(SAME).len().iter_rows())
        named = community.touches is not None and community.touches.decision_id is not None
        return cls(counts.get("by_id", 0), counts.get("by_time", 0), counts.get("near", 0), counts.get("id_unknown", 0) if named else 0)

    @property
    def both(self) -> int:
        return self.by_id + self.by_time

    @property
    def statements(self) -> tuple[Statement, ...]:
        told = {"proof.told_twice": self.both, "proof.told_near": self.near, "proof.id_unknown": self.unknown}
        return tuple(Statement(key, {**asdict(self), "both": self.both}) for key, count in told.items() if count)

    def findings(self, source: TouchesSource) -> tuple[Finding, ...]:
        both: Told = {"count": self.both, "by_id": self.by_id, "by_time": self.by_time}
        found = (
            Finding("advice", source.time, None, "told_twice", both, "touches"),
            Finding("warning", source.time, None, "told_near", {"count": self.near}, "touches"),
            Finding("warning", source.decision_id, None, "id_unknown", {"count": self.unknown}, "touches"),
        )
        return tuple(finding for finding in found if finding.told["count"])


def rows_of_kept(declared: pl.DataFrame, posted: pl.DataFrame, within_us: int) -> Integers:
    """Of each declared touch, by `member`, `timestamp`, `intervention` and NAMED, the row of `posted` that it is, OWN where it is none."""
    if declared.is_empty() or posted.is_empty():
        return np.full(declared.height, OWN)
    untold = (pl.lit(None, pl.String).alias("channel"), pl.lit(None, pl.String).alias("response"), pl.lit(value=False).alias("delivered"))
    return Pairs.of(declared.with_columns(untold), posted.with_columns(untold), within_us, "member").row


def _told(tables: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(tables, how="diagonal").drop(NAMED, TOUCH_IDS, strict=False)


def _reported(known: pl.DataFrame, of_contact: Flags) -> list[pl.Expr]:
    """In rows `of_contact` what is known of the contact, and when it was."""
    held = pl.lit(pl.Series(of_contact))
    told = [pl.when(held).then(pl.lit(known[name])).otherwise(pl.col(name)).alias(name) for name in ("channel", "delivered", "response")]
    return [*told, pl.when(held).then(pl.lit(known["timestamp"])).alias("touched")]


@dataclass(frozen=True)
class Pairs:
    """row (n,): of each declared touch the row of `posted` that it is, OWN where it is none; told: SAME of each.

    That nothing was done near such a decision is nothing to look at.
    """

    posted: pl.DataFrame
    declared: DeclaredTouches
    kept: KeptTouches
    same: Same

    @classmethod
    def of(cls, declared: pl.DataFrame, posted: pl.DataFrame, within_us: int, member: str) -> Self:
        """Both with `member`, `timestamp`, `intervention`, `channel`, `delivered` and `response`; declared ones may have NAMED."""
        groups = _codes([table.select(pl.col(member, "intervention").cast(pl.String)) for table in (declared, posted)])
        ids = _ids(posted)
        named = declared[NAMED] if NAMED in declared.columns else pl.repeat(None, declared.height, dtype=pl.String, eager=True)
        names = _codes([pl.DataFrame({"id": told}) for told in (named, ids["id"])])
        sent = DeclaredTouches(
            group=groups[0],
            at_us=_moments(declared["timestamp"]),
            name=np.where(named.is_null().to_numpy(), NAMELESS, names[0]),
            delivered=declared["delivered"].to_numpy(),
            response=_texts(declared["response"]),
            channel=_texts(declared["channel"]),
        )
        kept = KeptTouches(
            group=groups[1],
            decided_us=_moments(posted["timestamp"]),
            reached_us=_moments(posted["touched"].fill_null(posted["timestamp"])),
            reported=(posted["touched"].is_not_null() | posted["decision_id"].is_null()).to_numpy(),
            delivered=posted["delivered"].to_numpy(),
            response=_texts(posted["response"]),
            channel=_texts(posted["channel"]),
            name=names[1],
            name_of=ids["row"].to_numpy(),
        )
        same = same_touches(sent, kept, within_us)
        nothing = (same.told == "near") & (declared["intervention"] == NO_ACTION).to_numpy()
        return cls(posted, sent, kept, same._replace(told=np.where(nothing, "", same.told)))

    @property
    def row(self) -> Integers:
        return self.same.row

    @property
    def told(self) -> pl.Series:
        return _or_null(SAME, self.same.told)

    def known(self) -> pl.DataFrame:
        """The rows of `posted` with what the declared ones know beside, and how these were found."""
        filled = with_what_is_declared(self.kept, self.declared, self.row)
        arrived, reached = pl.Series(filled.delivered & ~self.kept.delivered), pl.Series(filled.reached_us).cast(UTC_TIME)
        found = np.flatnonzero(self.row != OWN)[::-1]
        told = np.full(self.posted.height, "", dtype=self.same.told.dtype)
        told[self.row[found]] = self.same.told[found]
        return self.posted.with_columns(
            pl.when(arrived).then(reached).otherwise(pl.col("touched")).alias("touched"),
            pl.Series("delivered", filled.delivered),
            _or_null("response", filled.response),
            _or_null("channel", filled.channel),
            _or_null(SAME, told),
        )


def _codes(tables: Sequence[pl.DataFrame]) -> list[Integers]:
    """Of each row of each table, the same for equal rows."""
    every = pl.concat(tables)
    each = every.unique().with_row_index("code")
    codes = every.join(each, on=every.columns, how="left", nulls_equal=True, maintain_order="left")["code"].cast(pl.Int64).to_numpy()
    return np.split(codes, np.cumsum([table.height for table in tables])[:-1])


def _ids(posted: pl.DataFrame) -> pl.DataFrame:
    """By which ids the rows of `posted` are known: `row` and `id`."""
    told = posted.select("decision_id", TOUCH_IDS, row=pl.int_range(pl.len()))
    decided = told.select("row", id="decision_id")
    reported = told.select("row", id=pl.col(TOUCH_IDS).str.split(IDS_APART)).explode("id")
    return pl.concat([decided, reported]).drop_nulls()


def _moments(times: pl.Series) -> Integers:
    return times.dt.cast_time_unit("us").to_physical().to_numpy()


def _texts(column: pl.Series) -> Names:
    return column.cast(pl.String).fill_null("").to_numpy()


def _or_null(name: str, texts: Names) -> pl.Series:
    """Null where a text is empty."""
    told = pl.Series(name, texts.astype(object), dtype=pl.String)
    return told.set(told == "", None)
