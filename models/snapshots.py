"""The (member, as_of) grid, the labels that come after it, and splits that keep the future out of the past."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np

from models.community import DAY_US
from models.features import lower_bound

if TYPE_CHECKING:
    from models.community import Churn
    from models.events import EventArrays


@dataclass(frozen=True)
class Snapshots:
    """Rows of (member, as_of): `member` is a position in the event arrays, times are microseconds since 1970 UTC. All shape (n,)."""

    member: np.ndarray
    as_of_us: np.ndarray
    joined_us: np.ndarray

    def __len__(self) -> int:
        return len(self.member)

    def __getitem__(self, rows: np.ndarray | slice) -> Self:
        return type(self)(self.member[rows], self.as_of_us[rows], self.joined_us[rows])

    @classmethod
    def at(cls, events: EventArrays, as_of_us: int) -> Self:
        """Every member of the arrays, known or not at that time, at one `as_of`."""
        n = len(events.offsets) - 1
        return cls(np.arange(n), np.full(n, as_of_us, dtype=np.int64), events.joined_us)


@dataclass(frozen=True)
class Activity:
    """Qualifying events alone, grouped by member: what population and silence are decided on."""

    offsets: np.ndarray
    timestamp_us: np.ndarray
    joined_us: np.ndarray
    contract_end_us: np.ndarray

    @classmethod
    def of(cls, events: EventArrays, qualifying: np.ndarray) -> Self:
        """`qualifying`: one flag for each signal code, shape (n_codes,)."""
        chosen = qualifying[events.signal]
        kept = np.zeros(len(chosen) + 1, dtype=np.int64)
        np.cumsum(chosen, out=kept[1:])
        return cls(kept[events.offsets], events.timestamp_us[chosen], events.joined_us, events.contract_end_us)

    def first_from(self, member: np.ndarray, at_us: np.ndarray) -> np.ndarray:
        """Position of each member's first qualifying event at or after a time, shape (n,)."""
        return lower_bound(self.timestamp_us, self.offsets[member], self.offsets[member + 1], at_us)

    def count_between(self, member: np.ndarray, from_us: np.ndarray, to_us: np.ndarray) -> np.ndarray:
        """Qualifying events in `[from, to)` for each row, shape (n,)."""
        count: np.ndarray = self.first_from(member, to_us) - self.first_from(member, from_us)
        return count

    def active(self, snapshots: Snapshots, churn: Churn) -> np.ndarray:
        """True where a qualifying event lies in `[as_of - active_days, as_of)`."""
        since = snapshots.as_of_us - churn.active_days * DAY_US
        active: np.ndarray = self.count_between(snapshots.member, since, snapshots.as_of_us) > 0
        return active

    def known(self, snapshots: Snapshots, churn: Churn) -> np.ndarray:
        """True where the member has been there for `min_history_days`."""
        known: np.ndarray = self.joined_us[snapshots.member] <= snapshots.as_of_us - churn.min_history_days * DAY_US
        return known


def present(activity: Activity, snapshots: Snapshots, churn: Churn) -> np.ndarray:
    """Who may be asked about: known and active then, with a contract, where there is one, that has not ended. Shape (n,) bool."""
    bound = activity.contract_end_us[snapshots.member] >= snapshots.as_of_us
    there: np.ndarray = activity.active(snapshots, churn) & activity.known(snapshots, churn) & bound
    return there


def population(activity: Activity, as_of_us: int, churn: Churn) -> Snapshots:
    """Members who may be asked about at `as_of`."""
    n = len(activity.joined_us)
    everyone = Snapshots(np.arange(n), np.full(n, as_of_us, dtype=np.int64), activity.joined_us)
    return everyone[np.flatnonzero(present(activity, everyone, churn))]


def label_churn(activity: Activity, snapshots: Snapshots, horizon_days: int, churn: Churn) -> np.ndarray:
    """True where a member is gone over `[as_of, as_of + horizon)`: silent throughout, or the contract's end falls in it. Shape (n,) bool.

    The caller keeps to cuts whose whole horizon is in the log (`last_usable_cut`); a later one would be censored, not retained.
    """
    end = snapshots.as_of_us + horizon_days * DAY_US
    if churn.contract_event is not None:
        ended: np.ndarray = activity.contract_end_us[snapshots.member] < end
        return ended
    silent: np.ndarray = activity.count_between(snapshots.member, snapshots.as_of_us, end) == 0
    return silent


def last_usable_cut(log_end_us: int, horizon_days: int) -> int:
    """The latest `as_of` whose label interval lies wholly in the log."""
    return log_end_us - horizon_days * DAY_US


def cuts_back_from(latest_us: int, earliest_us: int, step_days: int, most: int) -> list[int]:
    """Equally spaced `as_of` from `latest` backwards, not before `earliest`, at most so many; rising."""
    step = step_days * DAY_US
    number = min(most, max(0, (latest_us - earliest_us) // step + 1))
    return [latest_us - step * k for k in reversed(range(number))]


def pool(parts: list[Snapshots]) -> Snapshots:
    """The rows of several cuts, one after the other."""
    return Snapshots(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("member", "as_of_us", "joined_us")))
