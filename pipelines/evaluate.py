"""Measures a registered engine at a date whose outcome the log holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.comparison import compare
from models.errors import InputError
from models.snapshots import Activity, label_churn, last_usable_cut, population
from models.training import default_test_as_of
from models.weighing import microseconds
from pipelines.loading import champion_or_challenger, load, moment

if TYPE_CHECKING:
    from datetime import datetime

    from models.comparison import Compared
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Evaluated:
    """`out_of_time` is False where the engine learned from outcomes that end after `as_of`: then the figures flatter it."""

    version: str
    as_of: datetime
    horizon_days: int
    in_use: str
    out_of_time: bool
    compared: Compared

    def to_dict(self) -> dict[str, Any]:
        compared = self.compared
        return {
            "version": self.version,
            "as_of": self.as_of.isoformat(),
            "horizon_days": self.horizon_days,
            "members": compared.metrics.n,
            "out_of_time": self.out_of_time,
            "churn": {
                **compared.metrics.to_dict(),
                "grade": compared.grade,
                "in_use": self.in_use,
                "auc_gain": compared.gain.value,
                "auc_gain_interval": compared.gain.interval,
                "baselines": {name: metrics.to_dict() for name, metrics in compared.baselines.items()},
            },
        }


def evaluate(workspace: Workspace, *, as_of: str | None, version: str | None, seed: int, now: datetime) -> Evaluated:
    """By default the champion, else the challenger, at the last date whose outcome is known.

    Raises InputError, NotEnoughData, NoChampion, ModelRefused.
    """
    loaded = load(workspace, now=now)
    engine = champion_or_challenger(workspace, version)
    community, arrays = engine.community, loaded.arrays
    at = default_test_as_of(arrays, community) if as_of is None else moment(as_of, community)
    _check_known(int(arrays.timestamp_us.max()), at, community.churn.horizon_days)
    activity = Activity.of(arrays, engine.qualifying)
    members = population(activity, microseconds(at), community.churn)
    if len(members) == 0:
        message = f"nobody was active in the {community.churn.active_days} days before {at.date()}; choose a date within the log"
        raise InputError(message)
    features = engine.features(arrays, members, threads=2)
    churned = label_churn(activity, members, community.churn.horizon_days, community.churn)
    baselines = {name: model.probability(features) for name, model in engine.baselines.items()}
    risk = engine.churn.main_model.probability(features)
    compared = compare(churned, risk, baselines, members.member, rng=np.random.default_rng(seed))
    provenance = engine.provenance
    return Evaluated(engine.version, at, community.churn.horizon_days, provenance.in_use, at >= provenance.trained_through, compared)


def _check_known(log_end_us: int, at: datetime, horizon_days: int) -> None:
    if microseconds(at) > last_usable_cut(log_end_us, horizon_days):
        message = f"{at.date()}: the outcome over {horizon_days} days is not in the log yet; choose an earlier date"
        raise InputError(message)
