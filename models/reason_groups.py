"""Which features speak as one reason, and which of them can be shown to a person for it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Literal

import numpy as np

from models.features import ANY, TOUCH, Feature
from models.precision import Precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.arrays import Flags, Floats, Integers
    from models.attributes import Attribute, AttributeEncoding
    from models.community import Community
    from models.declared import Label
    from models.features import Family, FeatureSpec

Unit = Literal["days", "active_days", "weeks", "count", "times", "kinds", "money", "quantity", "ratio", "share", "trend"]
Reading = Literal[-1, 0, 1]

OTHER = "other"
LEAST = 1e-9
"""Weight of what is harder to grasp: less than any other has that pushes at all."""


@dataclass(frozen=True)
class Shown:
    """A feature that can be told: its column, and the text that speaks of it (`reason.<wording>`).

    `reading`: what a person takes more of it for: 1 more risk, -1 less, 0 neither. `missing` is what NaN is read as; NaN itself where
    nothing can be said of it. `second`: told only where no feature that is easier to grasp can be. `window_days` is the time that the
    text speaks of; `shorter` are the columns of the same over windows up to that one, with their days. `counts` are the columns of a
    trend's counts: over the window, and over twice the window.
    """

    column: int
    feature: Feature
    wording: str
    unit: Unit
    reading: Reading
    missing: float
    second: bool
    window_days: int
    counts: tuple[int, int] | None = None
    shorter: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class ReasonGroup:
    """Features of one signal and family: `columns` are all that count, `shown` those that can be told, the one to fall back on first.

    An `attribute` is told by its level or its number.
    """

    code: str
    columns: tuple[int, ...]
    shown: tuple[Shown, ...]
    label: Label | None = None
    attribute: Attribute | None = None


@dataclass(frozen=True)
class ShownArrays:
    """The fields of each `Shown`, its group, and where each group begins; `trend`: whether it is one.

    `each` counts them; `told` (n_shown, 3): its column, and the columns of a trend's counts, of all others its own.
    """

    each: Integers
    columns: Integers
    told: Integers
    reading: Integers
    missing: Floats
    ease: Floats
    group: Integers
    first: Integers
    precision: Precision
    trend: Flags

    def known(self, features: Floats) -> Floats:
        """Of `features` (n, n_features) the values of what is shown, with what NaN is read as; shape (n, n_shown)."""
        values = features.take(self.columns, axis=1)
        return np.where(np.isnan(values), self.missing, values)


@dataclass(frozen=True)
class ReasonGroups:
    """A partition of the features."""

    groups: tuple[ReasonGroup, ...]
    n_features: int
    currency: str
    life: tuple[int, ...] = ()
    """The columns that say for how many days there has been something to see of a member."""

    def sums(self, contributions: Floats) -> Floats:
        """Of the features of each group: (n, n_features) to (n, n_groups).

        Added one by one, so that a row gives the same to the last bit among whatever others; a product of matrices does not.
        """
        columns, first = self._in_order
        return np.add.reduceat(contributions.take(columns, axis=1), first, axis=1)

    @cached_property
    def _in_order(self) -> tuple[Integers, Integers]:
        """The columns of all groups, one group after the other, and where each begins."""
        sizes = [len(group.columns) for group in self.groups]
        return np.array([column for group in self.groups for column in group.columns]), np.array([0, *accumulate(sizes[:-1])])

    @cached_property
    def shown(self) -> tuple[Shown, ...]:
        """Of all groups, one group after the other."""
        return tuple(shown for group in self.groups for shown in group.shown)

    @cached_property
    def arrays(self) -> ShownArrays:
        sizes = [len(group.shown) for group in self.groups]
        units = [shown.unit for shown in self.shown]
        return ShownArrays(
            each=np.arange(len(self.shown)),
            columns=np.array([shown.column for shown in self.shown]),
            told=np.array([(shown.column, *(shown.counts or (shown.column, shown.column))) for shown in self.shown]),
            reading=np.array([shown.reading for shown in self.shown]),
            missing=np.array([shown.missing for shown in self.shown]),
            ease=np.array([LEAST if shown.second else 1.0 for shown in self.shown]),
            group=np.repeat(np.arange(len(sizes)), sizes),
            first=np.array([0, *accumulate(sizes[:-1])]),
            precision=Precision.of(units),
            trend=np.array([unit == "trend" for unit in units]),
        )


@dataclass(frozen=True)
class _Told:
    """How a feature is told; its name may hold {signal} and {days}, one of the windows."""

    name: str
    wording: str
    unit: Unit
    reading: Reading = 0
    missing: float = 0.0
    second: bool = False


@dataclass(frozen=True)
class _Kind:
    """One family of features: what is told, the first to fall back on; of its windows that nearest to `near`."""

    code: str
    told: tuple[_Told, ...]
    near: Literal["horizon", "lookback"] = "horizon"


_SILENCE = _Told("silent_share_of_tenure", "silence", "share", 1, np.inf, second=True)
_SIGNAL: dict[Family, _Kind] = {
    "recency": _Kind("days_since_{signal}", (_Told("days_since_{signal}", "recency", "days", 1, np.inf), _SILENCE)),
    "volume": _Kind(
        "{signal}_activity",
        (
            _Told("{signal}_count_{days}d", "activity", "count", -1),
            _Told("{signal}_active_days_{days}d", "active_days", "active_days", -1),
            _Told("{signal}_trend_{days}d", "trend", "trend", -1),
        ),
    ),
    "variety": _Kind("{signal}_share", (_Told("{signal}_share", "share", "share"),)),
}
_MONEY = _Kind(
    "{signal}_value",
    (
        _Told("{signal}_sum_{days}d", "money", "money", -1),
        _Told("{signal}_value_mean", "value_mean", "money", -1),
        _Told("{signal}_value_last", "value_last", "money", -1),
    ),
    "lookback",
)
_QUANTITY = _Kind(
    "{signal}_value",
    (
        _Told("{signal}_sum_{days}d", "quantity", "quantity", -1),
        _Told("{signal}_value_mean", "value_mean", "quantity"),
        _Told("{signal}_value_last", "value_last", "quantity"),
    ),
    "lookback",
)
_ANY_ACTIVITY = _Kind(
    "activity",
    (
        _Told("any_count_{days}d", "activity_any", "count", -1),
        _Told("any_active_days_{days}d", "active_days_any", "active_days", -1),
        _Told("any_trend_{days}d", "trend_any", "trend", -1),
        _Told("signals_used_{days}d", "variety", "kinds", -1),
    ),
)
_ANY: dict[Family, _Kind] = {
    "recency": _Kind("days_since_any", (_Told("days_since_any", "recency_any", "days", 1, np.inf), _SILENCE)),
    "volume": _ANY_ACTIVITY,
    "variety": _ANY_ACTIVITY,
    "rhythm": _Kind(
        "rhythm",
        (
            _Told("gap_now_to_usual", "rhythm", "ratio", 1, np.nan),
            _Told("gap_mean", "gap_mean", "days", 1, np.nan),
            _Told("gap_max", "gap_max", "days", 1, np.nan),
            _Told("active_weeks", "active_weeks", "weeks", -1),
            _Told("week_streak", "week_streak", "weeks", -1),
        ),
    ),
    "timing": _Kind(
        "timing",
        tuple(_Told(f"{part}_share", part, "share") for part in ("evening", "night", "morning", "afternoon", "weekend")),
    ),
    "tenure": _Kind("tenure", (_Told("tenure_days", "tenure", "days"), _Told("first_seen_days", "first_seen", "days", second=True))),
}
_TOUCH_ACTIVITY = _Kind("touch_activity", (_Told("touch_count_{days}d", "touch_activity", "times"),))
_TOUCH: dict[Family, _Kind] = {
    "recency": _Kind("days_since_touch", (_Told("days_since_touch", "touch_recency", "days", 0, np.inf),)),
    "volume": _TOUCH_ACTIVITY,
    "variety": _TOUCH_ACTIVITY,
    "response": _Kind("touch_response", (_Told("touches_answered_share", "response", "share", -1),)),
}


def reason_groups(community: Community, spec: FeatureSpec) -> ReasonGroups:
    """In the order in which their first features are declared.

    How many kinds of activity there are counts with the activity of all kinds, which it follows from. Where one signal alone
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
    life = tuple(spec.position(name) for name in ("tenure_days", "first_seen_days"))
    return ReasonGroups(built, len(spec.features), community.currency, life)


def with_attributes(groups: ReasonGroups, encoding: AttributeEncoding) -> ReasonGroups:
    """One more group for each attribute, with the columns that follow those of behaviour."""
    n = groups.n_features + len(encoding.names)
    added = [_attribute_group(attribute, range(groups.n_features, n)[place]) for attribute, place in encoding.places]
    return replace(groups, groups=(*groups.groups, *added), n_features=n)


def _attribute_group(attribute: Attribute, columns: range) -> ReasonGroup:
    feature = Feature(attribute.name, "attribute", attribute.name)
    shown = Shown(columns[0], feature, "attribute", "quantity", 0, np.nan, second=False, window_days=0)
    return ReasonGroup(f"attribute_{attribute.name}", tuple(columns), (shown,), attribute=attribute)


def _kind_of(community: Community) -> Callable[[Feature], tuple[_Kind, str]]:
    money = {signal.name for signal in community.signals if signal.value == "money"}
    qualifying = [signal.name for signal in community.signals if signal.qualifying]
    only = qualifying[0] if len(qualifying) == 1 else None
    touches = TOUCH not in {signal.name for signal in community.signals}

    def kind_of(feature: Feature) -> tuple[_Kind, str]:
        signal, family = feature.signal, feature.family
        if signal == ANY and only is not None and family in {"recency", "volume", "variety"}:
            return _SIGNAL["recency" if family == "recency" else "volume"], only
        if signal == ANY:
            return _ANY[family], signal
        if signal == TOUCH and touches:
            return _TOUCH[family], signal
        if family == "value":
            return (_MONEY if signal in money else _QUANTITY), signal
        return _SIGNAL[family], signal

    return kind_of


def _group(community: Community, spec: FeatureSpec, kind: _Kind, signal: str, columns: tuple[int, ...]) -> ReasonGroup:
    near = spec.lookback_days if kind.near == "lookback" else community.churn.horizon_days
    unread = signal in community.lifecycle.service_signals
    shown = tuple(
        at
        for told in kind.told
        for days in (sorted(spec.windows, key=lambda days: abs(days - near)) if "{days}" in told.name else [None])
        if (at := _shown(spec, replace(told, reading=0) if unread else told, signal, days)) is not None and at.column in columns
    )
    label = next((declared.label for declared in community.signals if declared.name == signal), None)
    return ReasonGroup(kind.code.format(signal=signal), columns, shown, label)


def _shown(spec: FeatureSpec, told: _Told, signal: str, days: int | None) -> Shown | None:
    """None where there is no such feature, and for the active days of a single day, which its count tells already."""
    name = told.name.format(signal=signal, days=days)
    if name not in spec.names or (told.unit == "active_days" and days == 1):
        return None
    column = spec.position(name)
    counts = None
    if told.unit == "trend" and days is not None:
        counts = spec.position(f"{signal}_count_{days}d"), spec.position(f"{signal}_count_{2 * days}d")
    return Shown(
        column=column,
        feature=spec.features[column],
        wording=told.wording,
        unit=told.unit,
        reading=told.reading,
        missing=told.missing,
        second=told.second,
        window_days=days or spec.lookback_days,
        counts=counts,
        shorter=() if days is None else _shorter(spec, told.name, signal, days),
    )


def _shorter(spec: FeatureSpec, name: str, signal: str, days: int) -> tuple[tuple[int, int], ...]:
    names = ((window, name.format(signal=signal, days=window)) for window in spec.windows if window <= days)
    return tuple((window, spec.position(told)) for window, told in names if told in spec.names)
