"""The candidates of many members as JSON, from columns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.actions import NO_ACTION
from models.json_texts import NULL, lists, numbers, objects, strings, word
from models.policy import MANDATORY_FIRST, levers

if TYPE_CHECKING:
    from models.arrays import Flags, Floats, Integers
    from models.engine import Engine
    from models.interventions import Rule
    from models.json_texts import Texts
    from models.weighing import Weighed


class Figures(NamedTuple):
    """Of each candidate: numbers, of which `uplift_interval` is a pair."""

    uplift: Texts
    low: Texts
    high: Texts
    weighed_uplift: Texts
    value: Texts
    lever_weight: Texts
    context_weight: Texts
    cost: Texts
    priority: Texts
    shadow_price: Texts
    probability: Texts
    expected_net_value: Texts


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
    def place(self) -> Integers:
        """(n, 1 + k): the position of each that is told."""
        place: Integers = np.cumsum(self.told).reshape(self.told.shape) - 1
        return place

    @cached_property
    def row(self) -> list[int]:
        row: list[int] = np.nonzero(self.told)[0].tolist()
        return row

    @cached_property
    def action(self) -> list[int]:
        action: list[int] = np.nonzero(self.told)[1].tolist()
        return action

    @cached_property
    def figures(self) -> Figures:
        """`weighed_uplift` = uplift + caution (low - uplift); `expected_net_value` = uplift x value - cost."""
        weighed, community = self.weighed, self.engine.community
        value, caution = weighed.scores.value.astype(np.float64), community.policy.caution
        uplift, low = self._beside(0.0, weighed.uplift), self._beside(0.0, weighed.interval.low)
        cost = self._beside(0.0, weighed.cost)
        each = (
            *(uplift, low, self._beside(0.0, weighed.interval.high), uplift + caution * (low - uplift)),
            *(np.repeat(value, self.told.shape[1]).reshape(self.told.shape), self._beside(1.0, levers(community.interventions))),
            *(self._beside(1.0, weighed.context_weight), cost, self._beside(0.0, weighed.priority)),
            *(self._beside(0.0, weighed.charge.total), weighed.propensity, uplift * value[:, None] - cost),
        )
        every = numbers(np.stack(each)[:, self.told].ravel().tolist())
        return Figures(*(every[begin : begin + len(self.row)] for begin in range(0, len(every), len(self.row))))

    def _beside(self, of_none: float, of_others: Floats | Integers) -> Floats:
        """Shape (n, 1 + k)."""
        table = np.empty(self.told.shape)
        table[:, 0], table[:, 1:] = of_none, of_others
        return table

    @cached_property
    def ids(self) -> Texts:
        """Of the actions."""
        return strings([NO_ACTION, *(intervention.id for intervention in self.engine.community.interventions)])

    @cached_property
    def channel(self) -> Texts:
        names = [*strings(self.engine.community.channels), NULL]
        none = len(names) - 1
        position = self._beside(none, self.weighed.channel)[self.told].astype(np.int64)
        return [names[at] for at in position.tolist()]

    @cached_property
    def source(self) -> Texts:
        sources = [word(self.engine.uplift.source(intervention.id)) for intervention in self.engine.community.interventions]
        believed = word("prior")
        of_scored, scored = [believed, *sources], self.weighed.scored.tolist()
        return [of_scored[action] if scored[row] else believed for row, action in zip(self.row, self.action, strict=True)]

    @cached_property
    def interval(self) -> Texts:
        return [f"[{low},{high}]" for low, high in zip(self.figures.low, self.figures.high, strict=True)]

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        """All that there are."""
        return (*self.weighed.refusals.rules, MANDATORY_FIRST)

    @cached_property
    def removed(self) -> list[int]:
        """Of each candidate 1 + the position of the rule that removed it, 0 where it stands."""
        none = np.where(self.weighed.urgent > 0, len(self.rules), 0)
        code: list[int] = np.column_stack([none, self.weighed.refusals.code])[self.told].tolist()
        return code

    @cached_property
    def stage(self) -> Texts:
        """At which each of them was removed."""
        stages = [NULL, *(f'"{rule.stage}"' for rule in self.rules)]
        return [stages[code] for code in self.removed]

    @cached_property
    def rule(self) -> Texts:
        names = [NULL, *strings([rule.name for rule in self.rules])]
        return [names[code] for code in self.removed]

    @cached_property
    def lists(self) -> Texts:
        """Of each member."""
        figures = self.figures
        told = objects(
            {
                "intervention_id": [self.ids[action] for action in self.action],
                "channel": self.channel,
                "uplift": figures.uplift,
                "uplift_interval": self.interval,
                "uplift_source": self.source,
                "weighed_uplift": figures.weighed_uplift,
                "value": figures.value,
                "lever_weight": figures.lever_weight,
                "context_weight": figures.context_weight,
                "cost": figures.cost,
                "priority": figures.priority,
                "shadow_price": figures.shadow_price,
                "probability": figures.probability,
                "removed_at": self.stage,
                "rule": self.rule,
            }
        )
        return lists(told, self.told.sum(axis=1).tolist())

    @cached_property
    def propensities(self) -> Texts:
        """Of each member, by action."""
        named = [f"{self.ids[action]}:{chance}" for action, chance in zip(self.action, self.figures.probability, strict=True)]
        return [f"{{{inner[1:-1]}}}" for inner in lists(named, self.told.sum(axis=1).tolist())]
