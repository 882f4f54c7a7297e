"""The rows to learn from and the members to test on: cuts through the log, so far apart that no label reaches into the test."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from models.attribute_fit import fit_attributes
from models.attributes import AttributeEncoding, with_attributes
from models.churn_fit import TrainingRows
from models.community import DAY_US
from models.errors import InputError, NotEnoughData
from models.features import feature_spec
from models.member_sample import Drawn
from models.snapshots import last_usable_cut, pool
from models.training_cuts import cuts_to_learn_from, later_cuts, latest_test

if TYPE_CHECKING:
    from models.arrays import Flags, Floats
    from models.community import Community
    from models.events import EventArrays
    from models.features import FeatureSpec
    from models.histories import Histories
    from models.snapshots import Snapshots

MOST_ROWS = 300_000
THREADS = 2


@dataclass(frozen=True)
class TrainingData:
    """The rows to learn from, and the test's members. churned, test_churned: one column for each horizon, shape (n, n_horizons)."""

    community: Community
    spec: FeatureSpec
    attributes: AttributeEncoding
    log_end_us: int
    test_as_of_us: int
    rows: Snapshots
    features: Floats
    churned: Flags
    test: Snapshots
    test_features: Floats
    test_churned: Flags

    def labelled(self, horizon_days: int) -> TrainingRows:
        """Snapshots whose label at this horizon ends by the test date."""
        known = np.flatnonzero(self.rows.as_of_us + horizon_days * DAY_US <= self.test_as_of_us)
        rows = self.rows[known]
        features = self.features if len(known) == len(self.rows) else self.features[known]
        return TrainingRows(features, self.churned[known, self._column(horizon_days)], rows.member, rows.as_of_us)

    @property
    def tested(self) -> Flags:
        """Who of the test's members churned, by the main horizon, shape (n_test,)."""
        churned: Flags = self.test_churned[:, self._column(self.community.churn.horizon_days)]
        return churned

    def _column(self, horizon_days: int) -> int:
        return self.community.churn.horizons_days.index(horizon_days)


def default_test_as_of(events: EventArrays, community: Community) -> datetime:
    return latest_test(Drawn.of(events).last_us, community)


def gather(
    histories: Histories, community: Community, test_as_of_us: int, rng: np.random.Generator, *, drawn: Drawn, most_rows: int = MOST_ROWS
) -> TrainingData:
    """`drawn`: whom the members of `histories` were drawn from."""
    spec = feature_spec(community)
    _check_test_date(test_as_of_us, drawn.last_us, community)
    *populations, test = histories.populations([*_cuts(drawn.first_us, test_as_of_us, community), test_as_of_us])
    rows = _capped(pool(populations), most_rows, rng)
    attributes = fit_attributes(histories.attributes, rows.member)
    asked, n = pool([rows, test]), len(rows)
    features = with_attributes(histories.behaviour(asked), attributes, histories.attributes, asked.member)
    churned = histories.churned(asked, community.churn.horizons_days)
    return TrainingData(
        community, spec, attributes, drawn.last_us, test_as_of_us, rows, features[:n], churned[:n], test, features[n:], churned[n:]
    )


def _check_test_date(test_as_of_us: int, log_end_us: int, community: Community) -> None:
    latest = last_usable_cut(log_end_us, community.churn.horizon_days)
    if test_as_of_us > latest:
        message = (
            f"test date {_day(test_as_of_us)}: its {community.churn.horizon_days}-day outcome is not in the log, "
            f"which ends {_day(log_end_us)}; the latest date that can be tested is {_day(latest)}"
        )
        raise InputError(message)


def _day(at_us: int) -> str:
    return datetime.fromtimestamp(at_us / 1e6, tz=UTC).date().isoformat()


def _cuts(log_start_us: int, test_as_of_us: int, community: Community) -> list[int]:
    """Those of the decision horizon, and later ones of the shorter horizons. Raises NotEnoughData where the log is too short."""
    churn = community.churn
    cuts = cuts_to_learn_from(log_start_us, test_as_of_us, churn)
    if not cuts:
        message = (
            f"the log begins {_day(log_start_us)}; a test on {_day(test_as_of_us)} with a horizon of {churn.horizon_days} days "
            f"leaves nothing to learn from: it must begin before {_day(test_as_of_us - churn.horizon_days * DAY_US)}. "
            "Bring a longer log, choose a later test date or a shorter horizon"
        )
        raise NotEnoughData(message)
    return [*cuts, *later_cuts(test_as_of_us, churn)]


def _capped(rows: Snapshots, most: int, rng: np.random.Generator) -> Snapshots:
    """All snapshots of so many members drawn at random that about `most` remain."""
    if len(rows) <= most:
        return rows
    drawn = rng.random(int(rows.member.max()) + 1) < most / len(rows)
    return rows[np.flatnonzero(drawn[rows.member])]
