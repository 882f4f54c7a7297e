"""The report of one member: one page of HTML that stands alone, needs no script and asks for nothing from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from models.pages import page_template
from models.report_choice import choice_of, options_of
from models.report_figures import Dots, Step, Week, activity_of, dots_of, waterfall
from models.texts import duration, listed, moment, money, named, share, share_in_words, text, window
from models.wording import opening, risk_sentence, status_sentence, tier_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from models.arrays import Integers
    from models.community import Community
    from models.decision import Decision
    from models.declared import Language

SURE_OF_RANK = 0.001
WEEKS_SHOWN = 26
WEEK = timedelta(days=7)
BAND_SIGNS = {"low": "▽", "medium": "◇", "high": "▲"}


@dataclass(frozen=True)
class Provenance:
    """What the decision itself does not carry: the end of the training data, and notes on the data in force."""

    trained_through: datetime | None = None
    warnings: tuple[str, ...] = ()


NOTHING_MORE = Provenance()


def render_member_report(
    decision: Decision,
    community: Community,
    *,
    activity: Sequence[Week],
    generated_at: datetime,
    language: Language,
    provenance: Provenance = NOTHING_MORE,
) -> str:
    """A whole HTML document. Times are shown by the clock of the community; `activity` rises in time."""
    content = report_content(decision, community, activity=activity, generated_at=generated_at, language=language, provenance=provenance)
    lang = "zh-CN" if language == "zh" else "en"
    return page_template("member_report.html").render(t=partial(text, language), lang=lang, **content)


def report_content(
    decision: Decision,
    community: Community,
    *,
    activity: Sequence[Week],
    generated_at: datetime,
    language: Language,
    provenance: Provenance = NOTHING_MORE,
) -> dict[str, Any]:
    """What the templates of a member's report read."""
    clock = _Clock(community, language)
    return {
        "member_id": decision.member_id,
        "subtitle": text(language, "report.subtitle", community=community.name, at=clock.told(decision.as_of)),
        "badges": _badges(decision, community, language),
        "risk": _risk(decision, community, language),
        "facts": _facts(decision, community, language),
        "choice": choice_of(decision, community, language),
        "options": options_of(decision, community, language),
        "activity": None if decision.impersonal else activity_of(language, community, activity),
        "listed": partial(listed, language),
        "sources": _sources(decision, provenance, generated_at, clock),
        "warnings": provenance.warnings,
    }


def weekly_activity(
    timestamp_us: Integers, signal: Integers, n_signals: int, as_of: datetime, *, weeks: int = WEEKS_SHOWN
) -> tuple[Week, ...]:
    """The last `weeks` weeks, counted back from `as_of`, whose clock gives their dates.

    Both arrays have the shape (n_events,). Events at or after `as_of` are left out, and so are touches (signals from `n_signals` on).
    """
    end_us, week_us = round(as_of.timestamp() * 1_000_000), round(WEEK.total_seconds() * 1_000_000)
    age = (end_us - 1 - timestamp_us) // week_us
    kept = (age >= 0) & (age < weeks) & (signal < n_signals)
    cell = (weeks - 1 - age[kept]) * n_signals + signal[kept]
    counts = np.bincount(cell, minlength=weeks * n_signals).reshape(weeks, n_signals)
    return tuple(Week((as_of - (weeks - at) * WEEK).date(), tuple(row)) for at, row in enumerate(counts.tolist()))


@dataclass(frozen=True)
class _Clock:
    community: Community
    language: Language

    def told(self, at: datetime) -> str:
        return f"{moment(self.language, at.astimezone(self.community.zone))} ({self.community.timezone})"


@dataclass(frozen=True)
class Badge:
    sign: str
    text: str
    kind: str


def _badges(decision: Decision, community: Community, language: Language) -> list[Badge]:
    if decision.impersonal:
        return []
    member, band = decision.member, decision.churn.risk_band
    risk = [] if band is None else [Badge(BAND_SIGNS[band], text(language, f"band.{band}"), f"band-{band}")]
    plain = [named(language, "stage", member.stage), opening(tier_name(language, member.tier, community))]
    tags = [Badge("#", named(language, "tag", tag), "tag") for tag in member.tags]
    return [*risk, *(Badge("", label, "plain") for label in plain), *tags]


@dataclass(frozen=True)
class Fact:
    label: str
    value: str


def _facts(decision: Decision, community: Community, language: Language) -> list[Fact]:
    if decision.impersonal:
        return []
    member = decision.member
    days = duration(language, community.value.value_days)
    value = [Fact(text(language, "report.value", window=days), money(language, member.value, community.currency))]
    if member.value_at_risk is not None:
        value.append(Fact(text(language, "report.value_at_risk"), money(language, member.value_at_risk, community.currency)))
    if member.days_silent is not None:
        value.append(Fact(text(language, "report.silent_for"), duration(language, member.days_silent)))
    return [*value, Fact(text(language, "report.member_for"), duration(language, member.tenure_days))]


SILENCE_TEXTS = "report.stays_silent", "report.longer_is_rarer"
CONTRACT_TEXTS = "report.leaves_within", "report.longer_is_likelier"


@dataclass(frozen=True)
class Horizon:
    label: str
    risk: str
    width: float
    main: bool


@dataclass(frozen=True)
class Risk:
    """`dots` is None, and lists and texts but the sentence are empty, where the member has no number.

    `horizons_mean` tells how several horizons compare. `flat`: reasons without any effect on the risk.
    """

    sentence: str
    rank: str
    dots: Dots | None
    horizons: tuple[Horizon, ...]
    horizons_mean: str
    steps: tuple[Step, ...]
    flat: bool


def _rank(language: Language, percentile: float) -> str:
    """Never above all members, nor above none: those it is compared with are a sample."""
    told = min(max(percentile, SURE_OF_RANK), 1 - SURE_OF_RANK)
    return text(language, "risk.rank", share=share_in_words(language, told))


def _risk(decision: Decision, community: Community, language: Language) -> Risk:
    churn = decision.churn
    probability, typical = churn.probability, churn.typical_probability
    if probability is None or typical is None:
        return Risk(status_sentence(language, churn, community), "", None, (), "", (), flat=False)
    label, mean = SILENCE_TEXTS if community.churn.contract_event is None else CONTRACT_TEXTS
    return Risk(
        sentence=risk_sentence(language, probability, typical, churn.horizon_days, community),
        rank="" if churn.percentile is None else _rank(language, churn.percentile),
        dots=dots_of(language, probability, typical),
        horizons=tuple(
            Horizon(text(language, label, window=window(language, days)), share(at), 100 * at, days == churn.horizon_days)
            for days, at in churn.horizons
        ),
        horizons_mean="" if len(churn.horizons) == 1 else text(language, mean),
        steps=waterfall(language, probability, typical, decision.reasons),
        flat=bool(decision.reasons) and all(reason.contribution_pp == 0 for reason in decision.reasons),
    )


def _sources(decision: Decision, provenance: Provenance, generated_at: datetime, clock: _Clock) -> list[Fact]:
    language = clock.language
    meaning = named(language, "grade", decision.grade)
    last = text(language, "report.no_event") if decision.last_event_at is None else clock.told(decision.last_event_at)
    trained = provenance.trained_through
    told = {
        "report.model": text(language, "report.model_grade", version=decision.model_version, grade=decision.grade, meaning=meaning),
        "report.trained_through": None if trained is None else clock.told(trained),
        "report.features_as_of": clock.told(decision.features_as_of),
        "report.last_event": last,
        "report.catalogue": decision.catalogue_fingerprint[:12],
        "report.decision": text(language, "report.draw", id=decision.decision_id, draw=f"{decision.draw:.4f}"),
        "report.generated": clock.told(generated_at),
    }
    return [Fact(text(language, key), value) for key, value in told.items() if value is not None]
