"""What a simulated member will do and what each intervention would change: computed from the laws, not from the log."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from models.simulation_config import SimulationConfig
from models.simulation_laws import (
    BOOST_HALF_LIFE_DAYS,
    DELIVERY,
    HABIT_DAYS,
    Floats,
    State,
    Traits,
    advance,
    audience,
    drivers,
    propensities,
    run_campaign,
    season,
    shifts,
    visit_rate,
)
from models.simulation_worlds import ARMS


@dataclass(frozen=True)
class Foresight:
    """The truth at one moment.

    Attributes:
        risk: probability of silence under the logging policy; shape (n_members, n_horizons).
        silence: probability of silence if each arm is assigned; shape (n_members, n_horizons, n_arms).
    """

    risk: Floats
    silence: Floats

    @property
    def effects(self) -> Floats:
        """Silence averted by each arm, of the shape of `silence`."""
        averted: Floats = self.silence[..., :1] - self.silence
        return averted

    @staticmethod
    def of_nobody(horizons: int) -> Foresight:
        return Foresight(np.empty((0, horizons), dtype=np.float32), np.empty((0, horizons, len(ARMS)), dtype=np.float32))


def foresee(traits: Traits, state: State, day: int, config: SimulationConfig, rng: np.random.Generator) -> Foresight:
    """True risk of silence and true effects at the midnight that begins `day`, given the latent state.

    By Monte Carlo over the latent future. Given a path of the rates, the probability of no visit is exp(-sum of the rates), so visits are
    integrated out and not drawn. Until the first visit nothing is observed, so what the logging policy sees is known; its later arms and
    deliveries are drawn. All arms share one set of paths (common random numbers) with antithetic shocks; a delivery at `as_of`
    multiplies the rate h days ahead by exp(shift x 0.5^(h / BOOST_HALF_LIFE_DAYS)), and delivery itself is integrated out.
    """
    batch = max(1, 65_536 // config.truth_paths)
    parts = [
        _foresee_batch(traits.of(rows), state.of(rows), day, config, rng)
        for rows in (slice(first, first + batch) for first in range(0, max(1, len(traits.level)), batch))
    ]
    return Foresight(np.concatenate([part.risk for part in parts]), np.concatenate([part.silence for part in parts]))


def _foresee_batch(traits: Traits, state: State, day: int, config: SimulationConfig, rng: np.random.Generator) -> Foresight:
    driven = drivers(traits, state.habit, day)
    silence = _silence_by_arm(traits, state, shifts(traits, driven, day, config), day, config, rng)
    silence = silence[..., :1] + DELIVERY * (silence - silence[..., :1])
    chosen = np.zeros((len(traits.level), len(ARMS)), dtype=np.float32)
    chosen[:, 0] = 1
    rows = audience(traits, state.last_visit, day, config)
    chosen[rows] = propensities(driven[rows], config.world)
    return Foresight((silence * chosen[:, None, :]).sum(axis=2), silence)


def _silence_by_arm(traits: Traits, state: State, shift: Floats, day: int, config: SimulationConfig, rng: np.random.Generator) -> Floats:
    """Probability of no visit when each arm is delivered on `day`; shape (n_members, n_horizons, n_arms)."""
    paths = state.fan_out(config.truth_paths)
    expected = np.zeros((len(ARMS), *paths.drift.shape), dtype=np.float32)
    by_horizon = {}
    for ahead in range(max(config.horizons_days)):
        today = day + ahead
        half = rng.standard_normal((len(state.drift), config.truth_paths // 2), dtype=np.float32)
        shock, fading = np.concatenate((half, -half), axis=1), config.regime(today).fading
        advance(paths, (today - traits.joined_day)[:, None], shock, fading, rng)
        if ahead:
            unseen = replace(state, habit=state.habit * np.float32((1 - 1 / HABIT_DAYS) ** ahead))
            campaign = run_campaign(traits, unseen, today, config.truth_paths, config, rng)
            paths.boost[campaign.row] += campaign.delivery.boost
        rate = visit_rate(traits.level[:, None], paths, season(today, config))
        faded = np.float32(0.5 ** (ahead / BOOST_HALF_LIFE_DAYS))
        expected += rate * np.exp(shift.T * faded)[:, :, None]
        if ahead + 1 in config.horizons_days:
            by_horizon[ahead + 1] = np.exp(-expected).mean(axis=2).T
    return np.stack([by_horizon[horizon] for horizon in config.horizons_days], axis=1)
