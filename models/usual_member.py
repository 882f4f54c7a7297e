"""The usual member, beside whom others are told: what of it is the same for all of them, worked out once."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from models.once import Once
from models.precision import as_written
from models.wording import Speaker, amount, attribute_label, attribute_value

if TYPE_CHECKING:
    from models.arrays import Flags, Floats
    from models.declared import Language
    from models.reason_groups import ReasonGroup, ReasonGroups, Shown

PLACES = 4


class Bounds(NamedTuple):
    """Of each of `ReasonGroups.shown`: a value above `high` or below `low` differs from the usual one, which may be `unknown`.

    A trend is told against the member's own time before, not against the usual one: it counts as a rise, or a fall, only where it is
    that against both.
    """

    high: Floats
    low: Floats
    unknown: Flags


@dataclass(frozen=True)
class Usual:
    """`values` (n_features,): the median of each feature, NaN for never."""

    groups: ReasonGroups
    values: Floats
    _speakers: dict[Language, tuple[Speaker, ...]] = field(default_factory=dict)

    @cached_property
    def bounds(self) -> Bounds:
        shown = self.groups.arrays
        usual = as_written(shown.known(self.values[None]), shown.precision)[0]
        high, low = (np.where(shown.trend, against(usual, 0.0), usual) for against in (np.maximum, np.minimum))
        return Bounds(high, low, np.isnan(usual))

    def speakers(self, language: Language) -> tuple[Speaker, ...]:
        """Of `ReasonGroups.shown`."""
        if language not in self._speakers:
            self._speakers[language] = tuple(self._speaker(language, group, shown) for group in self.groups.groups for shown in group.shown)
        return self._speakers[language]

    def _speaker(self, language: Language, group: ReasonGroup, shown: Shown) -> Speaker:
        currency = self.groups.currency
        if group.attribute is not None:
            told = group.attribute.told(self.values[list(group.columns)].astype(np.float64))
            typical = round(told, PLACES) if isinstance(told, float) else None
            label = attribute_label(language, group.attribute.name)
            return Speaker(group, shown, language, currency, label, typical, attribute_value(language, told))
        value = float(np.round(self.values[shown.column].astype(np.float64), PLACES))
        known = None if math.isnan(value) else value
        label = "" if group.label is None else group.label.of(language)
        usual = "" if shown.unit == "trend" else amount(language, known, shown.unit, currency)
        return Speaker(group, shown, language, currency, label, known, usual)


@Once
def _of(groups: ReasonGroups) -> Once[Floats, Usual]:
    return Once(partial(Usual, groups))


def usual_member(groups: ReasonGroups, values: Floats) -> Usual:
    """Once for each `groups` and `values`."""
    return _of(groups)(values)
