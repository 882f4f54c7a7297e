"""The second stage of a decision job: decisions kept chunk by chunk, each with its reservations and with how far the job has come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from models.basis import Bases
from models.deciding import About, Decisions, tell
from models.decision import Decision
from models.decision_rows import Circumstances, chosen_candidate, decision_rows
from models.engine import explain
from models.errors import UnknownMember
from models.jobs import JobLost, JobMember, JobProgress, Line
from models.planned_rows import followed_row, settled_of, terms_of
from models.planning import settled
from models.shadow_prices import FREE, Terms
from models.standings import last_event_us
from models.store_rows import DecisionRow
from models.weighing import NOWHERE, Context
from serving.job_answers import JobResult
from serving.job_task import Task, Weighing
from serving.metrics import count_decisions, count_scores
from serving.pricing import present_context, pricing

CHUNK = 200
MAX_ATTEMPTS = 50


@dataclass(frozen=True)
class Decided:
    """One of `decisions`, at the position `at`."""

    member: JobMember
    decisions: Decisions
    at: int
    row: DecisionRow

    @property
    def decision(self) -> Decision:
        return self.decisions[self.at]

    @property
    def contacts(self) -> bool:
        return self.row.channel is not None


@dataclass(frozen=True)
class Deciding:
    """With a plan each member gets what was planned, as far as it is still allowed; without one what would be decided alone."""

    task: Task

    def run(self) -> None:
        """Takes up where another stopped. Raises JobLost, StoreUnavailable."""
        store, job_id, after = self.task.service.store, self.task.row.job_id, -1
        while members := store.job_members(job_id, after, CHUNK, undecided=True):
            try:
                self.chunk(members)
            except UnknownMember:
                continue
            after = members[-1].position

    @cached_property
    def terms(self) -> Terms:
        """Those of the job's own plan, else of the plan in force."""
        task = self.task
        if task.row.plan is not None:
            return terms_of(task.row.plan, task.row.job_id)
        return pricing(task.service.store, task.engine, task.as_of).terms

    def chunk(self, members: Sequence[JobMember]) -> None:
        """Members whom others contacted in the meantime, or left no place or money for, are decided again, and those after them."""
        decided: list[Decided] = []
        for _ in range(MAX_ATTEMPTS):
            decided += self.decide(members[len(decided) :], decided)
            stale = self._keep(decided)
            if not stale:
                self._count(decided)
                return
            decided = decided[: next(at for at, one in enumerate(decided) if one.member.member_id in stale)]
        raise JobLost(self.task.row.job_id)

    def decide(self, members: Sequence[JobMember], before: Sequence[Decided]) -> list[Decided]:
        context, decided = self._context(before), dict[int, Decided]()
        for task, rows, priced in self.task.parts([member.member_id for member in members]):
            terms = self.terms if priced else FREE
            decided |= zip(rows, self._decided_by(task, [members[row] for row in rows], context, terms), strict=True)
        return [decided[row] for row in range(len(members))]

    def _decided_by(self, task: Task, members: Sequence[JobMember], context: Context, terms: Terms) -> list[Decided]:
        ids = [member.member_id for member in members]
        weighing = self._weighed(task, members, context, terms)
        last = last_event_us(weighing.past.events, weighing.snapshots, len(task.engine.community.signals))
        about = About(ids, task.decision_ids(ids), task.as_of, terms.plan_id)
        bases = Bases(weighing.past, context, task.language, len(task.engine.community.signals))
        decisions = tell(task.engine, weighing.weighed, about, last, language=task.language, explain=explain)
        rows = decision_rows(decisions, {row: self._made_in(bases, row, member) for row, member in enumerate(members)})
        return [Decided(member, decisions, at, rows[at]) for at, member in enumerate(members)]

    def _weighed(self, task: Task, members: Sequence[JobMember], context: Context, terms: Terms) -> Weighing:
        ids = [member.member_id for member in members]
        if task.row.plan is None:
            return task.weigh(ids, context, terms)
        alone = task.weigh(ids, context)
        meant = settled_of([member.planned or "" for member in members])
        return alone._replace(weighed=settled(alone.weighed, terms.prices, meant))

    def _made_in(self, bases: Bases, row: int, member: JobMember) -> Circumstances:
        basis = bases.of(row)
        if self.task.row.plan is not None:
            basis = replace(basis, followed=followed_row(member.planned or "", self.terms.prices))
        released = self.task.service.community.contact_policy.unreported == "released"
        return Circumstances(bases.past.contacts_seen[row], bases.context, basis.to_json(), released)

    def _context(self, before: Sequence[Decided]) -> Context:
        """What the period has no more of; read before the members' contacts."""
        quotas = self.task.quotas
        if self.task.request.dry_run:
            return NOWHERE
        taken: Counter[str] = Counter()
        for one in before:
            if one.contacts:
                taken.update(quotas.use(one.row.chosen, one.row.channel, one.row.cost))
        return present_context(self.task.service.store, quotas, self.task.as_of, taken=taken)

    def _keep(self, decided: Sequence[Decided]) -> frozenset[str]:
        """Members who are to be decided again; then nothing was kept."""
        contacted = [one for one in decided if one.contacts]
        cost = sum(one.row.cost for one in contacted)
        step = self.task.step(decided=len(decided), contacted=len(contacted), cost=cost)
        progress = JobProgress(step, tuple(self._line(one) for one in decided))
        store = self.task.service.store
        if self.task.request.dry_run:
            store.tell_for_job(progress)
            return frozenset()
        return store.record([one.row for one in decided], quotas=self.task.quotas, job=progress)

    def _count(self, decided: Sequence[Decided]) -> None:
        count_scores(one.decisions.standings.risks[one.at] for one in decided)
        if not self.task.request.dry_run:
            count_decisions(one.decisions.choices[one.at] for one in decided)

    def _line(self, one: Decided) -> Line:
        decision = one.decision
        result = JobResult.of(one.member.position, decision, chosen_candidate(decision), kept=not self.task.request.dry_run)
        return Line(one.member.position, result.model_dump_json())
