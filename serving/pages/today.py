"""Today: what the latest run over all members found, in sentences first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response

from models.activity import MONTH_DAYS
from models.declared import STAGES
from models.overview import Overview
from models.texts import calendar_day, day_of_year, duration, moment, money, named, number, plural, share, span, text, window
from models.wording import of_leaving, opening
from serving.decided_since import since_sentence
from serving.goals import Target
from serving.latest_run import Run
from serving.pages.site import PageRoute, ago, month, page
from serving.pages.today_goals import goals_content
from serving.pages.visitors import Reader, Visitor
from serving.service import CurrentService, Service

router = APIRouter(include_in_schema=False, route_class=PageRoute)

GONE = ("silent", "lost")
SIGNS = {"low": "▽", "medium": "◇", "high": "▲"}
HEAT_STEPS = 5


@dataclass(frozen=True)
class BandFigure:
    name: str
    sign: str
    text: str
    members: str
    share: str
    expected: str
    change: str


@dataclass(frozen=True)
class Bar:
    text: str
    members: str
    share: str
    width: float
    gone: bool
    link: str | None


@dataclass(frozen=True)
class Day:
    text: str
    value: int
    written: str


@dataclass(frozen=True)
class Shade:
    text: str
    step: int


@dataclass(frozen=True)
class CohortRow:
    text: str
    members: str
    shades: tuple[Shade, ...]
    values: str


@router.get("/")
def today(request: Request, service: CurrentService, whoever: Reader, target: Target = None) -> Response:
    run = service.latest_run.shown()
    ahead = goals_content(service, run, whoever, target)
    return page(request, whoever, "today.html", **_Teller(service, run, whoever).content(), **ahead)


@dataclass(frozen=True)
class _Teller:
    service: Service
    run: Run
    whoever: Visitor

    @property
    def overview(self) -> Overview:
        return self.run.overview

    def content(self) -> dict[str, Any]:
        language, overview = self.whoever.language, self.overview
        community, scored = self.service.community, overview.scored
        pace = community.lifecycle
        lively = overview.liveliness
        high = next(band for band in overview.bands if band.name == "high")
        return {
            "community": community.name,
            "lead": plural(
                language,
                of_leaving("today.lead", community),
                round(scored.expected.value),
                members=number(language, scored.members),
                window=window(language, overview.horizon_days),
            ),
            "interval": {
                "bounds": span(language, *(number(language, round(end)) for end in scored.expected.interval)),
                "money": money(language, scored.value_at_risk, community.currency),
            },
            "high": plural(language, "today.next", high.members) if high.members else None,
            "high_link": "/audience?risk_band=high",
            "bands": [self._band(band.name) for band in reversed(overview.bands)],
            "before": None if self.run.before is None else calendar_day(language, self._local(self.run.before.as_of)),
            "stages": self._stages(),
            "pace": {"silent": duration(language, pace.silent_days), "lost": duration(language, pace.lost_days)},
            "actions": self._actions(),
            "days": self._days(),
            "liveliness": {
                "dau": number(language, round(sum(lively.daily[-MONTH_DAYS:]) / MONTH_DAYS)),
                "mau": number(language, lively.monthly),
                "share": share(lively.stickiness or 0),
                "goal": share(community.goals.stickiness),
            },
            "weekly": {"n": number(language, lively.weekly_events), "goal": number(language, community.goals.weekly_events)},
            "cohorts": [self._cohort(index) for index in range(len(overview.cohorts))],
            "periods": range(1, 1 + max((len(cohort.kept) for cohort in overview.cohorts), default=0)),
            "sources": self._sources(),
            "as_of": self._local(overview.as_of),
            "since": since_sentence(self.service, self.run, language),
            "stale": self._stale(),
        }

    def _local(self, at: datetime) -> datetime:
        return at.astimezone(self.service.community.zone)

    def _stale(self) -> str | None:
        """Of a run that is older than a log may be, by a day."""
        now, as_of = self.service.clock(), self.overview.as_of
        if now - as_of <= timedelta(days=1, hours=self.service.community.monitor.stale_hours):
            return None
        return text(self.whoever.language, "today.stale", ago=ago(self.whoever, as_of, now))

    def _band(self, name: str) -> BandFigure:
        language, overview = self.whoever.language, self.overview
        band = next(one for one in overview.bands if one.name == name)
        return BandFigure(
            name=name,
            sign=SIGNS[name],
            text=named(language, "band", name),
            members=number(language, band.members),
            share=text(language, "today.band_of", share=share(band.members / max(overview.scored.members, 1))),
            expected=text(language, of_leaving("today.band_expected", self.service.community), n=number(language, round(band.expected))),
            change=self._change(name, band.members),
        )

    def _change(self, name: str, members: int) -> str:
        language, before = self.whoever.language, self.run.before
        if before is None:
            return text(language, "today.band_first")
        change = members - next(one.members for one in before.bands if one.name == name)
        key = "today.band_same" if change == 0 else "today.band_more" if change > 0 else "today.band_fewer"
        return text(language, key) if change == 0 else text(language, key, n=number(language, abs(change)))

    def _stages(self) -> list[Bar]:
        language, counts = self.whoever.language, self.overview.stages
        known = max(sum(counts.values()), 1)
        return [
            Bar(
                opening(named(language, "stage", stage)),
                number(language, counts[stage]),
                share(counts[stage] / known),
                100 * counts[stage] / max(*counts.values(), 1),
                stage in GONE,
                f"/audience?stage={stage}" if stage != "lost" else None,
            )
            for stage in STAGES
        ]

    def _actions(self) -> list[Bar]:
        language, chosen = self.whoever.language, self.overview.chosen
        labels = {one.id: one.label.of(language) for one in self.service.community.interventions}
        most, everybody = max(chosen.values(), default=1), max(sum(chosen.values()), 1)
        ordered = sorted(chosen.items(), key=lambda pair: -pair[1])
        return [
            Bar(
                labels.get(name, text(language, "report.do_nothing")),
                number(language, n),
                share(n / everybody),
                100 * n / most,
                name not in labels,
                None,
            )
            for name, n in ordered
        ]

    def _days(self) -> list[Day]:
        lively = self.overview.liveliness
        first = date.fromisoformat(lively.first_day)
        return [
            Day(
                day_of_year(self.whoever.language, first + timedelta(days=at)),
                value,
                number(self.whoever.language, value),
            )
            for at, value in enumerate(lively.daily)
        ]

    def _cohort(self, index: int) -> CohortRow:
        cohort = self.overview.cohorts[index]
        return CohortRow(
            month(self.whoever, cohort.month),
            number(self.whoever.language, cohort.members),
            tuple(Shade(share(kept), min(int(kept * HEAT_STEPS), HEAT_STEPS - 1)) for kept in cohort.kept),
            ",".join(f"{100 * kept:.1f}" for kept in cohort.kept),
        )

    def _sources(self) -> list[tuple[str, str, str]]:
        """Name, time or version, and how long ago."""
        language, overview, now = self.whoever.language, self.overview, self.service.clock()
        meaning = named(language, "grade", overview.grade)
        told = {
            "today.run": overview.as_of,
            "today.last_event": overview.last_event_at,
            "today.learned": overview.trained_through,
        }
        times = [
            (text(language, key), moment(language, self._local(at)), text(language, "today.since", ago=ago(self.whoever, at, now)))
            for key, at in told.items()
        ]
        grade = text(language, "today.model_grade", version=overview.model_version, grade=overview.grade, meaning=meaning)
        return [*times, (text(language, "today.model"), grade, "")]
