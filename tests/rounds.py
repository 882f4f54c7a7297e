"""Rounds of deciding in a live community: an engine that learns from its own decisions, and rules that compete with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
from rich.console import Console

from models.community import Community
from models.decision_table import decide_table
from models.declaration import load_community
from models.engine import Engine
from models.events import EventLog, event_arrays
from models.interventions import ContactHistory
from models.simulation import ARM_IDS, QUALIFYING, WORLDS, SimulationConfig
from models.simulation_loop import LiveCommunity, Observed
from models.snapshots import Snapshots
from models.training import train
from models.training_rows import default_test_as_of
from pipelines.init import InitOptions, initialise
from tests.trained_world import canonical_log

START = date(2025, 1, 1)
SILENT_DAYS, RULE = 7, "silence_benefit"


@dataclass(frozen=True)
class Setting:
    """A community that ran campaigns for `warm_days` and then is decided on every `round_days`.

    The horizon of a decision is shorter than a round, so that what came of one is known when the next begins.
    """

    world: str = "mixed"
    members: int = 8_000
    rounds: int = 6
    seed: int = 1
    warm_days: int = 180
    round_days: int = 30
    horizon_days: int = 28
    truth_paths: int = 32

    @property
    def config(self) -> SimulationConfig:
        return SimulationConfig(
            members=self.members,
            days=self.warm_days + self.rounds * self.round_days,
            start=START,
            campaign_days=self.warm_days,
            horizons_days=(self.horizon_days,),
            truth_paths=self.truth_paths,
            world=WORLDS[self.world],
        )

    def begin(self) -> LiveCommunity:
        live = LiveCommunity.found(self.config, np.random.default_rng(self.seed))
        live.advance(self.warm_days)
        return live


@dataclass(frozen=True)
class Look:
    """One community at the beginning of a round; n members who have joined, k interventions of the catalogue.

    `table` is that of `decide_table`; `allowed` (n, k) by eligibility, contact policy and global control; `retention` (n, 1 + k) the truth,
    "none" first; `worth` (n,) money in a round; `cost` (1 + k,).
    """

    declared: Community
    table: pl.DataFrame
    allowed: np.ndarray
    retention: np.ndarray
    worth: np.ndarray
    cost: np.ndarray

    @property
    def arms(self) -> tuple[str, ...]:
        return ("none", *(intervention.id for intervention in self.declared.interventions))

    @property
    def scored(self) -> np.ndarray:
        return (self.table["status"] == "scored").to_numpy()

    @property
    def net_gain(self) -> np.ndarray:
        """True worth x effect - cost, shape (n, 1 + k), 0 for "none"."""
        return self.worth[:, None] * (self.retention - self.retention[:, :1]) - self.cost

    def only(self, choice: np.ndarray) -> Choice:
        """What a rule without chance assigns; choice (n,) positions in `arms`."""
        return Choice(choice, np.eye(len(self.arms))[choice])


@dataclass(frozen=True)
class Choice:
    """arm (n,): positions in `Look.arms`; propensity (n, 1 + k): with which probability each could have been."""

    arm: np.ndarray
    propensity: np.ndarray

    @property
    def contacts(self) -> int:
        return int((self.arm > 0).sum())


Policy = Callable[[Look, int, np.random.Generator], Choice]
"""Of a look, and how many contacts the engine made in this round."""


def by_the_engine(look: Look, contacts: int, rng: np.random.Generator) -> Choice:
    arm = look.table["chosen"].replace_strict(list(look.arms), range(len(look.arms))).to_numpy()
    return Choice(arm, look.table.select(f"propensity_{arm}" for arm in look.arms).to_numpy())


def by_a_fixed_rule(look: Look, contacts: int, rng: np.random.Generator) -> Choice:
    """Whoever is silent for a week gets the benefit, where the contact policy allows it."""
    column = look.arms.index(RULE)
    silent = look.table["days_silent"].fill_null(0).to_numpy() >= SILENT_DAYS
    return look.only(np.where(silent & look.allowed[:, column - 1], column, 0))


def at_random(look: Look, contacts: int, rng: np.random.Generator) -> Choice:
    """Uniform over what is allowed, doing nothing included."""
    possible = np.column_stack([np.ones(len(look.allowed), dtype=bool), look.allowed])
    propensity = possible / possible.sum(axis=1, keepdims=True)
    return Choice((rng.random((len(possible), 1)) >= propensity.cumsum(axis=1)[:, :-1]).sum(axis=1), propensity)


def never(look: Look, contacts: int, rng: np.random.Generator) -> Choice:
    return look.only(np.zeros(len(look.allowed), dtype=np.int64))


def by_risk(look: Look, contacts: int, rng: np.random.Generator) -> Choice:
    """As a marketer would who knows from the log what each intervention brings on average."""
    learned = look.table.select(f"priority_{arm}" for arm in look.arms[1:]).to_numpy()
    return _to_the_riskiest(look, learned[look.scored].mean(axis=0), contacts)


def by_risk_and_truth(look: Look, contacts: int, rng: np.random.Generator) -> Choice:
    """As a marketer would who was told what each intervention truly brings on average."""
    return _to_the_riskiest(look, look.net_gain[look.scored, 1:].mean(axis=0), contacts)


def _to_the_riskiest(look: Look, brings: np.ndarray, contacts: int) -> Choice:
    """As many as the engine contacts, each with the allowed intervention that brings most; brings (k,) money for one member."""
    worth = np.where(look.allowed, brings, -np.inf)
    risk = np.where(look.allowed.any(axis=1), look.table["churn_probability"].fill_null(-1).to_numpy(), -1.0)
    riskiest = np.argsort(-risk, kind="stable")[: min(contacts, int((risk >= 0).sum()))]
    choice = np.zeros(len(risk), dtype=np.int64)
    choice[riskiest] = 1 + worth[riskiest].argmax(axis=1)
    return look.only(choice)


def by_the_oracle(look: Look, contacts: int, rng: np.random.Generator) -> Choice:
    """For each member the allowed intervention that truly brings most, where it brings anything."""
    return look.only(
        np.where(np.column_stack([np.ones(len(look.allowed), dtype=bool), look.allowed]), look.net_gain, -np.inf).argmax(axis=1)
    )


POLICIES: dict[str, Policy] = {
    "engine": by_the_engine,
    "fixed rule": by_a_fixed_rule,
    "random": at_random,
    "risk": by_risk,
    "risk, truth": by_risk_and_truth,
    "nobody": never,
    "oracle": by_the_oracle,
}


@dataclass(frozen=True)
class Account:
    """What one policy did in one round. Money: `retained` is worth x true retention given what was assigned, `net` after costs.

    `came` is the same with what happened in place of what was expected; `possible` what the best allowed choice would have brought over
    doing nothing in the same state, `gained` what the choice brought.
    """

    policy: str
    round: int
    contacts: int
    cost: float
    retained: float
    came: float
    gained: float
    possible: float

    @property
    def net(self) -> float:
        return self.retained - self.cost


@dataclass
class Rounds:
    """One community for each policy, all with the same past and the same chance.

    Each round an engine is trained on the log of the first policy, and scores the members of all; the first policy's number of contacts is
    told to the others.
    """

    setting: Setting
    declared: Community
    policies: Mapping[str, Policy]
    communities: dict[str, LiveCommunity]
    engines: list[Engine] = field(default_factory=list)

    @classmethod
    def begin(cls, setting: Setting, folder: Path, policies: Mapping[str, Policy] = POLICIES) -> Rounds:
        live = setting.begin()
        return cls(setting, draft(live, folder, setting), policies, {name: live.fork() for name in policies})

    def play(self) -> Iterator[Account]:
        first = next(iter(self.policies))
        for number in range(1, self.setting.rounds + 1):
            log = event_log(self.communities[first].observe(), self.declared)
            self.engines.append(learn(log, self.declared, self.setting.seed))
            contacts = 0
            for name in self.policies:
                account = self._play(name, number, contacts)
                contacts = account.contacts if name == first else contacts
                yield account

    def _play(self, name: str, number: int, contacts: int) -> Account:
        live = self.communities[name]
        look = look_at(live, self.engines[-1], self.declared, self.setting, number)
        choice = self.policies[name](look, contacts, np.random.default_rng((self.setting.seed, number)))
        live.act(assignments(look, choice))
        live.advance(self.setting.round_days)
        return account_of(name, number, look, choice, came_back(live, look, self.setting))


def draft(live: LiveCommunity, folder: Path, setting: Setting) -> Community:
    """What `keepwell init` drafts from the tables as they stand; a value is that of one round."""
    observed = live.observe()
    for name in ("events", "members", "touches"):
        getattr(observed, name).write_parquet(folder / f"{name}.parquet")
    options = InitOptions(
        log=folder / "events.parquet",
        member="member_id",
        time="timestamp",
        type="type",
        value="value",
        members=folder / "members.parquet",
        joined="joined",
        touches=folder / "touches.parquet",
        churn_days=setting.horizon_days,
        output=folder / "keepwell.yaml",
    )
    initialise(options, Console(quiet=True), now=live.now)
    drafted = load_community(folder / "keepwell.yaml")
    return drafted.model_copy(update={"value": drafted.value.model_copy(update={"value_days": setting.round_days})})


def event_log(observed: Observed, declared: Community) -> EventLog:
    return canonical_log(observed, () if declared.members is None else declared.members.attributes)


def learn(log: EventLog, declared: Community, seed: int) -> Engine:
    events = event_arrays(log, declared)
    as_of = default_test_as_of(events, declared)
    return train(events, declared, test_as_of=as_of, trained_at=log.last, rng=np.random.default_rng(seed), touches=log.touches).engine


def look_at(live: LiveCommunity, engine: Engine, declared: Community, setting: Setting, number: int) -> Look:
    log = event_log(live.observe(), declared)
    events = event_arrays(log, declared)
    snapshots = Snapshots.at(events, int(live.now.timestamp()) * 1_000_000)
    ids = log.members["member_id"].to_list()
    contacts = ContactHistory.of_touches(log.touches, snapshots.member)
    draws = [f"{setting.seed}|{number}|{member}" for member in ids]
    table = decide_table(engine, events, snapshots, ids, draws, contacts, as_of=live.now)
    oracle = live.oracle(setting.horizon_days)
    arms = ["none", *(intervention.id for intervention in declared.interventions)]
    removed = pl.col(f"^removed_({'|'.join(arms[1:])})$")
    return Look(
        declared=declared,
        table=table,
        allowed=table.select(removed.is_null() | removed.str.starts_with("arbitration")).to_numpy(),
        retention=oracle.retention[:, [ARM_IDS.index(arm) for arm in arms]],
        worth=live.worth(setting.round_days),
        cost=np.array([0.0, *(intervention.expected_cost for intervention in declared.interventions)]),
    )


def assignments(look: Look, choice: Choice) -> pl.DataFrame:
    """Of the members whose risk is known; the others could not have been assigned anything."""
    channels = {intervention.id: intervention.channels[0] for intervention in look.declared.interventions}
    arm = pl.Series(look.arms).gather(choice.arm)
    rows = pl.DataFrame({"member_id": look.table["member_id"], "intervention": arm}).with_columns(
        channel=arm.replace_strict(channels, default=None, return_dtype=pl.String),
        **{f"propensity_{name}": choice.propensity[:, column] for column, name in enumerate(look.arms)},
    )
    return rows.filter(pl.Series(look.scored))


def came_back(live: LiveCommunity, look: Look, setting: Setting) -> np.ndarray:
    """Of the members of the look: was there a qualifying event within the horizon, in the round that has just passed?"""
    begun = live.now - timedelta(days=setting.round_days)
    events = live.observe(begun + timedelta(days=setting.horizon_days)).events
    recent = events.filter(pl.col("type").is_in(QUALIFYING) & (pl.col("timestamp") >= begun))
    return look.table["member_id"].is_in(recent["member_id"].unique().implode()).to_numpy()


def account_of(name: str, number: int, look: Look, choice: Choice, came: np.ndarray) -> Account:
    rows = np.arange(len(choice.arm))
    possible = np.where(look.allowed, look.net_gain[:, 1:], 0.0).max(axis=1, initial=0.0)
    return Account(
        policy=name,
        round=number,
        contacts=choice.contacts,
        cost=float(look.cost[choice.arm].sum()),
        retained=float((look.worth * look.retention[rows, choice.arm]).sum()),
        came=float(look.worth[came].sum()),
        gained=float(look.net_gain[rows, choice.arm].sum()),
        possible=float(possible.sum()),
    )
