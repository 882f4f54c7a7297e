"""One decision job in the hands of one worker: what all of its stages stand on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from models.audience_filter import AudienceFilter
from models.declared import Language
from models.engine import Engine
from models.jobs import LEASE_US, JobRow, JobStep
from models.moments import microseconds
from models.quotas import BUDGET, Quotas
from models.shadow_prices import FREE, Terms
from models.snapshots import Snapshots
from models.store import Past
from models.store_rows import content_id
from models.supply import Capacity, Supply
from models.weighing import NOWHERE, Context, Weighed, weigh
from serving.rollouts import parts_of
from serving.schemas import DecisionJobRequest
from serving.service import Service
from serving.settings import wall_clock


class Interrupted(Exception):  # noqa: N818 - no error: the process ends, and another takes the job over
    """Between two steps of a job."""


class Weighing(NamedTuple):
    """Rows are those of the ids that were asked about."""

    past: Past
    snapshots: Snapshots
    weighed: Weighed


class TaskPart(NamedTuple):
    """Rows of the ids that were asked about; `priced`: the plan of the job, or that in force, holds for them."""

    task: Task
    rows: Sequence[int]
    priced: bool


@dataclass(frozen=True)
class Task:
    """`worker` holds the job `row` until another takes it over."""

    service: Service
    engine: Engine
    row: JobRow
    worker: str
    as_of: datetime

    @cached_property
    def request(self) -> DecisionJobRequest:
        return DecisionJobRequest.model_validate_json(self.row.request)

    @cached_property
    def audience(self) -> AudienceFilter:
        return self.request.audience.filter

    @property
    def names_members(self) -> bool:
        return self.request.audience.member_ids is not None

    @property
    def decides_on_everyone(self) -> bool:
        """And keeps what it decides."""
        return self.request.is_for_everyone and not self.request.dry_run

    @property
    def language(self) -> Language:
        return self.request.language or self.engine.community.language

    @property
    def as_of_us(self) -> int:
        return microseconds(self.as_of)

    @property
    def quotas(self) -> Quotas:
        return Quotas.of(self.service.community.capacity, self.engine.community, self.as_of)

    def step(self, **done: Any) -> JobStep:  # noqa: ANN401 - fields of JobStep
        """Raises Interrupted."""
        if self.service.stopping.is_set():
            raise Interrupted
        return JobStep(self.row.job_id, self.worker, microseconds(wall_clock()) + LEASE_US, **done)

    def parts(self, member_ids: Sequence[str]) -> list[TaskPart]:
        """Those for whom this engine decides, and those for whom the challenger of a roll-out does, as it stands now.

        What is shared out among all is planned with one set of rules: a challenger that has others leaves its members to the champion.
        """
        share = self.service.rollouts.share
        alike = share is None or share.has_rules_of(self.engine)
        parts = parts_of(share if alike or self.supply.endless else None, self.engine, member_ids)
        return [TaskPart(replace(self, engine=part.by.engine), part.rows, part.by.priced_as is self.engine) for part in parts]

    def decision_ids(self, member_ids: Sequence[str]) -> list[str]:
        """The same whenever the job is taken up again; the job's id cannot be foreseen, and so neither can they."""
        return [content_id(self.row.job_id, member_id) for member_id in member_ids]

    def weigh(self, member_ids: Sequence[str], context: Context = NOWHERE, terms: Terms = FREE) -> Weighing:
        """Raises UnknownMember, for one who was erased a moment ago."""
        past = self.service.store.past(member_ids, self.engine.community, self.as_of_us)
        snapshots, ids = Snapshots.at(past.events, self.as_of_us), self.decision_ids(member_ids)
        asked = (self.engine, past.events, snapshots, member_ids, ids, past.contacts)
        return Weighing(past, snapshots, weigh(*asked, as_of=self.as_of, context=context, terms=terms))

    @cached_property
    def supply(self) -> Supply:
        """What the job asks for, as far as the period still has it."""
        declared, asked = self.service.community.capacity, self.request.capacity
        used = self.service.store.used(self.quotas.begins_us, self.as_of_us) if self.quotas.limits else {}
        left = {resource: max(0.0, limit - used.get(resource, 0.0)) for resource, limit in self.quotas.limits.items()}
        capacity = Capacity(
            interventions=_least(left, "intervention:", asked.interventions),
            channels=_least(left, "channel:", asked.channels),
            exploration_share=declared.exploration_share,
        )
        budgets = [money for money in (self.request.budget, left.get(BUDGET)) if money is not None]
        return Supply.of(self.engine.community, capacity, min(budgets, default=None))


def _least(left: Mapping[str, float], kind: str, asked: Mapping[str, int]) -> dict[str, int]:
    """By name, of what is left and what was asked for the smaller."""
    names = {resource.removeprefix(kind) for resource in left if resource.startswith(kind)} | set(asked)
    return {name: int(min(left.get(kind + name, np.inf), asked.get(name, np.inf))) for name in sorted(names)}
