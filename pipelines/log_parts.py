"""The log as it stands, part of the members after part: as `loading.load` gives it whole."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from models.declaration import load_community
from models.declared_and_kept import with_touches
from models.events import with_events, without_members
from pipelines.ingest import ingest, log_fingerprint
from pipelines.loading import day_after, known_besides
from pipelines.parts import PART_MEMBERS, Part

if TYPE_CHECKING:
    from datetime import datetime

    from models.community import Community
    from models.kept_log import KeptLog
    from models.training import Progress
    from pipelines.intake_record import Ingested
    from pipelines.loading import Known
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class LogParts:
    """The declared log with what came through the service, without members who were erased; `known` tells of both."""

    community: Community
    taken: Ingested
    known: Known

    @property
    def kept(self) -> KeptLog:
        return self.taken.log

    @property
    def end(self) -> datetime:
        return day_after(self.span[1], self.community)

    @cached_property
    def span(self) -> tuple[datetime, datetime]:
        """The first and the last event."""
        spans = [(self.kept.first, self.kept.last)]
        if self.known.erased:
            codes = self.kept.members.with_row_index("member").filter(pl.col("member_id").is_in(list(self.known.erased)))["member"]
            told = self.kept.scan().filter(~pl.col("member").is_in(codes.implode())).select("timestamp")
            spans = [told.select(first=pl.col("timestamp").min(), last=pl.col("timestamp").max()).collect().row(0)]
        if self.posted is not None and not self.posted.is_empty():
            spans.append((self.posted["timestamp"].min(), self.posted["timestamp"].max()))  # type: ignore[arg-type]  # polars types a minimum as any literal
        return min(first for first, _ in spans), max(last for _, last in spans)

    @cached_property
    def posted(self) -> pl.DataFrame | None:
        """Events that the declared log does not have, whoever's they are there."""
        posted = self.known.posted
        if posted is None or posted.is_empty():
            return posted
        there = self.kept.scan().select("event_id").filter(pl.col("event_id").is_in(posted["event_id"].implode())).collect()
        return posted.filter(~pl.col("event_id").is_in(there["event_id"].implode()))

    def __len__(self) -> int:
        return len(self.kept.ends)

    def parts(self) -> Iterator[Part]:
        """Their number is that of the log, unless one holds more members than one should."""
        for number in range(len(self)):
            yield from self._cut(number)

    def _cut(self, number: int) -> Iterator[Part]:
        log = without_members(self.kept.part(number), self.known.erased)
        log = with_touches(with_events(log, self._posted_to(number)), self.known.touches, self.community.same_touch_us)
        for begin in range(0, max(log.members.height, 1), PART_MEMBERS):
            cut = log if log.members.height <= PART_MEMBERS else log.of_range(begin, min(begin + PART_MEMBERS, log.members.height))
            yield Part.of(self.community, cut, self.known.preferences, self.known.event_key)

    def _posted_to(self, number: int) -> pl.DataFrame | None:
        """Of members who are in the part, or unknown and would lie there."""
        if self.posted is None:
            return None
        ids, begin, end = self.kept.members["member_id"], self.kept.begin(number), self.kept.ends[number]
        mine = pl.col("member_id") >= ids[begin] if number else pl.lit(value=True)
        before_next = pl.col("member_id") < ids[end] if end < len(ids) else pl.lit(value=True)
        return self.posted.filter(mine & before_next)

    @property
    def fingerprint(self) -> str:
        """Of everything that a part is made of."""
        digest = hashlib.sha256(log_fingerprint(self.kept.folder).encode())
        for told in (self.known.posted, self.known.touches):
            digest.update(b"" if told is None else told.write_json().encode())
        wishes = sorted((member_id, wish.to_json()) for member_id, wish in self.known.preferences.items())
        digest.update(f"{sorted(self.known.erased)} {wishes} {self.community.model_dump_json()}".encode())
        return digest.hexdigest()


def open_log(workspace: Workspace, *, now: datetime, progress: Progress = lambda _: None) -> LogParts:
    """Raises InputError."""
    community = load_community(workspace.declaration)
    taken = ingest(workspace, community, now=now, progress=progress)
    return LogParts(community, taken, known_besides(workspace, taken.log.members, now))
