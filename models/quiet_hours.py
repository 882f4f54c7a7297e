"""When may a message go out, by the clock of the member."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np

from models.once import Once

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from models.actions import Intervention, QuietHours
    from models.arrays import Flags, Integers
    from models.community import Community
    from models.member_columns import Zones


def delays(as_of: datetime, community: Community, zones: Zones) -> Integers:
    """From `as_of` to the first moment at which each candidate may be sent, in microseconds: (n_members, n_interventions).

    Nothing for a transactional one, to the end of the member's quiet hours for the others.
    """
    quiet = community.contact_policy.quiet_hours
    waiting = np.array([(send_not_before(as_of, quiet, zone) - as_of) // timedelta(microseconds=1) for zone in zones.zones], dtype=np.int64)
    delayed: Integers = waiting[zones.code][:, None] * _waits(community.interventions)
    return delayed


@Once
def _waits(interventions: tuple[Intervention, ...]) -> Flags:
    return np.array([intervention.message_class != "transactional" for intervention in interventions])


def send_not_before(as_of: datetime, quiet: QuietHours | None, zone: ZoneInfo) -> datetime:
    """`as_of` itself, or within quiet hours their next end by the clock of `zone`; in UTC. Equal start and end are no quiet hours.

    An end that the clock skips is taken as if it had not (RFC 5545, 3.3.5); one that it shows twice is the one of this turn.
    """
    local = as_of.astimezone(zone)
    if quiet is None or not _within(quiet, local):
        return as_of.astimezone(UTC)
    end = datetime.combine(local.date(), quiet.end, tzinfo=zone)
    today = local.time() < quiet.end
    return (end.replace(fold=local.fold) if today else _next_day(end)).astimezone(UTC)


def _next_day(local: datetime) -> datetime:
    """The same time of the next day by the clock, be that day 23 or 25 hours away."""
    return local + timedelta(days=1)


def _within(quiet: QuietHours, local: datetime) -> bool:
    now = local.time()
    if quiet.start <= quiet.end:
        return quiet.start <= now < quiet.end
    return now >= quiet.start or now < quiet.end
