"""Events, members, contacts, decisions, answers and keys in SQLite or PostgreSQL: what must outlive the process."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, astuple, dataclass, field
from typing import Any, Self

import polars as pl
from sqlalchemy import Connection, Engine, delete
from sqlalchemy.exc import DatabaseError

from models import store_contacts as contacts
from models import store_history as histories
from models import store_jobs as jobs
from models import store_migrations
from models import store_outbox as outbox
from models import store_schema as schema
from models import store_statements as statements
from models.community import DAY_US, Community
from models.errors import StoreUnavailable
from models.events import EventArrays, EventLog
from models.interventions import ContactHistory
from models.job_rows import JobProgress
from models.jobs import JobStore
from models.outbox import OutboxStore
from models.quotas import Quotas
from models.recent_histories import RecentHistories
from models.store_backup import BackupStore
from models.store_contacts import ContactStore
from models.store_figures import FigureStore
from models.store_grounds import GroundStore
from models.store_keys import KeyStore
from models.store_log import LogStore
from models.store_migrations import Migration
from models.store_overviews import OverviewStore
from models.store_prepared import Prepared
from models.store_privacy import PrivacyStore, Receipt
from models.store_reports import ReportStore
from models.store_retention import RetentionStore
from models.store_rollouts import RolloutStore
from models.store_rows import Answer, Claim, DecisionRow, Fate, KeyRow, Loaded, LoggedEvent, Past, PlanRow, Then
from models.store_sessions import SessionStore
from models.store_shadow import ShadowStore
from models.store_transactions import GroupCommit, Readers, telling_of_failures
from models.store_whole_log import WholeLogStore

MIGRATION_SECONDS = 60.0

__all__ = ["Answer", "DecisionRow", "KeyRow", "Loaded", "LoggedEvent", "Migration", "Past", "PlanRow", "Receipt", "Store", "Then"]


@dataclass(frozen=True)
class Store(
    ContactStore,
    ReportStore,
    LogStore,
    KeyStore,
    PrivacyStore,
    OutboxStore,
    JobStore,
    ShadowStore,
    OverviewStore,
    FigureStore,
    GroundStore,
    SessionStore,
    WholeLogStore,
    RolloutStore,
    RetentionStore,
    BackupStore,
):
    """Every method is one transaction; all raise StoreUnavailable where the database does not answer, and then nothing was written."""

    engine: Engine
    readers: Readers
    writers: GroupCommit | None = None
    recent: RecentHistories = field(default_factory=RecentHistories)

    @classmethod
    def open(cls, url: str, *, wait_seconds: float = 60.0) -> Self:
        """A SQLite store is made or brought up to date; one on a server must be already (`migrate`), else StoreOutdated is raised.

        `url` as SQLAlchemy reads it: sqlite:///path or postgresql://user:password@host/database.
        """
        with ExitStack() as on_failure:
            engine = schema.open_database(url, wait_seconds)
            store = cls(engine, Readers(engine), _writers(engine, wait_seconds))
            on_failure.callback(store.close)
            if not store._stands_ready():
                store.bring_up()
            on_failure.pop_all()
            return store

    @classmethod
    def at(cls, url: str) -> Self:
        """Whatever state it is in: for what makes a store, or brings it up to date."""
        engine = schema.open_database(url, MIGRATION_SECONDS)
        return cls(engine, Readers(engine), _writers(engine, MIGRATION_SECONDS))

    @classmethod
    def migrate(cls, url: str) -> Migration:
        """Makes a store, or brings one of an earlier release up to date."""
        with closing(cls.at(url)) as store:
            return store.bring_up()

    def _stands_ready(self) -> bool:
        """Raises StoreOutdated where the revision is another and only a person may change it."""
        with self._opening(), self._reading() as connection:
            if connection.dialect.name == "sqlite":
                return store_migrations.revision_of(connection) == store_migrations.newest()
            store_migrations.check(connection)
            return True

    def bring_up(self) -> Migration:
        """To the revision of this release."""
        from models.store_migrations.upgrading import upgrade  # noqa: PLC0415 - Alembic takes half a second; most stores stand ready

        with self._opening(), self._writing() as connection:
            return upgrade(connection)

    @contextmanager
    def _opening(self) -> Iterator[None]:
        try:
            yield
        except DatabaseError as error:
            raise StoreUnavailable(f"{self.engine.url} holds no store ({error.orig})") from error

    def close(self) -> None:
        self.readers.close()
        self.engine.dispose()
        if self.writers is not None:
            self.writers.close()

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with telling_of_failures, self.readers.reading() as connection:
            yield connection

    @contextmanager
    def _writing(self, meanwhile: Callable[[], object] | None = None) -> Iterator[Connection]:
        """Nothing of it is kept where its body raises. `meanwhile` may be done while the disk works: only the own disk is waited for."""
        with telling_of_failures, self.engine.begin() if self.writers is None else self.writers.writing(meanwhile) as connection:
            yield connection

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        with telling_of_failures, self.readers.asking() as connection:
            yield connection

    def _asked(self, query: Prepared, **values: str | list[str]) -> list[tuple[Any, ...]]:
        with self._asking() as connection:
            return query.rows(connection, **values)

    def _overwrite_journal(self) -> None:
        if self.writers is not None:
            with self.writers.checkpoints.alone, closing(self.engine.raw_connection()) as connection:
                schema.empty_journal(connection)

    def ping(self) -> None:
        """Raises StoreUnavailable also where it can be read but not written."""
        with self._writing() as connection:
            store_migrations.confirm(connection)

    def load_log(self, log: EventLog, fingerprint: str | None = None) -> Loaded:
        """Adds what is not there yet: a second load of one log changes nothing. Assignments of `none` are no touches.

        Rows without an id of their own get one from their content and their count among equal rows. Of assignments with logged chances the
        members of the log have those that it tells and no others. A log whose `fingerprint` was loaded before is not looked at, unless
        another one has changed these since.
        """
        return self.load_parts([log], fingerprint)

    def load_parts(self, parts: Iterable[EventLog], fingerprint: str | None = None) -> Loaded:
        """As `load_log`, for a log in parts that hold whole members each."""
        with self._writing() as connection:
            if fingerprint is not None and statements.is_loaded(connection, fingerprint):
                return Loaded(0, 0, 0)
            taken = [statements.load(connection, part) for part in parts]
            statements.note_load(connection, fingerprint, [part.brought for part in taken])
        return Loaded(*(sum(counts) for counts in zip(*(astuple(part.loaded) for part in taken), strict=True)))

    def add_events(self, rows: Sequence[LoggedEvent]) -> list[Fate]:
        """What became of each row. A member who was unknown joins with its first event."""
        with self._writing() as connection:
            return statements.add_events(connection, rows)

    def api_events(self) -> pl.DataFrame:
        """Events that came through the service, for training: event_id, member_id, timestamp, type, value, channel; in order of arrival."""
        with self._reading() as connection:
            return statements.api_events(connection)

    def known(self, member_ids: Iterable[str]) -> frozenset[str]:
        """Those of the members that the store has."""
        return frozenset(row[0] for row in self._asked(histories.KNOWN, member_ids=list(member_ids)))

    def history(self, member_ids: Sequence[str], since_us: int, community: Community, added: Sequence[LoggedEvent] = ()) -> EventArrays:
        """The members' events from `since_us` on, and before that the last one of each type, as `event_arrays` would give them for a log.

        `added` ones count as if they were stored. Raises UnknownMember for an id that the store does not have.
        """
        with self._reading() as connection:
            return histories.history(connection, member_ids, since_us, community, added)

    def past(
        self,
        member_ids: Sequence[str],
        community: Community,
        as_of_us: int,
        added: Sequence[LoggedEvent] = (),
        *,
        with_contacts: bool = True,
    ) -> Past:
        """History over the lookback, and the contacts over the longest cap and cooldown; raises UnknownMember.

        Without contacts what members refused is told all the same.
        """
        with self._asking() as connection:
            return histories.past(connection, member_ids, community, as_of_us, added, self.recent, with_contacts=with_contacts)

    def contacts_before(self, member_ids: Sequence[str], community: Community, as_of_us: int) -> ContactHistory:
        """As `past` tells contacts, without those that were made at `as_of` or later; raises UnknownMember."""
        with self._reading() as connection:
            return histories.contacts_before(connection, member_ids, community, as_of_us)

    def erase(self, member_id: str, now_us: int) -> Receipt:
        """From memory too; other processes forget whoever is not asked for any more."""
        receipt = super().erase(member_id, now_us)
        self.recent.forget(member_id)
        return receipt

    def history_then(self, member_id: str, as_of_us: int, community: Community, added: Sequence[LoggedEvent], then: Then) -> EventArrays:
        """The history of one member, as `past` gave it when no more than `then` was known."""
        with self._reading() as connection:
            return histories.history_then(connection, member_id, as_of_us - community.lookback_days * DAY_US, community, added, then)

    def happened(
        self, member_id: str, since_us: int, event_ids: Sequence[str] = (), types: Sequence[str] = ()
    ) -> list[tuple[str, int, str, float | None]]:
        """Events of one member from `since_us` on that have one of these ids or types: member_id, timestamp_us, type, value."""
        with self._reading() as connection:
            return histories.happened(connection, member_id, since_us, event_ids, types)

    def record(
        self,
        rows: Sequence[DecisionRow],
        answers: Sequence[Answer] = (),
        events: Sequence[LoggedEvent] = (),
        quotas: Quotas | None = None,
        job: JobProgress | None = None,
        meanwhile: Callable[[], object] | None = None,
        fates: Callable[[Sequence[Fate]], object] | None = None,
    ) -> frozenset[str]:
        """Keep decisions, the answers given for them, the events that came with them, and how far a job came by them: all, or nothing.

        Returns the members whose contacts, or whose places and money, are no longer those that were seen, row by row in their order; then
        nothing was written, and they are to be decided again. `meanwhile` is what may be done while the disk works; `fates` is
        told what becomes of the events. Raises ClaimLost where an attempt that was overtaken answers;
        then nothing was written.
        """
        with self._writing(meanwhile) as connection:
            held = statements.hold(connection, rows)
            stale = statements.stale(held, rows) | contacts.outrun(connection, rows, quotas)
            if not stale:
                became = statements.add_events(connection, events)
                if fates is not None:
                    fates(became)
                contacts.reserve(connection, rows, quotas)
                statements.DECIDED.each(connection, [vars(row) for row in rows])
                outbox.note_bands(connection, rows, {member_id: member.risk_band for member_id, member in held.items()})
                if job is not None:
                    jobs.progress(connection, job)
                statements.give_answers(connection, answers)
        return stale

    def put_in_force(self, plan: PlanRow) -> None:
        """From now on `plan_in_force` is this one."""
        with self._writing() as connection:
            connection.execute(schema.plans.insert(), asdict(plan))

    def plan_in_force(self) -> str | None:
        """The body of the plan that was put in force last; None where that ended the last, or none ever was."""
        return next((row[0] for row in self._asked(statements.PLAN_IN_FORCE)), None)

    def claim(self, key_id: str, fingerprints: Sequence[tuple[str, str]], now_us: int) -> list[Claim]:
        """For each (request id, fingerprint of its body) whether this is its first attempt; that one must be answered or released.

        An attempt that did neither within a minute died, and its claim passes on. What was answered longer ago than answers are kept is
        its first attempt again.
        """
        with self._writing() as connection:
            return statements.claim_all(connection, key_id, fingerprints, now_us)

    def release(self, key_id: str, request_ids: Sequence[str], claimed_us: int) -> None:
        """Give up claims that no answer came of, so that they can be tried again; what another attempt has taken over is left to it."""
        table = schema.requests.c
        mine = (table.key_id == key_id, table.request_id.in_(request_ids), table.claimed_us == claimed_us)
        with self._writing() as connection:
            connection.execute(delete(schema.requests).where(*mine, table.answer.is_(None)))


def _writers(engine: Engine, wait_seconds: float) -> GroupCommit | None:
    if engine.dialect.name != "sqlite":
        return None
    impatient = schema.open_database(engine.url, 0).execution_options(**{schema.WRITES: True})
    return GroupCommit(impatient, wait_seconds)
