"""What a run on Spark found, put into the store for the pages: sums of parts, and members one part after the other."""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from itertools import chain
from operator import add
from typing import TYPE_CHECKING

from models.activity import Activity
from models.declaration import NO_LINES, load_declaration
from models.events import EventArrays
from models.input_figures import InputFigures, told_findings
from models.intervention_figures import Contacts, report_of
from models.plan_ground import Common
from models.publishing import Found, shown_of
from models.standing_tally import StandingTally
from pipelines.distributed_check import CHECKED, Checked
from pipelines.publish import show_run
from pipelines.publish_figures import RunFigures, keep_figures

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from pyspark.sql import DataFrame

    from models.community import Community
    from models.engine import Engine
    from models.intervention_figures import RunTally
    from models.strata import Strata
    from pipelines.distributed_log import SparkLog
    from pipelines.distributed_pages import Aside, PartSums
    from pipelines.distributed_sums import Sums
    from pipelines.workspace import Workspace


@dataclass
class _Added:
    """What the parts that came so far add up to; `sampled`: of each of them, some members with all their events."""

    tally: StandingTally
    activity: Activity
    run: RunTally
    contacts: Contacts
    sampled: list[EventArrays]

    def strata(self, parts: Iterable[PartSums]) -> Iterator[Strata]:
        """Of each part, which is added up."""
        for part in parts:
            self.tally = StandingTally.together([self.tally, part.tally])
            self.activity += part.activity
            self.run += part.run
            self.contacts = Contacts.together([self.contacts, part.contacts])
            self.sampled.append(part.sampled)
            yield part.strata


def publish_on_spark(
    workspace: Workspace, engine: Engine, community: Community, aside: Aside, taken_in: InputFigures, at: datetime, *, now: datetime
) -> None:
    """As one machine does, but that experiments are not read again; this process holds the sums of few parts at a time."""
    parts = aside.sums(Activity.nobodys(community, at))
    first = next(parts)
    added = _Added(first.tally, first.activity, first.run, first.contacts, [first.sampled])
    common = Common.of(chain([first.strata], added.strata(parts)))
    show_run(workspace, shown_of(engine, community, Found(added.tally, added.activity, common, aside.everyone), at))
    report = report_of(engine, added.run, added.contacts, at)
    keep_figures(workspace, engine, RunFigures(report, EventArrays.together(added.sampled), taken_in), community.monitor, now=now)


def input_on_spark(workspace: Workspace, log: SparkLog, decided: DataFrame, sums: Sums, now: datetime) -> InputFigures:
    """What the check would find, but for what docs/spark.md names."""
    rows = decided.filter(f"{CHECKED} is not null").select(CHECKED).toLocalIterator()
    checked = reduce(add, (Checked.from_bytes(row[CHECKED]) for row in rows))
    lines = load_declaration(workspace.declaration).lines if workspace.declaration.is_file() else NO_LINES
    findings = told_findings(checked.findings(log.community, log.columns, sums.span, lines))
    return InputFigures(now, sums.first, sums.last, sums.events, sums.members, sums.refused.get("events", 0), findings)
