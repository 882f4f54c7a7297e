"""Audience: members chosen by risk and group, counted as one looks."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse

from models.audience import BINS, GROUP_PREFIX, Audience
from models.declared import STAGES
from models.groups import group_columns
from models.store_overviews import COLUMNS, StandingQuery
from models.texts import money, named, number, share, span, text, window
from models.weighing import BANDS
from models.wording import of_leaving, opening, tier_name
from serving.audience import STEP, Selected, fields_of, query_of, tags_of
from serving.decided_since import since_sentence
from serving.latest_run import Run
from serving.pages.site import PageRoute, month, page
from serving.pages.visitors import Reader, Visitor
from serving.service import CurrentService, Service

router = APIRouter(include_in_schema=False, route_class=PageRoute)

LISTED = 25
BYTE_ORDER_MARK = "\ufeff"
"""At the beginning of a table, so that a spreadsheet reads its letters as UTF-8."""


@dataclass(frozen=True)
class Option:
    value: str
    text: str
    members: str
    chosen: bool


@dataclass(frozen=True)
class Group:
    """One way to narrow the selection; `field` is what a form sends it as."""

    name: str
    field: str
    text: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Bar:
    """`members` is what the figure draws, `written` what the table says."""

    text: str
    members: int
    written: str
    chosen: bool


@dataclass(frozen=True)
class Row:
    member_id: str
    risk: str
    width: float
    band: str
    stage: str
    tier: str
    tags: tuple[str, ...]
    value: str
    at_risk: str
    action: str


@router.get("/audience")
def audience(
    request: Request, service: CurrentService, whoever: Reader, selection: Selected, hx_request: Annotated[str | None, Header()] = None
) -> Response:
    """The whole page, or for htmx the parts of it that a selection changes."""
    run = service.latest_run.shown()
    found = run.cells.audience(selection)
    rows = service.store.standings(query_of(run, selection), LISTED)
    told = _Teller(service, run, whoever)
    template = "audience_found.html" if hx_request is not None else "audience.html"
    return page(request, whoever, template, **told.content(found), rows=[told.row(row) for row in rows], swapped=hx_request is not None)


@router.get("/audience.csv")
def export(service: CurrentService, _whoever: Reader, selection: Selected) -> Response:
    """All members of the selection; cells that a spreadsheet would take for a formula are kept from it."""
    run = service.latest_run.shown()
    name = f"audience-{run.overview.as_of:%Y-%m-%d}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(_lines(service, query_of(run, selection)), media_type="text/csv; charset=utf-8", headers=headers)


def _lines(service: Service, query: StandingQuery) -> Iterator[str]:
    columns, groups = [name for name in COLUMNS if name not in {"bin", "cell", "groups"}], group_columns(service.community)
    yield BYTE_ORDER_MARK + _written([[*columns, *(GROUP_PREFIX + name for name in groups)]])
    for part in service.store.all_standings(query):
        yield _written([*(row[name] for name in columns), *((row["groups"] or {}).get(name) for name in groups)] for row in part)


def _written(rows: Iterable[Sequence[object]]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerows(map(cell, row) for row in rows)
    return written.getvalue()


def cell(value: object) -> object:
    """A text that begins like a formula gets an apostrophe (OWASP, CSV injection); tags lose the outer commas."""
    if not isinstance(value, str):
        return value
    plain = value.strip(",")
    return f"'{plain}" if plain.startswith(("=", "+", "-", "@", "\t", "\r")) else plain


@dataclass(frozen=True)
class _Teller:
    service: Service
    run: Run
    whoever: Visitor

    def content(self, found: Audience) -> dict[str, Any]:
        language, total, everyone = self.whoever.language, found.total, found.everyone
        currency = self.service.community.currency
        low, high = (share(bound) for bound in found.selection.shares)
        bounds = span(language, number(language, round(total.expected.lower)), number(language, round(total.expected.upper)))
        return {
            "lead": self._lead(found),
            "nobody": total.members == 0,
            "selection": found.selection,
            "step": STEP,
            "members": number(language, total.members),
            "members_share": share(total.members / max(everyone.members, 1)),
            "expected_label": text(language, of_leaving("audience.expected", self.service.community)),
            "expected": number(language, round(total.expected.value)),
            "bounds": bounds,
            "value_at_risk": money(language, total.value_at_risk, currency),
            "value_share": share(total.value_at_risk / everyone.value_at_risk) if everyone.value_at_risk else share(0),
            "range": span(language, low, high),
            "low": low,
            "high": high,
            "bars": self._bars(found),
            "groups": self._groups(found),
            "query": urlencode(fields_of(found.selection)),
            "since": since_sentence(self.service, self.run, language),
            "as_of": self.run.overview.as_of.astimezone(self.service.community.zone),
            "listed": min(LISTED, total.members),
        }

    def _lead(self, found: Audience) -> str:
        language, total = self.whoever.language, found.total
        if not total.members:
            return text(language, "audience.lead_none")
        key = of_leaving("audience.lead_one" if total.members == 1 else "audience.lead", self.service.community)
        horizon = window(language, self.run.overview.horizon_days)
        counts = {} if total.members == 1 else {"members": number(language, total.members)}
        return text(language, key, n=number(language, round(total.expected.value)), window=horizon, **counts)

    def _bars(self, found: Audience) -> list[Bar]:
        language, selection = self.whoever.language, found.selection
        return [
            Bar(
                span(language, share(at / BINS), share((at + 1) / BINS)),
                members,
                number(language, members),
                selection.low <= at < selection.high,
            )
            for at, members in enumerate(found.histogram)
        ]

    def _groups(self, found: Audience) -> list[Group]:
        language, community = self.whoever.language, self.service.community
        stages = [stage for stage in STAGES if stage in found.choices["stage"] or stage == found.selection.stage]
        tiers = [tier.name for tier in community.lifecycle.tiers]
        names: dict[str, dict[str, str]] = {
            "risk_band": {band: named(language, "band", band) for band in reversed(BANDS)},
            "stage": {stage: named(language, "stage", stage) for stage in stages},
            "tier": {tier: opening(tier_name(language, tier, community)) for tier in tiers},
            "tag": {tag: named(language, "tag", tag) for tag in found.choices["tag"]},
            "cohort": {cohort: month(self.whoever, cohort) for cohort in sorted(found.choices["cohort"], reverse=True)},
        }
        titles = {
            "risk_band": "audience.band",
            "stage": "audience.stage",
            "tier": "audience.tier",
            "tag": "audience.tag",
            "cohort": "audience.cohort",
        }
        own = [
            Group(name, name, text(language, titles[name]), tuple(self._option(found, name, *option) for option in options.items()))
            for name, options in names.items()
        ]
        return [*own, *(self._group(found, column) for column in group_columns(community))]

    def _option(self, found: Audience, name: str, value: str, shown: str) -> Option:
        members = number(self.whoever.language, found.choices[name].get(value, 0))
        return Option(value, shown, members, getattr(found.selection, name) == value)

    def _group(self, found: Audience, column: str) -> Group:
        """Of the members table; what is chosen is among the options though nobody else is in it."""
        chosen = dict(found.selection.groups).get(column)
        counted = dict(found.choices.get(GROUP_PREFIX + column, {}))
        values = sorted(counted.keys() | ({chosen} if chosen is not None else set()))
        options = [
            Option(f"{column}:{value}", value, number(self.whoever.language, counted.get(value, 0)), value == chosen) for value in values
        ]
        return Group(GROUP_PREFIX + column, "group", opening(named(self.whoever.language, "attribute", column)), tuple(options))

    def row(self, row: dict[str, Any]) -> Row:
        language, community = self.whoever.language, self.service.community
        labels = {one.id: one.label.of(language) for one in community.interventions}
        return Row(
            member_id=row["member_id"],
            risk=share(row["probability"]),
            width=100 * row["probability"],
            band=row["risk_band"],
            stage=named(language, "stage", row["stage"]),
            tier=opening(tier_name(language, row["tier"], community)),
            tags=tuple(named(language, "tag", tag) for tag in tags_of(row["tags"])),
            value=money(language, row["value"], community.currency),
            at_risk=money(language, row["value_at_risk"], community.currency),
            action=labels.get(row["chosen"], text(language, "report.do_nothing")),
        )
