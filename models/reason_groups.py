"""Which features speak as one reason, and which of them a person is shown for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from models.features import ANY, TOUCH

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.arrays import Floats
    from models.attributes import Attribute, AttributeEncoding
    from models.community import Community, Label
    from models.features import Family, Feature, FeatureSpec

Unit = Literal["days", "count", "times", "kinds", "money", "quantity", "ratio", "share"]

OTHER = "other"


@dataclass(frozen=True)
class Shown:
    """A feature that may be shown for its group: its column, and the text that speaks of it (`reason.<wording>`)."""

    column: int
    wording: str


@dataclass(frozen=True)
class ReasonGroup:
    """Features of one signal and family. Of several `shown` the one with the greatest value speaks; `columns` are all that count.

    An `attribute` is told by its level or its number, and shows all its columns.
    """

    code: str
    unit: Unit
    columns: tuple[int, ...]
    shown: tuple[Shown, ...]
    label: Label | None = None
    window_days: int = 0
    attribute: Attribute | None = None


@dataclass(frozen=True)
class ReasonGroups:
    """A partition of the features."""

    groups: tuple[ReasonGroup, ...]
    n_features: int
    currency: str

    @cached_property
    def membership(self) -> Floats:
        """1 where a feature counts in a group, shape (n_features, n_groups)."""
        matrix = np.zeros((self.n_features, len(self.groups)))
        for position, group in enumerate(self.groups):
            matrix[list(group.columns), position] = 1
        return matrix


@dataclass(frozen=True)
class _Kind:
    """How one family of features is told: `code` and `feature` (the one shown) may hold {signal} and {window}."""

    code: str
    unit: Unit
    wording: str
    feature: str


_SIGNAL: dict[Family, _Kind] = {
    "recency": _Kind("days_since_{signal}", "days", "recency", "days_since_{signal}"),
    "volume": _Kind("{signal}_activity", "count", "activity", "{signal}_count_{window}d"),
    "variety": _Kind("{signal}_share", "share", "share", "{signal}_share"),
}
_MONEY = _Kind("{signal}_value", "money", "money", "{signal}_sum_{lookback}d")
_QUANTITY = _Kind("{signal}_value", "quantity", "quantity", "{signal}_sum_{lookback}d")
_ANY: dict[Family, _Kind] = {
    "recency": _Kind("days_since_any", "days", "recency_any", "days_since_any"),
    "volume": _Kind("activity", "count", "activity_any", "any_count_{window}d"),
    "rhythm": _Kind("rhythm", "ratio", "rhythm", "gap_now_to_usual"),
    "timing": _Kind("timing", "share", "", ""),
    "tenure": _Kind("tenure", "days", "tenure", "tenure_days"),
    "variety": _Kind("variety", "kinds", "variety", "signals_used_{window}d"),
}
_TOUCH: dict[Family, _Kind] = {
    "recency": _Kind("days_since_touch", "days", "touch_recency", "days_since_touch"),
    "volume": _Kind("touch_activity", "times", "touch_activity", "touch_count_{window}d"),
    "variety": _Kind("touch_activity", "times", "touch_activity", "touch_count_{window}d"),
    "response": _Kind("touch_response", "share", "response", "touches_answered_share"),
}
_QUARTERS = ("night", "morning", "afternoon", "evening")


def reason_groups(community: Community, spec: FeatureSpec) -> ReasonGroups:
    """In the order in which their first features are declared.

    Counts are shown over the window nearest to the horizon that decides, sums over the whole lookback. Where one signal alone
    qualifies, what is said of `any` activity is said of that signal.
    """
    members: dict[str, list[int]] = {}
    kinds: dict[str, tuple[_Kind, str]] = {}
    kind_of = _kind_of(community)
    for column, feature in enumerate(spec.features):
        kind, signal = kind_of(feature)
        code = kind.code.format(signal=signal)
        members.setdefault(code, []).append(column)
        kinds.setdefault(code, (kind, signal))
    built = tuple(_group(community, spec, *kinds[code], tuple(columns)) for code, columns in members.items())
    return ReasonGroups(built, len(spec.features), community.currency)


def with_attributes(groups: ReasonGroups, encoding: AttributeEncoding) -> ReasonGroups:
    """One more group for each attribute, with the columns that follow those of behaviour."""
    n = groups.n_features + len(encoding.names)
    added = [_attribute_group(attribute, range(groups.n_features, n)[place]) for attribute, place in encoding.places]
    return replace(groups, groups=(*groups.groups, *added), n_features=n)


def _attribute_group(attribute: Attribute, columns: range) -> ReasonGroup:
    shown = tuple(Shown(column, "attribute") for column in columns)
    return ReasonGroup(f"attribute_{attribute.name}", "quantity", tuple(columns), shown, attribute=attribute)


def _kind_of(community: Community) -> Callable[[Feature], tuple[_Kind, str]]:
    money = {signal.name for signal in community.signals if signal.value == "money"}
    qualifying = [signal.name for signal in community.signals if signal.qualifying]
    only = qualifying[0] if len(qualifying) == 1 else None
    touches = TOUCH not in {signal.name for signal in community.signals}

    def kind_of(feature: Feature) -> tuple[_Kind, str]:
        signal, family = feature.signal, feature.family
        if signal == ANY and only is not None and family in {"recency", "volume"}:
            signal = only
        if signal == ANY:
            return _ANY[family], signal
        if signal == TOUCH and touches:
            return _TOUCH[family], signal
        if family == "value":
            return (_MONEY if signal in money else _QUANTITY), signal
        return _SIGNAL[family], signal

    return kind_of


def _group(community: Community, spec: FeatureSpec, kind: _Kind, signal: str, columns: tuple[int, ...]) -> ReasonGroup:
    window = min(spec.windows_days, key=lambda days: abs(days - community.churn.horizon_days))
    names = {"signal": signal, "window": window, "lookback": spec.lookback_days}
    if kind.code == "timing":
        shown = tuple(Shown(spec.position(f"{quarter}_share"), quarter) for quarter in _QUARTERS)
    else:
        shown = (Shown(spec.position(kind.feature.format(**names)), kind.wording),)
    label = next((declared.label for declared in community.signals if declared.name == signal), None)
    windowed = "{window}" in kind.feature
    return ReasonGroup(kind.code.format(signal=signal), kind.unit, columns, shown, label, window if windowed else spec.lookback_days)
