"""The laws of a simulated community: latent engagement, hazards, effects of interventions, and the policy that assigns them.

A member visits as an inhomogeneous Poisson process. On day t the logarithm of the visits per day is

    level + drift(t) + fade(t) + boost(t) + season(t)

- `level` is the member's own usual activity, unequal between members (normal on the log scale).
- `drift` is a stationary first-order autoregression (mean 0), so activity moves slowly and risk is smooth.
- `fade` relaxes towards `-FADE_DEPTH` while the member is fading and towards 0 otherwise. Fading begins and ends with constant hazards,
  the first raised for newcomers. Nobody is marked dead: a faded member can return.
- `boost` is what interventions did to the member. It adds up over deliveries and halves every `BOOST_HALF_LIFE_DAYS`.

A touch therefore moves retention most where it is uncertain that a visit comes, and hardly for members who surely come or are long lost.
Silence is the absence of visits; each visit holds at least one qualifying event.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt

from models.errors import InputError

Floats = npt.NDArray[np.float32]
Integers = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

DRIFT_SPREAD = 0.6  # standard deviation, on the log scale
DRIFT_DAYS = 60.0
FADE_DEPTH = 3.5
FADE_DAYS = 20.0
FADE_HAZARD = 1 / 220  # per day
RETURN_HAZARD = 1 / 200  # per day
NEWCOMER_FADE_FACTOR = 12.0  # fading begins this many times as easily on the first day
NEWCOMER_FADE_DAYS = 5.0
BOOST_HALF_LIFE_DAYS = 14.0
HABIT_DAYS = 20.0
AUDIENCE_DAYS = 60  # campaigns leave out whoever has not visited for longer
EXPLORATION = 0.2  # share of the logging policy that is uniform over the arms
SHIFT_SPREAD = 0.15  # standard deviation of a member's own response, unexplained by any driver
WEEKDAY_WEIGHT = np.array([-0.3, -0.2, 0.0, 0.0, 0.2, 1.0, 0.6]) - 0.185714  # Monday to Sunday, mean 0

DRIVERS = ("constant", "newcomer", "quiet", "bargain", "reader", "social", "young")


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
        effect_scale: factor on every effect of an intervention; 0 makes all of them null.
        missing_values: share of purchases without `value`.
        missing_attributes: share of each member attribute that is missing.
        truth_as_of: midnights (UTC) at which the truth is computed; None takes 150, 120, 90, 60 and 30 days before the end.
        horizons_days: horizons of the truth.
        truth_paths: Monte Carlo paths for each member and date, an even number. Standard error of `true_risk`: below 0.3 / sqrt(paths).
        block_members: members simulated at a time; bounds memory.
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
    effect_scale: float = 1.0
    missing_values: float = 0.05
    missing_attributes: float = 0.15
    truth_as_of: tuple[date, ...] | None = None
    horizons_days: tuple[int, ...] = (7, 30, 90)
    truth_paths: int = 32
    block_members: int = 10_000

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


def _require(name: str, value: object, holds: bool, allowed: str) -> None:  # noqa: FBT001  # the condition is the point
    if not holds:
        raise InputError(f"simulation.{name}: got {value!r}; it must be {allowed}")


@dataclass(frozen=True)
class Arm:
    """One arm of the experiment that runs inside the simulated community.

    Attributes:
        id: intervention, or "none".
        channels: where it is sent; drawn uniformly.
        delivery: probability that an assignment reaches the member.
        preference: weight of each driver in the logit of the logging policy. "quiet" stands for observed risk and confounds.
        shift: weight of each driver in the shift of the member's log visits per day on delivery; empty for an arm without any effect.
    """

    id: str
    channels: tuple[str, ...]
    delivery: float
    preference: dict[str, float]
    shift: dict[str, float]


ARMS = (
    Arm("none", (), 0.0, {"constant": 1.6}, {}),
    Arm("welcome_gift", ("app_push", "sms"), 0.9, {"constant": -0.6, "newcomer": 2.0}, {"newcomer": 1.4}),
    Arm("silence_benefit", ("app_push", "sms"), 0.9, {"constant": -0.8, "quiet": 1.8}, {"quiet": 0.4, "bargain": 0.6}),
    Arm("comeback_offer", ("email", "sms"), 0.85, {"constant": -1.0, "quiet": 2.4}, {"constant": -0.4, "quiet": 1.3}),
    Arm("content_digest", ("email",), 0.8, {"constant": 0.0}, {"constant": -0.35, "reader": 0.8}),
    Arm("question", ("app_push", "group_chat"), 0.9, {"constant": 0.2, "quiet": -0.8}, {}),
    Arm("group_invitation", ("group_chat",), 0.85, {"constant": 0.0, "quiet": -0.5}, {"social": 0.7}),
    Arm("recognition_badge", ("app_push",), 0.95, {"constant": 0.4, "quiet": -1.6}, {}),
    Arm("personal_call", ("phone",), 0.6, {"constant": -1.0, "quiet": 1.2}, {"constant": 0.8, "young": -1.8}),
)
ARM_IDS = tuple(arm.id for arm in ARMS)
DELIVERY = np.array([arm.delivery for arm in ARMS], dtype=np.float32)
_PREFERENCE = np.array([[arm.preference.get(driver, 0.0) for arm in ARMS] for driver in DRIVERS], dtype=np.float32)
_SHIFT = np.array([[arm.shift.get(driver, 0.0) for arm in ARMS] for driver in DRIVERS], dtype=np.float32)


@dataclass(frozen=True)
class Traits:
    """What does not change in a member; arrays of shape (n_members,), sorted by `joined_day`.

    Attributes:
        joined_day: days since the start of the log, negative before it.
        slot: the weekly campaign, modulo `campaign_weeks`, that assigns the member.
        level: log of the usual visits per day.
        fixed_drivers: 0 or 1 for bargain, reader, social, young, in this order; shape (n_members, 4).
        own_shift: the member's own deviation from the shift of each arm; shape (n_members, n_arms).
    """

    joined_day: Integers
    slot: Integers
    level: Floats
    fixed_drivers: Floats
    own_shift: Floats

    def of(self, rows: slice | Integers) -> Traits:
        return Traits(self.joined_day[rows], self.slot[rows], self.level[rows], self.fixed_drivers[rows], self.own_shift[rows])


@dataclass(frozen=True)
class State:
    """What changes from day to day, updated in place; arrays of shape (n_members,), or (n_members, n_paths) when looking ahead.

    `habit` is the exponentially weighted mean of visits per day and `last_visit` the day of the latest one: the two that a logging policy
    can observe. They stay of shape (n_members,) when looking ahead, because along a silent path both are known.
    """

    drift: Floats
    fade: Floats
    fading: Flags
    boost: Floats
    habit: Floats
    last_visit: Integers

    def of(self, rows: slice) -> State:
        """Views: advancing them advances the whole."""
        return State(self.drift[rows], self.fade[rows], self.fading[rows], self.boost[rows], self.habit[rows], self.last_visit[rows])

    def fan_out(self, paths: int) -> State:
        return State(
            np.repeat(self.drift[:, None], paths, axis=1),
            np.repeat(self.fade[:, None], paths, axis=1),
            np.repeat(self.fading[:, None], paths, axis=1),
            np.repeat(self.boost[:, None], paths, axis=1),
            self.habit,
            self.last_visit,
        )


@dataclass(frozen=True)
class Campaign:
    """Assignments of one day, drawn one or more times.

    Attributes:
        row: members assigned; shape (n_rows,).
        propensity: logged probability of each arm; shape (n_rows, n_arms).
        arm: index in `ARMS`; shape (n_rows, n_draws), as are the following.
        delivered: never for the arm "none".
        boost: what delivery adds to the member's boost, 0 where there was none.
    """

    row: Integers
    propensity: Floats
    arm: Integers
    delivered: Flags
    boost: Floats


def arrive(traits: Traits, visits_per_day: float, rng: np.random.Generator) -> State:
    """The state on the day of joining: engaged, at a stationary drift, observed only as an average member."""
    n = len(traits.level)
    drift = DRIFT_SPREAD * rng.standard_normal(n, dtype=np.float32)
    zero = np.zeros(n, dtype=np.float32)
    return State(drift, zero, np.zeros(n, dtype=np.bool_), zero.copy(), zero + np.float32(visits_per_day), traits.joined_day.copy())


def advance(state: State, tenure: Integers, shock: Floats, rng: np.random.Generator) -> None:
    """Move the latent state by one day; `shock` is standard normal noise of its shape, `tenure` in days broadcasts against it."""
    keep = np.float32(np.exp(-1 / DRIFT_DAYS))
    state.drift[...] = keep * state.drift + np.float32(DRIFT_SPREAD * np.sqrt(1 - keep**2)) * shock
    newcomer = 1 + (NEWCOMER_FADE_FACTOR - 1) * np.exp(-tenure / NEWCOMER_FADE_DAYS)
    hazard = np.where(state.fading, np.float32(RETURN_HAZARD), (FADE_HAZARD * newcomer).astype(np.float32))
    state.fading[...] ^= rng.random(state.fading.shape, dtype=np.float32) < hazard
    target = np.where(state.fading, np.float32(-FADE_DEPTH), np.float32(0))
    state.fade[...] += (target - state.fade) / np.float32(FADE_DAYS)
    state.boost[...] *= np.float32(0.5 ** (1 / BOOST_HALF_LIFE_DAYS))


def season(day: int, config: SimulationConfig) -> float:
    """Deviation of the log activity on a day of the log; averages 0 over a week and over a year, lowest in midwinter."""
    today = config.start + timedelta(days=day)
    annual = -np.cos(2 * np.pi * today.timetuple().tm_yday / 365.25)
    return float(config.weekly_amplitude * WEEKDAY_WEIGHT[today.weekday()] + config.annual_amplitude * annual)


def visit_rate(level: Floats, state: State, seasonal: float) -> Floats:
    rate: Floats = np.exp(level + state.drift + state.fade + state.boost + np.float32(seasonal))
    return rate


def drivers(traits: Traits, habit: Floats, day: int) -> Floats:
    """What responses and the logging policy depend on; shape (n_members, n_drivers), columns as in `DRIVERS`.

    newcomer = exp(-tenure / 30 days); quiet = exp(-30 days x habit), the silence that the observed habit alone would predict.
    """
    newcomer = np.exp(-(day - traits.joined_day) / 30).astype(np.float32)
    return np.column_stack((np.ones_like(habit), newcomer, np.exp(-30 * habit), traits.fixed_drivers))


def shifts(traits: Traits, driven: Floats, config: SimulationConfig) -> Floats:
    """Shift of the log visits per day on delivery of each arm; shape (n_members, n_arms)."""
    return np.float32(config.effect_scale) * (driven @ _SHIFT + traits.own_shift)


def propensities(driven: Floats) -> Floats:
    """The logging policy: (1 - EXPLORATION) x softmax of the preferences + EXPLORATION / n_arms; shape (n_members, n_arms)."""
    logits = driven @ _PREFERENCE
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: Floats = weights / weights.sum(axis=1, keepdims=True)
    return (1 - EXPLORATION) * softmax + np.float32(EXPLORATION / len(ARMS))


def own_shifts(members: int, rng: np.random.Generator) -> Floats:
    """Members' own deviations, 0 for an arm without any effect; shape (n_members, n_arms)."""
    return (SHIFT_SPREAD * rng.standard_normal((members, len(ARMS)), dtype=np.float32) * _SHIFT.any(axis=0)).astype(np.float32)


def audience(traits: Traits, last_visit: Integers, day: int, config: SimulationConfig) -> Integers:
    """Rows of the members that the campaign of a day assigns; empty on days without one."""
    if day % 7:
        return np.empty(0, dtype=np.int64)
    turn = traits.slot == day // 7 % config.campaign_weeks
    return np.flatnonzero(turn & (traits.joined_day < day) & (day - last_visit <= AUDIENCE_DAYS))


def _draw_arms(propensity: Floats, draws: int, rng: np.random.Generator) -> Integers:
    """Arm indices of shape (n_members, draws), by inversion of the cumulative propensities."""
    ceilings = np.cumsum(propensity, axis=1)[:, :-1]
    uniform = rng.random((len(propensity), draws), dtype=np.float32)
    arms: Integers = np.sum(uniform[:, :, None] >= ceilings[:, None, :], axis=2, dtype=np.int64)
    return arms


def run_campaign(traits: Traits, state: State, day: int, draws: int, config: SimulationConfig, rng: np.random.Generator) -> Campaign:
    """Assign the audience of a day, from what was observed before it; the boosts are returned and not yet applied."""
    rows = audience(traits, state.last_visit, day, config)
    driven = drivers(traits.of(rows), state.habit[rows], day)
    propensity = propensities(driven)
    arm = _draw_arms(propensity, draws, rng)
    delivered = rng.random(arm.shape, dtype=np.float32) < DELIVERY[arm]
    shift = np.take_along_axis(shifts(traits.of(rows), driven, config), arm, axis=1)
    return Campaign(rows, propensity, arm, delivered, shift * delivered)
