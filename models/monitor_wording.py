"""The sentences of the monitor: what was read, from where on it is an alarm, and what to do then."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from models.actions import NO_ACTION
from models.texts import calendar_day, messages, moment, money, number, plural, span, text, with_counts

if TYPE_CHECKING:
    from models.declared import Language

NO_LABELS: Mapping[str, str] = MappingProxyType({})
TIMES = ("last", "from", "until")
BOUNDED = ("auc", "loss", "expected", "error")
COUNTED = ("moved", "count")
"""The number that a verb follows."""
POINTS = ("error",)
"""Of those that have bounds, told in percentage points."""


def said_of(language: Language, code: str, told: Mapping[str, Any], labels: Mapping[str, str] = NO_LABELS) -> str:
    key, words = f"monitor.{code}.said", _words(language, told, labels)
    if f"{key}.other" in messages(language):
        return plural(language, key, next(told[name] for name in COUNTED if name in told), **words)
    return text(language, key, **words)


def todo_of(language: Language, code: str, told: Mapping[str, Any], labels: Mapping[str, str] = NO_LABELS) -> str:
    return text(language, f"monitor.{code}.todo", **_words(language, told, labels))


def title_of(language: Language, name: str, code: str, told: Mapping[str, Any]) -> str:
    """Of a reading by its name, where it has one of its own, be it known what to say of it or not."""
    key = f"monitor.{name}.title"
    return text(language, key if key in messages(language) else f"monitor.{code}.title", **with_counts(language, told))


def means_of(language: Language, code: str) -> str:
    """What is measured, in a plain sentence; empty where the reading says it itself."""
    return messages(language).get(f"monitor.{code}.means", "")


def limit_of(language: Language, code: str, threshold: float | None) -> str:
    """From where on it is an alarm, and why; empty where there is no threshold."""
    if threshold is None:
        return ""
    once = number(language, round(1 / threshold)) if threshold else ""
    return text(language, f"monitor.{code}.limit", threshold=threshold, pairs=f"{100 * threshold:g}", once=once)


def _words(language: Language, told: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """`arms` are told one after the other: each `arm` with how often it was `seen` and `expected`; `arm` is the one that is meant."""
    join = text(language, "unit.list").join
    words = with_counts(language, {name: value for name, value in told.items() if not isinstance(value, list | tuple)})
    words |= {name: _at(language, told[name]) for name in TIMES if name in told}
    words |= {f"{name}_bounds": _bounds(language, name, told) for name in BOUNDED if f"{name}_low" in told}
    words |= {name: _points(told[name]) for name in POINTS if name in told}
    if "currency" in told:
        words |= {name: money(language, told[name], told["currency"]) for name in ("spent", "planned")}
    if isinstance(told.get("said"), Mapping):
        words["said"] = told["said"][language]
    if "arm" in words:
        words["arm"] = _name(language, words["arm"], labels)
    if "arms" in told:
        words["arms"] = join(text(language, "monitor.arm", **one | {"arm": _name(language, one["arm"], labels)}) for one in told["arms"])
    if "notes" in told:
        notes = (text(language, f"monitor.note.{note}", **words) for note in told["notes"])
        words["notes"] = "".join(notes)
    return words


def _at(language: Language, told: str) -> str:
    """A day, or a moment where its time is told too."""
    at = datetime.fromisoformat(told)
    return calendar_day(language, at) if len(told) == len("2026-01-01") else moment(language, at)


def _bounds(language: Language, name: str, told: Mapping[str, Any]) -> str:
    ends = (told[f"{name}_{end}"] for end in ("low", "high"))
    return span(language, *(_points(end) if name in POINTS else f"{end:.3f}" for end in ends))


def _points(value: float) -> str:
    return f"{100 * value:.1f}"


def _name(language: Language, arm: str, labels: Mapping[str, str]) -> str:
    return messages(language)["monitor.nothing"] if arm == NO_ACTION and labels else labels.get(arm, arm)
