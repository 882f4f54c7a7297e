"""Why a candidate fell out, in a sentence: the rule, its bound and where the member stands."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, get_args

from models.actions import CONTACT_RULES
from models.decision import ChurnStatus
from models.features import ANY
from models.once import Once
from models.texts import duration, listed, named, number, plural, text, window
from models.wording import amount, channel_name, inside, tier_name

if TYPE_CHECKING:
    from models.actions import Cap
    from models.community import Community
    from models.decision import MemberState, RemovalStage
    from models.declared import Language
    from models.reason_groups import Unit
    from models.rules import Bounds, Eligibility


@dataclass(frozen=True)
class Standing:
    """What the rules asked of the member; `probability` is None where it is not known."""

    member: MemberState
    probability: float | None


class Removed(Protocol):
    """What a Candidate tells of its removal."""

    @property
    def intervention_id(self) -> str: ...

    @property
    def removed_at(self) -> RemovalStage | None: ...

    @property
    def rule(self) -> str | None: ...


def removal_sentence(language: Language, candidate: Removed, standing: Standing, community: Community) -> str:
    """The rule that removed a candidate, with its bound and where the member stands; the stage alone for a rule without a text."""
    if candidate.removed_at != "eligibility" and candidate.rule in _SAID_ALIKE:
        return text(
            language, f"rule.{candidate.rule}", window=window(language, resting_days(candidate.rule, candidate.intervention_id, community))
        )
    match candidate.removed_at, candidate.rule:
        case "eligibility", str(rule) if rule in _STATUSES:
            return text(language, f"rule.status.{rule}")
        case "eligibility", str(rule):
            return eligibility_sentence(language, candidate.intervention_id, rule, community, standing)
        case "contact_policy", str(rule) if (cap := _caps(community).get(rule)) is not None:
            return cap_sentence(language, cap)
        case _:
            return text(language, f"removed.{candidate.removed_at}")


def asked_of(candidate: Removed, standing: Standing) -> Hashable:
    """All that `removal_sentence` tells of the member: candidates who fell out alike and ask alike have one sentence."""
    rule = candidate.rule or ""
    if candidate.removed_at != "eligibility":
        return None
    if rule in _BOUNDS:
        return _BOUNDS[rule].of(standing)
    of = _SETS[rule].of if rule in _SETS else None
    return None if of is None else tuple(of(standing.member))


@Once
def _caps(community: Community) -> dict[str, Cap]:
    return {cap.name: cap for cap in community.contact_policy.caps}


_STATUSES = get_args(ChurnStatus)
_SAID_ALIKE = (*CONTACT_RULES, "global_control", "mandatory_first", "budget", "capacity")


def resting_days(rule: str | None, intervention_id: str, community: Community) -> int:
    """Days over which the rule looks back, 0 where it does not."""
    match rule:
        case "cooldown_days":
            return community.intervention(intervention_id).cooldown_days
        case "refused_before":
            return community.intervention(intervention_id).refusal_cooldown_days
        case "refused_recently":
            return community.contact_policy.refusal_cooldown_days
        case "drawn_recently":
            return community.contact_policy.draw_cooldown_days
        case _:
            return 0


def cap_sentence(language: Language, cap: Cap) -> str:
    channel = text(language, "rule.any_channel") if cap.channel == ANY else channel_name(language, cap.channel)
    limit = plural(language, "contacts", cap.max_contacts)
    return text(language, "rule.cap", limit=limit, window=duration(language, cap.days), channel=channel)


def eligibility_sentence(language: Language, intervention_id: str, rule: str, community: Community, standing: Standing | None) -> str:
    """What an intervention's eligibility asks for, beside where the member stands where one is given."""
    eligibility = community.intervention(intervention_id).eligibility
    key, _, about = rule.partition(".")
    if key in _ENTRIES:
        return _ENTRIES[key](language, about, eligibility, community)
    bound = getattr(eligibility, key)
    told = _set_sentence if key in _SETS else _measure_sentence
    return told(language, key, bound, community, standing)


def _set_sentence(language: Language, key: str, bound: Sequence[str], community: Community, standing: Standing | None) -> str:
    asked = _SETS[key]
    actual = None if standing is None or asked.of is None else tuple(asked.of(standing.member))
    return _allowed(language, key, tuple(bound), actual, community)


def _allowed(language: Language, key: str, allowed: tuple[str, ...], actual: tuple[str, ...] | None, community: Community) -> str:
    """Few sets of names are ever told."""
    held, told = _sentences(community), (language, key, allowed, actual)
    if told not in held:
        names = (language, key, community)
        said = text(language, f"rule.{key}", allowed=_listed(*names, allowed))
        held[told] = said if actual is None else text(language, "rule.beside_member", rule=said, actual=_listed(*names, actual))
    return held[told]


@Once
def _sentences(_community: Community) -> dict[tuple[Language, str, tuple[str, ...], tuple[str, ...] | None], str]:
    return {}


def _listed(language: Language, key: str, community: Community, names: tuple[str, ...]) -> str:
    return listed(language, [_SETS[key].name(language, name, community) for name in names])


def _measure_sentence(language: Language, key: str, bound: float, community: Community, standing: Standing | None) -> str:
    measure = _BOUNDS[key]
    said = text(language, f"rule.{key}", limit=amount(language, bound, measure.unit, community.currency))
    if standing is None:
        return said
    held = measure.of(standing)
    shown = text(language, "unit.unknown") if held is None else amount(language, held, measure.unit, community.currency)
    return text(language, "rule.beside_member", rule=said, actual=shown)


def _attribute_sentence(language: Language, about: str, eligibility: Eligibility, _: Community) -> str:
    allowed = listed(language, list((eligibility.attributes or {})[about]))
    return text(language, "rule.attributes", name=named(language, "attribute", about), allowed=allowed)


def _days_since_sentence(language: Language, about: str, eligibility: Eligibility, community: Community) -> str:
    rule = next(rule for rule in eligibility.days_since or () if rule.signal == about)
    return _bounded(language, "days_since", rule, duration, name=_signal(language, about, community))


def _assigned_sentence(language: Language, about: str, eligibility: Eligibility, community: Community) -> str:
    rule = next(rule for rule in eligibility.days_since_assigned or () if rule.intervention == about)
    name = community.intervention(about).label.of(language)
    return _bounded(language, "days_since_assigned", rule, duration, name=name)


def _count_sentence(language: Language, about: str, eligibility: Eligibility, community: Community) -> str:
    rule = next(rule for rule in eligibility.counts or () if f"{rule.signal}.{rule.days}" == about)
    name = _signal(language, rule.signal, community)
    return _bounded(language, "counts", rule, number, name=name, window=window(language, rule.days))


def _arm_sentence(language: Language, about: str, eligibility: Eligibility, community: Community) -> str:
    declared = next(experiment for experiment in community.experiments if experiment.id == about)
    asked = (eligibility.experiment or {})[about]
    allowed = [arm.id if arm.label is None else arm.label.of(language) for arm in declared.arms if arm.id in asked]
    name = about if declared.label is None else declared.label.of(language)
    return text(language, "rule.experiment", name=name, allowed=listed(language, allowed))


def _bounded(language: Language, key: str, bounds: Bounds, told: Callable[[Language, float], str], **more: str) -> str:
    """The text for what is bounded: from below, from above, or on both sides."""
    kind = "at_most" if bounds.at_least is None else "at_least" if bounds.at_most is None else "between"
    least, most = (told(language, 0.0 if bound is None else bound) for bound in (bounds.at_least, bounds.at_most))
    return text(language, f"rule.{key}.{kind}", least=least, most=most, **more)


def _signal(language: Language, name: str, community: Community) -> str:
    labels = {signal.name: inside(signal.label.of(language)) for signal in community.signals}
    return labels.get(name) or text(language, "rule.any_signal")


@dataclass(frozen=True)
class _Set:
    """A rule that asks for one of several names; `of` is None where what the member has is not told."""

    of: Callable[[MemberState], Sequence[str]] | None
    name: Callable[[Language, str, Community], str]


@dataclass(frozen=True)
class _Measure:
    """A rule that asks for at least, or at most, an amount."""

    unit: Unit
    of: Callable[[Standing], float | None]


def _scene_name(language: Language, name: str, community: Community) -> str:
    return next(scene.label.of(language) for scene in community.scenes if scene.name == name)


_SETS = {
    "scenes": _Set(None, _scene_name),
    "stages": _Set(lambda member: [member.stage], lambda language, name, _: named(language, "stage", name)),
    "tiers": _Set(lambda member: [member.tier], tier_name),
    "tags": _Set(lambda member: member.tags, lambda language, name, _: named(language, "tag", name)),
    "no_tags": _Set(lambda member: member.tags, lambda language, name, _: named(language, "tag", name)),
    "consents": _Set(None, lambda language, name, _: named(language, "consent", name)),
    "channels": _Set(None, lambda language, name, _: channel_name(language, name)),
}
_BOUNDS = {
    "min_tenure_days": _Measure("days", lambda standing: standing.member.tenure_days),
    "max_tenure_days": _Measure("days", lambda standing: standing.member.tenure_days),
    "min_days_silent": _Measure("days", lambda standing: standing.member.days_silent),
    "max_days_silent": _Measure("days", lambda standing: standing.member.days_silent),
    "min_churn_probability": _Measure("share", lambda standing: standing.probability),
    "max_churn_probability": _Measure("share", lambda standing: standing.probability),
    "min_value": _Measure("money", lambda standing: standing.member.value),
    "max_value": _Measure("money", lambda standing: standing.member.value),
}
_ENTRIES: dict[str, Callable[[Language, str, Eligibility, Community], str]] = {
    "attributes": _attribute_sentence,
    "days_since": _days_since_sentence,
    "days_since_assigned": _assigned_sentence,
    "counts": _count_sentence,
    "experiment": _arm_sentence,
}
