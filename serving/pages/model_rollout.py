"""A part of the page Model: the roll-out that runs, what it shows so far, and what to do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from models.declared import Language
from models.experiment_wording import written_estimate, written_mean
from models.intervals import Estimate
from models.rollout_wording import kind_of, percent_text
from models.texts import listed, moment, number, plural, share, span, text
from serving.pages.visitors import Visitor
from serving.rollout_answers import ComparisonAnswer, CurrentRolloutAnswer, ProcessAnswer, RowAnswer, current_rollout
from serving.service import Service

SIGNS = {"better": "▲", "no_worse": "✓", "worse": "▼"}


@dataclass(frozen=True)
class Line:
    """One figure of both sides; `verdict` is the class of its mark."""

    label: str
    champion: str
    challenger: str
    difference: str
    between: str
    members: str
    verdict: str
    sign: str


@dataclass(frozen=True)
class RolloutPart:
    """`lines` are empty where nothing was compared; `refusals` are processes, in English with what each said."""

    lead: str
    verdict: str = ""
    todo: str = ""
    harm: bool = False
    stages: str = ""
    lines: tuple[Line, ...] = ()
    notes: tuple[str, ...] = ()
    refused: str = ""
    refusals: tuple[str, ...] = ()


def rollout_part(service: Service, whoever: Visitor) -> RolloutPart:
    """Raises StoreUnavailable."""
    told, language = current_rollout(service, whoever.language), whoever.language
    if told.rollout is None:
        return RolloutPart(told.text)
    stages = [f"{percent_text(one.share)} ({_at(service, whoever, one.since)})" for one in told.rollout.stages]
    refusals = tuple(_refusal(one, language) for one in told.processes if one.refused is not None)
    return RolloutPart(
        lead=told.text,
        verdict=told.verdict_text,
        todo=told.todo,
        harm=told.comparison is not None and told.comparison.verdict in {"harm", "not_readable"},
        stages=text(language, "rollout.stages", stages=listed(language, stages)),
        lines=tuple(_line(service, whoever, row) for row in ([] if told.comparison is None else told.comparison.rows)),
        notes=_notes(service, whoever, told),
        refused=plural(language, "rollout.refused", len(refusals)) if refusals else "",
        refusals=refusals,
    )


def _refusal(one: ProcessAnswer, language: Language) -> str:
    return f"{one.process}: {one.refused}" if language == "en" else one.process


def _notes(service: Service, whoever: Visitor, told: CurrentRolloutAnswer) -> tuple[str, ...]:
    if told.comparison is None:
        return ()
    found: ComparisonAnswer = told.comparison
    at, since = (_at(service, whoever, when) for when in (found.read_at, found.since))
    note = text(whoever.language, "rollout.note", at=at, since=since, level=share(found.level))
    return (note, found.sample_ratio.text, *([found.followed_text] if found.followed_text else []))


def _line(service: Service, whoever: Visitor, row: RowAnswer) -> Line:
    language, currency, kind = whoever.language, service.community.currency, kind_of(row.name)
    champion, challenger = (written_mean(kind, mean, language=language, currency=currency) for mean in (row.champion_mean, row.mean))
    difference, between = "", ""
    if row.difference is not None and row.interval is not None:
        told = Estimate(row.difference, *row.interval)
        difference, low, high = written_estimate(kind, told, language=language, currency=currency)
        between = span(language, low, high)
    members = f"{number(language, row.champion_members)} : {number(language, row.members)}"
    return Line(row.label, champion, challenger, difference, between, members, row.verdict, SIGNS.get(row.verdict, ""))


def _at(service: Service, whoever: Visitor, at: datetime) -> str:
    return moment(whoever.language, at.astimezone(service.community.zone))
