"""Measures a registered engine at a date whose outcome the log holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.calibration_curve import calibration_points
from models.campaign_profit import campaign_profit
from models.comparison import compare
from models.errors import InputError
from models.moments import microseconds
from models.snapshots import Activity, label_churn, last_usable_cut, population
from models.training_rows import default_test_as_of
from pipelines.dates import moment
from pipelines.loading import champion_or_challenger, load_to_learn, registry
from pipelines.publish_figures import publish_models

if TYPE_CHECKING:
    from datetime import datetime

    from models.arrays import Flags
    from models.calibration_curve import CalibrationPoint
    from models.campaign_profit import CampaignProfit
    from models.comparison import Compared
    from models.engine import Engine
    from models.events import EventArrays
    from models.snapshots import Snapshots
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
    campaign: CampaignProfit
    calibration: tuple[CalibrationPoint, ...]

    def to_dict(self) -> dict[str, Any]:
        compared = self.compared
        return {
            "version": self.version,
            "as_of": self.as_of.isoformat(),
            "horizon_days": self.horizon_days,
            "members": compared.metrics.n,
            "out_of_time": self.out_of_time,
            "churn": compared.to_dict(self.in_use, compared.metrics),
            "calibration": [point.to_dict() for point in self.calibration],
            "campaign_profit": self.campaign.to_dict(),
        }


@dataclass(frozen=True)
class KnownOutcomes:
    """The population of one date and who of them was lost; both follow the snapshots."""

    as_of: datetime
    members: Snapshots
    churned: Flags


def evaluate(workspace: Workspace, *, as_of: str | None, version: str | None, seed: int, now: datetime) -> Evaluated:
    """By default the champion, else the challenger, at the last date whose outcome is known. What is found is kept with the version.

    Raises InputError, NotEnoughData, NoChampion, ModelRefused.
    """
    loaded = load_to_learn(workspace, now=now)
    engine = champion_or_challenger(workspace, version)
    known = known_outcomes(engine, loaded.arrays, as_of)
    features = engine.features(loaded.arrays, known.members, threads=2)
    baselines = {name: model.probability(features) for name, model in engine.baselines.items()}
    risk = engine.churn.main_model.probability(features)
    compared = compare(known.churned, risk, baselines, known.members.member, rng=np.random.default_rng(seed))
    evaluated = Evaluated(
        version=engine.version,
        as_of=known.as_of,
        horizon_days=engine.community.churn.horizon_days,
        in_use=engine.provenance.in_use,
        out_of_time=known.as_of >= engine.provenance.trained_through,
        compared=compared,
        campaign=campaign_profit(engine, features, risk),
        calibration=calibration_points(known.churned, risk),
    )
    registry(workspace).keep_measured(engine.version, f"{known.as_of:%Y-%m-%d}", evaluated.to_dict())
    publish_models(workspace, now=now)
    return evaluated


def known_outcomes(engine: Engine, arrays: EventArrays, as_of: str | None) -> KnownOutcomes:
    """By default at the last date whose outcome the log holds; raises InputError for a later one, or where nobody was active."""
    community = engine.community
    at = default_test_as_of(arrays, community) if as_of is None else moment(as_of, community)
    _check_known(int(arrays.timestamp_us.max()), at, community.churn.horizon_days)
    activity = Activity.of(arrays, engine.qualifying)
    members = population(activity, microseconds(at), community.churn)
    if len(members) == 0:
        message = f"nobody was active in the {community.churn.active_days} days before {at.date()}; choose a date within the log"
        raise InputError(message)
    return KnownOutcomes(at, members, label_churn(activity, members, community.churn.horizon_days, community.churn))


def _check_known(log_end_us: int, at: datetime, horizon_days: int) -> None:
    if microseconds(at) > last_usable_cut(log_end_us, horizon_days):
        message = f"{at.date()}: the outcome over {horizon_days} days is not in the log yet; choose an earlier date"
        raise InputError(message)
