"""May this member have it at all: the declared rules, asked of all members at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial, reduce
from operator import and_, or_
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from models.community import DAY_US
from models.declared import STAGES, TAGS
from models.interventions import NOT_ASSIGNED, Refusals, Rule
from models.once import Once

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.actions import Intervention
    from models.arrays import Flags, Floats, Integers, Names
    from models.community import Community
    from models.declared import Stage, Tag
    from models.engine import Scores
    from models.experiment_declaration import Experiment
    from models.features import FeatureSpec
    from models.interventions import ContactHistory
    from models.lifecycle import Lifecycles
    from models.member_columns import MemberColumns
    from models.rules import AssignedDays, Bounds, SignalCount, SignalDays
    from models.sources import MembersSource

SCORED, OPTED_OUT = "scored", "opted_out"
UNSCORED = ("insufficient_history", "already_churned", OPTED_OUT)


@dataclass(frozen=True)
class MemberFacts:
    """What eligibility may ask; arrays of shape (n_members,). Where the probability is unknown (NaN) no bound on it holds.

    scenes: for each scene that an intervention names whether it is open. arms: for each experiment that one names, positions in its arms.
    """

    community: Community
    spec: FeatureSpec
    scores: Scores
    probability: Floats
    lifecycles: Lifecycles
    columns: MemberColumns
    contacts: ContactHistory
    as_of_us: int
    scenes: Mapping[str, Flags]
    arms: Mapping[str, Integers]

    @property
    def value(self) -> Floats:
        return self.scores.value

    def feature(self, name: str) -> Floats:
        return self.scores.features[:, self.spec.position(name)]


Holds = Callable[[MemberFacts], "Flags"]


@dataclass(frozen=True)
class Asked:
    """One rule of one intervention; `name` stays the same as long as the declaration does."""

    name: str
    holds: Holds


def _in_stages(facts: MemberFacts, stages: Sequence[Stage]) -> Flags:
    return _at_one_of(facts.lifecycles.stage, STAGES, stages)


def _in_tiers(facts: MemberFacts, tiers: Sequence[str]) -> Flags:
    return _at_one_of(facts.lifecycles.tier, facts.lifecycles.tiers, tiers)


def _at_one_of(position: Integers, names: Sequence[str], meant: Sequence[str]) -> Flags:
    """Whether each is the position of a name that is meant; NO_ARM, as all below 0, is that of none."""
    is_meant: Flags = _meant(names, meant)[position]
    return is_meant


@Once
def _meant(names: Sequence[str], meant: Sequence[str]) -> Flags:
    """Of each name, and of none, the last."""
    return np.array([*(name in meant for name in names), False])


def _wears_one_of(facts: MemberFacts, tags: Sequence[Tag]) -> Flags:
    return reduce(or_, (facts.lifecycles.tags[:, TAGS.index(tag)] for tag in tags))


def _gave_all(facts: MemberFacts, consents: Sequence[str]) -> Flags:
    source = facts.community.members
    named = {} if source is None else source.consents
    return reduce(and_, (facts.columns.says_yes(named[consent]) for consent in consents))


def _reachable_on_one(facts: MemberFacts, channels: Sequence[str]) -> Flags:
    return reduce(or_, (reachable(facts.columns, facts.community.members, channel) for channel in channels))


def reachable(columns: MemberColumns, source: MembersSource | None, channel: str) -> Flags:
    """Shape (n_members,); a channel for which no column is declared reaches everybody."""
    column = None if source is None else source.reachable.get(channel)
    return np.ones(columns.n_members, dtype=np.bool_) if column is None else columns.says_yes(column)


def _within(bounds: Bounds, amount: Floats) -> Flags:
    """What is missing (NaN) is more than any number."""
    known = np.where(np.isnan(amount), np.inf, amount)
    least, most = (-np.inf if bounds.at_least is None else bounds.at_least), (np.inf if bounds.at_most is None else bounds.at_most)
    within: Flags = (known >= least) & (known <= most)
    return within


def _is_one_of(facts: MemberFacts, name: str, allowed: Sequence[str]) -> Flags:
    return facts.columns.is_one_of(name, allowed)


def _long_enough_since(facts: MemberFacts, rule: SignalDays) -> Flags:
    return _within(rule, facts.feature(f"days_since_{rule.signal}"))


def _long_enough_since_assigned(facts: MemberFacts, rule: AssignedDays) -> Flags:
    """Counted from the last assignment before `as_of`."""
    last = facts.contacts.last_assigned((rule.intervention,), len(facts.value), facts.as_of_us)
    return _within(rule, np.where(last == NOT_ASSIGNED, np.nan, (facts.as_of_us - last) / DAY_US))


def _counted_within(facts: MemberFacts, rule: SignalCount) -> Flags:
    return _within(rule, facts.feature(f"{rule.signal}_count_{rule.days}d"))


def _in_a_scene(facts: MemberFacts, scenes: Sequence[str]) -> Flags:
    return reduce(or_, (facts.scenes[scene] for scene in scenes))


def _in_an_arm(facts: MemberFacts, name: str, arms: Sequence[str]) -> Flags:
    declared = next(one for one in facts.community.experiments if one.id == name)
    return _at_one_of(facts.arms[name], _arm_ids(declared), arms)


@Once
def _arm_ids(experiment: Experiment) -> tuple[str, ...]:
    return tuple(arm.id for arm in experiment.arms)


_ONE_BY_ONE: dict[str, Callable[[MemberFacts, Any], Flags]] = {
    "scenes": _in_a_scene,
    "stages": _in_stages,
    "tiers": _in_tiers,
    "tags": _wears_one_of,
    "no_tags": lambda facts, tags: ~_wears_one_of(facts, tags),
    "consents": _gave_all,
    "channels": _reachable_on_one,
    "min_tenure_days": lambda facts, bound: facts.lifecycles.tenure_days >= bound,
    "max_tenure_days": lambda facts, bound: facts.lifecycles.tenure_days <= bound,
    "min_days_silent": lambda facts, bound: facts.lifecycles.silence_days >= bound,
    "max_days_silent": lambda facts, bound: facts.lifecycles.silence_days <= bound,
    "min_churn_probability": lambda facts, bound: facts.probability >= bound,
    "max_churn_probability": lambda facts, bound: facts.probability <= bound,
    "min_value": lambda facts, bound: facts.value >= bound,
    "max_value": lambda facts, bound: facts.value <= bound,
}
_ENTRY_BY_ENTRY: dict[str, Callable[[Any], Iterator[Asked]]] = {
    "attributes": lambda entries: (Asked(f"attributes.{name}", partial(_is_one_of, name=name, allowed=entries[name])) for name in entries),
    "days_since": lambda entries: (Asked(f"days_since.{rule.signal}", partial(_long_enough_since, rule=rule)) for rule in entries),
    "days_since_assigned": lambda entries: (
        Asked(f"days_since_assigned.{rule.intervention}", partial(_long_enough_since_assigned, rule=rule)) for rule in entries
    ),
    "counts": lambda entries: (Asked(f"counts.{rule.signal}.{rule.days}", partial(_counted_within, rule=rule)) for rule in entries),
    "experiment": lambda entries: (Asked(f"experiment.{name}", partial(_in_an_arm, name=name, arms=entries[name])) for name in entries),
}
ELIGIBILITY_KEYS = ("statuses", *_ONE_BY_ONE, *_ENTRY_BY_ENTRY)


def _holds(holds: Callable[[MemberFacts, Any], Flags], bound: object, facts: MemberFacts) -> Flags:
    return holds(facts, bound)


def rules_of(intervention: Intervention) -> Iterator[Asked]:
    """The given keys in the order of ELIGIBILITY_KEYS; statuses are asked apart, for the member's own is the name of that rule."""
    for name, holds in _ONE_BY_ONE.items():
        bound = getattr(intervention.eligibility, name)
        if bound is not None:
            yield Asked(name, partial(_holds, holds, bound))
    for name, entries in _ENTRY_BY_ENTRY.items():
        given = getattr(intervention.eligibility, name)
        if given is not None:
            yield from entries(given)


def admits(intervention: Intervention, status: Names) -> Flags:
    """Whether members of this status may have it at all, shape of `status`.

    Without declared statuses: marketing needs a score to be weighed, the other classes are not weighed.
    """
    declared = intervention.eligibility.statuses
    usual = (SCORED,) if intervention.message_class == "marketing" else (SCORED, *UNSCORED)
    return np.isin(status, usual if declared is None else declared)


STATUSES = (*UNSCORED, SCORED)
_CODE_OF_STATUS = {name: code for code, name in enumerate(STATUSES, start=1)}
_STATUS_RULES = tuple(Rule("eligibility", name) for name in STATUSES)


@Once
def _admitted(interventions: tuple[Intervention, ...]) -> Flags:
    """(1 + n_statuses, n_interventions): a status that is none of STATUSES first, as `admits` has it."""
    return np.column_stack([admits(intervention, np.array(["", *STATUSES])) for intervention in interventions])


def _status_code(status: Names) -> Integers:
    return np.array([_CODE_OF_STATUS.get(name, 0) for name in status.tolist()], dtype=np.int16)


def admitted(interventions: tuple[Intervention, ...], status: Names) -> Flags:
    """`admits` of each intervention, shape (n_members, n_interventions)."""
    found: Flags = _admitted(interventions)[_status_code(status)]
    return found


def status_refusals(status: Names, interventions: tuple[Intervention, ...]) -> Refusals:
    """The rule is the status of the member."""
    code = _status_code(status)
    return Refusals(_STATUS_RULES, np.where(_admitted(interventions)[code], 0, code[:, None]))


class _Numbered(NamedTuple):
    """The rules of all interventions by their names, and what each of them that holds or does not has to do with an intervention.

    asked: r conditions, one for each rule of each intervention. order (k, 1 + most): positions of those of each intervention in their
    order, filled up with r; code, of the same shape: 1 + position of each among `rules`, 0 where it is filled up.
    """

    rules: tuple[Rule, ...]
    asked: tuple[Holds, ...]
    order: Integers
    code: Integers


@Once
def _numbered(interventions: tuple[Intervention, ...]) -> _Numbered:
    asked = [tuple(rules_of(intervention)) for intervention in interventions]
    number = {name: position for position, name in enumerate(dict.fromkeys(rule.name for rules in asked for rule in rules), start=1)}
    every, begins = [rule for rules in asked for rule in rules], np.cumsum([0, *map(len, asked)])
    shape = len(asked), 1 + max(map(len, asked), default=0)
    order, code = np.full(shape, len(every)), np.zeros(shape, dtype=np.int16)
    for row, rules in enumerate(asked):
        order[row, : len(rules)] = begins[row] + np.arange(len(rules))
        code[row, : len(rules)] = [number[rule.name] for rule in rules]
    return _Numbered(tuple(Rule("eligibility", name) for name in number), tuple(rule.holds for rule in every), order, code)


def eligibility_refusals(facts: MemberFacts) -> Refusals:
    """The member's status first, then the rules of each intervention, in their order; the first that does not hold is the one named."""
    interventions = facts.community.interventions
    numbered = _numbered(interventions)
    holds = np.array([*(condition(facts) for condition in numbered.asked), np.zeros(len(facts.value), dtype=np.bool_)])
    first = holds[numbered.order].argmin(axis=1)
    refused = Refusals(numbered.rules, numbered.code[np.arange(len(interventions))[:, None], first].T)
    return status_refusals(facts.scores.status, interventions).then(refused)
