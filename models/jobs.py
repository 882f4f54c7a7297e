"""The store's part that holds decision jobs: durable, at one worker at a time, results only when a job has ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from models import store_jobs as statements
from models import store_schema as schema
from models.job_rows import JobEnd, JobMember, JobProgress, JobRow, JobStep, Line, Selected, Told
from models.store_jobs import JobLost
from models.store_rows import Answer, Claim
from models.store_statements import claim, give_answers

LEASE_US = 60_000_000

__all__ = ["LEASE_US", "JobEnd", "JobLost", "JobMember", "JobProgress", "JobRow", "JobStep", "JobStore", "Line", "Selected", "Told"]


class JobStore(schema.Transactions):
    """Times are those of the real clock. What takes a step raises JobLost where the job is no longer this worker's."""

    def add_job(self, row: JobRow, member_ids: Sequence[str] | None, key_id: str, request_id: str | None, fingerprint: str) -> Claim:
        """The claim of a request that was made before; a new one has its job then. `member_ids` None: the audience is among all members."""
        with self._writing() as connection:
            made = Claim("new") if request_id is None else claim(connection, key_id, request_id, fingerprint, row.created_us)
            if made.state == "new":
                statements.add(connection, row, member_ids)
                if request_id is not None:
                    give_answers(connection, [Answer(key_id, request_id, row.created_us, row.answer)])
            return made

    def job(self, job_id: str) -> JobRow | None:
        with self._reading() as connection:
            return statements.find(connection, job_id)

    def jobs(self, before: tuple[int, str] | None, limit: int) -> list[JobRow]:
        """Newest first; `before`: created_us and id of the last one of the page before."""
        with self._reading() as connection:
            return statements.page(connection, before, limit)

    def lease_job(self, worker: str, now_us: int) -> JobRow | None:
        """The oldest open job that nobody is at, for this worker until the lease ends; None where there is none."""
        with self._reading() as connection:
            if not statements.any_free(connection, now_us):
                return None
        with self._writing() as connection:
            return statements.lease(connection, worker, now_us, now_us + LEASE_US)

    def end_job(self, ended: JobEnd) -> JobRow | None:
        """Posts `decision_job.ended`; None where it has ended before, or another worker is at it."""
        with self._writing() as connection:
            return statements.end(connection, ended)

    def restart_job(self, step: JobStep, *, named: bool) -> None:
        """Begins with the selection; `named`: the job itself names its members."""
        with self._writing() as connection:
            statements.step(connection, step)
            statements.restart(connection, step.job_id, named=named)

    def select_for_job(self, step: JobStep, kept: Sequence[Selected], named: range | None) -> None:
        """These belong to it; with `named` they are those of the named ones at these positions who stay."""
        with self._writing() as connection:
            statements.step(connection, step)
            if named is None:
                statements.select_members(connection, step.job_id, kept)
            else:
                statements.keep_members(connection, step.job_id, kept, named)

    def plan_for_job(self, step: JobStep, planned: Iterable[Selected]) -> None:
        with self._writing() as connection:
            statements.step(connection, step)
            statements.plan_members(connection, step.job_id, list(planned))

    def hold_job(self, step: JobStep) -> None:
        """Keeps the lease."""
        with self._writing() as connection:
            statements.step(connection, step)

    def tell_for_job(self, progress: JobProgress) -> None:
        """Of a job that keeps no decisions."""
        with self._writing() as connection:
            statements.progress(connection, progress)

    def members_before(self, joined_before_us: int) -> int:
        with self._reading() as connection:
            return statements.number_of_members(connection, joined_before_us)

    def everyone(self, after: str, joined_before_us: int, limit: int) -> list[str]:
        """Ids of members who had joined, those after `after`."""
        with self._reading() as connection:
            return statements.everyone(connection, after, joined_before_us, limit)

    def job_members(self, job_id: str, after: int, limit: int, *, undecided: bool = False) -> list[JobMember]:
        """By position, those after `after`."""
        with self._reading() as connection:
            return statements.members(connection, job_id, after, limit, undecided=undecided)

    def job_lines(self, job_id: str, first: int, limit: int) -> list[Line]:
        """By position, from `first` on."""
        with self._reading() as connection:
            return statements.lines(connection, job_id, first, limit)

    def job_told(self, job_id: str, after: int, limit: int) -> list[Told]:
        """What was decided on members who are still there, by position, those after `after`."""
        with self._reading() as connection:
            return statements.told(connection, job_id, after, limit)

    def jobs_since(self, as_of_us: int) -> list[JobRow]:
        """Jobs that have succeeded and decided as of this time or later, oldest first."""
        with self._reading() as connection:
            return statements.succeeded_since(connection, as_of_us)

    def sweep_jobs(self, now_us: int) -> None:
        """So few rows at once that nobody who writes waits long."""
        more = True
        while more:
            with self._writing() as connection:
                more = statements.sweep(connection, now_us)
