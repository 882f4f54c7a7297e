"""A day's file becomes part of the log: once, whatever it is called and however often it comes, or not at all."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import polars as pl

from models.counting import counted
from models.declaration import NO_LINES
from models.errors import InputError
from models.intake import each_once, read_events, repeated_rows
from models.reading import Place
from models.store import Store
from pipelines.archive import deliver_events, was_delivered
from pipelines.ingest import canonical_log, rejected_path, write_rejected

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from models.community import Community
    from models.kept_log import KeptLog
    from models.reading import Read
    from pipelines.workspace import Workspace

REJECTED_ENDING = ".rejected.csv"
NOTES_FILE = "taken.jsonl"
_TIMES = ("first", "last", "at")


@dataclass(frozen=True)
class Taken:
    """`events` are new to the log, `known` were in it already, `repeated` say once more what an earlier row of the file says.

    `rejected` cannot be used; `erased` are of members who were erased, and not kept. `first` and `last` are the times of the accepted rows,
    `at` when it came. Rows that were rejected or repeated lie in `rejected_file`.
    """

    file: str
    events: int
    known: int
    rejected: int
    first: datetime
    last: datetime
    at: datetime
    rejected_file: str | None = None
    repeated: int = 0
    erased: int = 0

    @property
    def rows(self) -> int:
        return self.events + self.known + self.repeated + self.rejected + self.erased

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {name: getattr(self, name).isoformat() for name in _TIMES}

    @classmethod
    def from_dict(cls, told: dict[str, Any]) -> Self:
        return cls(**told | {name: datetime.fromisoformat(told[name]) for name in _TIMES})


@dataclass(frozen=True)
class Refused:
    """Nothing of the file is in the log."""

    file: str
    why: str


@dataclass(frozen=True)
class Deliveries:
    """`again`: files whose content was taken in before."""

    taken: tuple[Taken, ...] = ()
    refused: tuple[Refused, ...] = ()
    again: tuple[str, ...] = ()

    @property
    def events(self) -> int:
        return sum(one.events for one in self.taken)

    def to_dict(self) -> dict[str, Any]:
        return {
            "events": self.events,
            "taken": [one.to_dict() for one in self.taken],
            "refused": [asdict(one) for one in self.refused],
            "again": list(self.again),
        }

    def with_taken(self, one: Taken) -> Self:
        return replace(self, taken=(*self.taken, one))

    def with_refused(self, file: Path, why: str) -> Self:
        return replace(self, refused=(*self.refused, Refused(file.name, why)))


def waiting_files(workspace: Workspace, community: Community) -> list[Path]:
    """What lies where deliveries are declared to come, by name; nothing where none are declared."""
    pattern = community.schedule.deliveries
    if pattern is None:
        return []
    found = workspace.root.glob(pattern)
    return sorted(file for file in found if file.is_file() and not file.name.endswith(REJECTED_ENDING) and not file.name.startswith("."))


def take_in_files(workspace: Workspace, community: Community, files: Iterable[Path], *, now: datetime) -> Deliveries:
    """Reads each file by the columns of `log`, and writes what is refused of it beside the file, with the reasons.

    A file that cannot be read, or of which more rows than `schedule.most_rejected` cannot be used, is refused whole; of others such rows.
    A row that stands there twice counts once, and its repetition is none of those.

    Raises InputError where the declared log itself cannot be read.
    """
    delivery = _Delivery(workspace, community, now, canonical_log(workspace, community, now=now))
    told = Deliveries()
    for file in files:
        try:
            told = delivery.take(file, told)
        except InputError as fault:
            told = told.with_refused(file, str(fault))
            _write_reason(workspace, file, str(fault))
    return told


class _Given(NamedTuple):
    """`repeated`: how many of the rows that `read` rejects say no more than an earlier one."""

    read: Read
    repeated: int


@dataclass
class _Delivery:
    """`before`: the rows of the files that were taken in since `log` was read."""

    workspace: Workspace
    community: Community
    now: datetime
    log: KeptLog
    before: list[pl.DataFrame] = field(default_factory=list)

    def take(self, file: Path, told: Deliveries) -> Deliveries:
        """Raises InputError for a file that is refused."""
        name = _digest(file)
        if was_delivered(self.workspace, name):
            return replace(told, again=(*told.again, file.name))
        given = self._read(file)
        erased = _erased(self.workspace, given.read.rows["member_id"])
        kept = given.read.rows.filter(~pl.col("member_id").is_in(list(erased)))
        taken = self._counted(file, given, kept)
        deliver_events(self.workspace, name, kept)
        _note(self.workspace, taken)
        self.before.append(kept)
        return told.with_taken(taken)

    def _read(self, file: Path) -> _Given:
        place = Place(self.workspace.root, NO_LINES, self.community.timezone, self.now)
        source = self.community.log.model_copy(update={"path": str(file)})
        read = read_events(source, place)
        most, repeated = self.community.schedule.most_rejected, 0 if read.rejected.is_empty() else repeated_rows(source, place)
        rows, rejected = read.rows.height + read.rejected.height, read.rejected.height - repeated
        if rejected > most * rows:
            first = read.findings[0]
            raise InputError(
                f"{rejected:,} of its {counted(rows, 'row')} cannot be used, and at most {most:.0%} may be left out "
                f"(schedule.most_rejected); {first.message} (line {first.line}); {first.what_to_do}"
            )
        return _Given(read, repeated)

    def _counted(self, file: Path, given: _Given, kept: pl.DataFrame) -> Taken:
        read = given.read
        first, last = read.rows["timestamp"].min(), read.rows["timestamp"].max()
        near = self.log.scan().filter(pl.col("timestamp").is_between(first, last)).collect()
        ids = self.log.members["member_id"].gather(near["member"]).alias("member_id")
        known = near.with_columns(ids, pl.col("type").cast(pl.String))
        there = each_once([known, *self.before])
        events = each_once([there, kept]).height - there.height
        beside = None if read.rejected.is_empty() else _write_beside(self.workspace, file, read.rejected)
        return Taken(
            file=file.name,
            events=events,
            known=kept.height - events,
            rejected=read.rejected.height - given.repeated,
            first=first,  # type: ignore[arg-type]  # polars types a minimum as any literal
            last=last,  # type: ignore[arg-type]  # likewise
            at=self.now,
            rejected_file=None if beside is None else str(beside),
            repeated=given.repeated,
            erased=read.rows.height - kept.height,
        )


def _erased(workspace: Workspace, member_ids: pl.Series) -> frozenset[str]:
    """Nobody where there is no store yet."""
    if workspace.store_file is not None and not workspace.store_file.is_file():
        return frozenset()
    with closing(Store.open(workspace.store_url)) as store:
        return store.erased(set(member_ids))


def delivered_since(workspace: Workspace, since: datetime) -> list[Taken]:
    """What was taken in with a last event at or after `since`."""
    notes = workspace.deliveries / NOTES_FILE
    lines = notes.read_text(encoding="utf-8").splitlines() if notes.is_file() else []
    told = [Taken.from_dict(json.loads(line)) for line in lines]
    return [one for one in told if one.last >= since]


def refusals(told: Deliveries) -> Iterator[str]:
    """A sentence for each file that was refused."""
    for one in told.refused:
        yield f"{one.file} is refused: {one.why}"


def _note(workspace: Workspace, taken: Taken) -> None:
    with (workspace.deliveries / NOTES_FILE).open("a", encoding="utf-8") as notes:
        notes.write(json.dumps(taken.to_dict(), ensure_ascii=False) + "\n")


def _write_reason(workspace: Workspace, file: Path, why: str) -> None:
    """Rows that were rejected say more, and stay."""
    if file.is_file() and not rejected_path(file).is_file():
        _write_beside(workspace, file, pl.DataFrame({"line": [None], "reason": [why]}, schema={"line": pl.Int64, "reason": pl.String}))


def _write_beside(workspace: Workspace, file: Path, rejected: pl.DataFrame) -> Path:
    beside = rejected_path(file)
    return write_rejected(rejected, beside, workspace.state / beside.name)


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()[:32]
    except OSError as fault:
        raise InputError(f"{file} cannot be read: {fault.strerror}") from None
