"""What a client reads of a member's wishes and data."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from serving.answers import Answered


class MemberPreferences(Answered):
    """`contact`: for each channel of the community whether it is welcome."""

    member_id: str
    personalization: bool
    contact: dict[str, bool]


class MemberData(Answered):
    """Every row that is about the member, by table; times are RFC 3339."""

    member_id: str
    exported_at: datetime
    tables: dict[str, list[dict[str, Any]]]


class ErasureReceipt(Answered):
    """`token` is a keyed hash of the member's id; `rows` counts what was erased, by table."""

    receipt_id: str
    erased_at: datetime
    token: str
    rows: dict[str, int]
