"""Six rounds of observe, train, decide, touch, outcome: the engine beside a marketer's rule, chance, risk targeting, nobody and an oracle.

All policies begin with the same past and meet the same chance; all keep to the same eligibility, contact policy and global control, as the
engine of the round sees them. A member is worth what they usually spend in a round of 30 days; a round earns worth x true probability of
retention over 28 days given what was assigned, less the costs of what was assigned. Risk targeting gives the riskiest, as many as the
engine contacts, what brings most on average: as the engine learned it, or (truth) as it is. The oracle knows each member's true effects.
Intervals are over the seeds: mean +- t(0.95) s / sqrt(seeds), paired.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import t

from models.engine import Engine
from tests.rounds import POLICIES, Account, Rounds, Setting

WORLDS = ("strong", "contrary")
MEMBERS, ROUNDS, SEEDS = 6_000, 6, (1, 2, 3)
LEVEL = 0.95


def main() -> None:
    report(WORLDS, MEMBERS, ROUNDS, SEEDS)


def report(worlds: Sequence[str], members: int, rounds: int, seeds: Sequence[int]) -> None:
    for world in worlds:
        began = time.perf_counter()
        played = [play(Setting(world=world, members=members, rounds=rounds, seed=seed)) for seed in seeds]
        seconds = time.perf_counter() - began
        print(f"  {world}: {members:,} members, {rounds} rounds of 30 days, seeds {', '.join(map(str, seeds))}; {seconds:.0f} s")
        _print_rounds(played, rounds)
        _print_totals(played)


def play(setting: Setting) -> list[Account]:
    with tempfile.TemporaryDirectory() as folder:
        rounds = Rounds.begin(setting, Path(folder))
        accounts = list(rounds.play())
    print(f"    seed {setting.seed}, effects that the last engine learned: {_learned(rounds.engines[-1])}", flush=True)
    return accounts


def _learned(engine: Engine) -> str:
    """Interventions whose effect comes from the log and not from the catalogue."""
    uplift = engine.uplift
    learned = [name for name in uplift.interventions if uplift.source(name) != "prior"]
    return ", ".join(learned) or "none, all as believed"


def _print_rounds(played: list[list[Account]], rounds: int) -> None:
    """Means over the seeds."""
    print(f"    {'net value over nobody':24s}" + "".join(f"{f'round {number}':>10s}" for number in range(1, rounds + 1)))
    for policy in POLICIES:
        gains = [np.mean(_net(played, policy, number) - _net(played, "nobody", number)) for number in range(1, rounds + 1)]
        print(f"    {policy:24s}" + "".join(f"{gain:10,.0f}" for gain in gains))
    print(f"    {'contacts':24s}" + "".join(f"{f'round {number}':>10s}" for number in range(1, rounds + 1)))
    for policy in POLICIES:
        contacts = [np.mean(_sums(played, policy, "contacts", number)) for number in range(1, rounds + 1)]
        print(f"    {policy:24s}" + "".join(f"{count:10,.0f}" for count in contacts))


def _print_totals(played: list[list[Account]]) -> None:
    oracle, nobody, engine = (_net(played, policy) for policy in ("oracle", "nobody", "engine"))
    came = _sums(played, "nobody", "came") - _sums(played, "nobody", "cost")
    heads = ("net value", "over nobody", "as it came", "engine over it", "regret", "of possible", "contacts", "cost")
    print(f"    {'all rounds':12s}" + "".join(f"{head:>27s}" for head in heads[:6]) + "".join(f"{head:>10s}" for head in heads[6:]))
    for policy in POLICIES:
        net, happened = _net(played, policy), _sums(played, policy, "came") - _sums(played, policy, "cost")
        told = (net, net - nobody, happened - came, engine - net, oracle - net, 100 * (net - nobody) / (oracle - nobody))
        rest = (_sums(played, policy, "contacts").mean(), _sums(played, policy, "cost").mean())
        print(f"    {policy:12s}" + "".join(f"{_interval(each):>27s}" for each in told) + "".join(f"{each:10,.0f}" for each in rest))


def _net(played: list[list[Account]], policy: str, number: int | None = None) -> np.ndarray:
    return _sums(played, policy, "net", number)


def _sums(played: list[list[Account]], policy: str, figure: str, number: int | None = None) -> np.ndarray:
    """Of one round, or over all; shape (n_seeds,)."""
    return np.array(
        [
            sum(getattr(account, figure) for account in accounts if account.policy == policy and number in (None, account.round))
            for accounts in played
        ]
    )


def _interval(values: np.ndarray) -> str:
    """Over the seeds."""
    if len(values) == 1:
        return f"{values[0]:,.0f}"
    reach = t.ppf((1 + LEVEL) / 2, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():,.0f} [{values.mean() - reach:,.0f}, {values.mean() + reach:,.0f}]"
