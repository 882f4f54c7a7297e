"""The first stage of a decision job: whom it is for, and what one plan for all of them means for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from models.campaign import Campaign
from models.errors import UnknownMember
from models.groups import groups_of_store
from models.jobs import JobRow, Selected
from models.plan_figures import arms_of
from models.planned_rows import plan_to_json, settled_rows
from models.planning import settle
from models.policy import draws_of
from models.strata import Strata
from serving.job_task import Task

CHUNK = 1_000


class Meant(NamedTuple):
    """`strata`: of what a plan is made, None where nothing has to be shared out, or nobody is meant."""

    members: list[Selected]
    strata: Strata | None


@dataclass
class Selection:
    """What a plan needs of all members stays in memory, some 300 bytes for each and intervention; all else a chunk at a time."""

    task: Task
    parts: list[Strata] = field(default_factory=list)
    kept: list[Selected] = field(default_factory=list)
    number: int = 0

    def run(self) -> JobRow:
        """The job, ready to be decided. Raises JobLost, StoreUnavailable."""
        task, store = self.task, self.task.service.store
        total = len(self._named()) if task.names_members else store.members_before(task.as_of_us)
        begun = task.step(as_of_us=task.as_of_us, model_version=task.engine.version, members=total)
        store.restart_job(begun, named=task.names_members)
        for chunk in self.chunks():
            self.select(chunk)
        plan = None if task.supply.endless or not self.kept else self._plan()
        store.plan_for_job(task.step(stage="deciding", plan=plan), [])
        return replace(task.row, stage="deciding", plan=plan)

    def _named(self) -> list[Selected]:
        members = self.task.service.store.job_members(self.task.row.job_id, -1, 1 << 30)
        return [Selected(member.position, member.member_id) for member in members]

    def chunks(self) -> Iterator[list[Selected]]:
        """Of all members, numbered as they come, or of those whom the job names."""
        if self.task.names_members:
            named = self._named()
            yield from (named[begin : begin + CHUNK] for begin in range(0, len(named), CHUNK))
            return
        after = ""
        while ids := self.task.service.store.everyone(after, self.task.as_of_us, CHUNK):
            yield [Selected(at, name) for at, name in enumerate(ids)]
            after = ids[-1]

    def select(self, chunk: Sequence[Selected]) -> None:
        """Kept in the store, and in memory where there is something to share out."""
        chosen = self._chosen(chunk)
        store, among = self.task.service.store, range(chunk[0].position, chunk[-1].position + 1)
        if not self.task.names_members:
            chosen = [Selected(self.number + at, member.member_id) for at, member in enumerate(chosen)]
        self.number += len(chosen)
        step = self.task.step(considered=len(chunk), selected=len(chosen))
        store.select_for_job(step, chosen, among if self.task.names_members else None)
        if not self.task.supply.endless:
            self.kept += chosen

    def _chosen(self, chunk: Sequence[Selected]) -> list[Selected]:
        """Where everybody is meant and nothing has to be shared out, nobody is looked at before the decision."""
        endless, chunk = self.task.supply.endless, self._not_held_out(chunk)
        if endless and self.task.audience.is_everyone:
            return chunk
        held = self.task.service.store.known([member.member_id for member in chunk])
        known = [member for member in chunk if member.member_id in held]
        try:
            found = [self._meant(task, [known[row] for row in rows]) for task, rows, _ in self.task.parts([one.member_id for one in known])]
        except UnknownMember:
            return self._chosen(chunk)
        self.parts += [part.strata for part in found if part.strata is not None]
        return [member for part in found for member in part.members]

    def _meant(self, task: Task, members: Sequence[Selected]) -> Meant:
        """Of these members, weighed by the engine that decides for them."""
        weighing = task.weigh([member.member_id for member in members])
        weighed, groups = weighing.weighed, groups_of_store(weighing.past.attributes, task.service.community)
        among = task.audience.selects(task.engine, weighed, groups, weighing.snapshots.joined_us)
        planned = Strata.of(weighed, arms_of(task.engine))[among] if not self.task.supply.endless and among.any() else None
        return Meant([member for member, meant in zip(members, among, strict=True) if meant], planned)

    def _not_held_out(self, chunk: Sequence[Selected]) -> list[Selected]:
        """By a draw that follows from job and member alone."""
        share, job_id = self.task.request.hold_out, self.task.row.job_id
        if not share:
            return list(chunk)
        drawn = draws_of(f"hold-out:{job_id}:{member.member_id}" for member in chunk)
        return [member for member, draw in zip(chunk, drawn.tolist(), strict=True) if draw >= share]

    def _plan(self) -> str:
        """What it means for each member is kept; the text is what it charges and is expected to bring.

        Members stand in the order of their ids, whatever the order in which a database or a client has them.
        """
        task, store = self.task, self.task.service.store
        order = np.array(sorted(range(len(self.kept)), key=lambda at: self.kept[at].member_id), dtype=np.int64)
        kept = [self.kept[at] for at in order]
        campaign = Campaign.of(task.engine, self.parts, task.supply)[order]
        joint = campaign.plan()
        outcome = settle(campaign.strata.candidates, joint, task.supply, draws_of(task.decision_ids([one.member_id for one in kept])))
        for begin, end in pairwise([*range(0, len(kept), CHUNK), len(kept)]):
            rows = settled_rows(outcome[begin:end])
            store.plan_for_job(task.step(), [one._replace(planned=row) for one, row in zip(kept[begin:end], rows, strict=True)])
        budget = task.supply.budget if np.isfinite(task.supply.budget) else None
        return plan_to_json(joint, campaign.outlook(joint, budget))
