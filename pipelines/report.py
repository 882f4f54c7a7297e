"""Writes the report of one member as one standalone page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.deciding import decide
from models.engine import explain
from models.errors import InputError
from models.last_draws import contacts_of
from models.member_report import Provenance, render_member_report, weekly_activity
from models.moments import microseconds
from models.preferences import respected
from models.snapshots import Snapshots
from pipelines.loading import decision_time, engine_of, load
from pipelines.output import check_page, writing
from pipelines.parts import decision_id

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from models.decision import Decision
    from models.declared import Language
    from pipelines.workspace import Workspace


def report_member(
    workspace: Workspace, member_id: str, output: Path, *, as_of: str | None, language: Language | None, now: datetime
) -> Decision:
    """The decision that the page tells of, at the same default date as `decide_all`.

    Raises UnknownMember, InputError, NoChampion, ModelRefused.
    """
    check_page(output)
    loaded = load(workspace, now=now)
    engine = engine_of(workspace, None)
    told_in = language or engine.community.language
    at = decision_time(loaded, as_of, now=now)
    code = loaded.log.code_of(member_id)
    events = loaded.arrays.of_members([code])
    joined = loaded.log.members["joined"][code]
    if at < joined:
        message = f'member "{member_id}" joined {joined:%Y-%m-%d}, after {at:%Y-%m-%d}; choose a later date'
        raise InputError(message)
    snapshots = Snapshots.at(events, microseconds(at))
    made = contacts_of(loaded.log.touches, np.array([code]), snapshots.as_of_us, engine.community)
    contacts = respected(made, [member_id], loaded.preferences)
    (decision,) = decide(
        engine,
        events,
        snapshots,
        [member_id],
        [decision_id(engine, at, member_id)],
        contacts,
        as_of=at,
        language=told_in,
        explain=explain,
    )
    page = render_member_report(
        decision,
        engine.community,
        activity=weekly_activity(events.timestamp_us, events.signal, len(engine.community.signals), at.astimezone(engine.community.zone)),
        generated_at=now,
        language=told_in,
        provenance=Provenance(engine.provenance.trained_through),
    )
    with writing(output):
        output.write_text(page, encoding="utf-8")
    return decision
