"""The candidates of many members as JSON, from columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from models.actions import NO_ACTION
from models.json_texts import NULL, escaped, lists, numbers, strings, word
from models.once import Once
from models.policy import MANDATORY_FIRST, cautious, levers

if TYPE_CHECKING:
    from models.arrays import Flags, Integers
    from models.engine import Engine
    from models.interventions import Rule
    from models.json_texts import Texts
    from models.weighing import Weighed

_CANDIDATE = (
    '{"intervention_id":%s,"channel":%%s,"uplift":%%s,"uplift_interval":[%%s,%%s],"uplift_source":%s,"weighed_uplift":%%s,"value":%%s,'
    '"lever_weight":%s,"context_weight":%%s,"cost":%%s,"priority":%%s,"shadow_price":%%s,"probability":%%s,%%s}'
)


class _Offer(NamedTuple):
    """An action as every member is told of it; the `frame` of a candidate is filled with its channel, its Figures and its removal."""

    id: str
    source: str
    frame: str

    @classmethod
    def of(cls, action: str, source: str, lever_weight: str) -> Self:
        return cls(action, source, _CANDIDATE % tuple(map(escaped, (action, source, lever_weight))))


class _Offers(NamedTuple):
    """1 + k actions, `none` first: to members without a score, and to those who have one."""

    believed: list[_Offer]
    learned: list[_Offer]


@Once
def _offers(engine: Engine) -> _Offers:
    interventions, prior = engine.community.interventions, word("prior")
    weights = numbers([1.0, *levers(interventions).tolist()])
    ids = strings([NO_ACTION, *(intervention.id for intervention in interventions)])
    sources = [prior, *(word(engine.uplift.source(intervention.id)) for intervention in interventions)]
    believed = [_Offer.of(action, prior, weight) for action, weight in zip(ids, weights, strict=True)]
    return _Offers(believed, [_Offer.of(*told) for told in zip(ids, sources, weights, strict=True)])


class Figures(NamedTuple):
    """Of each candidate: numbers, of which `low` and `high` are the `uplift_interval`."""

    uplift: Texts
    low: Texts
    high: Texts
    weighed_uplift: Texts
    value: Texts
    context_weight: Texts
    cost: Texts
    priority: Texts
    shadow_price: Texts
    probability: Texts


_OF_NONE = np.array([0, 0, 0, 0, np.nan, 1, 0, 0, 0, np.nan])
"""What doing nothing has of each of the Figures; its value and its probability are the member's."""


@dataclass(frozen=True)
class CandidateTexts:
    """Of n members and 1 + k actions, `none` first, those that are told, one member's after the other's.

    Of a member without a score those alone that admit such a member.
    """

    engine: Engine
    weighed: Weighed

    @cached_property
    def told(self) -> Flags:
        """(n, 1 + k)."""
        told = np.ones(self.weighed.propensity.shape, dtype=np.bool_)
        np.logical_not(np.isnan(self.weighed.uplift), out=told[:, 1:])
        return told

    @cached_property
    def place(self) -> list[list[int]]:
        """By row and action: the position of each that is told."""
        place: list[list[int]] = (self.told.cumsum().reshape(self.told.shape) - 1).tolist()
        return place

    @cached_property
    def _at(self) -> tuple[list[int], list[int]]:
        row, action = self.told.nonzero()
        return row.tolist(), action.tolist()

    @property
    def row(self) -> list[int]:
        return self._at[0]

    @property
    def action(self) -> list[int]:
        return self._at[1]

    @cached_property
    def figures(self) -> Figures:
        """`weighed_uplift` = uplift + caution (low - uplift)."""
        weighed, caution = self.weighed, self.engine.community.policy.caution
        value, low = weighed.scores.value, weighed.interval.low
        of_others = (
            *(weighed.uplift, low, weighed.interval.high, cautious(weighed.uplift, low, caution), value[:, None]),
            *(weighed.context_weight, weighed.cost, weighed.priority, weighed.charge.total, weighed.propensity[:, 1:]),
        )
        table = np.empty((len(of_others), *self.told.shape))
        table[:, :, 0] = _OF_NONE[:, None]
        for column, told in zip(table, of_others, strict=True):
            column[:, 1:] = told
        names = Figures._fields
        table[names.index("value"), :, 0], table[names.index("probability"), :, 0] = value, weighed.propensity[:, 0]
        every = numbers(table[:, self.told].ravel().tolist())
        each = len(self.row)
        return Figures(*(every[begin : begin + each] for begin in range(0, len(every), each)))

    @cached_property
    def offers(self) -> list[list[_Offer]]:
        """To each member."""
        offers = _offers(self.engine)
        return [offers.learned if scored else offers.believed for scored in self.weighed.scored.tolist()]

    @cached_property
    def channel(self) -> Texts:
        names = strings(self.engine.community.channels)
        of_each = [[NULL, *(names[at] for at in row)] for row in self.weighed.channel.tolist()]
        return [of_each[row][action] for row, action in zip(*self._at, strict=True)]

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All that there are."""
        return (*self.weighed.refusals.rules, MANDATORY_FIRST)

    @cached_property
    def removed(self) -> list[int]:
        """Of each candidate 1 + the position of the rule that removed it, 0 where it stands."""
        code: Integers = np.empty(self.told.shape, dtype=np.int64)
        code[:, 0], code[:, 1:] = np.where(self.weighed.urgent > 0, len(self.rules), 0), self.weighed.refusals.code
        removed: list[int] = code[self.told].tolist()
        return removed

    @cached_property
    def lists(self) -> Texts:
        """Of each member."""
        removals = ['"removed_at":null,"rule":null', *(f'"removed_at":"{rule.stage}","rule":{word(rule.name)}' for rule in self.rules)]
        figures = zip(self.channel, *self.figures, (removals[code] for code in self.removed), strict=True)
        told = [self.offers[row][action].frame % of_one for row, action, of_one in zip(*self._at, figures, strict=True)]
        return lists(told, self._numbers)

    @cached_property
    def _numbers(self) -> list[int]:
        """Of candidates of each member."""
        numbers_of: list[int] = self.told.sum(axis=1).tolist()
        return numbers_of

    @cached_property
    def propensities(self) -> Texts:
        """Of each member, by action."""
        each = zip(*self._at, self.figures.probability, strict=True)
        named = [f"{self.offers[row][action].id}:{chance}" for row, action, chance in each]
        return [f"{{{inner[1:-1]}}}" for inner in lists(named, self._numbers)]
