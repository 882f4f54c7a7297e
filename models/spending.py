"""What members were seen to spend after snapshots: what their value is learned from, and tested on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from models.community import DAY_US
from models.snapshots import Snapshots

if TYPE_CHECKING:
    from models.arrays import Floats, Integers
    from models.community import Community
    from models.histories import Histories


@dataclass(frozen=True)
class SeenSpending:
    """rows (n,): positions of the snapshots whose spending in `days` from their `as_of` is known; spent (n,).

    fading: as of `seen_fading`, where `days` is less than `value_days`, else 1. tested (n_test,): what the test's members spent in
    `value_days`; None where the log is too short to tell.
    """

    days: int
    rows: Integers
    spent: Floats
    fading: float = 1.0
    tested: Floats | None = None

    @classmethod
    def of(cls, histories: Histories, rows: Snapshots, test: Snapshots, community: Community, *, until_us: int, end_us: int) -> Self:
        """From spending before `until_us`; `tested` from that before `end_us`, the end of the log."""
        value_days = community.value.value_days
        reach = int((until_us - rows.as_of_us.min(initial=until_us)) // DAY_US)
        days = learnable_days(value_days, int((until_us - histories.first_us) // DAY_US), reach)
        known = np.flatnonzero(rows.as_of_us + days * DAY_US <= until_us)
        spent = histories.spent(rows[known], (days,))[:, 0]
        fading = 1.0 if days == value_days else seen_fading(histories, days, until_us)
        tested = histories.spent(test, (value_days,))[:, 0] if until_us + value_days * DAY_US <= end_us else None
        return cls(days, known, spent, fading, tested)


def learnable_days(value_days: int, log_days: int, reach: int) -> int:
    """`value_days` where it is at most half of the log, else a third of the log: as much to look back on, and as much to check on.

    The dates that are learned from may `reach` back less: where a third of that or less would be seen to its end, a third of it.
    """
    days = value_days if 2 * value_days <= log_days else max(1, min(value_days, log_days // 3))
    return days if 3 * days < 2 * reach else max(1, min(days, reach // 3))


def seen_fading(histories: Histories, days: int, until_us: int) -> float:
    """Spending of the second `days` before `until` over that of the first, by members who had joined before both; 1 at most."""
    since = until_us - 2 * days * DAY_US
    known = np.flatnonzero(histories.joined_us < since)
    spent = histories.spent(Snapshots(known, np.full(len(known), since), histories.joined_us[known]), (days, 2 * days))
    first, both = (float(np.ascontiguousarray(column).sum()) for column in spent.T)
    return min(max(both / first - 1, 0.0), 1.0) if first > 0 else 1.0
