"""Decisions told in full, member by member, from what was weighed for all of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self, cast

import numpy as np

from models.actions import NO_ACTION
from models.decision import Candidate, Decision
from models.policy import MANDATORY_FIRST
from models.shadow_prices import FREE, Terms
from models.standings import Standings, last_event_us, reasons_by_row
from models.weighing import NOWHERE, Context, Weighed, weigh

if TYPE_CHECKING:
    from models.actions import Intervention
    from models.arrays import Flags, Integers
    from models.decision import NoActionReason, Reason, UpliftSource
    from models.declared import Language
    from models.engine import Engine
    from models.events import EventArrays
    from models.interventions import ContactHistory, Rule
    from models.snapshots import Snapshots
    from models.standings import Explain


def decide(  # noqa: PLR0913 - the inputs of one member's decision and of a batch's, none of which implies another
    engine: Engine,
    events: EventArrays,
    snapshots: Snapshots,
    member_ids: Sequence[str],
    decision_ids: Sequence[str],
    contacts: ContactHistory,
    *,
    as_of: datetime,
    language: Language,
    context: Context = NOWHERE,
    explain: Explain | None = None,
    terms: Terms = FREE,
    acting: Flags | None = None,
) -> list[Decision]:
    """One decision for each snapshot, in their order, and the same for a member alone as in any batch.

    `member_ids`, `decision_ids` and the rows of `contacts` follow the snapshots, whose `as_of_us` is `as_of`. Without `explain` there are
    no reasons; why an effect is what it is is told for the rows that are `acting` (n,), by default for all.
    """
    weighed = weigh(engine, events, snapshots, member_ids, decision_ids, contacts, as_of=as_of, context=context, terms=terms)
    about = About(member_ids, decision_ids, as_of, terms.plan_id)
    last_us = last_event_us(events, snapshots, len(engine.community.signals))
    return tell(engine, weighed, about, last_us, language=language, explain=explain, acting=acting)


class About(NamedTuple):
    """Whom decisions are about, by their rows, and when and by which plan they are made."""

    member_ids: Sequence[str]
    decision_ids: Sequence[str]
    as_of: datetime
    plan_id: str | None = None


def tell(
    engine: Engine,
    weighed: Weighed,
    about: About,
    last_us: Integers,
    *,
    language: Language,
    explain: Explain | None = None,
    acting: Flags | None = None,
) -> list[Decision]:
    """What was weighed, in full, row by row; `last_us` is what `last_event_us` gives, `explain` and `acting` as of `decide`."""
    reasons = reasons_by_row(engine, weighed, language, explain)
    effects = {} if explain is None else _effect_reasons(engine, weighed, language, acting)
    teller = _Teller(engine, weighed, Standings(engine, weighed, last_us), about.as_of, about.plan_id, effects)
    ids = zip(about.member_ids, about.decision_ids, strict=True)
    return [teller.decision(row, *named, reasons.get(row, ())) for row, named in enumerate(ids)]


def _effect_reasons(engine: Engine, weighed: Weighed, language: Language, acting: Flags | None) -> dict[int, tuple[Reason, ...]]:
    """By row, of scored members for whom something was chosen."""
    asked = weighed.chosen > 0 if acting is None else (weighed.chosen > 0) & acting
    rows = np.flatnonzero(weighed.scored & asked)
    told = engine.effect_reasons(weighed.scores.features[rows], weighed.chosen[rows] - 1, language)
    return dict(zip(rows.tolist(), told, strict=True))


class _Weights(NamedTuple):
    """Of one intervention for one member; `channel` is a position in the community's channels."""

    uplift: float
    low: float
    high: float
    channel: int
    delay_us: int
    context_weight: float
    cost: float
    priority: float
    shadow_price: float
    probability: float


class _Offer(NamedTuple):
    """What is the same of one intervention for many members."""

    intervention_id: str
    source: UpliftSource
    lever_weight: float
    valid_for: timedelta

    @classmethod
    def of(cls, intervention: Intervention, source: UpliftSource) -> Self:
        return cls(intervention.id, source, intervention.lever_weight, timedelta(days=intervention.valid_days))


@dataclass(frozen=True)
class _Teller:
    engine: Engine
    weighed: Weighed
    standings: Standings
    as_of: datetime
    plan_id: str | None
    effect_reasons: dict[int, tuple[Reason, ...]]

    @cached_property
    def arms(self) -> tuple[str, ...]:
        return (NO_ACTION, *(intervention.id for intervention in self.engine.community.interventions))

    @cached_property
    def channels(self) -> tuple[str, ...]:
        return self.engine.community.channels

    @cached_property
    def no_action_reasons(self) -> list[str]:
        told: list[str] = self.weighed.no_action_reason.tolist()
        return told

    @cached_property
    def rules(self) -> list[list[Rule | None]]:
        """By row and intervention: what removed it."""
        rules = (None, *self.weighed.refusals.rules)
        return [[rules[code] for code in codes] for codes in self.weighed.refusals.code.tolist()]

    @cached_property
    def weights(self) -> list[list[_Weights]]:
        """By row and intervention: plain numbers, for to take them out of arrays one by one costs more than all else."""
        weighed = self.weighed
        arrays = (weighed.uplift, weighed.interval.low, weighed.interval.high, weighed.channel, weighed.delay_us, weighed.context_weight)
        more = (weighed.cost, weighed.priority, weighed.charge.total, weighed.propensity[:, 1:])
        columns = [np.broadcast_to(array, weighed.uplift.shape).tolist() for array in (*arrays, *more)]
        return [[_Weights(*of_one) for of_one in zip(*rows, strict=True)] for rows in zip(*columns, strict=True)]

    def decision(self, row: int, member_id: str, decision_id: str, reasons: tuple[Reason, ...]) -> Decision:
        weighed, standings = self.weighed, self.standings
        return Decision(
            decision_id=decision_id,
            member_id=member_id,
            as_of=self.as_of,
            features_as_of=self.as_of,
            last_event_at=standings.last_event_at(row),
            churn=standings.churn(row),
            member=standings.member(row),
            reasons=reasons,
            candidates=self._candidates(row),
            chosen=self.arms[weighed.chosen[row]],
            draw=float(weighed.draw[row]),
            exploration=bool(weighed.explored[row]),
            arm=standings.arm(row),
            no_action_reason=cast("NoActionReason | None", self.no_action_reasons[row] or None),
            model_version=self.engine.version,
            grade=self.engine.grade,
            catalogue_fingerprint=self.engine.catalogue_fingerprint,
            plan_id=self.plan_id,
            effect_reasons=self.effect_reasons.get(row, ()),
        )

    def _candidates(self, row: int) -> tuple[Candidate, ...]:
        """Of a member without a score those alone that admit such a member."""
        each = zip(self.weights[row], self.rules[row], self._offers[self.standings.scored[row]], strict=True)
        told = (self._candidate(row, weights, rule, offer) for weights, rule, offer in each if not math.isnan(weights.uplift))
        return (self._doing_nothing(row), *told)

    @cached_property
    def _offers(self) -> tuple[list[_Offer], list[_Offer]]:
        """Of members without a score, and of those with one."""
        interventions, source = self.engine.community.interventions, self.engine.uplift.source
        return [_Offer.of(one, "prior") for one in interventions], [_Offer.of(one, source(one.id)) for one in interventions]

    @cached_property
    def _now(self) -> datetime:
        return self.as_of.astimezone(UTC)

    def _doing_nothing(self, row: int) -> Candidate:
        removed = MANDATORY_FIRST if self.weighed.urgent[row] else None
        return Candidate(
            intervention_id=NO_ACTION,
            channel=None,
            uplift=0.0,
            uplift_interval=(0.0, 0.0),
            uplift_source="prior",
            value=self.standings.values[row],
            lever_weight=1.0,
            context_weight=1.0,
            cost=0.0,
            priority=0.0,
            probability=float(self.weighed.propensity[row, 0]),
            removed_at=removed.stage if removed else None,
            rule=removed.name if removed else None,
        )

    def _candidate(self, row: int, weights: _Weights, rule: Rule | None, offer: _Offer) -> Candidate:
        begin = self._now + timedelta(microseconds=weights.delay_us) if weights.delay_us else self._now
        return Candidate(
            intervention_id=offer.intervention_id,
            channel=self.channels[weights.channel],
            uplift=weights.uplift,
            uplift_interval=(weights.low, weights.high),
            uplift_source=offer.source,
            value=self.standings.values[row],
            lever_weight=offer.lever_weight,
            context_weight=weights.context_weight,
            cost=weights.cost,
            priority=weights.priority,
            shadow_price=weights.shadow_price,
            probability=weights.probability,
            removed_at=rule.stage if rule else None,
            rule=rule.name if rule else None,
            send_not_before=begin,
            valid_until=begin + offer.valid_for,
            caution=self._caution,
        )

    @cached_property
    def _caution(self) -> float:
        return self.engine.community.policy.caution
