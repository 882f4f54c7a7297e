"""Decisions told in full, member by member, from what was weighed for all of them at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self, cast

import numpy as np

from models.actions import NO_ACTION
from models.candidate_texts import CandidateTexts
from models.decision import Candidate, Decision
from models.effect_reasons import EffectReasons
from models.policy import MANDATORY_FIRST
from models.shadow_prices import FREE, Terms
from models.standing_texts import StandingTexts
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
) -> Decisions:
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
) -> Decisions:
    """What was weighed, in full, row by row; `last_us` is what `last_event_us` gives, `explain` and `acting` as of `decide`."""
    effects = None if explain is None else EffectReasons.begun(engine, weighed, acting)
    reasons = reasons_by_row(engine, weighed, language, explain)
    return Decisions(engine, weighed, about, Standings(engine, weighed, last_us), language, reasons, effects)


class _Weights(NamedTuple):
    """Of one intervention for one member; `channel` is a position in the community's channels."""

    uplift: float
    low: float
    high: float
    channel: int
    context_weight: float
    cost: float
    priority: float
    shadow_price: float
    probability: float


class Choice(NamedTuple):
    """What was chosen for one member, and what was removed at which stage; by ids."""

    chosen: str
    removed: list[tuple[str, str]]


class Sending(NamedTuple):
    """When something may be sent: after the quiet hours, and until when; in UTC."""

    not_before: datetime
    valid_until: datetime


class _Offer(NamedTuple):
    """What is the same of one intervention for many members."""

    intervention_id: str
    source: UpliftSource
    lever_weight: float

    @classmethod
    def of(cls, intervention: Intervention, source: UpliftSource) -> Self:
        return cls(intervention.id, source, intervention.lever_weight)


@dataclass(frozen=True)
class Decisions:
    """Row by row, as columns; a Decision is made of a row where one is asked for. `reasons` for each row."""

    engine: Engine
    weighed: Weighed
    about: About
    standings: Standings
    language: Language
    reasons: list[tuple[Reason, ...]]
    effects: EffectReasons | None

    def __len__(self) -> int:
        return len(self.about.member_ids)

    def __iter__(self) -> Iterator[Decision]:
        return (self[row] for row in range(len(self)))

    @cached_property
    def effect_reasons(self) -> dict[int, tuple[Reason, ...]]:
        """By row; of some."""
        return {} if self.effects is None else self.effects.told(self.language)

    @cached_property
    def arms(self) -> tuple[str, ...]:
        return (NO_ACTION, *(intervention.id for intervention in self.engine.community.interventions))

    @cached_property
    def channels(self) -> tuple[str, ...]:
        return self.engine.community.channels

    @cached_property
    def no_action_reasons(self) -> list[NoActionReason | None]:
        return [cast("NoActionReason | None", reason or None) for reason in self.weighed.no_action_reason.tolist()]

    @cached_property
    def chosen(self) -> list[int]:
        """Positions in `arms`."""
        chosen: list[int] = self.weighed.chosen.tolist()
        return chosen

    @cached_property
    def choices(self) -> list[Choice]:
        choices, texts = [Choice(self.arms[arm], []) for arm in self.chosen], self.candidate_texts
        for row, action, code in zip(texts.row, texts.action, texts.removed, strict=True):
            if code:
                choices[row].removed.append((self.arms[action], texts.rules[code - 1].stage))
        return choices

    def chosen_channel(self, row: int) -> str | None:
        arm = self.chosen[row]
        return self.channels[self.weighed.channel[row, arm - 1]] if arm else None

    def chosen_cost(self, row: int) -> float:
        arm = self.chosen[row]
        return float(self.weighed.cost[row, arm - 1]) if arm else 0.0

    @cached_property
    def exploration(self) -> list[bool]:
        explored: list[bool] = self.weighed.explored.tolist()
        return explored

    @cached_property
    def standing_texts(self) -> StandingTexts:
        return StandingTexts(self.standings, self.reasons, self.language)

    @cached_property
    def candidate_texts(self) -> CandidateTexts:
        return CandidateTexts(self.engine, self.weighed)

    @cached_property
    def rules(self) -> list[list[Rule | None]]:
        """By row and intervention: what removed it."""
        rules = (None, *self.weighed.refusals.rules)
        return [[rules[code] for code in codes] for codes in self.weighed.refusals.code.tolist()]

    @cached_property
    def weights(self) -> list[list[_Weights]]:
        """By row and intervention: plain numbers, for to take them out of arrays one by one costs more than all else."""
        weighed = self.weighed
        arrays = (weighed.uplift, weighed.interval.low, weighed.interval.high, weighed.channel, weighed.context_weight)
        more = (weighed.cost, weighed.priority, weighed.charge.total, weighed.propensity[:, 1:])
        columns = [np.broadcast_to(array, weighed.uplift.shape).tolist() for array in (*arrays, *more)]
        return [[_Weights(*of_one) for of_one in zip(*rows, strict=True)] for rows in zip(*columns, strict=True)]

    def __getitem__(self, row: int) -> Decision:
        weighed, standings, about = self.weighed, self.standings, self.about
        return Decision(
            decision_id=about.decision_ids[row],
            member_id=about.member_ids[row],
            as_of=about.as_of,
            features_as_of=about.as_of,
            last_event_at=standings.last_events[row],
            churn=standings.churn(row),
            member=standings.members[row],
            reasons=self.reasons[row],
            candidates=self._candidates(row),
            chosen=self.arms[self.chosen[row]],
            draw=float(weighed.draw[row]),
            exploration=self.exploration[row],
            arm=standings.arm(row),
            no_action_reason=self.no_action_reasons[row],
            model_version=self.engine.version,
            grade=self.engine.grade,
            catalogue_fingerprint=self.engine.catalogue_fingerprint,
            plan_id=about.plan_id,
            effect_reasons=self.effect_reasons.get(row, ()),
        )

    def _candidates(self, row: int) -> tuple[Candidate, ...]:
        """Of a member without a score those alone that admit such a member."""
        each = zip(self.weights[row], self.rules[row], self._offers[self.standings.scored[row]], strict=True)
        told = (self._candidate(row, arm, *one) for arm, one in enumerate(each, start=1) if not math.isnan(one[0].uplift))
        return (self._doing_nothing(row), *told)

    @cached_property
    def _offers(self) -> tuple[list[_Offer], list[_Offer]]:
        """Of members without a score, and of those with one."""
        interventions, source = self.engine.community.interventions, self.engine.uplift.source
        return [_Offer.of(one, "prior") for one in interventions], [_Offer.of(one, source(one.id)) for one in interventions]

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

    def _candidate(self, row: int, arm: int, weights: _Weights, rule: Rule | None, offer: _Offer) -> Candidate:
        sending = self.sending(row, arm)
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
            send_not_before=sending.not_before,
            valid_until=sending.valid_until,
            caution=self.engine.community.policy.caution,
        )

    def sending(self, row: int, arm: int) -> Sending:
        """Of intervention `arm`, counted from 1."""
        asked = self._delays[row][arm - 1], arm
        if asked not in self._sendings:
            begin = self.about.as_of.astimezone(UTC) + timedelta(microseconds=asked[0])
            self._sendings[asked] = Sending(begin, begin + timedelta(days=self.engine.community.interventions[arm - 1].valid_days))
        return self._sendings[asked]

    @cached_property
    def _sendings(self) -> dict[tuple[int, int], Sending]:
        """By delay and intervention: there are few."""
        return {}

    @cached_property
    def _delays(self) -> list[list[int]]:
        delays: list[list[int]] = self.weighed.delay_us.tolist()
        return delays
