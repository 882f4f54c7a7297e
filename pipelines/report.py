"""Writes the report of one member as one standalone page."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import numpy as np

from models.deciding import decide
from models.engine import explain
from models.interventions import ContactHistory
from models.member_report import Provenance, render_member_report, weekly_activity
from models.snapshots import Snapshots
from models.weighing import microseconds
from pipelines.loading import engine_of, load, moment

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from models.community import Language
    from models.decision import Decision
    from pipelines.workspace import Workspace


def report_member(
    workspace: Workspace, member_id: str, output: Path, *, as_of: str | None, language: Language | None, now: datetime
) -> Decision:
    """The decision that the page tells of, at the same default date as `decide_all`.

    Raises UnknownMember, InputError, NoChampion, ModelRefused.
    """
    loaded = load(workspace, now=now)
    engine = engine_of(workspace, None)
    told_in = language or engine.community.language
    at = min(loaded.end, now) if as_of is None else moment(as_of, loaded.community)
    code = loaded.log.code_of(member_id)
    events = loaded.arrays.of_members([code])
    touches = loaded.log.touches
    contacts = ContactHistory.empty() if touches is None else ContactHistory.of_touches(touches, np.array([code]))
    (decision,) = decide(
        engine,
        events,
        Snapshots.at(events, microseconds(at)),
        [member_id],
        [str(uuid.uuid4())],
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
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(page, encoding="utf-8")
    return decision
