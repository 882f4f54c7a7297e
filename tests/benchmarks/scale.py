"""What a number of members needs, from what one event, one member and one decision cost: the tables of docs/scale.md."""

from __future__ import annotations

from dataclasses import dataclass

SIZES = (10_000_000, 100_000_000, 1_000_000_000)
GB, TB = 1e9, 1e12


@dataclass(frozen=True)
class Unit:
    """CPU of one core, and bytes, as `python -m tests.benchmarks unit_costs` measures them for two sizes."""

    take_in_us: float
    load_us: float
    decide_ms: float
    online_ms: float
    kept_event: float
    stored_event: float
    decided_row: float
    stored_decision: float


@dataclass(frozen=True)
class Assumed:
    """Of a community; nights are `night_hours` long, on machines of `cores`, of which `busy` is work."""

    events_a_day: float = 0.3
    kept_days: int = 400
    asked_a_day: float = 0.02
    busiest_hour: float = 0.12
    night_hours: float = 6.0
    cores: int = 16
    busy: float = 0.7


MEASURED = Unit(0.8, 3.9, 0.33, 3.0, 11.7, 156.0, 243.0, 7_262.0)
"""Differences between 1,000 and 4,000 members with 132 events each, on a machine without other work."""


def needs(members: int, unit: Unit, of: Assumed) -> dict[str, str]:
    """By what it is, in words; hours are of one core, and machines those that a night needs."""
    events, asked = members * of.events_a_day, members * of.asked_a_day
    held = events * of.kept_days
    night_s = events * (unit.take_in_us + unit.load_us) / 1e6 + members * unit.decide_ms / 1e3
    peak = asked * of.busiest_hour / 3600
    return {
        "events a day": f"{events / 1e6:,.0f} M",
        "events kept": f"{held / 1e9:,.1f} G",
        "the kept log, Parquet": f"{held * unit.kept_event / TB:,.2f} TB",
        "events in the store": f"{held * unit.stored_event / TB:,.2f} TB",
        "decisions of the service with their traces, a year": f"{365 * asked * unit.stored_decision / TB:,.2f} TB",
        "a table of decisions for all": f"{members * unit.decided_row / GB:,.0f} GB",
        "a night: take in the day, decide for all": f"{night_s / 3600:,.0f} core-hours",
        f"machines of {of.cores} cores for {of.night_hours:.0f} hours": f"{night_s / 3600 / (of.cores * of.busy * of.night_hours):,.1f}",
        "decisions a second in the busiest hour": f"{peak:,.0f}",
        "cores for these": f"{peak * unit.online_ms / 1e3 / of.busy:,.1f}",
    }


def table(unit: Unit, of: Assumed) -> list[str]:
    """The lines of a table in Markdown."""
    columns = [needs(members, unit, of) for members in SIZES]
    rows = [f"| {name} | {' | '.join(column[name] for column in columns)} |" for name in columns[0]]
    return [f"| members | {' | '.join(f'{members / 1e6:,.0f} M' for members in SIZES)} |", "|---|---|---|---|", *rows]


def main() -> None:
    print("\n".join(table(MEASURED, Assumed())))
