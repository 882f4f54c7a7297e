"""The report of a whole community as one page of HTML that stands alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import TYPE_CHECKING

from models.charts import Chart, Series, line_chart
from models.declared import STAGES
from models.experiment_wording import label_of, lift_sentence, sizes_sentence, waits_sentence, whisker_of
from models.goal_wording import goal_row, target_sentences
from models.intervals import Estimate
from models.pages import page_template
from models.sankey import NARROW, sankey
from models.texts import (
    Count,
    calendar_day,
    day_of_year,
    decimal,
    messages,
    moment,
    money,
    month_of_year,
    number,
    share,
    span,
    text,
    window,
)
from models.whiskers import Scale, Whisker
from models.wording import of_leaving

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from models.activity import Cohort
    from models.community import Community
    from models.community_figures import CommunityFigures
    from models.declared import Language, Stage
    from models.plan_figures import Outlook
    from models.read_out import Lift, ReadOut


@dataclass(frozen=True)
class CohortRow:
    """`cells`: the written share of each month and how dark it is, from 0 to 100."""

    month: str
    members: str
    cells: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class PlanRow:
    spend: str
    contacted: str
    saved: str
    bounds: str
    cost_per_saved: str


@dataclass(frozen=True)
class ExperimentCard:
    """`whiskers` belong to the sentences; None where there is nothing to draw. `zero` is where no difference lies, in each."""

    name: str
    sentences: tuple[str, ...]
    whiskers: tuple[tuple[Whisker, float] | None, ...]
    check: str
    mismatch: bool


def render_community_report(figures: CommunityFigures, community: Community, *, generated_at: datetime, language: Language) -> str:
    """A whole HTML document; times by the clock of the community."""
    overview, t = figures.overview, partial(text, language)
    names = {stage: messages(language)[f"stage.{stage}"] for stage in STAGES}
    ends = [*names.values(), t("community_report.not_yet")], list(names.values())
    since, at = (calendar_day(language, day.astimezone(community.zone)) for day in (overview.since or overview.as_of, overview.as_of))
    return page_template("community_report.html").render(
        t=t,
        lang="zh-CN" if language == "zh" else "en",
        subtitle=text(language, "community_report.subtitle", community=community.name, at=at, members=Count(language, overview.members)),
        lead=_lead(figures, community, language),
        facts=_facts(figures, community, language),
        goals=[goal_row(one, community.goals, language) for one in figures.goals],
        target=[] if figures.distance is None else target_sentences(figures.distance, community, language),
        stages=_stages(overview.stages, names, language),
        n=partial(number, language),
        paths=sankey(overview.paths.counts, *ends),
        paths_narrow=sankey(overview.paths.counts, *ends, NARROW),
        kinds=dict(zip(names.values(), STAGES, strict=True)),
        paths_title=text(language, "community_report.paths", since=since, at=at),
        moved=_moved(figures, language),
        active=_active_chart(figures, language),
        cohorts=[_cohort(cohort, language) for cohort in overview.cohorts],
        months=range(1, 1 + max((len(cohort.kept) for cohort in overview.cohorts), default=0)),
        plans=[_plan(point, community, language) for point in figures.frontier],
        experiments=_cards(figures, community, language),
        provenance=_provenance(figures, community, language),
        generated=f"{moment(language, generated_at.astimezone(community.zone))} ({community.timezone})",
    )


def _lead(figures: CommunityFigures, community: Community, language: Language) -> str:
    scored = figures.overview.scored
    if not scored.members:
        return text(language, "community_report.nobody")
    value, low, high = (number(language, round(one)) for one in (scored.expected.value, *scored.expected.interval))
    days = window(language, figures.overview.horizon_days)
    return text(
        language,
        of_leaving("community_report.lead", community),
        members=number(language, scored.members),
        window=days,
        value=value,
        bounds=span(language, low, high),
    )


def _facts(figures: CommunityFigures, community: Community, language: Language) -> list[tuple[str, str]]:
    overview = figures.overview
    lively = overview.liveliness
    sticky = text(language, "unit.unknown") if lively.stickiness is None else share(lively.stickiness)
    return [
        (text(language, "community_report.at_risk"), money(language, overview.scored.value_at_risk, community.currency)),
        (text(language, "community_report.monthly"), number(language, lively.monthly)),
        (text(language, "community_report.stickiness"), sticky),
        (text(language, "community_report.weekly_events"), decimal(lively.weekly_events, 1)),
    ]


def _stages(members: Mapping[str, int], names: Mapping[Stage, str], language: Language) -> list[tuple[str, str, float]]:
    """The name of each, its members, and their share in per cent."""
    whole = max(sum(members.values()), 1)
    return [(name, number(language, members[stage]), 100 * members[stage] / whole) for stage, name in names.items()]


def _moved(figures: CommunityFigures, language: Language) -> str:
    paths = figures.overview.paths
    return text(language, "community_report.moved", gone=Count(language, paths.gone), back=number(language, paths.back))


def _active_chart(figures: CommunityFigures, language: Language) -> Chart:
    """Members active on each day, oldest first."""
    daily = figures.overview.liveliness.daily
    last = len(daily) - 1
    line = Series("effect", [Estimate(count, count, count) for count in daily])

    first = date.fromisoformat(figures.overview.liveliness.first_day)

    def on(day: float) -> str:
        return day_of_year(language, first + timedelta(days=day))

    return line_chart(range(len(daily)), [line], mark=last, x_label=on, y_label=partial(number, language), x_ticks=(0, last // 2, last))


def _cohort(cohort: Cohort, language: Language) -> CohortRow:
    month = month_of_year(language, date.fromisoformat(f"{cohort.month}-01"))
    return CohortRow(month, number(language, cohort.members), tuple((share(kept), round(100 * kept)) for kept in cohort.kept))


def _plan(point: Outlook, community: Community, language: Language) -> PlanRow:
    paid = partial(money, language, currency=community.currency)
    cost = point.cost_per_saved
    return PlanRow(
        spend=paid(point.spend),
        contacted=number(language, round(point.contacted)),
        saved=decimal(point.saved.value, 1),
        bounds=span(language, decimal(point.saved.lower, 1), decimal(point.saved.upper, 1)),
        cost_per_saved=text(language, "unit.none") if cost is None else paid(cost),
    )


def _cards(figures: CommunityFigures, community: Community, language: Language) -> list[ExperimentCard]:
    return [_card(read, community, language) for read in figures.experiments]


def _card(read: ReadOut, community: Community, language: Language) -> ExperimentCard:
    """One sentence where there is nothing to compare yet."""
    name = label_of(read, community, language)
    if all(lift.verdict == "waiting" for lift in read.lifts):
        return ExperimentCard(name, (waits_sentence(read, community, language),), (None,), "", mismatch=False)
    sentences = tuple(lift_sentence(lift, read, community, language) for lift in read.lifts)
    whiskers = tuple(_whisker(lift) for lift in read.lifts)
    return ExperimentCard(name, sentences, whiskers, sizes_sentence(read, language), read.doubtful)


def _whisker(lift: Lift) -> tuple[Whisker, float] | None:
    """On a scale of its own, as the page draws it."""
    if lift.lift is None:
        return None
    scale = Scale.over([lift.lift.interval])
    return whisker_of(lift.verdict, lift.lift, scale), scale.zero


def _provenance(figures: CommunityFigures, community: Community, language: Language) -> str:
    overview = figures.overview
    through, last = (calendar_day(language, at.astimezone(community.zone)) for at in (overview.trained_through, overview.last_event_at))
    grade = messages(language)[f"grade.{overview.grade}"]
    given = {"version": overview.model_version, "grade": overview.grade, "means": grade, "through": through, "last": last}
    return text(language, "community_report.provenance", **given)
