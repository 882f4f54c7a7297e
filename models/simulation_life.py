"""Members of a simulated community live day by day: the one loop behind whole logs and behind a community to decide on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from models import simulation_laws as law
from models.simulation_config import SimulationConfig
from models.simulation_laws import Campaign, Delivery, Floats, Integers, State
from models.simulation_members import Actions, Block, log_day
from models.simulation_truth import Foresight, foresee


@dataclass(frozen=True)
class Draws:
    """The chance of one day, by what it decides: `visits` draws Poisson counts for given rates."""

    latent: np.random.Generator
    campaign: np.random.Generator
    visits: Callable[[Floats], Integers]
    details: np.random.Generator

    @classmethod
    def in_sequence(cls, rng: np.random.Generator) -> Self:
        """One stream for all: the cheapest, and different from the first moment that anything differs."""
        return cls(rng, rng, rng.poisson, rng)


@dataclass
class Diary:
    """What was logged from day 0 on."""

    actions: list[Actions] = field(default_factory=list)
    campaigns: list[tuple[int, Campaign]] = field(default_factory=list)


@dataclass(frozen=True)
class Boosted:
    """Deliveries of one day that somebody else decided on; row (n_rows,), each member once."""

    row: Integers
    delivery: Delivery


@dataclass
class Life:
    """`day` is the next to be lived; `state` what was reached before it.

    `draws_of` gives the chance of a day, `seer_of` that of looking ahead from a day, which must not change what comes.
    """

    block: Block
    config: SimulationConfig
    state: State
    day: int
    draws_of: Callable[[int], Draws]
    seer_of: Callable[[int], np.random.Generator]

    def live(self, until: int, diary: Diary, boosted: Boosted | None = None) -> None:
        """Up to the day before `until`; `boosted` on the first of these days."""
        for day in range(self.day, until):
            self._live_day(day, diary, boosted if day == self.day else None)
        self.day = max(self.day, until)

    def foresee(self) -> Foresight:
        """Of the members who joined before `day`, at the midnight that begins it."""
        known = slice(0, self.present(self.day - 1))
        return foresee(self.block.traits.of(known), self.state.of(known), self.day, self.config, self.seer_of(self.day))

    def present(self, day: int) -> int:
        """How many have joined by the end of a day."""
        return int(np.searchsorted(self.block.traits.joined_day, day + 1))

    def _live_day(self, day: int, diary: Diary, boosted: Boosted | None) -> None:
        here = slice(0, self.present(day))
        traits, today, draws = self.block.traits.of(here), self.state.of(here), self.draws_of(day)
        tenure = day - traits.joined_day
        law.advance(
            today, tenure, draws.latent.standard_normal(len(tenure), dtype=np.float32), self.config.regime(day).fading, draws.latent
        )
        campaign = law.run_campaign(traits, today, day, 1, self.config, draws.campaign)
        today.boost[campaign.row] += campaign.delivery.boost[:, 0]
        if boosted is not None:
            today.boost[boosted.row] += boosted.delivery.boost[:, 0]
        rate = law.visit_rate(traits.level, today, law.season(day, self.config))
        visits = np.maximum(draws.visits(rate), tenure == 0)
        today.habit[...] += (visits - today.habit) / np.float32(law.HABIT_DAYS)
        today.last_visit[visits > 0] = day
        if day >= 0:
            diary.campaigns.append((day, campaign))
            diary.actions.extend(log_day(self.block, today, visits, rate, day, draws.details))
