"""What `keepwell init` saw in a log, told to whoever corrects its draft."""

from __future__ import annotations

from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from models.counting import counted
from models.drafting import ending_types
from models.finding_wording import ROWS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from models.canonical import Intake
    from models.community import Signal
    from models.drafting import ChurnDraft, Profile
    from models.rhythm import Rhythm

SHOWN_TYPES = 40
OF_IDS = ("ids_shortened", "nobody", "busiest")


def seen_notes(profile: Profile, intake: Intake, timezone: str) -> tuple[str, ...]:
    """What was read, by the community's clock, for each reason how many rows were not, and ids that may stand for several people."""
    first, last = (at.astimezone(ZoneInfo(timezone)) for at in (profile.first, profile.last))
    rejected = intake.rejected.height
    seen = (
        f"Seen: {counted(profile.events, 'event')} of {counted(profile.members, 'member')}, "
        f"{first:%Y-%m-%d} to {last:%Y-%m-%d}; {counted(rejected, 'row')} that cannot be used (`keepwell check` says why)."
    )
    reasons = (finding for finding in intake.findings if finding.step == "events" and finding.code.startswith(ROWS))
    ids = (f"Look: {finding.message}; {finding.what_to_do}." for finding in intake.findings if finding.code in OF_IDS)
    return (seen, *(f"Not used: {finding.message} (line {finding.line}); {finding.what_to_do}." for finding in reasons), *ids)


def signal_notes(profile: Profile, signals: Sequence[Signal], value_column: str | None) -> tuple[str, ...]:
    """The types of the log, and the fees among them; then what is taken for money, where there is a column of values."""
    shown = ", ".join(f"{seen.name} {seen.events:,}" for seen in profile.types[:SHOWN_TYPES])
    types = (f"In the log: {shown}", *_fee_notes(profile, signals))
    if value_column is None:
        return types
    named = {
        what: ", ".join(signal.name for signal in signals if signal.value == kind)
        for kind, what in (("money", "money in"), ("quantity", "a quantity in"))
    }
    read = "; ".join(f"{what} {names}" for what, names in named.items() if names)
    return (
        *types,
        f'"{value_column}" is {read or "not read, for most events have none"}. Correct `value` of the signals where that is wrong.',
    )


def _fee_notes(profile: Profile, signals: Sequence[Signal]) -> tuple[str, ...]:
    passive = {kind for signal in signals if not signal.qualifying for kind in signal.event_types}
    return tuple(
        f'"{seen.name}" comes every month ({seen.monthly:.0%} of its repetitions), as a fee does that is drawn from whoever does nothing: '
        "it keeps nobody from being silent. Correct `qualifying` where members come to pay it."
        for seen in profile.types
        if seen.is_fee and seen.name in passive
    )


def churn_notes(draft: ChurnDraft, profile: Profile, rhythm: Rhythm, *, asked: bool) -> tuple[str, ...]:
    """Which horizons the log is too short for, and how soon members come back, where that decided."""
    notes = []
    if draft.dropped:
        days = ", ".join(str(horizon) for horizon in draft.dropped)
        notes.append(
            f"The log holds {counted(profile.days, 'day')}; horizons of {days} days are left out, since each needs three times as many."
        )
    decided = draft.churn.horizon_days
    if not asked and draft.churn.contract_event is None and (decided > 30 or draft.wanted is not None) and rhythm.within:
        shares = ", ".join(f"{share:.0%} within {days} days" for days, share in rhythm.within.items())
        notes.append(f"Of returns come {shares}; so silence of {decided} days counts as gone (--churn-days sets another).")
    if draft.churn.contract_event is None and (ending := ending_types(profile)):
        told = ", ".join(f'"{seen.name}" ({counted(seen.members, "member")})' for seen in ending)
        notes.append(f"After {told} hardly anybody does anything more: if that ends a membership, name it with --contract-event.")
    if draft.wanted is not None:
        notes.append(f"That is short for their rhythm: {draft.wanted} days would fit it, of which the log is too short to learn.")
    return tuple(notes)
