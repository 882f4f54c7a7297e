"""The laws of a simulated community: latent engagement, hazards, effects of interventions, and the policy that assigns them.

A member visits as an inhomogeneous Poisson process. On day t the logarithm of the visits per day is

    level + drift(t) + fade(t) + boost(t) + season(t) + log activity of the regime

- `level` is the member's own usual activity, unequal between members (normal on the log scale).
- `drift` is a stationary first-order autoregression (mean 0), so activity moves slowly and risk is smooth.
- `fade` relaxes towards `-FADE_DEPTH` while the member is fading and towards 0 otherwise. Fading begins and ends with constant hazards,
  the first raised for newcomers and by the regime. Nobody is marked dead: a faded member can return.
- `boost` is what interventions did to the member. It adds up over deliveries and halves every `BOOST_HALF_LIFE_DAYS`.

A touch therefore moves retention most where it is uncertain that a visit comes, and hardly for members who surely come or are long lost.
Silence is the absence of visits; each visit holds at least one qualifying event.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt

from models.simulation_config import SimulationConfig
from models.simulation_worlds import ARMS, WorldPlan

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
DELIVERY = np.array([arm.delivery for arm in ARMS], dtype=np.float32)
WEEKDAY_WEIGHT = np.array([-0.3, -0.2, 0.0, 0.0, 0.2, 1.0, 0.6]) - 0.185714  # Monday to Sunday, mean 0


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
class Delivery:
    """Which assignments arrived, never those of the arm "none", and what each adds to the member's boost; shape (n_rows, n_draws)."""

    delivered: Flags
    boost: Floats


@dataclass(frozen=True)
class Campaign:
    """Assignments of one day, drawn one or more times.

    Attributes:
        row: members assigned; shape (n_rows,).
        propensity: logged probability of each arm; shape (n_rows, n_arms).
        arm: index in `ARMS`; shape (n_rows, n_draws).
        delivery: what came of them.
    """

    row: Integers
    propensity: Floats
    arm: Integers
    delivery: Delivery


def arrive(traits: Traits, visits_per_day: float, rng: np.random.Generator) -> State:
    """The state on the day of joining: engaged, at a stationary drift, observed only as an average member."""
    n = len(traits.level)
    drift = DRIFT_SPREAD * rng.standard_normal(n, dtype=np.float32)
    zero = np.zeros(n, dtype=np.float32)
    return State(drift, zero, np.zeros(n, dtype=np.bool_), zero.copy(), zero + np.float32(visits_per_day), traits.joined_day.copy())


def advance(state: State, tenure: Integers, shock: Floats, fading: float, rng: np.random.Generator) -> None:
    """Move the latent state by one day; `shock` is standard normal noise of its shape, `tenure` in days broadcasts against it.

    `fading` is the regime's factor on the hazard with which fading begins.
    """
    keep = np.float32(np.exp(-1 / DRIFT_DAYS))
    state.drift[...] = keep * state.drift + np.float32(DRIFT_SPREAD * np.sqrt(1 - keep**2)) * shock
    newcomer = 1 + (NEWCOMER_FADE_FACTOR - 1) * np.exp(-tenure / NEWCOMER_FADE_DAYS)
    hazard = np.where(state.fading, np.float32(RETURN_HAZARD), (FADE_HAZARD * fading * newcomer).astype(np.float32))
    state.fading[...] ^= rng.random(state.fading.shape, dtype=np.float32) < hazard
    target = np.where(state.fading, np.float32(-FADE_DEPTH), np.float32(0))
    state.fade[...] += (target - state.fade) / np.float32(FADE_DAYS)
    state.boost[...] *= np.float32(0.5 ** (1 / BOOST_HALF_LIFE_DAYS))


def season(day: int, config: SimulationConfig) -> float:
    """Deviation of the log activity on a day of the log: the season, and the regime's activity.

    The season averages 0 over a week and over a year, lowest in midwinter.
    """
    today = config.start + timedelta(days=day)
    annual = -np.cos(2 * np.pi * today.timetuple().tm_yday / 365.25)
    seasonal = config.weekly_amplitude * WEEKDAY_WEIGHT[today.weekday()] + config.annual_amplitude * annual
    return float(seasonal + np.log(config.regime(day).activity))


def visit_rate(level: Floats, state: State, seasonal: float) -> Floats:
    rate: Floats = np.exp(level + state.drift + state.fade + state.boost + np.float32(seasonal))
    return rate


def drivers(traits: Traits, habit: Floats, day: int) -> Floats:
    """What responses and the logging policy depend on; shape (n_members, n_drivers), columns as in `DRIVERS`.

    newcomer = exp(-tenure / 30 days); quiet = exp(-30 days x habit), the silence that the observed habit alone would predict.
    """
    newcomer = np.exp(-(day - traits.joined_day) / 30).astype(np.float32)
    return np.column_stack((np.ones_like(habit), newcomer, np.exp(-30 * habit), traits.fixed_drivers))


def shifts(traits: Traits, driven: Floats, day: int, config: SimulationConfig) -> Floats:
    """Shift of the log visits per day on delivery of each arm; shape (n_members, n_arms)."""
    weights = config.regime(day).shift_matrix
    return np.float32(config.effect_scale) * (driven @ weights + traits.own_shift * weights.any(axis=0))


def propensities(driven: Floats, world: WorldPlan) -> Floats:
    """The logging policy: (1 - exploration) x softmax of the preferences + exploration / n_arms; shape (n_members, n_arms)."""
    logits = driven @ world.preference_matrix
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    softmax: Floats = weights / weights.sum(axis=1, keepdims=True)
    return (1 - world.exploration) * softmax + np.float32(world.exploration / len(ARMS))


def own_shifts(members: int, world: WorldPlan, rng: np.random.Generator) -> Floats:
    """Members' own deviations, 0 for an arm that never has any effect; shape (n_members, n_arms)."""
    ever = np.logical_or.reduce([regime.shift_matrix.any(axis=0) for regime in world.regimes])
    own: Floats = (world.own_spread * rng.standard_normal((members, len(ARMS)), dtype=np.float32) * ever).astype(np.float32)
    return own


def audience(traits: Traits, last_visit: Integers, day: int, config: SimulationConfig) -> Integers:
    """Rows of the members that the campaign of a day assigns; empty on days without one."""
    if not config.campaigns_on(day):
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
    propensity = propensities(driven, config.world)
    arm = _draw_arms(propensity, draws, rng)
    luck = rng.random(arm.shape, dtype=np.float32)
    return Campaign(rows, propensity, arm, deliver(arm, luck, traits.of(rows), driven, day, config))


def deliver(arm: Integers, luck: Floats, traits: Traits, driven: Floats, day: int, config: SimulationConfig) -> Delivery:
    """What comes of assignments: `luck` is uniform in [0, 1) and of the shape of `arm`, (n_rows, n_draws)."""
    delivered = luck < DELIVERY[arm]
    return Delivery(delivered, np.take_along_axis(shifts(traits, driven, day, config), arm, axis=1) * delivered)
