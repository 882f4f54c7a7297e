"""A simulated community to decide on: observe its log, assign interventions, let days pass, and know what would have been best.

Chance is drawn anew for each day and purpose, and a visit by inversion for each member: two policies in the same community meet the same
chance (common random numbers), and what was done for one member changes nothing for another.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

import numpy as np
import numpy.typing as npt
import polars as pl

from models import simulation_laws as law
from models.errors import InputError
from models.simulation_config import SimulationConfig
from models.simulation_laws import Floats, Integers
from models.simulation_life import Boosted, Diary, Draws, Life
from models.simulation_members import Block
from models.simulation_tables import event_frame, member_frame, member_ids, touch_frame, touch_identity
from models.simulation_worlds import ARM_IDS

PURPOSES = ("members", "arrival", "latent", "campaign", "visits", "details", "delivery", "seer", "tables")


@dataclass(frozen=True)
class Streams:
    """An independent generator for each purpose and day, the same whenever it is asked for."""

    root: int

    def of(self, purpose: str, day: int = 0) -> np.random.Generator:
        """`day` counts from the founding."""
        return np.random.default_rng(np.random.SeedSequence(self.root, spawn_key=(PURPOSES.index(purpose), day)))

    def draws(self, day: int) -> Draws:
        visits = self.of("visits", day)
        return Draws(
            self.of("latent", day),
            self.of("campaign", day),
            lambda rate: poisson_counts(visits.random(len(rate)), rate),
            self.of("details", day),
        )


def poisson_counts(uniform: npt.NDArray[np.float64], rate: Floats) -> Integers:
    """The smallest k with P(N <= k) > uniform for N ~ Poisson(rate): more for a higher rate and the same draw; shape (n,)."""
    count = np.zeros(len(rate), dtype=np.int64)
    term = np.exp(-rate.astype(np.float64))
    below = term.copy()
    rows = np.flatnonzero(uniform >= below)
    while len(rows):
        count[rows] += 1
        term[rows] *= rate[rows] / count[rows]
        below[rows] += term[rows]
        rows = rows[(uniform[rows] >= below[rows]) & (term[rows] > np.finfo(np.float64).eps * below[rows] / 2)]
    return count


@dataclass(frozen=True)
class Observed:
    """The log before a moment: `events`, `members` and `touches` as in `models.simulation.World`, and nothing of what follows.

    Touches that were acted have the propensities that came with them.
    """

    events: pl.DataFrame
    members: pl.DataFrame
    touches: pl.DataFrame


@dataclass(frozen=True)
class Oracle:
    """The truth at the present midnight about the members who have joined; the columns of `retention` are `ARM_IDS`.

    Attributes:
        member_id: text, shape (n_members,).
        retention: P(a qualifying event in [now, now + horizon) | the arm is assigned now, and nothing by anybody but the logging policy
            after it); shape (n_members, n_arms).
    """

    member_id: pl.Series
    retention: npt.NDArray[np.float64]

    @property
    def effects(self) -> npt.NDArray[np.float64]:
        """Retention under each arm minus retention under "none"."""
        return self.retention - self.retention[:, :1]


@dataclass
class LiveCommunity:
    """A community on the midnight (UTC) that begins day `life.day` of its log.

    The logging policy of the world runs its campaigns until `config.campaign_days`; what is assigned by `act` comes on top.
    """

    config: SimulationConfig
    streams: Streams
    life: Life
    members: pl.DataFrame
    events: tuple[pl.DataFrame, ...] = ()
    touches: tuple[pl.DataFrame, ...] = ()
    acted: pl.DataFrame | None = None

    @classmethod
    def found(cls, config: SimulationConfig, rng: np.random.Generator) -> Self:
        """At the beginning of its log; `config` and the seed of `rng` decide all chance."""
        streams = Streams(int(rng.integers(1 << 62)))
        rng = streams.of("members")
        block = Block.draw(0, config.members, config, rng)
        state = law.arrive(block.traits, config.visits_per_day * config.regime(0).activity, streams.of("arrival"))
        age = config.history_days
        life = Life(block, config, state, -age, lambda day: streams.draws(day + age), lambda day: streams.of("seer", day + age))
        life.live(0, Diary())
        return cls(config, streams, life, member_frame(block, config, rng))

    @property
    def now(self) -> datetime:
        return datetime.combine(self.config.start, datetime.min.time(), UTC) + timedelta(days=self.life.day)

    @property
    def known(self) -> int:
        """How many members have joined; they are the first rows of all arrays."""
        return self.life.present(self.life.day - 1)

    def fork(self) -> Self:
        """Another community with the same past and the same chance, to be decided on differently."""
        return replace(self, life=replace(self.life, state=deepcopy(self.life.state)))

    def observe(self, until: datetime | None = None) -> Observed:
        """What happened before `until`, by default before now; raises InputError for a later moment, or where no day was lived yet."""
        end = self.now if until is None else until
        if end > self.now or not self.events:
            raise InputError(f"{end}: not yet lived; the community stands at {self.now}, advance it first")
        before = pl.col("timestamp") < end
        events, touches = (
            pl.concat(parts, how="diagonal").filter(before).sort("member_id", "timestamp", maintain_order=True)
            for parts in (self.events, self.touches)
        )
        return Observed(events, self.members.filter(pl.col("joined").cast(pl.Datetime("us", "UTC")) < end), touches)

    def act(self, assignments: pl.DataFrame) -> None:
        """Assign interventions now, once on a day: member_id, intervention ("none" included), and if told channel and propensity_<arm>.

        Raises InputError for a member who has not joined or is named twice, for an unknown intervention, or a second time on one day.
        """
        if self.acted is not None:
            raise InputError(f"{self.now:%Y-%m-%d}: assigned already; advance the community before the next assignments")
        member = assignments["member_id"]
        for name, values, allowed in (
            ("member_id", member, self.members["member_id"].head(self.known)),
            ("intervention", assignments["intervention"], pl.Series(ARM_IDS)),
        ):
            strange = values.filter(~values.is_in(allowed.implode()))
            if strange.len():
                raise InputError(f'{name}: "{strange[0]}" cannot be assigned at {self.now:%Y-%m-%d}; allowed are {_shown(allowed)}')
        if not member.is_unique().all():
            raise InputError(f'member_id: "{member.filter(~member.is_unique())[0]}" is assigned twice; give each member one row')
        self.acted = assignments

    def advance(self, days: int) -> None:
        """Live so many days; raises InputError beyond the end that `config.days` sets."""
        if not 1 <= days <= self.config.days - self.life.day:
            raise InputError(f"{days} days: from 1 to {self.config.days - self.life.day} can be lived until the end of the simulation")
        rng, diary = self.streams.of("tables", self.life.day), Diary()
        delivered = self._deliver()
        self.life.live(self.life.day + days, diary, delivered)
        block, config = self.life.block, self.config
        self.events = (*self.events, event_frame(block, diary, _height(self.events), config, rng))
        self.touches = (*self.touches, touch_frame(block, diary, _height(self.touches), config, rng))

    def oracle(self, horizon_days: int) -> Oracle:
        """`horizon_days` must be one of `config.horizons_days`; by Monte Carlo over `config.truth_paths`."""
        silence = self.life.foresee().silence[:, self.config.horizons_days.index(horizon_days)]
        return Oracle(self.members["member_id"].head(self.known), 1 - silence.astype(np.float64))

    def worth(self, days: int) -> npt.NDArray[np.float64]:
        """Money that each member who has joined usually spends in so many days while not fading; shape (n_members,)."""
        level = self.life.block.traits.level[: self.known].astype(np.float64)
        visits = np.exp(level + law.DRIFT_SPREAD**2 / 2) * self.config.regime(self.life.day).activity
        return days * visits * self.life.block.spent_per_visit[: self.known]

    def _deliver(self) -> Boosted | None:
        """The acted assignments become touches of today."""
        if self.acted is None:
            return None
        day, traits, state = self.life.day, self.life.block.traits, self.life.state
        codes = member_ids(self.life.block).to_frame().with_row_index("row")
        rows = self.acted.join(codes, on="member_id", how="left", maintain_order="left")["row"].to_numpy().astype(np.int64)
        arm = np.array([ARM_IDS.index(name) for name in self.acted["intervention"]], dtype=np.int64)[:, None]
        luck = self.streams.of("delivery", day).random(self.config.members, dtype=np.float32)[rows, None]
        driven = law.drivers(traits.of(rows), state.habit[rows], day)
        delivery = law.deliver(arm, luck, traits.of(rows), driven, day, self.config)
        identity = touch_identity(_height(self.touches), len(rows), day, self.config)
        told = self.acted.select(
            "member_id", "intervention", pl.col("^channel$").cast(pl.String), pl.col("^propensity_.*$").cast(pl.Float64)
        )
        self.touches = (*self.touches, identity.hstack(told).with_columns(delivered=delivery.delivered[:, 0]))
        self.acted = None
        return Boosted(rows, delivery)


def _height(frames: tuple[pl.DataFrame, ...]) -> int:
    return sum(frame.height for frame in frames)


def _shown(allowed: pl.Series) -> str:
    return ", ".join(allowed) if allowed.len() <= 10 else f"{allowed[0]} to {allowed[-1]}"
