"""Model: how good it is, in words and then in numbers, whether members have moved since, and what the data check found."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response

from models.model_wording import of_pairs
from models.texts import Count, calendar_day, decimal, moneys, number, sentences, share, span, text
from models.whiskers import Scale, Whisker
from models.wording import opening
from serving.model_figures import (
    CalibrationAnswer,
    DriftAnswer,
    MeasuredAnswer,
    ModelReportAnswer,
    PoliciesAnswer,
    PolicyAnswer,
    model_report,
)
from serving.operation_answers import ShadowAnswer
from serving.pages.model_rollout import rollout_part
from serving.pages.site import PageRoute, page
from serving.pages.visitors import Reader, Visitor
from serving.service import CurrentService, Service

router = APIRouter(include_in_schema=False, route_class=PageRoute)

GROUPS_SHOWN = 10
LEVEL_SIGNS = {"error": "✕", "warning": "!", "advice": "i"}


@dataclass(frozen=True)
class Fact:
    name: str
    value: str
    how: str


@dataclass(frozen=True)
class Point:
    """A group of members of about the same risk; `values` are per cent for the figure: said, seen and the interval."""

    said: str
    seen: str
    between: str
    members: str
    fits: bool
    values: str


@dataclass(frozen=True)
class Test:
    """`values` for the figure: right order in 100 pairs with its interval, and that of the rule."""

    day: str
    version: str
    auc: str
    between: str
    rule: str
    members: str
    how: str
    values: str


@dataclass(frozen=True)
class PolicyRow:
    """`gain` over the model in use; none of its own."""

    name: str
    value: str
    between: str
    gain: str
    gain_between: str
    whisker: Whisker | None
    label: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class MovedRow:
    name: str
    columns: str
    psi: str
    weight: str
    notable: bool


@router.get("/model")
def model(request: Request, service: CurrentService, whoever: Reader) -> Response:
    report = model_report(service, request.app.state.shadow, whoever.language)
    return page(request, whoever, "model.html", community=service.community.name, **_Teller(service, report, whoever).content())


@dataclass(frozen=True)
class _Teller:
    service: Service
    report: ModelReportAnswer
    whoever: Visitor

    def content(self) -> dict[str, Any]:
        report, test = self.report, self.report.of_champion.test
        return {
            "lead": report.of_champion.text,
            "details": sentences(self.whoever.language, report.of_champion.details),
            "told_at": None if report.told_at is None else self._day(report.told_at),
            "not_taken_over": self._not_taken_over(),
            "version": None if test is None else test.version,
            "grade": None if test is None else test.grade,
            "facts": [] if test is None else self._facts(test, report.of_champion.gain_text or ""),
            "calibration_text": report.of_champion.calibration_text,
            "points": [] if test is None else [self._point(point) for point in test.calibration],
            "tests": [self._test(one) for one in report.tests],
            "over_time_note": self._over_time_note(),
            "policies": None if report.policies is None else self._policies(report.policies),
            "rollout": rollout_part(self.service, self.whoever),
            "shadow": self._shadow(report.shadow),
            "drift": None if report.drift is None else self._drift(report.drift),
            "input": report.input,
            "level_signs": LEVEL_SIGNS,
        }

    def _day(self, at: datetime) -> str:
        return calendar_day(self.whoever.language, at.astimezone(self.service.community.zone))

    def _facts(self, test: MeasuredAnswer, over: str) -> list[Fact]:
        """`over`: what the gain is over."""
        language = self.whoever.language
        ranking, rule, off = test.auc_interval, test.recency_auc_interval, test.calibration_error_interval

        def between(key: str, ends: tuple[float, float], places: int = 0) -> str:
            low, high = (decimal(100 * end, places) for end in ends)
            return text(language, key, bounds=span(language, low, high))

        return [
            Fact(text(language, "model_page.ranking"), of_pairs(test.auc), between("model_page.interval95", ranking)),
            Fact(text(language, "model_page.rule"), of_pairs(test.recency_auc), between("model_page.rule_how", rule)),
            Fact(
                text(language, "model_page.gain"),
                text(language, "model_page.gain_pairs", n=decimal(100 * test.auc_gain, 1, signed=True)),
                over,
            ),
            Fact(
                text(language, "model_page.deviation"),
                decimal(100 * test.calibration_error, 1),
                between("model_page.deviation_how", off, 1),
            ),
        ]

    def _point(self, one: CalibrationAnswer) -> Point:
        numbers = (one.said, one.seen, one.lower, one.upper)
        return Point(
            said=_per_cent(one.said),
            seen=_per_cent(one.seen),
            between=span(self.whoever.language, _per_cent(one.lower), _per_cent(one.upper)),
            members=number(self.whoever.language, one.members),
            fits=one.fits,
            values=",".join(f"{100 * value:.2f}" for value in numbers),
        )

    def _test(self, one: MeasuredAnswer) -> Test:
        language, (low, high) = self.whoever.language, one.auc_interval
        how = "model_page.by_training" if one.trained else "model_page.by_evaluation" if one.out_of_time else "model_page.by_seen"
        return Test(
            day=self._day(one.as_of),
            version=text(language, "model_page.version", version=one.version),
            auc=of_pairs(one.auc),
            between=span(language, of_pairs(low), of_pairs(high)),
            rule=of_pairs(one.recency_auc),
            members=number(language, one.members),
            how=text(language, how),
            values=",".join(f"{100 * value:.2f}" for value in (one.auc, low, high, one.recency_auc)),
        )

    def _not_taken_over(self) -> str | None:
        why, language = self.service.champion_fault, self.whoever.language
        return why and text(language, "model_page.not_taken_over", version=self.service.engine().version, why=why)

    def _over_time_note(self) -> str:
        language = self.whoever.language
        alone = [text(language, "model_page.over_time_one")] if len(self.report.tests) == 1 else []
        return sentences(language, [text(language, "model_page.over_time_note"), *alone])

    def _policies(self, told: PoliciesAnswer) -> dict[str, Any]:
        scale = Scale.over([one.gain_interval for one in told.policies if one.gain_interval is not None])
        return {
            "text": told.text,
            "note": told.note,
            "reliable": told.reliable,
            "outcome": told.outcome_text,
            "missing": [opening(said) for said in told.missing],
            "zero": scale.zero,
            "rows": [self._policy(one, told, scale) for one in told.policies],
        }

    def _policy(self, one: PolicyAnswer, told: PoliciesAnswer, scale: Scale) -> PolicyRow:
        language = self.whoever.language
        value, low, high = moneys(language, (one.value, *one.value_interval), told.currency)
        plain = PolicyRow(one.label, value, span(language, low, high), "", "", None, "", tuple(map(opening, one.warnings)))
        if one.gain is None or one.gain_interval is None:
            return plain
        gain, low, high = moneys(language, (one.gain, *one.gain_interval), told.currency, signed=True)
        between = span(language, low, high)
        return replace(
            plain,
            gain=gain,
            gain_between=between,
            whisker=scale.whisker(one.gain, *one.gain_interval),
            label=text(language, "interventions.compare_label", n=gain, bounds=between),
        )

    def _shadow(self, told: ShadowAnswer | None) -> dict[str, Any]:
        """`text` where there is nothing to compare, else `facts`."""
        language = self.whoever.language
        if told is None:
            return {"text": text(language, "model_page.shadow_off"), "error": None, "facts": []}
        if told.version is None:
            waits = self.report.challenger is None or self.report.challenger == self.report.champion
            key = "model_page.shadow_none" if waits else "model_page.shadow_error"
            return {"text": text(language, key), "error": None if waits else told.error, "facts": []}
        if told.choice is None or told.choice_interval is None:
            return {"text": text(language, "model_page.shadow_waiting"), "error": told.error, "facts": []}
        champion = self.service.models.version or ""
        note = text(language, "model_page.shadow_note", n=Count(language, told.decisions), champion=champion, version=told.version)
        return {"text": note, "error": told.error, "facts": self._agreement(told)}

    def _agreement(self, told: ShadowAnswer) -> list[Fact]:
        language = self.whoever.language
        shares = (
            ("model_page.shadow_choice", told.choice, told.choice_interval),
            ("model_page.shadow_band", told.band, told.band_interval),
        )
        facts = []
        for key, value, ends in shares:
            if value is not None and ends is not None:
                how = text(language, "model_page.interval95", bounds=span(language, share(ends[0]), share(ends[1])))
                facts.append(Fact(text(language, key), share(value), how))
        if told.probability_difference is not None:
            points = text(language, "model_page.shadow_points", n=decimal(100 * told.probability_difference, 1))
            facts.append(Fact(text(language, "model_page.shadow_difference"), points, ""))
        return facts

    def _drift(self, told: DriftAnswer) -> dict[str, Any]:
        language = self.whoever.language
        risk = MovedRow(told.risk.text, "", decimal(told.risk.psi, 2), "", told.risk.notable)
        groups = [
            MovedRow(
                one.text,
                text(language, "model_page.drift_part", part=number(language, one.moved), whole=number(language, one.columns)),
                decimal(one.psi, 2),
                text(language, "model_page.drift_part", part=share(one.moved_weight), whole=share(one.weight)),
                one.notable,
            )
            for at, one in enumerate(told.groups)
            if one.notable or at < GROUPS_SHOWN
        ]
        other = told.model_version != self.report.champion
        stale = text(language, "model_page.drift_other", version=told.model_version) if other else None
        return {"text": told.text, "note": told.note, "rows": [risk, *groups], "stale": stale}


def _per_cent(value: float) -> str:
    return f"{decimal(100 * value, 1)}%"
