"""Decision jobs as they were asked for."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from models.community import Community
from models.errors import InputError
from models.groups import group_columns
from models.jobs import JobRow
from models.moments import microseconds
from serving.job_answers import JobAnswer
from serving.schemas import AudienceRequest, DecisionJobRequest
from serving.service import Service
from serving.settings import wall_clock


class NewJob(NamedTuple):
    """`named`: those of the members that it names whom the store knows; None where it is for all members."""

    row: JobRow
    named: list[str] | None


def new_job(service: Service, request: DecisionJobRequest, request_id: str | None) -> NewJob:
    """Raises InputError for an intervention, channel, tier or group that is not declared."""
    check_audience(request.audience, service.community)
    declared = [one.id for one in service.community.interventions]
    _check_names("intervention", request.capacity.interventions, declared)
    _check_names("channel", request.capacity.channels, service.community.channels)
    asked = request.audience.member_ids
    names = list(dict.fromkeys(asked or ()))
    held = service.store.known(names) if names else frozenset()
    stored = request.model_copy(update={"request_id": request_id, "audience": request.audience.without_names()})
    row = JobRow(
        job_id=secrets.token_hex(16),
        created_us=microseconds(wall_clock()),
        request=stored.model_dump_json(),
        answer="",
        members=len(held),
        unknown=len(names) - len(held),
    )
    named = None if asked is None else [name for name in names if name in held]
    return NewJob(replace(row, answer=JobAnswer.of(row).model_dump_json()), named)


def check_audience(audience: AudienceRequest, community: Community) -> None:
    """Raises InputError for a tier or group that is not declared: nobody would be in it, and a misspelt one is never ignored."""
    _check_names("tier", audience.tiers, [tier.name for tier in community.lifecycle.tiers])
    _check_names("group", audience.groups, group_columns(community))


def _check_names(kind: str, names: Iterable[str], declared: Sequence[str]) -> None:
    for name in names:
        if name not in declared:
            raise InputError(f'no {kind} is called "{name}"; declared are {", ".join(declared) or "none"}')
