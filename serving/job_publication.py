"""The last stage of a decision job over all members: what it found is what the pages show from then on."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import reduce
from operator import add

import polars as pl

from models.activity import Activity
from models.audience import standings_of
from models.decision_table import table_of_traces
from models.errors import UnknownMember
from models.events import EventArrays
from models.groups import groups_of_store
from models.intervention_figures import INTERVENTIONS, Contacts, RunTally, contacts_since, report_of
from models.interventions import ContactHistory
from models.jobs import Told
from models.moments import microseconds
from models.plan_figures import arms_of
from models.plan_ground import PART, condensed_part
from models.publishing import Found, publish_run, shown_of
from models.snapshots import Snapshots
from models.strata import Condensed, Strata
from models.weighing import weigh
from serving.job_task import Task

CHUNK = 1_000
MEMBER = pl.Struct(
    {"stage": pl.String, "tier": pl.String, "tags": pl.List(pl.String), "value": pl.Float64, "value_at_risk": pl.Float64},
)
LINE = pl.Struct(
    {
        "member_id": pl.String,
        "probability": pl.Float64,
        "risk_band": pl.String,
        "member": MEMBER,
        "intervention_id": pl.String,
    }
)


@dataclass(frozen=True)
class Chunk:
    """Of some members all that is told of a run."""

    standings: pl.DataFrame
    activity: Activity
    strata: Strata
    tally: RunTally
    contacts: Contacts


@dataclass
class Gathered:
    """`waiting` are members who are condensed when there are PART of them."""

    activity: Activity
    standings: list[pl.DataFrame] = field(default_factory=list)
    parts: list[Condensed] = field(default_factory=list)
    waiting: list[Strata] = field(default_factory=list)
    tallies: list[RunTally] = field(default_factory=list)
    contacts: list[Contacts] = field(default_factory=list)

    def take(self, chunk: Chunk) -> None:
        self.activity += chunk.activity
        self.standings.append(chunk.standings)
        self.tallies.append(chunk.tally)
        self.contacts.append(chunk.contacts)
        self.waiting.append(chunk.strata)
        if sum(len(strata) for strata in self.waiting) >= PART:
            self.condense()

    def condense(self) -> None:
        whole = Strata.together(self.waiting)
        self.parts.append(condensed_part(whole[:PART]))
        self.waiting = [whole[PART:]] if len(whole) > PART else []


@dataclass(frozen=True)
class Publication:
    """Members as they were decided on; behaviour as the store tells it now, and contacts, up to the job's date.

    What a plan needs of each is weighed again, without what the job itself assigned, as a run of `keepwell decide` weighs it.
    """

    task: Task

    def run(self) -> None:
        """Raises JobLost, StoreUnavailable."""
        task, store = self.task, self.task.service.store
        gathered = self._gathered()
        if not gathered.standings:
            return
        found = Found.of(pl.concat(gathered.standings), gathered.activity, gathered.parts, store.known_from())
        shown = shown_of(task.engine, task.service.community, found, task.as_of)
        report = report_of(task.engine, reduce(add, gathered.tallies), Contacts.together(gathered.contacts), task.as_of)
        store.hold_job(task.step())
        publish_run(store, shown)
        store.keep_figures(INTERVENTIONS, task.as_of_us, report.to_json())

    def _gathered(self) -> Gathered:
        """Of everyone who is still there."""
        task, store, after = self.task, self.task.service.store, -1
        gathered = Gathered(Activity.nobodys(task.service.community, task.as_of))
        while lines := store.job_told(task.row.job_id, after, CHUNK):
            store.hold_job(task.step())
            try:
                gathered.take(self._chunk(lines))
            except UnknownMember:
                continue
            after = lines[-1].position
        if gathered.waiting:
            gathered.condense()
        return gathered

    def _chunk(self, lines: list[Told]) -> Chunk:
        """Raises UnknownMember for one who was erased a moment ago."""
        task, store, community = self.task, self.task.service.store, self.task.service.community
        table = _table(lines)
        ids = table["member_id"].to_list()
        events, contacts = store.history(ids, 0, community), store.contacts_before(ids, task.engine.community, task.as_of_us)
        bodies = store.bodies(task.decision_ids(ids))
        arms = [one.id for one in task.engine.community.interventions]
        return Chunk(
            standings=self._standings(table, lines),
            activity=Activity.of(community, events, task.as_of),
            strata=self._strata(ids, events, contacts),
            tally=RunTally.of(table_of_traces([*bodies.values()], arms), arms),
            contacts=self._contacts(ids, events, contacts),
        )

    def _standings(self, table: pl.DataFrame, lines: list[Told]) -> pl.DataFrame:
        """The lines as a decision table tells them."""
        joined = pl.Series([line.joined_us for line in lines], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
        community = self.task.service.community
        groups = groups_of_store([line.attributes for line in lines], community)
        return standings_of(table.with_columns(pl.col("tags").list.join(",")), joined, community.timezone, groups)

    def _strata(self, ids: list[str], events: EventArrays, contacts: ContactHistory) -> Strata:
        task = self.task
        snapshots = Snapshots.at(events, task.as_of_us)
        weighed = weigh(task.engine, events, snapshots, ids, task.decision_ids(ids), contacts, as_of=task.as_of)
        return Strata.of(weighed, arms_of(task.engine))

    def _contacts(self, ids: list[str], events: EventArrays, contacts: ContactHistory) -> Contacts:
        """Without members who switched personalisation off."""
        task = self.task
        seen = pl.DataFrame({"member_id": ids, "member": range(len(ids))}).filter(~pl.col("member").is_in(contacts.impersonal))
        since_us = microseconds(contacts_since(task.as_of))
        made = task.service.store.contacts_since(seen["member_id"].to_list(), since_us, task.as_of_us, task.service.community.same_touch_us)
        return Contacts.of(task.engine, made.join(seen, on="member_id"), events, task.as_of)


def _table(lines: list[Told]) -> pl.DataFrame:
    told = pl.Series([line.text for line in lines], dtype=pl.String).str.json_decode(LINE).struct.unnest()
    return told.unnest("member").rename({"probability": "churn_probability", "intervention_id": "chosen"})
