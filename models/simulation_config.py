"""What may vary between simulated communities, and its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from models.errors import InputError
from models.simulation_worlds import MIXED, Regime, WorldPlan


@dataclass(frozen=True)
class SimulationConfig:
    """What may vary between simulated communities.

    Attributes:
        members: people who join before the end, those of `history_days` included.
        days: length of the log.
        start: first day of the log, in UTC.
        history_days: age of the community at `start`. People join at one constant rate from its first day to the end of the log.
        visits_per_day: median over members of their usual engaged visits per day. It decides how often members fall silent.
        visits_spread: standard deviation of the log of a member's usual visits per day.
        actions_per_visit: mean number of qualifying events in one engaged visit, at least 1. The knob for the size of the log: it leaves
            risk and effects as they are. Reads grow with it.
        weekly_amplitude: log of the activity on the busiest weekday over the average.
        annual_amplitude: half the log ratio of the busiest to the quietest day of the year.
        campaign_weeks: each member in the audience is assigned one arm every this many weeks; campaigns run on days 0, 7, 14, ...
        campaign_days: day from which no campaign runs any more, so that somebody else may decide; None runs them to the end.
        effect_scale: factor on every effect of an intervention; 0 makes all of them null.
        missing_values: share of purchases without `value`.
        missing_attributes: share of each member attribute that is missing.
        truth_as_of: midnights (UTC) at which the truth is computed; None takes 150, 120, 90, 60 and 30 days before the end.
        horizons_days: horizons of the truth.
        truth_paths: Monte Carlo paths for each member and date, an even number. Standard error of `true_risk`: below 0.3 / sqrt(paths).
        block_members: members simulated at a time; bounds memory.
        world: what is planted.
    """

    members: int
    days: int
    start: date
    history_days: int = 540
    visits_per_day: float = 0.15
    visits_spread: float = 0.9
    actions_per_visit: float = 2.0
    weekly_amplitude: float = 0.15
    annual_amplitude: float = 0.03
    campaign_weeks: int = 4
    campaign_days: int | None = None
    effect_scale: float = 1.0
    missing_values: float = 0.05
    missing_attributes: float = 0.15
    truth_as_of: tuple[date, ...] | None = None
    horizons_days: tuple[int, ...] = (7, 30, 90)
    truth_paths: int = 32
    block_members: int = 10_000
    world: WorldPlan = MIXED

    def __post_init__(self) -> None:
        """Raise InputError for a field outside its bounds."""
        for name in ("members", "days", "history_days", "campaign_weeks", "block_members"):
            _require(name, getattr(self, name), getattr(self, name) >= 1, "at least 1")
        for name in ("visits_per_day", "visits_spread"):
            _require(name, getattr(self, name), getattr(self, name) > 0, "above 0")
        for name in ("missing_values", "missing_attributes"):
            _require(name, getattr(self, name), 0 <= getattr(self, name) <= 1, "a share from 0 to 1")
        _require("actions_per_visit", self.actions_per_visit, self.actions_per_visit >= 1, "at least 1")
        _require("truth_paths", self.truth_paths, self.truth_paths >= 2 and self.truth_paths % 2 == 0, "an even number from 2")
        _require("horizons_days", self.horizons_days, bool(self.horizons_days) and min(self.horizons_days) >= 1, "one or more days")
        last = self.start + timedelta(days=self.days)
        for as_of in self.truth_dates:
            _require("truth_as_of", as_of, self.start <= as_of <= last, f"a date from {self.start} to {last}")

    @property
    def truth_dates(self) -> tuple[date, ...]:
        if self.truth_as_of is not None:
            return tuple(sorted(set(self.truth_as_of)))
        return tuple(self.start + timedelta(days=self.days - back) for back in (150, 120, 90, 60, 30) if back <= self.days)

    @property
    def change_day(self) -> int | None:
        """First day of the world's second regime, None where nothing changes."""
        return None if self.world.then is None else round(self.world.change_at * self.days)

    def regime(self, day: int) -> Regime:
        changed = self.change_day is not None and day >= self.change_day
        return self.world.regimes[int(changed)]

    def campaigns_on(self, day: int) -> bool:
        return day % 7 == 0 and (self.campaign_days is None or day < self.campaign_days)


def _require(name: str, value: object, holds: bool, allowed: str) -> None:  # noqa: FBT001  # the condition is the point
    if not holds:
        raise InputError(f"simulation.{name}: got {value!r}; it must be {allowed}")
