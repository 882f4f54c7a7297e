"""Answers as JSON, from the columns of what was decided, in the language of whoever reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

from models.json_texts import NULL, lists, moments, named, numbers, objects, strings, word, written
from models.refusal_wording import Standing
from models.removal_texts import Removal, removal_text
from models.texts import named as name_of
from models.wording import uplift_sentence
from serving.answers import ScoreAnswer
from serving.problems import Fault
from serving.schemas import ScoreRequest

if TYPE_CHECKING:
    from datetime import datetime

    from models.deciding import Decisions
    from models.decision import Reason
    from models.json_texts import Texts
    from models.standing_texts import StandingTexts


class Told(NamedTuple):
    """Whom an answer is for: what was asked, and what is warned of."""

    request: ScoreRequest
    warnings: Sequence[Fault]


class _More(NamedTuple):
    """What answers tell beyond where the members stand."""

    decision_id: Texts
    actions: Texts
    no_action_reason: Texts
    no_action_text: Texts
    suppressed: Texts
    candidates: Texts

    @classmethod
    def nothing(cls, rows: int) -> _More:
        return cls(*([one] * rows for one in (NULL, "[]", NULL, NULL, "[]", NULL)))


def score_answer(decisions: Decisions, request: ScoreRequest, warnings: Sequence[Fault]) -> ScoreAnswer:
    """Of the one decision that there is."""
    return ScoreAnswer.model_validate_json(told_decisions(decisions, [Told(request, warnings)])[0])


@dataclass(frozen=True)
class Answers:
    """The answers of those who were decided together, put together when one of them is asked for."""

    decisions: Decisions
    told: Sequence[Told]

    @cached_property
    def each(self) -> Texts:
        return told_decisions(self.decisions, self.told)


def told_decisions(decisions: Decisions, told: Sequence[Told]) -> Texts:
    """The JSON of a ScoreAnswer for each: to check what was just made, field by field, costs as much as to make it."""
    about, more = decisions.about, _Teller(decisions, [one.request for one in told]).more
    return told_scores(decisions.standing_texts, about.member_ids, told, about.as_of, about.plan_id, more)


def told_scores(
    texts: StandingTexts,
    member_ids: Sequence[str],
    told: Sequence[Told],
    as_of: datetime,
    plan_id: str | None,
    more: _More | None = None,
) -> Texts:
    """Where members stand, and what is told beyond that: by default nothing."""
    standings, engine, rows = texts.standings, texts.standings.engine, len(told)
    beyond = _More.nothing(rows) if more is None else more
    moment, control = written(as_of), word(engine.community.policy.control_salt)
    seen = moments(standings.last_events)
    return objects(
        {
            "decision_id": beyond.decision_id,
            "request_id": [NULL if one.request.request_id is None else written(one.request.request_id) for one in told],
            "member_id": strings(member_ids),
            "created_at": moment,
            "churn": texts.churn,
            "member": texts.member,
            "reasons": _where(texts.reasons, ["reasons" in one.request.include for one in told], "[]"),
            "actions": beyond.actions,
            "no_action_reason": beyond.no_action_reason,
            "no_action_text": beyond.no_action_text,
            "suppressed": beyond.suppressed,
            "candidates": beyond.candidates,
            "experiment": [f'{{"id":{control},"arm":"{standings.arm(row)}"}}' for row in range(rows)],
            "plan_id": word(plan_id),
            "model": f'{{"version":{word(engine.version)},"grade":{word(engine.grade)}}}',
            "data": [f'{{"features_as_of":{moment},"last_event_at":{at}}}' for at in seen],
            "warnings": [written(one.warnings) if one.warnings else "[]" for one in told],
        }
    )


def _where(texts: Texts, shown: Sequence[bool], otherwise: str) -> Texts:
    return [text if show else otherwise for text, show in zip(texts, shown, strict=True)]


@dataclass(frozen=True)
class _Teller:
    decisions: Decisions
    requests: Sequence[ScoreRequest]

    @property
    def more(self) -> _More:
        """A request for a score alone is told of no action, nor why there is none."""
        decisions, acting = self.decisions, self._acting
        reasons = [reason if acts else None for reason, acts in zip(decisions.no_action_reasons, acting, strict=True)]
        candidates = ["candidates" in request.include for request in self.requests]
        kept = [request.mode == "decide" for request in self.requests]
        return _More(
            decision_id=_where(strings(decisions.about.decision_ids), kept, NULL),
            actions=self._actions,
            no_action_reason=named(reasons),
            no_action_text=named([None if reason is None else name_of(decisions.language, "no_action", reason) for reason in reasons]),
            suppressed=_where(self._suppressed, acting, "[]"),
            candidates=_where(decisions.candidate_texts.lists, candidates, NULL) if any(candidates) else [NULL] * len(kept),
        )

    @cached_property
    def _acting(self) -> list[bool]:
        return [request.mode != "score_only" for request in self.requests]

    @property
    def _ranked(self) -> list[list[int]]:
        """Of each row the arms that are told, from 1: what was chosen, then what else could have been, by falling priority.

        Nothing where doing nothing was chosen.
        """
        weighed = self.decisions.weighed
        chances, behind = weighed.propensity.tolist(), (weighed.charge.total - weighed.priority).tolist()

        def ranked(row: int, chosen: int) -> list[int]:
            others = (arm for arm, chance in enumerate(chances[row]) if chance > 0 and arm not in {0, chosen})
            return [chosen, *sorted(others, key=lambda arm: behind[row][arm - 1])]

        each = enumerate(zip(self.decisions.chosen, self._acting, self.requests, strict=True))
        return [ranked(row, chosen)[: request.max_actions] if chosen and acts else [] for row, (chosen, acts, request) in each]

    @property
    def _actions(self) -> Texts:
        """A list for each row."""
        ranked, decisions, texts = self._ranked, self.decisions, self.decisions.candidate_texts
        told = [(row, rank, arm) for row, arms in enumerate(ranked) for rank, arm in enumerate(arms, start=1)]
        at, figures = [texts.place[row][arm] for row, _, arm in told], texts.figures
        offers, sending = [texts.offers[row][arm] for row, _, arm in told], [decisions.sending(row, arm) for row, _, arm in told]
        items = objects(
            {
                "rank": [str(rank) for _, rank, _ in told],
                "intervention_id": [offer.id for offer in offers],
                "label": named([self._labels[arm - 1] for _, _, arm in told]),
                "channel": [texts.channel[place] for place in at],
                "uplift": [figures.uplift[place] for place in at],
                "uplift_interval": [f"[{figures.low[place]},{figures.high[place]}]" for place in at],
                "uplift_source": [offer.source for offer in offers],
                "expected_net_value": self._net_values(told),
                "cost": [figures.cost[place] for place in at],
                "priority": [figures.priority[place] for place in at],
                "shadow_price": [figures.shadow_price[place] for place in at],
                "assignment_probability": [figures.probability[place] for place in at],
                "exploration": ["true" if rank == 1 and decisions.exploration[row] else "false" for row, rank, _ in told],
                "reasons": self._reasons(told, [offer.source for offer in offers]),
                "send_not_before": moments([one.not_before for one in sending]),
                "valid_until": moments([one.valid_until for one in sending]),
            }
        )
        return lists(items, map(len, ranked))

    @cached_property
    def _labels(self) -> list[str]:
        return [intervention.label.of(self.decisions.language) for intervention in self.decisions.engine.community.interventions]

    def _net_values(self, told: Sequence[tuple[int, int, int]]) -> Texts:
        """Of each action: uplift x value - cost."""
        weighed, value = self.decisions.weighed, self.decisions.standings.values
        uplift, cost = weighed.uplift.tolist(), weighed.cost.tolist()
        return numbers([uplift[row][arm - 1] * value[row] - cost[row][arm - 1] for row, _, arm in told])

    def _reasons(self, told: Sequence[tuple[int, int, int]], sources: Texts) -> Texts:
        """Of each action (row, rank, arm): the effect, where it is known from, and of the chosen one why it is not the usual."""
        decisions, weighed, language = self.decisions, self.decisions.weighed, self.decisions.language
        uplift, low, high = (table.tolist() for table in (weighed.uplift, weighed.interval.low, weighed.interval.high))
        each_effect = [(uplift[row][arm - 1], (low[row][arm - 1], high[row][arm - 1])) for row, _, arm in told]
        effects = strings([uplift_sentence(language, *effect) for effect in each_effect])
        known = {source: word(name_of(language, "uplift_source", source[1:-1])) for source in set(sources)}
        more = [decisions.effect_reasons.get(row, ()) if rank == 1 else () for row, rank, _ in told]
        frame = '[{"code":"uplift","text":%s,"contribution_pp":null},{"code":"uplift_source","text":%s,"contribution_pp":null}%s]'
        each = zip(effects, (known[source] for source in sources), _effect_reasons(more), strict=True)
        return [frame % one for one in each]

    @property
    def _suppressed(self) -> Texts:
        """A list for each row."""
        texts, language, community = self.decisions.candidate_texts, self.decisions.language, self.decisions.engine.community
        arms, standings, rules = self.decisions.arms, self._standings, texts.rules
        items: Texts = []
        lengths = [0] * len(standings)
        for row, action, code in zip(texts.row, texts.action, texts.removed, strict=True):
            if code and action:
                items.append(removal_text(language, Removal.by(arms[action], rules[code - 1]), standings[row], community))
                lengths[row] += 1
        return lists(items, lengths)

    @cached_property
    def _standings(self) -> list[Standing]:
        standings, probability = self.decisions.standings, self.decisions.weighed.probability.tolist()
        each = zip(standings.members, probability, standings.scored, strict=True)
        return [Standing(member, risk if scored else None) for member, risk, scored in each]


def _effect_reasons(of_each: Sequence[Sequence[Reason]]) -> Texts:
    """What follows other reasons in a list."""
    every = list(chain.from_iterable(of_each))
    told = objects(
        {
            "code": strings([reason.code for reason in every]),
            "text": strings([reason.text for reason in every]),
            "contribution_pp": numbers([reason.contribution_pp for reason in every]),
        }
    )
    return [f",{inner[1:-1]}" if inner != "[]" else "" for inner in lists(told, map(len, of_each))]
