"""The last stage of a decision job over all members: what it found is what the pages show from then on."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from models.activity import Activity
from models.audience import standings_of
from models.errors import UnknownMember
from models.groups import groups_of_store
from models.jobs import Told
from models.overview import overview_with
from models.publishing import publish
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
class Publication:
    """Members as they were decided on; how lively the community was as the store tells it now, up to the job's date."""

    task: Task

    def run(self) -> None:
        """Raises JobLost, StoreUnavailable."""
        task, store = self.task, self.task.service.store
        standings, activity = self._standings(), self._activity()
        found = (task.engine, task.service.community, standings, activity, task.as_of)
        overview = overview_with(*found, known_from_us=store.known_from())
        store.hold_job(task.step())
        publish(store, overview, standings)

    def _standings(self) -> pl.DataFrame:
        store, after, parts = self.task.service.store, -1, [self._part([])]
        while lines := store.job_told(self.task.row.job_id, after, CHUNK):
            store.hold_job(self.task.step())
            parts.append(self._part(lines))
            after = lines[-1].position
        return pl.concat(parts)

    def _part(self, lines: list[Told]) -> pl.DataFrame:
        """The lines as a decision table tells them."""
        told = pl.Series([line.text for line in lines], dtype=pl.String).str.json_decode(LINE).struct.unnest()
        table = told.unnest("member").rename({"probability": "churn_probability", "intervention_id": "chosen"})
        joined = pl.Series([line.joined_us for line in lines], dtype=pl.Int64).cast(pl.Datetime("us", "UTC"))
        community = self.task.service.community
        groups = groups_of_store([line.attributes for line in lines], community)
        return standings_of(table.with_columns(pl.col("tags").list.join(",")), joined, community.timezone, groups)

    def _activity(self) -> Activity:
        store, community, after = self.task.service.store, self.task.service.community, ""
        activity = Activity.nobodys(community, self.task.as_of)
        while ids := store.everyone(after, self.task.as_of_us, CHUNK):
            store.hold_job(self.task.step())
            try:
                activity += Activity.of(community, store.history(ids, 0, community), self.task.as_of)
            except UnknownMember:
                continue
            after = ids[-1]
        return activity
