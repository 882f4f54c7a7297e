"""What members have a right to: to refuse, to see, and to be forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Path

from models.features import ANY
from models.moments import EPOCH, microseconds
from models.preferences import Preferences
from serving.api_route import ApiRoute
from serving.auth import Protecting
from serving.member_answers import ErasureReceipt, MemberData, MemberPreferences
from serving.problems import INVALID, Fault, Refusal
from serving.schemas import PreferencesRequest, Text
from serving.service import CurrentService
from serving.settings import wall_clock

router = APIRouter(tags=["members"], route_class=ApiRoute)

MemberId = Annotated[Text, Path()]


@router.put("/v1/members/{member_id:path}/preferences")
def set_preferences(service: CurrentService, _holder: Protecting, member_id: MemberId, request: PreferencesRequest) -> MemberPreferences:
    """Scope `privacy`. In force when this answers; what is not named stays as it was.

    Without personalisation the member is not scored, gets no marketing and is not learned from. Without contact on a channel nothing but
    what is transactional is sent there; `any` stands for all channels.
    """
    known = (ANY, *service.community.channels)
    unknown = [channel for channel in request.contact if channel not in known]
    if unknown:
        detail = f"is no channel of the community; known are {', '.join(known)}"
        faults = tuple(Fault(pointer=f"/contact/{name}", code="unknown_channel", detail=f'"{name}" {detail}') for name in unknown)
        raise Refusal(INVALID, faults[0].detail, faults)
    now_us = microseconds(service.clock())
    wanted = service.store.prefer(member_id, personalization=request.personalization, contact=request.contact, now_us=now_us)
    return _told(service, member_id, wanted)


@router.get("/v1/members/{member_id:path}/preferences")
def get_preferences(service: CurrentService, _holder: Protecting, member_id: MemberId) -> MemberPreferences:
    """Scope `privacy`. What holds now; who never said anything has refused nothing."""
    return _told(service, member_id, service.store.preferences(member_id))


@router.get("/v1/members/{member_id:path}/data")
def get_member_data(service: CurrentService, _holder: Protecting, member_id: MemberId) -> MemberData:
    """Scope `privacy`. Every row of the store that is about the member, by table."""
    return MemberData(member_id=member_id, exported_at=wall_clock(), tables=service.store.traces(member_id))


@router.delete("/v1/members/{member_id:path}")
def erase_member(service: CurrentService, _holder: Protecting, member_id: MemberId) -> ErasureReceipt:
    """Scope `privacy`. Erases the member from every table at once, for good: what is sent of the same id later is refused."""
    receipt = service.store.erase(member_id, microseconds(wall_clock()))
    erased_at = EPOCH + timedelta(microseconds=receipt.erased_us)
    return ErasureReceipt(receipt_id=receipt.receipt_id, erased_at=erased_at, token=receipt.token, rows=dict(receipt.counts))


def _told(service: CurrentService, member_id: str, held: Preferences) -> MemberPreferences:
    contact = {channel: held.welcomes(channel) for channel in service.community.channels}
    return MemberPreferences(member_id=member_id, personalization=held.personalization, contact=contact)
