"""The community at one date: who stands where, how lively it is, and how long members stay."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import polars as pl

from models.activity import Activity, Cohort, Liveliness
from models.audience import Counted, counted_of
from models.declared import STAGES
from models.intervals import Estimate
from models.moments import EPOCH
from models.stage_paths import Flow, StagePaths
from models.standing_tally import StandingTally
from models.weighing import BANDS

if TYPE_CHECKING:
    from models.community import Community
    from models.engine import Engine
    from models.events import EventArrays


@dataclass(frozen=True)
class Band:
    """Of members with a score: how many, how many are expected to go, and the money that they are worth at that risk."""

    name: str
    members: int
    expected: float
    value_at_risk: float


@dataclass(frozen=True)
class Overview:
    """All numbers that the first page shows; `stages` and `chosen` count members, the first those with a known stage.

    `not_silent`: share of the members, by the goals' `silence_days`; `mean_value`: money that one is worth over `value_days`; `flows`: from
    stage to stage since `since`. All four are missing in what an earlier release kept.
    """

    as_of: datetime
    last_event_at: datetime
    model_version: str
    grade: str
    trained_through: datetime
    horizon_days: int
    members: int
    scored: Counted
    bands: tuple[Band, ...]
    stages: Mapping[str, int]
    chosen: Mapping[str, int]
    liveliness: Liveliness
    cohorts: tuple[Cohort, ...]
    not_silent: float | None = None
    mean_value: float | None = None
    since: datetime | None = None
    flows: tuple[Flow, ...] = ()

    @property
    def paths(self) -> StagePaths:
        return StagePaths.of(self.flows)

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=datetime.isoformat)

    @classmethod
    def from_json(cls, text: str) -> Self:
        told: dict[str, Any] = json.loads(text)
        times = {name: datetime.fromisoformat(told[name]) for name in ("as_of", "last_event_at", "trained_through")}
        scored, lively, since = told["scored"], told["liveliness"], told.get("since")
        return cls(
            **told
            | times
            | {
                "scored": Counted(scored["members"], Estimate(**scored["expected"]), scored["value_at_risk"]),
                "bands": tuple(Band(**band) for band in told["bands"]),
                "liveliness": Liveliness(**lively | {"daily": tuple(lively["daily"])}),
                "cohorts": tuple(Cohort(**cohort | {"kept": tuple(cohort["kept"])}) for cohort in told["cohorts"]),
                "since": None if since is None else datetime.fromisoformat(since),
                "flows": tuple(Flow(**flow) for flow in told.get("flows", ())),
            }
        )


def overview_of(engine: Engine, community: Community, standings: pl.DataFrame, events: EventArrays, as_of: datetime) -> Overview:
    """Of `standings_of` a decision table and the log that it was decided on."""
    return overview_with(engine, community, StandingTally.of(standings), Activity.of(community, events, as_of), as_of)


def overview_with(
    engine: Engine, community: Community, tally: StandingTally, activity: Activity, as_of: datetime, *, known_from_us: int = 0
) -> Overview:
    """Of what all members' standings and activity add up to; events before `known_from_us` are no longer there."""
    stages = tally.counted("stage")
    return Overview(
        as_of=as_of,
        last_event_at=EPOCH + timedelta(microseconds=activity.last_us),
        model_version=engine.version,
        grade=engine.provenance.grade,
        trained_through=engine.provenance.trained_through,
        horizon_days=community.churn.horizon_days,
        members=tally.members,
        scored=counted_of(tally.rows),
        bands=tuple(_band(tally.rows, name) for name in BANDS),
        stages={stage: stages.get(stage, 0) for stage in STAGES},
        chosen=tally.counted("chosen"),
        liveliness=activity.liveliness(),
        cohorts=activity.cohorts(known_from_us),
        not_silent=activity.heard / activity.members if activity.members else None,
        mean_value=tally.mean_value,
        since=activity.since,
        flows=activity.paths.flows,
    )


def _band(rows: pl.DataFrame, name: str) -> Band:
    of_band = rows.filter(pl.col("risk_band") == name)
    return Band(name, int(of_band["everyone"].sum()), *(float(of_band[column].sum()) for column in ("expected", "value_at_risk")))
