"""What is watched from day to day: each reading with its threshold, and what to do where it is beyond."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from models.monitor_wording import NO_LABELS, said_of, todo_of

if TYPE_CHECKING:
    from models.declared import Language
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
    """`code` names the sentence, `told` what stands in it; `value` is in the unit that it tells.

    `interval` is its own or what chance would leave, `expected` what it should be.
    `unknown`: there is nothing yet to read it from. `since`: when it was first read to be an alarm, of one that still is.
    """

    name: str
    subject: Subject
    status: Status
    code: str
    told: Mapping[str, Any]
    value: float | None = None
    threshold: float | None = None
    expected: float | None = None
    interval: tuple[float, float] | None = None
    since: datetime | None = None

    @property
    def said(self) -> str:
        """In English, as logs say it."""
        return said_of("en", self.code, self.told)

    @property
    def todo(self) -> str:
        """Empty where nothing is to be done."""
        return todo_of("en", self.code, self.told) if self.status == "alarm" else ""

    def to_dict(self, language: Language = "en", labels: Mapping[str, str] = NO_LABELS) -> dict[str, Any]:
        """`labels` are those of the interventions."""
        words = {"said": said_of(language, self.code, self.told, labels), "todo": ""}
        if self.status == "alarm":
            words["todo"] = todo_of(language, self.code, self.told, labels)
        return asdict(self) | words | {"since": None if self.since is None else self.since.isoformat()}


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
            "readings": [reading.to_dict() for reading in self.readings],
            "features": [asdict(shift) for shift in self.features[:SHOWN_FEATURES]],
            "matured": [one.to_dict() for one in self.matured],
            "foreseen": None if self.foreseen is None else self.foreseen.to_dict(),
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False)

    def after(self, before: str | None) -> Monitored:
        """With the time since when each alarm stands; `before` is what `to_json` wrote of the readings before these."""
        alarms = {} if before is None else {one["name"]: one for one in json.loads(before)["readings"] if one["status"] == "alarm"}

        def since(reading: Reading) -> datetime | None:
            if reading.status != "alarm":
                return None
            told = alarms.get(reading.name, {}).get("since")
            return self.as_of if told is None else datetime.fromisoformat(told)

        return replace(self, readings=tuple(replace(reading, since=since(reading)) for reading in self.readings))


def judged(name: str, subject: Subject, *, beyond: bool, told: Mapping[str, Any], code: str = "", **figures: Any) -> Reading:  # noqa: ANN401 - fields of Reading
    """An alarm where it is `beyond` its threshold; `code` where the name is not that of its sentence."""
    return Reading(name, subject, "alarm" if beyond else "ok", code or name, told, **figures)


def freshness(last: datetime, as_of: datetime, watch: Watch) -> Reading:
    hours = (as_of - last).total_seconds() / 3600
    return judged(
        "freshness",
        "data",
        beyond=hours > watch.stale_hours,
        told={"last": last.astimezone(as_of.tzinfo).isoformat(timespec="minutes"), "hours": max(hours, 0.0)},
        value=round(hours, 3),
        threshold=float(watch.stale_hours),
    )


def rejected_rows(name: str, rejected: int, rows: int, watch: Watch) -> Reading:
    """`rows`: all of them, those that were rejected among them."""
    share = rejected / rows if rows else 0.0
    return judged(
        name,
        "data",
        beyond=share > watch.rejected,
        told={"rejected": rejected, "rows": rows, "share": share},
        value=share,
        threshold=watch.rejected,
    )


def feature_drift(told: Sequence[Shift], watch: Watch) -> Reading:
    """Of the columns that the model rests on, those that moved most first; none where it tells all members the same."""
    beyond = [shift for shift in told if shift.beyond(watch.feature_psi)]
    largest = max((shift.psi for shift in beyond or told), default=0.0)
    figures = {"moved": len(beyond), "features": len(told), "weight": sum(shift.weight for shift in beyond), "largest": largest}
    code = "feature_drift" if beyond else "no_feature_drift"
    return judged("feature_drift", "model", beyond=bool(beyond), told=figures, code=code, value=largest, threshold=watch.feature_psi)


def score_drift(shift: Shift, watch: Watch) -> Reading:
    return judged(
        "score_drift",
        "model",
        beyond=shift.beyond(watch.score_psi),
        told={"psi": shift.psi, "chance": shift.chance},
        value=shift.psi,
        threshold=watch.score_psi,
        interval=(0.0, shift.chance),
    )
