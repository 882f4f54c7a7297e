"""The answer to "is targeting by risk hurting us?" in sentences, and as one page of HTML that stands alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from models.charts import Chart, Series, line_chart
from models.intervals import Estimate
from models.pages import page_template
from models.targeting import RANKINGS
from models.texts import MINUS, calendar_day, decimal, listed, moment, money, moneys, number, share, span, text, window

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from models.assignments import AssignmentKind
    from models.community import Community
    from models.declared import Language
    from models.effect_ranking import ArmRanking
    from models.statements import Statement
    from models.targeting import Ranking, Targeting

NAMES: dict[Ranking, str] = {
    "risk": "targeting.by_risk",
    "effect": "targeting.by_effect",
    "net_value": "targeting.by_net_value",
    "random": "targeting.at_random",
}
FINDINGS = {
    "risk_hurts": "targeting.risk_hurts",
    "effect_is_better": "targeting.effect_is_better",
    "risk_is_better": "targeting.risk_is_better",
    "no_difference": "targeting.no_difference",
}
BANDED: tuple[Ranking, ...] = ("risk", "effect")
IN_THE_LEAD: tuple[Ranking, ...] = ("risk", "effect", "random")
X_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
SMALLEST_IN_MIX = 0.005
PER = 1000


@dataclass(frozen=True)
class Occasion:
    """Where the answer comes from. `seen_share`: of the assignments, those whose outcome the risk learned from."""

    community: Community
    version: str
    trained_through: datetime
    first: datetime
    last: datetime
    seen_share: float
    assignment: AssignmentKind
    best_action: bool
    arms: tuple[ArmRanking, ...] = ()
    warnings: tuple[Statement, ...] = ()


@dataclass(frozen=True)
class Answer:
    """The sentence that comes first, what may be concluded, and the same in money."""

    lead: str
    finding: tuple[str, ...]
    money: tuple[str, ...]


def answer_of(told: Targeting, language: Language, currency: str) -> Answer:
    paid = partial(_amount, language, currency)
    ahead = told.gap("effect", "risk")
    beyond = ahead.money.lower > 0 or ahead.money.upper < 0
    return Answer(
        lead=text(language, "targeting.lead", **{name: _count(found.kept.value) for name, found in told.at.items()}),
        finding=_finding(told, language),
        money=(
            text(language, "targeting.money", **{name: paid(found.money.value) for name, found in told.at.items()}),
            text(
                language, "targeting.money_beyond" if beyond else "targeting.money_within", **_gap_in_money(ahead.money, currency, language)
            ),
        ),
    )


def _finding(told: Targeting, language: Language) -> tuple[str, ...]:
    finding, ahead = told.finding, told.gap("effect", "risk").kept
    shown = {"risk_hurts": told.gap("random", "risk").kept, "risk_is_better": Estimate(-ahead.value, -ahead.upper, -ahead.lower)}
    sentences = [text(language, FINDINGS[finding], **_bounds(shown.get(finding, ahead), _count, language))]
    if finding == "no_difference" and told.needed is not None:
        sentences.append(text(language, "targeting.needed", needed=number(language, told.needed), rows=number(language, told.n)))
    if min(told.at[name].kept.value for name in IN_THE_LEAD) < 0:
        sentences.append(text(language, "targeting.below_zero"))
    return tuple(sentences)


def _bounds(estimate: Estimate, written: Callable[[float], str], language: Language) -> dict[str, str]:
    return {"gap": written(estimate.value), "bounds": span(language, written(estimate.lower), written(estimate.upper))}


def _gap_in_money(estimate: Estimate, currency: str, language: Language) -> dict[str, str]:
    gap, low, high = moneys(language, (estimate.value, estimate.lower, estimate.upper), currency, signed=True)
    return {"gap": gap, "bounds": span(language, low, high)}


def _count(value: float) -> str:
    """Whole; members of 1,000."""
    return decimal(round(value), 0)


def _amount(language: Language, currency: str, value: float) -> str:
    return money(language, value, currency)


@dataclass(frozen=True)
class Cell:
    value: str
    bounds: str


@dataclass(frozen=True)
class Row:
    """Of the table: members kept and money by a ranking, then both against targeting by risk, None for the risk itself."""

    kind: Ranking
    name: str
    cells: tuple[Cell | None, ...]


def render_targeting_report(told: Targeting, occasion: Occasion, *, generated_at: datetime, language: Language) -> str:
    """A whole HTML document; times by the clock of the community."""
    community = occasion.community
    first, last = (calendar_day(language, at.astimezone(community.zone)) for at in (occasion.first, occasion.last))
    counts = {"rows": number(language, told.n), "members": number(language, told.n_members)}
    return page_template("targeting_report.html").render(
        t=partial(text, language),
        lang="zh-CN" if language == "zh" else "en",
        subtitle=text(language, "targeting.subtitle", community=community.name, first=first, last=last, **counts),
        answer=answer_of(told, language, community.currency),
        share=share(told.share),
        rows=[_row(told, name, language, community.currency) for name in RANKINGS],
        kept_chart=_chart(told, partial(_axis, language), money_curve=False),
        money_chart=_chart(told, partial(_axis, language), money_curve=True),
        points=[_point(told, at, language, community.currency) for at in range(len(told.curve))],
        arms=[_arm_row(arm, community, language) for arm in occasion.arms],
        notes=notes_of(told, occasion, language),
        warnings=caveats_of(occasion, language),
        generated=f"{moment(language, generated_at.astimezone(community.zone))} ({community.timezone})",
    )


def caveats_of(occasion: Occasion, language: Language) -> tuple[str, ...]:
    """What weakens the answer itself."""
    unseen = (text(language, "targeting.observational"),) if occasion.assignment == "observational" else ()
    return (*unseen, *(warning.text_in(language) for warning in occasion.warnings))


def notes_of(told: Targeting, occasion: Occasion, language: Language) -> list[str]:
    """How it was measured, and what to keep in mind."""
    community = occasion.community
    labels = [intervention.label.of(language) for intervention in community.interventions]
    parts = sorted(zip(told.mix, labels, strict=True), reverse=True)
    mix = listed(language, [f"{label} {share(part)}" for part, label in parts if part >= SMALLEST_IN_MIX])
    through = calendar_day(language, occasion.trained_through.astimezone(community.zone))
    risk = {"version": occasion.version, "trained_through": through, "share": share(occasion.seen_share)}
    notes = [
        text(language, "targeting.kept_means", window=window(language, community.churn.horizon_days)),
        text(language, "targeting.same_number"),
        text(language, "targeting.best_action" if occasion.best_action else "targeting.as_logged", mix=mix),
        text(language, "targeting.held_out", rows=number(language, told.only_taught)),
        text(language, "targeting.risk_of", **risk),
        text(language, "targeting.level", level=share(told.level)),
    ]
    if occasion.assignment != "observational":
        notes.append(text(language, "targeting.logged" if occasion.assignment == "logged" else "targeting.randomised"))
    left_out = [text(language, "targeting.left_out", rows=number(language, told.left_out))] if told.left_out else []
    return [*notes, *left_out]


def _row(told: Targeting, name: Ranking, language: Language, currency: str) -> Row:
    written: list[Callable[[float], str]] = [_count, partial(_amount, language, currency)]
    found, against = told.at[name], None if name == "risk" else told.gap(name, "risk")
    estimates = [found.kept, found.money, *((None, None) if against is None else (against.kept, against.money))]
    cells = [None if one is None else _cell(one, write, language) for one, write in zip(estimates, written * 2, strict=True)]
    return Row(name, text(language, NAMES[name]), tuple(cells))


@dataclass(frozen=True)
class ArmRow:
    """One intervention: how often it was assigned; kept of 1,000 on average, in its best and its worst fifth; its Qini."""

    name: str
    assigned: str
    cells: tuple[Cell, ...]


def _arm_row(arm: ArmRanking, community: Community, language: Language) -> ArmRow:
    told = (arm.average, arm.fifths[0].effect, arm.fifths[-1].effect, arm.qini)
    cells = tuple(_cell(Estimate(*(PER * value for value in (one.value, one.lower, one.upper))), _count, language) for one in told)
    return ArmRow(community.intervention(arm.intervention).label.of(language), number(language, arm.assigned), cells)


def _cell(estimate: Estimate, written: Callable[[float], str], language: Language) -> Cell:
    return Cell(written(estimate.value), span(language, written(estimate.lower), written(estimate.upper)))


def _chart(told: Targeting, y_label: Callable[[float], str], *, money_curve: bool) -> Chart | None:
    """None where too few are contacted at any share."""
    if not told.curve:
        return None
    series = [
        Series(name, [point.net[name] if money_curve else point.kept[name] for point in told.curve], banded=name in BANDED)
        for name in RANKINGS
    ]
    return line_chart([point.share for point in told.curve], series, mark=told.share, x_label=share, y_label=y_label, x_ticks=X_TICKS)


@dataclass(frozen=True)
class PointRow:
    """One share as a row of the table behind the figures: the values of the first figure's lines, then of the second's."""

    share: str
    values: tuple[str, ...]


def _point(told: Targeting, at: int, language: Language, currency: str) -> PointRow:
    point = told.curve[at]
    kept = [_count(point.kept[name].value) for name in RANKINGS]
    net = [_amount(language, currency, point.net[name].value) for name in RANKINGS]
    return PointRow(share(point.share), (*kept, *net))


def _axis(language: Language, value: float) -> str:
    return f"{MINUS if value < 0 else ''}{number(language, abs(value))}"
