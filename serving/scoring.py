"""Requests for scores, answered: one path for one member and for a thousand."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256

import numpy as np

from models.basis import Bases
from models.deciding import Choice, Decisions, decide
from models.decision_rows import Circumstances, decision_rows
from models.declared import Language
from models.engine import Engine, explain
from models.errors import UnknownMember
from models.moments import microseconds
from models.quotas import Quotas
from models.snapshots import Snapshots
from models.standing_texts import stand
from models.standings import Risk
from models.store import Answer, DecisionRow, Past
from models.store_rows import Fate
from models.store_statements import ClaimLost
from models.texts import LANGUAGES
from models.weighing import Context
from serving.asked import Asked, count_brought, events_of
from serving.metrics import count_decisions, count_scores
from serving.pricing import Pricing, present_context, pricing, standing_warnings
from serving.problems import BUSY, IN_FLIGHT, REPEATED_MEMBER, REUSED, UNKNOWN_MEMBER, Fault, Refusal
from serving.schemas import ScoreRequest
from serving.service import Service
from serving.settings import wall_clock
from serving.telling import Answers, told_scores
from serving.turns import Ending

MAX_ATTEMPTS = 50
MANY = 100
"""Answers that take as long to put together as the disk takes to keep the decisions: the one is done while the other is."""

Outcome = str | Refusal
Outcomes = dict[int, Outcome]


@dataclass(frozen=True)
class Decided:
    """`place`: where its answer stands among `texts`; `row` is None where it is not kept."""

    asked: Asked
    risk: Risk
    choice: Choice
    texts: Answers
    place: int
    row: DecisionRow | None

    @property
    def text(self) -> str:
        return self.texts.each[self.place]


def _alone() -> None:
    """Nobody waits for the end."""


def answer_requests(service: Service, key_id: str, requests: Mapping[int, ScoreRequest], ending: Ending = _alone) -> Outcomes:
    """For each index the text of the answer, or why there is none. Answers of mode `decide` are durable when this returns.

    It is `ending` where decisions are about to be kept.

    Raises NoChampion and StoreUnavailable, which concern all of them.
    """
    now, indices = service.clock(), list(requests)
    outcomes: Outcomes = {}
    for part in service.deciders([request.member_id for request in requests.values()]):
        desk = _Desk(service, part.by.engine, key_id, now, pricing(service.store, part.by.priced_as, now), ending)
        outcomes |= desk.answer({indices[row]: requests[indices[row]] for row in part.rows})
    return outcomes


def _unknown(member_id: str) -> Refusal:
    return Refusal(UNKNOWN_MEMBER, f'member "{member_id}" is not known; ids are case-sensitive, and a member joins with its first event')


def _in_flight(request: ScoreRequest) -> Refusal:
    return Refusal(IN_FLIGHT, f'request "{request.request_id}" is being answered; ask again in a moment')


@dataclass(frozen=True)
class _Desk:
    service: Service
    engine: Engine
    key_id: str
    now: datetime
    pricing: Pricing
    ending: Ending

    def answer(self, requests: Mapping[int, ScoreRequest]) -> Outcomes:
        refused = self.repeated(requests)
        if refused or any(request.request_id for request in requests.values()):
            refused |= self.unknown(requests)
        rest = {index: request for index, request in requests.items() if index not in refused}
        with self.claimed(rest) as settled:
            open_requests = [(index, request) for index, request in rest.items() if index not in settled]
            for group in self.groups(open_requests):
                settled.update(self.told(group) if group[0].plain else self.settle(group))
        return refused | settled

    @cached_property
    def claimed_us(self) -> int:
        """By the real clock: the claim of a process that was killed would else never pass on where that of the service stands still."""
        return microseconds(wall_clock())

    @cached_property
    def quotas(self) -> Quotas:
        return Quotas.of(self.service.community.capacity, self.engine.community, self.now)

    @cached_property
    def warnings(self) -> dict[Language, list[Fault]]:
        return {language: standing_warnings(self.engine, self.pricing, self.now, language) for language in LANGUAGES}

    def repeated(self, requests: Mapping[int, ScoreRequest]) -> Outcomes:
        refused: Outcomes = {}
        met: set[str] = set()
        for index, request in requests.items():
            if request.member_id in met:
                refused[index] = Refusal(REPEATED_MEMBER, f'member "{request.member_id}" occurs earlier; send a member once in a batch')
            met.add(request.member_id)
        return refused

    def unknown(self, requests: Mapping[int, ScoreRequest]) -> Outcomes:
        """Claims are not made for them; without claims it is enough to ask once their history is not found."""
        known = self.service.store.known(request.member_id for request in requests.values())
        return {index: _unknown(request.member_id) for index, request in requests.items() if request.member_id not in known}

    @contextmanager
    def claimed(self, requests: Mapping[int, ScoreRequest]) -> Iterator[Outcomes]:
        """Outcomes of requests that were made before. The others are claimed; whatever stays without an answer is released in the end."""
        named = {index: request for index, request in requests.items() if request.is_claimed}
        if not named:
            yield {}
            return
        fingerprints = [(request.request_id or "", sha256(request.content.encode()).hexdigest()) for request in named.values()]
        claims = self.service.store.claim(self.key_id, fingerprints, self.claimed_us)
        mine = {
            index: request.request_id or "" for (index, request), claim in zip(named.items(), claims, strict=True) if claim.state == "new"
        }
        outcomes: Outcomes = {}
        for (index, request), claim in zip(named.items(), claims, strict=True):
            if claim.state == "in_flight":
                outcomes[index] = _in_flight(request)
            elif claim.state == "other_body":
                outcomes[index] = Refusal(REUSED, f'request id "{request.request_id}" came with another body before; choose a new one')
            elif claim.answer is not None:
                outcomes[index] = claim.answer
        try:
            yield outcomes
        finally:
            unanswered = [request_id for index, request_id in mine.items() if not isinstance(outcomes.get(index), str)]
            if unanswered:
                self.service.store.release(self.key_id, unanswered, self.claimed_us)

    def groups(self, requests: Sequence[tuple[int, ScoreRequest]]) -> list[list[Asked]]:
        """Those that can be answered together: of one context and one language, and to be decided on or not."""
        grouped: dict[tuple[str | None, Language, bool], list[Asked]] = defaultdict(list)
        for index, request in requests:
            asked = self._asked(index, request)
            grouped[request.context.channel, asked.language, asked.plain].append(asked)
        return list(grouped.values())

    def _asked(self, index: int, request: ScoreRequest) -> Asked:
        events = [event.of(request.member_id) for event in request.events]
        language = request.language or self.engine.community.language
        faults = [self.service.fault_of(event, self.now, language) for event in events]
        warnings = [
            fault.model_copy(update={"pointer": f"/events/{position}"}) for position, fault in enumerate(faults) if fault is not None
        ]
        accepted = tuple(event for event, fault in zip(events, faults, strict=True) if fault is None)
        warnings += [*self.service.channel_faults(request.context.channel, language), *self.warnings[language]]
        return Asked(index, request, self.service.new_id(), language, accepted, tuple(warnings))

    def told(self, group: Sequence[Asked]) -> Outcomes:
        """Where the members stand; what could be done about it is not weighed."""
        member_ids, as_of_us = [asked.request.member_id for asked in group], microseconds(self.now)
        added = events_of(group)
        try:
            past = self.service.store.past(member_ids, self.engine.community, as_of_us, added, with_contacts=False)
        except UnknownMember:
            return self._without_unknown(group, self.told)
        texts = stand(
            self.engine,
            past.events,
            Snapshots.at(past.events, as_of_us),
            member_ids,
            language=group[0].language,
            explain=explain,
            impersonal=past.contacts.impersonal,
        )
        bringing = [asked for asked in group if asked.brings_events]
        if bringing:
            count_brought(bringing, self.service.store.add_events(events_of(bringing)))
        count_scores(texts.standings.risks)
        told = told_scores(texts, member_ids, [asked.told for asked in group], self.now, self.pricing.terms.plan_id)
        return {asked.index: text for asked, text in zip(group, told, strict=True)}

    def settle(self, group: Sequence[Asked]) -> Outcomes:
        """Decide, and keep what is to be kept; members whom another request contacted in the meantime are decided again.

        So are those for whom the members before them in the group left no place or no money.
        """
        decided: dict[int, Decided] = {}
        open_requests = list(group)
        for _ in range(MAX_ATTEMPTS):
            before = [decided[asked.index] for asked in group[: group.index(open_requests[0])]]
            try:
                decided |= {one.asked.index: one for one in self._decide(open_requests, before)}
                stale = self._keep(list(decided.values()))
            except UnknownMember:
                return self._without_unknown(group, self.settle)
            except ClaimLost:
                return self._without_claimed(group)
            if not stale:
                count_scores(one.risk for one in decided.values())
                count_decisions(one.choice for one in decided.values() if one.row is not None)
                return {index: one.text for index, one in decided.items()}
            open_requests = [asked for asked in group if asked.request.member_id in stale]
        busy = Refusal(BUSY, f"{len(open_requests)} members are being contacted by many requests at once; nothing was kept, try again")
        return dict.fromkeys(decided, busy)

    def _without_unknown(self, group: Sequence[Asked], answer: Callable[[Sequence[Asked]], Outcomes]) -> Outcomes:
        """Whoever is not in the store, or was erased since the request came."""
        refused = self.unknown({asked.index: asked.request for asked in group})
        rest = [asked for asked in group if asked.index not in refused]
        return refused | (answer(rest) if rest else {})

    def _without_claimed(self, group: Sequence[Asked]) -> Outcomes:
        """Another attempt took one of them over, for this one stood still for a minute; all were claimed at the same time."""
        lost = {asked.index: _in_flight(asked.request) for asked in group if asked.request.is_claimed}
        rest = [asked for asked in group if asked.index not in lost]
        return lost | (self.settle(rest) if rest else {})

    def _decide(self, group: Sequence[Asked], before: Sequence[Decided]) -> Iterator[Decided]:
        """`before`: what was decided and comes earlier when it is kept."""
        member_ids = [asked.request.member_id for asked in group]
        added = events_of(group)
        as_of_us, community = microseconds(self.now), self.engine.community
        context = self._context(group[0].request.context.channel, before)
        past = self.service.store.past(member_ids, community, as_of_us, added)
        decisions = self._decisions(group, past, as_of_us, context)
        texts = Answers(decisions, [asked.told for asked in group])
        rows = self._rows(group, decisions, Bases(past, context, group[0].language, len(community.signals)))
        for row, asked in enumerate(group):
            yield Decided(asked, decisions.standings.risks[row], decisions.choices[row], texts, row, rows.get(row))

    def _rows(self, group: Sequence[Asked], decisions: Decisions, bases: Bases) -> dict[int, DecisionRow]:
        """Of those that are kept."""
        released = self.service.community.contact_policy.unreported == "released"
        seen = bases.past.contacts_seen
        made_in = {
            row: Circumstances(seen[row], bases.context, bases.of(row, asked.events).to_json(), released)
            for row, asked in enumerate(group)
            if asked.request.mode == "decide"
        }
        return decision_rows(decisions, made_in)

    def _context(self, channel: str | None, before: Sequence[Decided]) -> Context:
        taken: Counter[str] = Counter()
        for one in before:
            if one.row is not None and one.row.touches:
                taken.update(self.quotas.use(one.row.chosen, one.row.channel, one.row.cost))
        return present_context(self.service.store, self.quotas, self.now, channel, taken)

    def _decisions(self, group: Sequence[Asked], past: Past, as_of_us: int, context: Context) -> Decisions:
        return decide(
            self.engine,
            past.events,
            Snapshots.at(past.events, as_of_us),
            [asked.request.member_id for asked in group],
            [asked.decision_id for asked in group],
            past.contacts,
            as_of=self.now,
            language=group[0].language,
            context=context,
            explain=explain,
            terms=self.pricing.terms,
            acting=np.array([asked.request.mode != "score_only" for asked in group]),
        )

    def _keep(self, decided: Sequence[Decided]) -> frozenset[str]:
        """Members who are to be decided again; then nothing was kept."""
        kept = [(one, one.row) for one in decided if one.row is not None]
        bringing = [one.asked for one in decided if one.asked.brings_events]
        if not kept and not bringing:
            return frozenset()
        answers = [
            Answer(self.key_id, one.asked.request.request_id, self.claimed_us, one.text, row.member_id)
            for one, row in kept
            if one.asked.request.request_id
        ]
        rows, many = [row for _, row in kept], len(decided) >= MANY

        def tell() -> list[str]:
            return [one.text for one in decided]

        if not many:
            tell()
        self.ending()
        fates: list[Fate] = []
        waiting = tell if many else None
        stale = self.service.store.record(rows, answers, events_of(bringing), self.quotas, meanwhile=waiting, fates=fates.extend)
        if bringing and not stale:
            count_brought(bringing, fates)
        return stale
