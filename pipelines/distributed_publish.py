"""What a run on Spark found, put into the store for the pages: sums of parts, and members one part after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from models.activity import Activity
from models.events import EventArrays
from models.input_figures import InputFigures
from models.intervention_figures import Contacts, report_of
from models.publishing import Found, shown_of
from models.standing_tally import StandingTally
from pipelines.publish import show_run
from pipelines.publish_figures import RunFigures, keep_figures

if TYPE_CHECKING:
    from datetime import datetime

    from models.community import Community
    from models.engine import Engine
    from pipelines.distributed_pages import Aside
    from pipelines.distributed_sums import Sums
    from pipelines.workspace import Workspace


def publish_on_spark(
    workspace: Workspace, engine: Engine, community: Community, aside: Aside, sums: Sums, at: datetime, *, now: datetime
) -> None:
    """As one machine does, but that experiments are not read again and that of refused rows nothing but their number is told."""
    parts = list(aside.sums(Activity.nobodys(community, at)))
    first, *others = parts
    activity, run = first.activity, first.run
    for part in others:
        activity, run = activity + part.activity, run + part.run
    tally = StandingTally.together([part.tally for part in parts])
    show_run(workspace, shown_of(engine, community, Found(tally, activity, [part.strata for part in parts], aside.everyone), at))
    report = report_of(engine, run, Contacts.together([part.contacts for part in parts]), at)
    sampled = EventArrays.together([part.sampled for part in parts])
    keep_figures(workspace, engine, RunFigures(report, sampled, _input(sums, now)), community.monitor, now=now)


def _input(sums: Sums, now: datetime) -> InputFigures:
    return InputFigures(now, sums.first, sums.last, sums.events, sums.members, sums.refused.get("events", 0), ())
