"""Sentences about members, risks and reasons, put together from the texts of a language."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from models.attributes import OTHER
from models.texts import duration, money, named, number, plural, share, span, text, window

if TYPE_CHECKING:
    from models.community import Community
    from models.decision import ChurnScore
    from models.declared import Label, Language
    from models.reason_groups import ReasonGroup, Shown, Unit


MOST_SENTENCES = 8_192
COUNTED_IN: frozenset[Unit] = frozenset(("active_days", "weeks", "count", "times", "kinds", "money", "quantity"))
"""Units of what grows with the window in which it is counted."""
FIRST_WEEK = 7
"""Days of a member's that are one week."""
OF_TREND = {"trend": "activity", "trend_any": "activity_any"}
"""What is told of a trend where there is no time before to compare with."""


class Speaker(NamedTuple):
    """A feature that speaks for its group: what is told of it whoever the member is.

    `label` is that of the group; `typical` the usual value, None for missing and for a level, and `usual` as it is said, "" of a trend.
    """

    group: ReasonGroup
    shown: Shown
    language: Language
    currency: str
    label: str
    typical: float | None
    usual: str


def trend_sentence(speaker: Speaker, recent: float, both: float, life: int) -> str:
    """Events in the window of the trend, against the time before it, as far as there have been days of the member: `life`.

    `both` counts those of twice the window.
    """
    shown, before = speaker.shown, both - recent
    earlier = min(shown.window_days, life - shown.window_days)
    if earlier > 0 or before:
        since = earlier if earlier > 0 else shown.window_days
        return _trend(speaker.language, shown.wording, shown.window_days, since, speaker.label, recent, before)
    key = f"reason.{OF_TREND[shown.wording]}.{'high' if recent else 'none'}"
    return _frame(speaker.language, key, life, life, speaker.label).format(value=_events(speaker.language, recent))


def reason_sentence(speaker: Speaker, value: float | None, days: int, *, drives: bool) -> str:
    """The member's value over so many days against the usual one; None is read as never having happened.

    `drives`: the feature is what moves its group; otherwise others of the group do. What is usual is that of the feature's whole window,
    which is said where it is longer than `days`.
    """
    _, shown, language, currency, label, typical, usual = speaker
    unit = shown.unit
    said = amount(language, value, unit, currency)
    over = days < shown.window_days and unit in COUNTED_IN
    same = said == usual and not over
    key = "usual.same" if same else "usual.finer" if not drives else "usual.is" if typical else "usual.none"
    statement = f"reason.{shown.wording}.{_variant(unit, value, typical, same=same)}"
    if shown.wording == "active_weeks" and value == 1 and days == FIRST_WEEK:
        statement = "reason.active_weeks.first"
    if over and typical:
        usual = text(language, "usual.over", typical=usual, window=plural(language, "unit.days", shown.window_days))
    return _beside_usual(language, statement, days, label, said, key, usual)


@lru_cache(maxsize=MOST_SENTENCES)
def _beside_usual(language: Language, statement: str, days: int, label: str, said: str, key: str, usual: str) -> str:
    """Many members differ in finer things than what is said of them."""
    told = _frame(language, statement, days, days, label).format(value=said, before="")
    return text(language, key, statement=told, typical=usual)


@lru_cache(maxsize=MOST_SENTENCES)
def _trend(language: Language, wording: str, window_days: int, earlier_days: int, label: str, recent: float, before: float) -> str:
    key = f"reason.{wording}.{_trend_variant(recent, before)}"
    return _frame(language, key, window_days, earlier_days, label).format(value=_events(language, recent), before=_events(language, before))


@lru_cache(maxsize=MOST_SENTENCES)
def _frame(language: Language, key: str, days: int, earlier_days: int, label: str) -> str:
    """The text with all but {value} and {before} filled in."""
    first, within = (told.replace("{", "{{").replace("}", "}}") for told in (opening(label), inside(label)))
    said, earlier = window(language, days), window(language, earlier_days)
    return text(language, key, value="{value}", before="{before}", window=said, earlier=earlier, signal=within, signal_first=first)


def _trend_variant(recent: float, before: float) -> str:
    if recent == 0:
        return "none"
    return "low" if recent < before else "high"


def _events(language: Language, count: float) -> str:
    return text(language, "unit.no_event") if count == 0 else plural(language, "unit.count", count)


def attribute_sentence(speaker: Speaker, value: float | str | None) -> str:
    """For example "Region: north (usual: south)"."""
    shown, usual = attribute_value(speaker.language, value), speaker.usual
    key = "reason.attribute.usual" if shown == usual else "reason.attribute.differs"
    return text(speaker.language, key, name=speaker.label, value=shown, typical=usual)


def attribute_label(language: Language, name: str) -> str:
    return opening(named(language, "attribute", name))


def attribute_value(language: Language, value: float | str | None) -> str:
    if value is None:
        return text(language, "unit.unknown")
    if value == OTHER:
        return text(language, "reason.attribute.rare")
    return value if isinstance(value, str) else number(language, value)


def _variant(unit: Unit, value: float | None, typical: float | None, *, same: bool) -> str:
    if value is None or (value == 0 and unit not in {"days", "ratio"}):
        return "none"
    return "low" if typical is not None and value < typical and not same else "high"


@lru_cache(maxsize=4096)
def amount(language: Language, value: float | None, unit: Unit, currency: str) -> str:
    if value is None:
        return text(language, "unit.none")
    return money(language, value, currency) if unit == "money" else _WRITERS[unit](language, value)


_WRITERS: dict[Unit, Callable[[Language, float], str]] = {
    "days": duration,
    "count": lambda language, value: plural(language, "unit.count", value),
    "active_days": lambda language, value: plural(language, "unit.on_days", value),
    "weeks": lambda language, value: plural(language, "unit.weeks", value),
    "quantity": number,
    "share": lambda _, value: share(value),
    "ratio": lambda language, value: text(language, "unit.ratio", n=number(language, value)),
    "times": lambda language, value: plural(language, "unit.times", value),
    "kinds": lambda language, value: plural(language, "unit.kinds", value),
}


def opening(label: str) -> str:
    """A label where a sentence or a line begins."""
    return label[:1].upper() + label[1:]


def inside(label: str) -> str:
    """A label within a sentence: a capital that only begins it is dropped, `WeCom` and `KOL posts` stay."""
    first = label.split(" ", maxsplit=1)[0]
    return label[:1].lower() + label[1:] if first[1:].islower() else label


@dataclass(frozen=True)
class Frequency:
    """`n` of `out_of` members, and how many usually: whole numbers as they are said."""

    n: str
    typical: str
    out_of: int
    single: bool


def natural_frequency(language: Language, probability: float, typical: float) -> Frequency:
    """Of 100; of 1,000 where one of the two is below one in a hundred (Gigerenzer and Hoffrage 1995)."""
    out_of = 1000 if min(probability, typical) < 0.01 else 100
    single = round(probability * out_of) == 1
    return Frequency(_said(language, probability, out_of), _said(language, typical, out_of), out_of, single)


def _said(language: Language, probability: float, out_of: int) -> str:
    n = round(probability * out_of)
    if n == 0:
        return text(language, "risk.fewer_than_one")
    if n == out_of:
        return text(language, "risk.all_but_one", n=number(language, out_of - 1))
    return number(language, n)


def of_leaving(key: str, community: Community) -> str:
    """Which text says what a loss is here: that of members who fall silent, or its twin of contracts that end."""
    return key if community.churn.contract_event is None else f"{key}_contract"


def risk_sentence(language: Language, probability: float, typical: float, horizon_days: int, community: Community) -> str:
    """For example "43 of 100 members like this one go silent in the next 30 days (usual: 18)"."""
    said = natural_frequency(language, probability, typical)
    sentence = plural(
        language,
        of_leaving("risk.going", community),
        1 if said.single else 2,
        n=said.n,
        out_of=number(language, said.out_of),
        window=window(language, horizon_days),
        typical=said.typical,
    )
    return opening(sentence)


def status_sentence(language: Language, churn: ChurnScore, community: Community) -> str:
    """Why a member has no number."""
    ended = churn.status == "already_churned" and community.churn.contract_event is not None
    key = "already_ended" if ended else churn.status
    return text(language, f"status.{key}", window=window(language, community.churn.active_days))


def channel_name(language: Language, channel: str) -> str:
    return named(language, "channel", channel)


def tier_name(language: Language, tier: str, community: Community) -> str:
    labels: dict[str, Label] = {declared.name: declared.label for declared in community.lifecycle.tiers}
    return labels[tier].of(language) if tier in labels else tier


def uplift_sentence(language: Language, uplift: float, interval: tuple[float, float]) -> str:
    """The effect on 100 members like this one; the sign is told in words."""
    return _effect(language, uplift >= 0, *(number(language, 100 * share) for share in (abs(uplift), *interval)))


@lru_cache(maxsize=MOST_SENTENCES)
def _effect(language: Language, gain: bool, n: str, low: str, high: str) -> str:  # noqa: FBT001 - one of two sentences
    return text(language, "uplift.gain" if gain else "uplift.loss", n=n, bounds=span(language, low, high))
