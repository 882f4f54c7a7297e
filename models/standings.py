"""Where members stand - risk, stage, value and reasons - told member by member, before anything is weighed and beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import numpy as np

from models.decision import ChurnScore, MemberState
from models.eligibility import OPTED_OUT
from models.features import lower_bound
from models.moments import EPOCH
from models.weighing import BANDS, Assessed, risk_bands

if TYPE_CHECKING:
    from datetime import datetime

    from models.arrays import Floats, Integers
    from models.decision import Arm, ChurnStatus, Reason, RiskBand
    from models.declared import Language
    from models.engine import Engine
    from models.events import EventArrays
    from models.snapshots import Snapshots


class Explain(Protocol):
    """The reasons of each scored member: features (n_scored, n_features), probability (n_scored,)."""

    def __call__(self, engine: Engine, features: Floats, probability: Floats, language: Language) -> list[tuple[Reason, ...]]: ...


def last_event_us(events: EventArrays, snapshots: Snapshots, n_signals: int) -> Integers:
    """The member's own last event before `as_of`, qualifying or not, shape (n,); -1 where there is none. Touches are not the member's."""
    own = (events.signal < n_signals).nonzero()[0]
    offsets = own.searchsorted(events.offsets)
    low, high = offsets[snapshots.member], offsets[snapshots.member + 1]
    at = events.timestamp_us[own]
    end = lower_bound(at, low, high, snapshots.as_of_us)
    return np.where(end > low, at.take(end - 1, mode="clip") if len(at) else -1, -1)


def reasons_by_row(engine: Engine, assessed: Assessed, language: Language, explain: Explain | None) -> list[tuple[Reason, ...]]:
    """Of scored members alone; none where nobody explains."""
    rows = np.flatnonzero(assessed.scored)
    reasons: list[tuple[Reason, ...]] = [()] * len(assessed.scored)
    if explain is not None and len(rows):
        told = explain(engine, assessed.scores.features[rows], assessed.probability[rows], language)
        for row, reason in zip(rows.tolist(), told, strict=True):
            reasons[row] = reason
    return reasons


class _Churn(NamedTuple):
    """Of one member; the numbers mean something where the status is `scored`."""

    status: str
    probability: float
    horizons: list[float]
    percentile: float
    band: int


class Risk(NamedTuple):
    """Of one member; `probability` is None where the member is not scored."""

    status: ChurnStatus
    probability: float | None


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
    def risks(self) -> list[Risk]:
        each = zip(self._churn, self.scored, strict=True)
        return [Risk(cast("ChurnStatus", told.status), told.probability if scored else None) for told, scored in each]

    @cached_property
    def _churn(self) -> list[_Churn]:
        assessed, scores = self.assessed, self.assessed.scores
        bands = risk_bands(assessed.probability, self.engine.reference.band_edges)
        horizons = scores.probability.astype(np.float64)
        columns = (scores.status, assessed.probability, horizons, assessed.percentile, bands)
        return [_Churn(*of_one) for of_one in zip(*(column.tolist() for column in columns), strict=True)]

    @cached_property
    def _days(self) -> list[tuple[float, float]]:
        """Of tenure, and since the last event of all."""
        silent = self.assessed.scores.features[:, self.engine.spec.position("days_since_any")]
        columns = (self.assessed.lifecycles.tenure_days, silent)
        return list(zip(*(column.tolist() for column in columns), strict=True))

    @cached_property
    def last_events(self) -> list[datetime | None]:
        """When each member's own last event was, where it is told."""
        each = enumerate(self.last_event_us.tolist())
        return [None if at < 0 or self.withheld(row) else EPOCH + timedelta(microseconds=at) for row, at in each]

    def withheld(self, row: int) -> bool:
        """The member switched personalisation off."""
        return self._churn[row].status == OPTED_OUT

    def arm(self, row: int) -> Arm:
        return "control" if self._control[row] else "treated"

    @cached_property
    def _control(self) -> list[bool]:
        told: list[bool] = self.assessed.control.tolist()
        return told

    def risk_band(self, row: int) -> RiskBand | None:
        return BANDS[self._churn[row].band] if self.scored[row] else None

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
            risk_band=self.risk_band(row),
            horizons=tuple(zip(declared.horizons_days, told.horizons, strict=True)),
        )

    @cached_property
    def members(self) -> list[MemberState]:
        return [self._member(row) for row in range(len(self.scored))]

    def _member(self, row: int) -> MemberState:
        value, (tenure, silent) = self.values[row], self._days[row]
        lifecycles = self.assessed.lifecycles
        return MemberState(
            stage=lifecycles.stage_of(row),
            tier=lifecycles.tier_of(row),
            tags=lifecycles.tags_of(row),
            value=value,
            value_at_risk=self._churn[row].probability * value if self.scored[row] else None,
            tenure_days=tenure,
            days_silent=None if math.isnan(silent) else silent,
        )
