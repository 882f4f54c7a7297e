"""What is watched from day to day: each reading with its threshold, and what to do where it is beyond."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from models.drift import Shift
    from models.foreseen import Foreseen
    from models.schedule import Watch
    from models.watched_model import Matured

Status = Literal["ok", "alarm", "unknown"]
Subject = Literal["data", "model", "decisions"]
MONITOR = "monitor"
"""The name of its figures in the store."""
SHOWN_FEATURES = 20


@dataclass(frozen=True)
class Reading:
    """`value` in the unit that `said` tells, `interval` its own or what chance would leave, `expected` what it should be.

    `unknown`: there is nothing yet to read it from. `todo` is empty where nothing is to be done.
    """

    name: str
    subject: Subject
    status: Status
    said: str
    value: float | None = None
    threshold: float | None = None
    expected: float | None = None
    interval: tuple[float, float] | None = None
    todo: str = ""


@dataclass(frozen=True)
class Monitored:
    """All readings at one `as_of`; `version` of the champion, None where there is none. `features`: those that moved most."""

    as_of: datetime
    version: str | None
    readings: tuple[Reading, ...]
    features: tuple[Shift, ...] = ()
    matured: tuple[Matured, ...] = ()
    foreseen: Foreseen | None = None

    @property
    def alarms(self) -> tuple[Reading, ...]:
        return tuple(reading for reading in self.readings if reading.status == "alarm")

    def alarmed(self, subject: Subject) -> bool:
        return any(reading.subject == subject for reading in self.alarms)

    def to_dict(self) -> dict[str, Any]:
        """What `keepwell monitor --json` prints and `GET /v1/monitor` answers."""
        return {
            "as_of": self.as_of.isoformat(),
            "version": self.version,
            "alarms": [reading.name for reading in self.alarms],
            "readings": [asdict(reading) for reading in self.readings],
            "features": [asdict(shift) for shift in self.features[:SHOWN_FEATURES]],
            "matured": [one.to_dict() for one in self.matured],
            "foreseen": None if self.foreseen is None else self.foreseen.to_dict(),
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)


def judged(name: str, subject: Subject, *, beyond: bool, said: str, todo: str, **figures: Any) -> Reading:  # noqa: ANN401 - fields of Reading
    """An alarm where it is `beyond` its threshold, which is when `todo` is said."""
    return Reading(name, subject, "alarm" if beyond else "ok", said, **figures, todo=todo if beyond else "")


def freshness(last: datetime, as_of: datetime, watch: Watch) -> Reading:
    hours = (as_of - last).total_seconds() / 3600
    return judged(
        "freshness",
        "data",
        beyond=hours > watch.stale_hours,
        said=f"the last event was at {last.isoformat(timespec='minutes')}, {max(hours, 0):,.1f} hours before",
        todo="see whether the export of events runs; until then nothing is decided, for everybody would seem silent",
        value=round(hours, 3),
        threshold=float(watch.stale_hours),
    )


def rejected_rows(name: str, where: str, rejected: int, rows: int, watch: Watch) -> Reading:
    """`rows`: all of them, those that were rejected among them."""
    share = rejected / rows if rows else 0.0
    return judged(
        name,
        "data",
        beyond=share > watch.rejected,
        said=f"{rejected:,} of {rows:,} rows of {where} could not be used, {share:.1%}",
        todo="look at the rejected rows, which lie beside their table with their reasons",
        value=share,
        threshold=watch.rejected,
    )


def feature_drift(told: Sequence[Shift], watch: Watch) -> Reading:
    """Of the columns that the model rests on, at least one; those that moved most first."""
    beyond = [shift for shift in told if shift.beyond(watch.feature_psi)]
    names = ", ".join(f"{shift.name} {shift.psi:.2f}" for shift in beyond[:5])
    weight = sum(shift.weight for shift in beyond)
    said = f"{len(beyond)} of {len(told)} features that the model rests on have moved" + (
        f", {weight:.0%} of its weight: {names}" if beyond else f"; the largest index is {told[0].psi:.2f}, of {told[0].name}"
    )
    todo = "see whether an event type, a channel or the export has changed; train again once enough has been seen of it"
    largest = max(beyond or told, key=lambda shift: shift.psi)
    return judged("feature_drift", "model", beyond=bool(beyond), said=said, todo=todo, value=largest.psi, threshold=watch.feature_psi)


def score_drift(shift: Shift, watch: Watch) -> Reading:
    return judged(
        "score_drift",
        "model",
        beyond=shift.beyond(watch.score_psi),
        said=f"stability index of the risks {shift.psi:.3f}; chance alone stays below {shift.chance:.3f}",
        todo="compare the stages and signals of now with those of when the model was tested; train again",
        value=shift.psi,
        threshold=watch.score_psi,
        interval=(0.0, shift.chance),
    )
