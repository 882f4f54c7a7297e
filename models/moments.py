"""Moments as whole microseconds since 1970, UTC: how logs, stores and features count time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(at: datetime) -> int:
    """Since 1970 UTC."""
    return (at - EPOCH) // timedelta(microseconds=1)
