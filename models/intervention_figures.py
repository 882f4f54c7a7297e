"""Each intervention on its way from the catalogue to a member who answers, and what it is known to bring for its money."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import numpy as np
import polars as pl
from pydantic import TypeAdapter

from models.actions import NO_ACTION
from models.blocking_wording import DRAWN
from models.community import DAY_US, Community
from models.decision import UpliftSource
from models.doubly_robust import LEVEL
from models.events import between, touched
from models.intervals import Estimate
from models.moments import microseconds
from models.snapshots import Activity
from models.uplift_beliefs import PriorUplift
from models.uplift_evidence import Evidence

if TYPE_CHECKING:
    from models.actions import Intervention
    from models.engine import Engine
    from models.events import EventArrays

INTERVENTIONS = "interventions"
"""Their name in the store."""
CONTACT_DAYS = 90
ANSWER_DAYS = 3
RULES_SHOWN = 3
ANSWERS = ("accepted", "redeemed")
StepName = Literal["catalogue", "eligible", "within_policy", "ranked", "assigned", "sent", "converted"]
STAGES_OF: dict[StepName, tuple[str, ...]] = {
    "eligible": ("eligibility",),
    "within_policy": ("contact_policy", "control"),
    "ranked": ("arbitration",),
}
"""The stages of a decision that lie before each step."""
DRAWN_RULE, OUTRANKED = f"arbitration:{DRAWN}", "arbitration:lower_priority"
CostKind = Literal["known", "not_below", "cannot_be_said"]


@dataclass(frozen=True)
class Step:
    """`members` who are still there, None where nobody tells; `blocked`: what kept most of the others away, and how many of them."""

    name: StepName
    members: int | None
    blocked: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class CostPerSaved:
    """Money for one member who stays because of it: cost of a contact over effect, from the larger to the smaller effect.

    `not_below`: the effect may be 0, so that there is a lower end alone. `cannot_be_said`: even at its best it keeps nobody.
    """

    kind: CostKind
    value: float | None = None
    lower: float | None = None
    upper: float | None = None

    @classmethod
    def of(cls, cost: float, effect: Estimate) -> CostPerSaved:
        if effect.upper <= 0:
            return cls("cannot_be_said")
        if effect.lower <= 0:
            return cls("not_below", lower=cost / effect.upper)
        return cls("known", cost / effect.value, cost / effect.upper, cost / effect.lower)


@dataclass(frozen=True)
class InterventionFigures:
    """One intervention.

    Attributes:
        run: from the catalogue to being ranked first and chosen, members of the last run.
        contacts: of the last CONTACT_DAYS, assignments and not members.
        answered, answerable: deliveries followed by a qualifying event within ANSWER_DAYS, of those for which that time is over.
        effect: what decisions rest on, the average change of the share who stay, with its interval at LEVEL.
        source: where that comes from.
        evidence: what was learned of it; None where no touches were learned from.
        cost: expected for one assignment.
    """

    id: str
    run: tuple[Step, ...]
    contacts: tuple[Step, ...]
    answered: int
    answerable: int
    effect: Estimate
    source: UpliftSource
    evidence: Evidence | None
    cost: float
    cost_per_saved: CostPerSaved


@dataclass(frozen=True)
class InterventionReport:
    """All of the catalogue of `community`, by which was decided, at `as_of`; contacts are those since `contacts_since`."""

    as_of: datetime
    model_version: str
    members: int
    contacts_since: datetime
    level: float
    community: Community
    interventions: tuple[InterventionFigures, ...]

    def to_json(self) -> str:
        return _REPORT.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> InterventionReport:
        return _REPORT.validate_json(text)


_REPORT = TypeAdapter(InterventionReport)


@dataclass(frozen=True)
class RunTally:
    """`members` of a run, and by intervention how many of them each rule, "stage:name", kept from it."""

    members: int
    lost: Mapping[str, Counter[str]]

    @classmethod
    def of(cls, table: pl.DataFrame, interventions: Sequence[str]) -> RunTally:
        """Of the columns `chosen`, `propensity_<id>` and `removed_<id>` of a decision table."""
        return cls(table.height, {name: _lost(table, name) for name in interventions})

    def __add__(self, other: RunTally) -> RunTally:
        return RunTally(self.members + other.members, {name: lost + other.lost[name] for name, lost in self.lost.items()})

    def to_json(self) -> str:
        return json.dumps(vars(self))

    @classmethod
    def from_json(cls, text: str) -> RunTally:
        told = json.loads(text)
        return cls(told["members"], {name: Counter(lost) for name, lost in told["lost"].items()})

    def steps(self, name: str) -> tuple[Step, ...]:
        lost = dict(sorted(self.lost[name].items(), key=lambda row: (-row[1], row[0])))
        steps, left = [Step("catalogue", self.members)], self.members
        for step, stages in STAGES_OF.items():
            here = Counter({rule: members for rule, members in lost.items() if rule.partition(":")[0] in stages})
            left -= here.total()
            steps.append(Step(step, left, _most(here)))
        return tuple(steps)


def _lost(table: pl.DataFrame, name: str) -> Counter[str]:
    best = pl.col(f"propensity_{name}") >= pl.max_horizontal(pl.col(column) for column in table.columns if column.startswith("propensity_"))
    drawn = pl.when(best).then(pl.lit(DRAWN_RULE)).otherwise(pl.lit(OUTRANKED))
    rule = pl.when(pl.col("chosen") != name).then(pl.coalesce(f"removed_{name}", drawn)).alias("rule")
    return Counter(dict(table.select(rule).drop_nulls().group_by("rule").len().iter_rows()))


def intervention_report(
    engine: Engine, table: pl.DataFrame, touches: pl.DataFrame | None, events: EventArrays, as_of: datetime
) -> InterventionReport:
    """Of a decision table at `as_of`, and of the touches of the log that it was decided on, whose members are those of `events`."""
    names = [one.id for one in engine.community.interventions]
    return report_of(engine, RunTally.of(table, names), Contacts.of(engine, touches, events, as_of), as_of)


def report_of(engine: Engine, tally: RunTally, made: Contacts, as_of: datetime) -> InterventionReport:
    effects = _effects(engine)
    return InterventionReport(
        as_of=as_of,
        model_version=engine.version,
        members=tally.members,
        contacts_since=contacts_since(as_of),
        level=LEVEL,
        community=engine.community,
        interventions=tuple(_figures(engine, one, tally, made, effects[one.id]) for one in engine.community.interventions),
    )


def contacts_since(as_of: datetime) -> datetime:
    """From when on the contacts are looked at."""
    return as_of - timedelta(days=CONTACT_DAYS)


def _figures(engine: Engine, one: Intervention, tally: RunTally, made: Contacts, effect: Estimate) -> InterventionFigures:
    learned = engine.learned_uplift
    answered, answerable = made.answered(one.id)
    return InterventionFigures(
        id=one.id,
        run=tally.steps(one.id),
        contacts=made.steps(one.id),
        answered=answered,
        answerable=answerable,
        effect=effect,
        source=engine.uplift.source(one.id),
        evidence=None if learned is None else learned.evidence[one.id],
        cost=one.expected_cost,
        cost_per_saved=CostPerSaved.of(one.expected_cost, effect),
    )


def _effects(engine: Engine) -> dict[str, Estimate]:
    """What decisions rest on: what was learned, or where that is worth less the catalogue's belief at the usual risk."""
    interventions, learned = engine.community.interventions, engine.learned_uplift
    usual, nothing = np.array([engine.reference.typical_probability]), np.empty((1, 0))
    belief = PriorUplift.of(interventions, engine.reference.typical_probability) if learned is None else learned.beliefs
    value, bounds = belief.effect(nothing, usual)[0], belief.interval(nothing, usual, LEVEL)
    told = {one.id: Estimate(float(value[at]), float(bounds.low[0, at]), float(bounds.high[0, at])) for at, one in enumerate(interventions)}
    evidence = () if learned is None else learned.evidence.values()
    return told | {found.intervention: measured for found in evidence if (measured := _measured(found)) is not None}


def _measured(found: Evidence) -> Estimate | None:
    """None where the belief counts for more."""
    if found.source == "prior" or found.average_effect is None or found.interval is None:
        return None
    return Estimate(found.average_effect, *found.interval)


@dataclass(frozen=True)
class Contacts:
    """Assignments of the time that is looked at, counted in `contacts` by all else that is told of them.

    `responded`: whether a qualifying event followed, None where that is not over.
    """

    rows: pl.DataFrame

    @classmethod
    def of(cls, engine: Engine, touches: pl.DataFrame | None, events: EventArrays, as_of: datetime) -> Contacts:
        """`touches` of an EventLog whose members are those of `events`."""
        if touches is None:
            return cls(pl.DataFrame(schema=_COUNTED))
        made = touches.filter(between(contacts_since(as_of), as_of), pl.col("intervention").cast(pl.String) != NO_ACTION)
        member, at_us = made["member"].to_numpy(), touched(made).to_physical().to_numpy()
        until_us = at_us + ANSWER_DAYS * DAY_US
        active = Activity.of(events, engine.qualifying).count_between(member, at_us + 1, until_us) > 0
        responded = pl.Series(active).set(pl.Series(until_us > microseconds(as_of)), None)
        response = made["response"] if "response" in made.columns else pl.repeat(None, made.height, dtype=pl.String, eager=True)
        pending = made["pending"] if "pending" in made.columns else pl.repeat(None, made.height, dtype=pl.Boolean, eager=True)
        told = made.select(
            pl.col("intervention").cast(pl.String),
            pl.col("delivered").fill_null(value=False),
            pending=pending.fill_null(value=False),
            response=response.cast(pl.String),
            responded=responded,
            contacts=pl.lit(1, pl.Int64),
        )
        return cls.together([cls(told)])

    @classmethod
    def together(cls, parts: Sequence[Contacts]) -> Contacts:
        """Of members of all parts; one part at least."""
        rows = pl.concat([part.rows for part in parts])
        return cls(rows.group_by(_FLAGS).agg(pl.col("contacts").sum()).sort(_FLAGS))

    def steps(self, name: str) -> tuple[Step, ...]:
        rows = self.rows.filter(pl.col("intervention") == name)
        assigned, sent = _contacts(rows), _contacts(rows, pl.col("delivered"))
        waiting = _contacts(rows, ~pl.col("delivered") & pl.col("pending"))
        unsent = Counter({"waiting": waiting, "undelivered": assigned - sent - waiting})
        told = rows.filter(pl.col("delivered"), pl.col("response").is_not_null())
        refused, converted = _contacts(told, pl.col("response") == "refused"), _contacts(told, pl.col("response").is_in(ANSWERS))
        unmoved = Counter({"refused": refused, "no_response": sent - _contacts(told)})
        return (
            Step("assigned", assigned),
            Step("sent", sent, _most(unsent)),
            Step("converted", converted, _most(unmoved)) if told.height else Step("converted", None),
        )

    def answered(self, name: str) -> tuple[int, int]:
        """How many deliveries were followed by activity, and of how many that is known."""
        known = self.rows.filter(pl.col("intervention") == name, pl.col("delivered")).drop_nulls("responded")
        return _contacts(known, pl.col("responded")), _contacts(known)


_COUNTED = {
    "intervention": pl.String,
    "delivered": pl.Boolean,
    "pending": pl.Boolean,
    "response": pl.String,
    "responded": pl.Boolean,
    "contacts": pl.Int64,
}
_FLAGS = tuple(name for name in _COUNTED if name != "contacts")


def _contacts(rows: pl.DataFrame, among: pl.Expr | None = None) -> int:
    return int((rows if among is None else rows.filter(among))["contacts"].sum())


def _most(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple((name, number) for name, number in counts.most_common(RULES_SHOWN) if number)
