"""What a run over all members keeps of each decision, as rows; nothing here knows the store."""

from __future__ import annotations

from dataclasses import replace
from itertools import repeat
from typing import TYPE_CHECKING

from models.attributes import attributes_to_json
from models.basis import Bases
from models.deciding import About, tell
from models.decision_rows import Circumstances, decision_rows
from models.engine import explain
from models.standings import last_event_us
from models.store_rows import Past
from models.weighing import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from models.declared import Language
    from models.engine import Engine
    from models.store_rows import DecisionRow
    from pipelines.parts import Batch


def rows_to_keep(engine: Engine, batch: Batch, at: datetime, language: Language, event_key: int | None) -> Iterator[DecisionRow]:
    """Without the contacts that were seen; they can be replayed where `event_key` tells the last event that the log had."""
    last_us = last_event_us(batch.part.arrays, batch.snapshots, len(engine.community.signals))
    about = About(batch.member_ids, batch.decision_ids, at)
    released = batch.part.community.contact_policy.unreported == "released"
    decisions = tell(engine, batch.weighed, about, last_us, language=language, explain=explain)
    bases = repeat(None, len(batch.member_ids)) if event_key is None else _bases(engine, batch, language, event_key)
    made_in = (Circumstances(0, NOWHERE, basis, released) for basis in bases)
    yield from decision_rows(decisions, dict(enumerate(made_in))).values()


def _bases(engine: Engine, batch: Batch, language: Language, event_key: int) -> Iterator[str]:
    """The log holds more of a member than the store does, so that its events are not counted."""
    texts = batch.members.drop("member_id", "joined")
    attributes = attributes_to_json(texts) if texts.width else [None] * len(batch.member_ids)
    events = batch.part.arrays.of_members(batch.snapshots.member)
    past = Past(events, batch.contacts, (), tuple(attributes), event_key)
    bases = Bases(past, NOWHERE, language, len(engine.community.signals))
    for row, followed in enumerate(batch.followed or repeat(None, len(batch.member_ids))):
        yield replace(bases.of(row), events=None, times=None, followed=followed).to_json()
