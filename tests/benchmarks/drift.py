"""Does the monitor notice drift, how soon, and how often does it cry wolf? Night after night over simulated communities.

From a known day on, members become quieter, fade faster, the export loses an event type, or nothing changes. Without drift the model is
trained again every 28 days, as `keepwell run` does; with drift the model in force stays. Thresholds are those of an empty `monitor:` block.
`--weekly` is the log of the activity on the busiest day of the week over the average.

python -m tests.benchmarks drift --members 1000 --seeds 1 2 3 --nights 112 --weekly 0.15
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table

from models.engine import Engine
from models.errors import NotEnoughData
from models.events import EventArrays, EventLog, event_arrays
from models.schedule import Schedule, Watch
from models.simulation import SimulationConfig, simulate
from models.simulation_worlds import MIXED, Regime
from models.training import train
from models.watched_model import ModelWatch, Moved, model_readings
from tests.nights import SIGNALS
from tests.planted import community, intervention

BASE, BEFORE, DRIFT_NIGHTS = 210, 14, 28
START = date(2025, 1, 1)
HORIZONS = {"horizons_days": [7, 30], "horizon_days": 30}
DECLARED = community(intervention("coupon", cost=1), signals=SIGNALS, churn=HORIZONS)
LOST = "comment"
YEAR = 365


@dataclass(frozen=True)
class Kind:
    """`then` holds from the day of change on; `loses` an event type that the export leaves out from then on."""

    told: str
    then: Regime | None = None
    loses: str | None = None


KINDS = {
    "none": Kind("nothing changes"),
    "lost_type": Kind(f"the export loses {LOST}s", loses=LOST),
    "quiet": Kind("everybody is half as active", replace(MIXED.first, activity=0.5)),
    "busy": Kind("everybody is twice as active", replace(MIXED.first, activity=2.0)),
    "fading": Kind("members begin to fade four times as often", replace(MIXED.first, fading=4.0)),
}


def midnight(day: int) -> datetime:
    return datetime.combine(START + timedelta(days=day), datetime.min.time(), UTC)


@dataclass(frozen=True)
class Size:
    members: int
    weekly: float


def arrays_of(kind: Kind, size: Size, days: int, change: int, seed: int) -> EventArrays:
    world = replace(MIXED, then=kind.then, change_at=change / days)
    config = SimulationConfig(members=size.members, days=days, start=START, truth_as_of=(), world=world, weekly_amplitude=size.weekly)
    simulated = simulate(config, np.random.default_rng(seed))
    codes = simulated.members.select("member_id").with_row_index("member")
    events = simulated.events.filter((pl.col("type") != (kind.loses or "")) | (pl.col("timestamp") < midnight(change)))
    events = events.join(codes, on="member_id").drop("member_id").sort("member", "timestamp").cast({"type": pl.Categorical})
    joined = pl.col("joined").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return event_arrays(EventLog(events, simulated.members.select("member_id", joined)), DECLARED)


def engine_at(events: EventArrays, night: int) -> Engine:
    """Learned from what was known on this morning."""
    tested = midnight(night - DECLARED.churn.horizon_days)
    return train(events, DECLARED, test_as_of=tested, trained_at=midnight(night), rng=np.random.default_rng(0)).engine


def alarms_on(engine: Engine, events: EventArrays, night: int) -> frozenset[str]:
    watching, rng = ModelWatch.of(engine, events, midnight(night)), np.random.default_rng(night)
    matured = watching.matured(rng=rng)
    moved: Moved | None
    try:
        moved = watching.moved(midnight(night), rng=rng)
    except NotEnoughData:
        moved = None
    readings = model_readings(Watch(), moved, matured)
    return frozenset(reading.name for reading in readings if reading.status == "alarm")


def quiet_nights(size: Size, seed: int, nights: int) -> Iterator[frozenset[str]]:
    """Without drift, the model trained again when it is due."""
    events = arrays_of(KINDS["none"], size, BASE + nights, BASE, seed)
    for night in range(BASE, BASE + nights):
        if (night - BASE) % Schedule().retrain_days == 0:
            engine = engine_at(events, night)
        yield alarms_on(engine, events, night)


def drifting_nights(size: Size, seed: int) -> dict[str, list[frozenset[str]]]:
    """For each kind the mornings after the change. The model was made before it, in the past that all kinds of one seed share."""
    change = BASE + BEFORE
    worlds = {name: arrays_of(kind, size, change + DRIFT_NIGHTS, change, seed) for name, kind in KINDS.items()}
    engine = engine_at(worlds.pop("none"), BASE)
    mornings = range(change + 1, change + DRIFT_NIGHTS + 1)
    return {name: [alarms_on(engine, events, morning) for morning in mornings] for name, events in worlds.items()}


@dataclass(frozen=True)
class Episodes:
    """`begun`: alarms that were not raised the night before; `loud`: nights with any."""

    begun: int
    loud: int

    @classmethod
    def of(cls, nights: list[frozenset[str]], names: frozenset[str] | None = None) -> Episodes:
        told = [bool(night if names is None else night & names) for night in nights]
        return cls(sum(now and not before for before, now in zip([False, *told], told, strict=False)), sum(told))


def first_alarm(nights: list[frozenset[str]], name: str | None = None) -> int | None:
    """Days from the change to the first morning with an alarm."""
    return next((day for day, night in enumerate(nights, start=1) if (night if name is None else name in night)), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--nights", type=int, default=112, help="without drift")
    parser.add_argument("--weekly", type=float, default=SimulationConfig.weekly_amplitude)
    asked = parser.parse_args()
    size = Size(asked.members, asked.weekly)
    began, console = time.perf_counter(), Console(width=150)
    still = {seed: list(quiet_nights(size, seed, asked.nights)) for seed in asked.seeds}
    told = {seed: drifting_nights(size, seed) for seed in asked.seeds}
    drifted = {name: {seed: told[seed][name] for seed in asked.seeds} for name in KINDS if name != "none"}
    console.print(_false_alarms(still, asked.nights), _noticed(drifted))
    told_seeds = ", ".join(map(str, asked.seeds))
    console.print(f"{asked.members:,} members, weekly {asked.weekly:g}, seeds {told_seeds}, {time.perf_counter() - began:.0f} s")


def _false_alarms(still: dict[int, list[frozenset[str]]], nights: int) -> Table:
    """Episodes of each reading, and of any, on nights without drift."""
    names = sorted({name for told in still.values() for night in told for name in night})
    table = Table("without drift", "false alarms a year", "nights with one", *(f"seed {seed}" for seed in still))
    for label, chosen in [("any reading", None), *((name, frozenset({name})) for name in names)]:
        found = [Episodes.of(told, chosen) for told in still.values()]
        per_year = YEAR * sum(one.begun for one in found) / (nights * len(found))
        loud = sum(one.loud for one in found) / (nights * len(found))
        table.add_row(label, f"{per_year:.1f}", f"{loud:.1%}", *(f"{one.begun} in {nights} nights" for one in found))
    return table


def _noticed(drifted: dict[str, dict[int, list[frozenset[str]]]]) -> Table:
    table = Table("drift", "days until an alarm, by seed", "first readings", "each reading first, median of those that came")
    for name, by_seed in drifted.items():
        days = [first_alarm(told) for told in by_seed.values()]
        firsts = sorted({reading for told, day in zip(by_seed.values(), days, strict=True) if day for reading in told[day - 1]})
        readings = sorted({reading for told in by_seed.values() for night in told for reading in night})
        each = {reading: [day for told in by_seed.values() if (day := first_alarm(told, reading))] for reading in readings}
        medians = ", ".join(f"{reading} {np.median(found):g} ({len(found)} of {len(days)})" for reading, found in each.items())
        table.add_row(KINDS[name].told, ", ".join(str(day or "not") for day in days), ", ".join(firsts), medians)
    return table
