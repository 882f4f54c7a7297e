"""Where members stand - risk, stage, value and reasons - told member by member, before anything is weighed and beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import numpy as np

from models.decision import ChurnScore, MemberState, Score
from models.eligibility import OPTED_OUT
from models.features import lower_bound
from models.moments import EPOCH
from models.weighing import BANDS, Assessed, assess, risk_bands

if TYPE_CHECKING:
    from models.arrays import Floats, Integers
    from models.decision import Arm, ChurnStatus, Reason
    from models.declared import Language
    from models.engine import Engine
    from models.events import EventArrays
    from models.snapshots import Snapshots


class Explain(Protocol):
    """The reasons of each scored member: features (n_scored, n_features), probability (n_scored,)."""

    def __call__(self, engine: Engine, features: Floats, probability: Floats, language: Language) -> list[tuple[Reason, ...]]: ...


def score(
    engine: Engine,
    events: EventArrays,
    snapshots: Snapshots,
    member_ids: Sequence[str],
    *,
    as_of: datetime,
    language: Language,
    explain: Explain | None = None,
    impersonal: tuple[int, ...] = (),
) -> list[Score]:
    """What `decide` would say of where each member stands, without weighing what to do; `impersonal` as of `ContactHistory`."""
    assessed = assess(engine, events, snapshots, member_ids, impersonal)
    standings = Standings(engine, assessed, last_event_us(events, snapshots, len(engine.community.signals)))
    reasons = reasons_by_row(engine, assessed, language, explain)
    return [standings.score(row, member_id, as_of, reasons.get(row, ())) for row, member_id in enumerate(member_ids)]


def last_event_us(events: EventArrays, snapshots: Snapshots, n_signals: int) -> Integers:
    """The member's own last event before `as_of`, qualifying or not, shape (n,); -1 where there is none. Touches are not the member's."""
    own = np.flatnonzero(events.signal < n_signals)
    offsets = np.searchsorted(own, events.offsets)
    low, high = offsets[snapshots.member], offsets[snapshots.member + 1]
    at = events.timestamp_us[own]
    end = lower_bound(at, low, high, snapshots.as_of_us)
    return np.where(end > low, at[np.maximum(end, 1) - 1] if len(at) else -1, -1)


def reasons_by_row(engine: Engine, assessed: Assessed, language: Language, explain: Explain | None) -> dict[int, tuple[Reason, ...]]:
    """Of scored members alone; none where nobody explains."""
    rows = np.flatnonzero(assessed.scored)
    if explain is None or len(rows) == 0:
        return {}
    told = explain(engine, assessed.scores.features[rows], assessed.probability[rows], language)
    return dict(zip(rows.tolist(), told, strict=True))


class _Churn(NamedTuple):
    """Of one member; the numbers mean something where the status is `scored`."""

    status: str
    probability: float
    horizons: list[float]
    percentile: float
    band: int


@dataclass(frozen=True)
class Standings:
    """Row by row. All columns are made plain numbers first, for to take them out of arrays one by one costs more than all else."""

    engine: Engine
    assessed: Assessed
    last_event_us: Integers

    @cached_property
    def scored(self) -> list[bool]:
        told: list[bool] = self.assessed.scored.tolist()
        return told

    @cached_property
    def values(self) -> list[float]:
        told: list[float] = self.assessed.scores.value.astype(np.float64).tolist()
        return told

    @cached_property
    def _churn(self) -> list[_Churn]:
        assessed, scores = self.assessed, self.assessed.scores
        bands = risk_bands(assessed.probability, self.engine.reference.band_edges)
        horizons = scores.probability.astype(np.float64)
        columns = (scores.status, assessed.probability, horizons, assessed.percentile, bands)
        return [_Churn(*of_one) for of_one in zip(*(column.tolist() for column in columns), strict=True)]

    @cached_property
    def _days(self) -> list[tuple[float, float, int]]:
        """Of tenure, and since the last event of all; and when the member's own last event was."""
        silent = self.assessed.scores.features[:, self.engine.spec.position("days_since_any")]
        columns = (self.assessed.lifecycles.tenure_days, silent, self.last_event_us)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def last_event_at(self, row: int) -> datetime | None:
        at = self._days[row][2]
        return None if at < 0 or self._churn[row].status == OPTED_OUT else EPOCH + timedelta(microseconds=at)

    def arm(self, row: int) -> Arm:
        return "control" if self.assessed.control[row] else "treated"

    def churn(self, row: int) -> ChurnScore:
        declared, told = self.engine.community.churn, self._churn[row]
        status = cast("ChurnStatus", told.status)
        if not self.scored[row]:
            return ChurnScore(status, declared.horizon_days)
        return ChurnScore(
            status=status,
            horizon_days=declared.horizon_days,
            probability=told.probability,
            typical_probability=self.engine.reference.typical_probability,
            percentile=told.percentile,
            risk_band=BANDS[told.band],
            horizons=tuple(zip(declared.horizons_days, told.horizons, strict=True)),
        )

    def member(self, row: int) -> MemberState:
        lifecycles, value = self.assessed.lifecycles, self.values[row]
        tenure, silent, _ = self._days[row]
        return MemberState(
            stage=lifecycles.stage_of(row),
            tier=lifecycles.tier_of(row),
            tags=lifecycles.tags_of(row),
            value=value,
            value_at_risk=self._churn[row].probability * value if self.scored[row] else None,
            tenure_days=tenure,
            days_silent=None if math.isnan(silent) else silent,
        )

    def score(self, row: int, member_id: str, as_of: datetime, reasons: tuple[Reason, ...]) -> Score:
        return Score(
            member_id=member_id,
            features_as_of=as_of,
            last_event_at=self.last_event_at(row),
            churn=self.churn(row),
            member=self.member(row),
            reasons=reasons,
            arm=self.arm(row),
            model_version=self.engine.version,
            grade=self.engine.grade,
        )
