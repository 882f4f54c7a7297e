"""How often the 90 % interval of a policy's value holds the truth, over many logs: clustered rows, skewed rewards, several overlaps."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from models.policy_value import PolicyDifference, PolicyValue, estimate_dr, estimate_ips, estimate_snips, policy_difference
from tests.policy_worlds import OVERLAPS, log_of, predicted, targets_of, true_values

WORLDS = 600
MEMBERS = (500, 2000)
DIFFERENCE = ("explored", "near")


@dataclass(frozen=True)
class Seen:
    truth: float
    estimate: PolicyValue | PolicyDifference

    @property
    def covered(self) -> bool:
        return self.estimate.low <= self.truth <= self.estimate.high


def estimates(members: int, sharpness: float, truth: dict[str, float], rng: np.random.Generator) -> dict[tuple[str, str], Seen]:
    """By target and estimator, one world; the last target is the paired difference of two."""
    log = log_of(members, sharpness, rng)
    q = predicted(log, rng)
    seen = {}
    for name, target in targets_of(log).items():
        given = (log.reward, log.chosen, log.propensities, target)
        seen[name, "ips"] = Seen(truth[name], estimate_ips(*given, log.member))
        seen[name, "snips"] = Seen(truth[name], estimate_snips(*given, log.member))
        seen[name, "dr"] = Seen(truth[name], estimate_dr(*given, q, log.member))
    better, worse = DIFFERENCE
    for kind in ("ips", "snips", "dr"):
        one, other = (seen[name, kind].estimate for name in (better, worse))
        assert isinstance(one, PolicyValue)
        assert isinstance(other, PolicyValue)
        gap = policy_difference(one, other)
        seen["difference", kind] = Seen(truth[better] - truth[worse], gap)
    return seen


def coverage(members: int, sharpness: float, worlds: int, seed: int) -> dict[tuple[str, str], list[Seen]]:
    truth, rng = true_values(sharpness), np.random.default_rng(seed)
    told = [estimates(members, sharpness, truth, child) for child in rng.spawn(worlds)]
    return {key: [world[key] for world in told] for key in told[0]}


def line(key: tuple[str, str], seen: list[Seen]) -> str:
    estimates = [one.estimate for one in seen]
    error = np.array([one.estimate.value - one.truth for one in seen])
    below = np.mean([one.truth < one.estimate.low for one in seen])
    above = np.mean([one.truth > one.estimate.high for one in seen])
    size = np.mean([one.effective_sample_size for one in estimates if isinstance(one, PolicyValue)] or [np.nan])
    width = np.mean([one.high - one.low for one in estimates])
    covered = 100 * np.mean([one.covered for one in seen])
    return (
        f"{key[0]:11s}{key[1]:7s}{covered:9.1f}{100 * below:8.1f}{100 * above:8.1f}"
        f"{error.mean():9.3f}{np.sqrt((error**2).mean()):9.3f}{width:9.2f}{size:10.0f}"
    )


def main() -> None:
    worlds = int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS
    cells = []
    for members in MEMBERS:
        for overlap, sharpness in OVERLAPS.items():
            print(f"{members:,} members, {overlap} overlap, {worlds} worlds; coverage of the 90 % interval in %")
            print(f"{'policy':18s}{'covered':>9s}{'below':>8s}{'above':>8s}{'bias':>9s}{'RMSE':>9s}{'width':>9s}{'n_eff':>10s}")
            for key, seen in coverage(members, sharpness, worlds, seed=members).items():
                print(line(key, seen))
                cells.append(np.mean([one.covered for one in seen]))
    print(f"{len(cells)} cells: {100 * np.mean(cells):.1f} % on average, from {100 * min(cells):.1f} to {100 * max(cells):.1f}")
