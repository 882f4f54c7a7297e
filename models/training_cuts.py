"""The dates that a training learns from and how much it needs there, which the check of a log tells beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from models.community import DAY_US
from models.snapshots import cuts_back_from, last_usable_cut

if TYPE_CHECKING:
    from models.community import Churn, Community

MOST_CUTS = 26
FEWEST_SNAPSHOTS = 200
FEWEST_OF_A_CLASS = 20
FEWEST_TO_GRADE = 10
"""Members of the test with the rarer outcome: on fewer no risk is said to be better than a plain rule."""


@dataclass(frozen=True)
class Outcomes:
    """Snapshots whose whole horizon was seen, and how many of them churned."""

    snapshots: int = 0
    churned: int = 0

    @property
    def rarer(self) -> int:
        return min(self.churned, self.snapshots - self.churned)

    @property
    def suffice(self) -> bool:
        """To learn a risk from. What suffices does so with others added to it."""
        return self.snapshots >= FEWEST_SNAPSHOTS and self.rarer >= FEWEST_OF_A_CLASS

    def __add__(self, other: Outcomes) -> Outcomes:
        return Outcomes(self.snapshots + other.snapshots, self.churned + other.churned)


def latest_test(last_us: int, community: Community) -> datetime:
    """The last midnight, by the community's clock, whose whole decision horizon is in a log that ends with `last_us`."""
    latest = last_usable_cut(last_us, community.churn.horizon_days)
    local = datetime.fromtimestamp(latest / 1e6, tz=UTC).astimezone(community.zone)
    return local.replace(hour=0, minute=0, second=0, microsecond=0)


def cuts_to_learn_from(first_us: int, test_as_of_us: int, churn: Churn) -> list[int]:
    """A quarter of the decision horizon apart (3 to 30 days), rising; none where the log is too short for a test at that date."""
    latest = _latest(test_as_of_us, churn)
    needed = max(churn.active_days, churn.horizon_days) * DAY_US // 2
    earliest = first_us + min(needed, max(latest - first_us, 0))
    return cuts_back_from(latest, earliest, _step_days(churn), MOST_CUTS)


def later_cuts(test_as_of_us: int, churn: Churn) -> list[int]:
    """Those after the last of `cuts_to_learn_from`, for the shorter horizons, whose labels end by the test."""
    step = _step_days(churn) * DAY_US
    return list(range(_latest(test_as_of_us, churn) + step, test_as_of_us - churn.horizons_days[0] * DAY_US + 1, step))


def _latest(test_as_of_us: int, churn: Churn) -> int:
    return test_as_of_us - churn.horizon_days * DAY_US


def _step_days(churn: Churn) -> int:
    return int(np.clip(churn.horizon_days // 4, 3, 30))
