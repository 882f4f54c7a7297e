"""How often days without events are found in logs that grow, stand or decline, and how often a log without any seems to have some."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np

from models.holes import holes

LOGS = 20
START = date(2025, 1, 6)
DAYS = np.arange(200)
WEEK = np.where(DAYS % 7 >= 5, 1.6, 0.8)
LOST = 3
AT = (45, 120)
RATES = {
    "flat": np.full(200, 40.0),
    "evenly": DAYS / 2,
    "fast": 5.0 * DAYS,
    "with the square": 0.05 * DAYS**2,
    "doubling in two weeks": 3 * 2 ** (DAYS / 14),
    "doubling each week, to 200": np.minimum(200, 0.3 * 2 ** (DAYS / 7)),
    "doubling each week, to 3,000": np.minimum(3000, 2 * 2 ** (DAYS / 7)),
    "along an S": 60 / (1 + np.exp((70 - DAYS) / 12)),
    "at a launch": np.where(DAYS < 60, 20, 400),
    "threefold every 50 days": 40 * 3.0 ** (DAYS // 50),
    "declining": 80 * np.exp(-DAYS / 60),
    "flat, days that differ": np.full(200, 100.0),
}
UNEVEN = ("flat, days that differ",)


def log_of(name: str, rng: np.random.Generator) -> np.ndarray:
    """Events of each day."""
    uneven = rng.gamma(8, 1 / 8, len(DAYS)) if name in UNEVEN else 1.0
    return rng.poisson(RATES[name] * WEEK * uneven)


def flagged(counts: np.ndarray) -> set[int]:
    daily = {START + timedelta(days=day): int(count) for day, count in enumerate(counts) if count}
    return {day for hole in holes(daily) for day in range((hole.first - START).days, (hole.last - START).days + 1)}


def found(name: str, first: int, logs: int, seed: int) -> float:
    """Of LOST days without events from `first` on, the share that is found."""
    days = set(range(first, first + LOST))
    told = []
    for child in np.random.default_rng(seed).spawn(logs):
        counts = log_of(name, child)
        counts[first : first + LOST] = 0
        told.append(len(flagged(counts) & days) / LOST)
    return float(np.mean(told))


def false_alarms(name: str, logs: int, seed: int) -> int:
    return sum(bool(flagged(log_of(name, child))) for child in np.random.default_rng(seed).spawn(logs))


def main() -> None:
    print(f"{LOGS} logs a line; logs of 200 days with a false hole, and the share of {LOST} days without events that is found")
    print(f"{'growth':30s}{'false':>7s}" + "".join(f"{f'from day {first}':>15s}" for first in AT))
    for name in RATES:
        told = "".join(f"{found(name, first, LOGS, seed=4):15.2f}" for first in AT)
        print(f"{name:30s}{false_alarms(name, LOGS, seed=3):7d}{told}", flush=True)
