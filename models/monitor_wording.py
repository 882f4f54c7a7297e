"""The sentences of the monitor: what was read, from where on it is an alarm, and what to do then."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from models.actions import NO_ACTION
from models.texts import messages, text

if TYPE_CHECKING:
    from models.declared import Language

NO_LABELS: Mapping[str, str] = MappingProxyType({})


def said_of(language: Language, code: str, told: Mapping[str, Any], labels: Mapping[str, str] = NO_LABELS) -> str:
    return text(language, f"monitor.{code}.said", **_words(language, told, labels))


def todo_of(language: Language, code: str, told: Mapping[str, Any], labels: Mapping[str, str] = NO_LABELS) -> str:
    return text(language, f"monitor.{code}.todo", **_words(language, told, labels))


def title_of(language: Language, name: str, code: str, told: Mapping[str, Any]) -> str:
    """Of a reading by its name, where it has one of its own, be it known what to say of it or not."""
    key = f"monitor.{name}.title"
    return text(language, key if key in messages(language) else f"monitor.{code}.title", **told)


def limit_of(language: Language, code: str, threshold: float | None) -> str:
    """Empty where there is none."""
    return "" if threshold is None else text(language, f"monitor.{code}.limit", threshold=threshold)


def _words(language: Language, told: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """`arms` are told one after the other: each `arm` with how often it was `seen` and `expected`; `arm` is the one that is meant."""
    join = text(language, "unit.list").join
    words = {name: value for name, value in told.items() if not isinstance(value, list | tuple)}
    if "arm" in words:
        words["arm"] = _name(language, words["arm"], labels)
    if "arms" in told:
        words["arms"] = join(text(language, "monitor.arm", **one | {"arm": _name(language, one["arm"], labels)}) for one in told["arms"])
    if "notes" in told:
        notes = (text(language, f"monitor.note.{note}", **words) for note in told["notes"])
        words["notes"] = "".join(notes)
    return words


def _name(language: Language, arm: str, labels: Mapping[str, str]) -> str:
    return messages(language)["monitor.nothing"] if arm == NO_ACTION and labels else labels.get(arm, arm)
