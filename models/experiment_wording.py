"""What an experiment says, in figures and in sentences: what the command line prints and the service answers."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from models.actions import NO_ACTION
from models.community import DAY_US
from models.experiments import HELD_BACK, TREATED
from models.features import ANY
from models.moments import EPOCH
from models.texts import JOINER, Count, calendar_day, decimal, money, moneys, number, plural, points, sentences, share, span, text
from models.two_arms import ALPHA
from models.whiskers import Scale, Side, Whisker
from models.wording import opening

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from models.community import Community
    from models.declared import Language
    from models.experiment_declaration import Metric
    from models.intervals import Estimate
    from models.read_out import Kind, Lift, RatioCheck, ReadOut, Sources, Verdict

VERDICTS: dict[Verdict, str] = {
    "raises": "experiment.raises",
    "lowers": "experiment.lowers",
    "more_days": "experiment.more_days",
    "no_larger_effect": "experiment.no_larger_effect",
    "too_few": "experiment.too_few",
    "small_arm": "experiment.small_arm",
    "waiting": "experiment.waiting",
    "not_readable": "experiment.not_readable",
}
OF_CLUSTERS: dict[Verdict, str] = {"too_few": "experiment.too_few_clusters", "waiting": "experiment.waiting_clusters"}
SIDES: dict[Verdict, Side] = {"raises": "above", "lowers": "below"}
WHOLE_GROUPS: dict[Kind, str] = {"declared": "experiment.whole_groups", "intervention": "experiment.whole_groups_touched"}
FROM_DECISIONS, FROM_TOUCHES, FROM_BOTH = "experiment.from_decisions", "experiment.from_touches", "experiment.from_both"
SLOW_DAYS = 730
ARMS = {HELD_BACK: "experiment.arm_control", TREATED: "experiment.arm_treated", NO_ACTION: "experiment.arm_none"}
PLAIN = ("metric", "kind", "days", "arm", "control", "members", "control_members", "mean", "control_mean", "verdict")
JUDGED = (
    *("p", "adjusted_p", "adjusted_for_before", "smallest_detectable"),
    *("target", "largest_compatible", "members_needed", "days_needed", "arm_needed"),
)
COUNTED = {"count": "experiment.count_of", "ratio": "experiment.ratio_of"}
METRICS = {"retention": "experiment.retention", "contributions": "experiment.contributions", "value": "experiment.value"}


def told(read: ReadOut, community: Community, language: Language) -> dict[str, Any]:
    """Every figure, times with the community's offset; `label` and `text` are in the language."""
    return {
        "id": read.id,
        "kind": read.kind,
        "label": label_of(read, community, language),
        "started_at": _moment(read.started_us, community),
        "ended_at": _moment(read.ended_us, community),
        "known_until": _moment(read.until_us, community),
        "level": read.level,
        "members_per_day": read.pace,
        "arms": [
            {"id": arm, "label": arm_label(arm, read, community, language), "members": members, "expected": expected, "clusters": clusters}
            for arm, members, expected, clusters in zip(read.arms, read.check.observed, read.check.expected, _clusters(read), strict=True)
        ],
        "whole_groups": read.whole_groups,
        "unlike_before": read.unlike_before,
        "sources": read.sources and asdict(read.sources),
        "notes": notes_of(read, language),
        "sample_ratio": {"p": read.sizes.p, "mismatch": read.sizes.mismatch, "text": sizes_sentence(read, language)},
        "lifts": [_told(lift, read, community, language) for lift in read.lifts],
    }


def _told(lift: Lift, read: ReadOut, community: Community, language: Language) -> dict[str, Any]:
    return {
        **{name: getattr(lift, name) for name in PLAIN},
        **_bounded("lift", lift.lift),
        **_bounded("relative", lift.relative),
        **{name: getattr(lift, name) for name in JUDGED},
        "text": lift_sentence(lift, read, community, language),
    }


def _clusters(read: ReadOut) -> tuple[int | None, ...]:
    return (None,) * len(read.arms) if read.clusters is None else read.clusters.observed


def _bounded(name: str, estimate: Estimate | None) -> dict[str, Any]:
    return {name: estimate and estimate.value, f"{name}_interval": estimate and estimate.interval}


def _moment(at_us: int | None, community: Community) -> str | None:
    if at_us is None:
        return None
    return (EPOCH + timedelta(microseconds=at_us)).astimezone(community.zone).isoformat().replace("+00:00", "Z")


def label_of(read: ReadOut, community: Community, language: Language) -> str:
    if read.kind == "intervention":
        return community.intervention(read.id).label.of(language)
    if read.kind == "global_control":
        return text(language, "experiment.global_control")
    label = {experiment.id: experiment.label for experiment in community.experiments}[read.id]
    return read.id if label is None else label.of(language)


def arm_label(arm: str, read: ReadOut, community: Community, language: Language) -> str:
    if read.kind == "intervention" and arm != NO_ACTION:
        return community.intervention(arm).label.of(language)
    if read.kind == "declared":
        labels = {one.id: one.label for experiment in community.experiments if experiment.id == read.id for one in experiment.arms}
        label = labels.get(arm)
        if label is not None:
            return label.of(language)
        return text(language, ARMS[NO_ACTION]) if arm == NO_ACTION else arm
    return text(language, ARMS[arm])


def sizes_sentence(read: ReadOut, language: Language) -> str:
    """Whether the arms have their sizes, were alike before, and whether whole groups seem to be in them, though none are declared."""
    said = [check_sentence(read.sizes, language)]
    if read.unlike_before:
        said.append(text(language, "experiment.unlike_before"))
    if read.whole_groups is not None:
        said.append(text(language, WHOLE_GROUPS[read.kind], column=read.whole_groups))
    return sentences(language, said)


def notes_of(read: ReadOut, language: Language) -> list[str]:
    """Of an intervention where its assignments came from, and which of the declared touches were left out."""
    return [*_from(read.sources, language), *(note.text_in(language) for note in read.notes)]


def _from(sources: Sources | None, language: Language) -> list[str]:
    if sources is None or not (sources.decisions or sources.touches):
        return []
    key = FROM_BOTH if sources.decisions and sources.touches else FROM_DECISIONS if sources.decisions else FROM_TOUCHES
    return [text(language, key, **{name: Count(language, count) for name, count in asdict(sources).items()})]


def check_sentence(check: RatioCheck, language: Language) -> str:
    if not sum(check.observed):
        return text(language, "experiment.nobody")
    counts = " : ".join(number(language, count) for count in check.observed)
    expected = " : ".join(number(language, round(count)) for count in check.expected)
    if check.of_clusters:
        key = "experiment.mismatch_clusters" if check.mismatch else "experiment.sound_clusters"
    else:
        key = "experiment.mismatch" if check.mismatch else "experiment.sound"
    return text(language, key, counts=counts, expected=expected, p=written_p(check.p))


def waits_sentence(read: ReadOut, community: Community, language: Language) -> str:
    """Where nothing can be compared yet; and from when on it can, where that is still to come."""
    waits = text(language, "community_report.waits", members=Count(language, read.members))
    first_us = (read.started_us or 0) + min(lift.days for lift in read.lifts) * DAY_US
    if read.started_us is None or first_us <= read.until_us:
        return waits
    at = (EPOCH + timedelta(microseconds=first_us)).astimezone(community.zone)
    return sentences(language, [waits, text(language, "community_report.waits_until", at=calendar_day(language, at))])


def whisker_of(verdict: Verdict, lift: Estimate, scale: Scale) -> Whisker:
    """On a side of 0 only where the verdict says so, which allows for several comparisons and for sizes that chance does not make."""
    return replace(scale.whisker(lift.value, *lift.interval), side=SIDES.get(verdict, "both"))


def lift_sentence(lift: Lift, read: ReadOut, community: Community, language: Language) -> str:
    shown = partial(written, kind_of(lift, read, community), language=language, currency=community.currency)
    given: dict[str, object] = {
        "metric": metric_label(lift, read, community, language),
        "arm": arm_label(lift.arm, read, community, language),
        "control": arm_label(lift.control, read, community, language),
        "days": plural(language, "unit.days", lift.days),
        "more": plural(language, "unit.days", lift.days_needed or 0),
        "members": Count(language, lift.members + lift.control_members),
    }
    if lift.lift is not None:
        value, low, high = written_estimate(kind_of(lift, read, community), lift.lift, language=language, currency=community.currency)
        within = text(language, "experiment.within_several" if _only_alone(lift) else "experiment.within")
        given |= {"lift": value, "bounds": span(language, low, high), "p": written_p(lift.adjusted_p), "within": within}
    if lift.arm_needed is not None:
        given |= _sizes(lift, given, language)
    amounts = {"target": lift.target, "largest": lift.largest_compatible, "detectable": lift.smallest_detectable}
    given |= {name: _unsigned(shown, amount) for name, amount in amounts.items()}
    if lift.verdict == "not_readable" and not read.sizes.mismatch:
        return text(language, "experiment.not_readable_before" if read.unlike_before else "experiment.not_readable_days", **given)
    if read.clusters is not None and lift.verdict in OF_CLUSTERS:
        return text(language, OF_CLUSTERS[lift.verdict], clusters=number(language, sum(read.clusters.observed)), **given)
    return text(language, "experiment.slow" if too_slow(lift) else VERDICTS[lift.verdict], **given)


def _sizes(lift: Lift, labels: Mapping[str, object], language: Language) -> dict[str, object]:
    """Of the smaller arm, and of the other."""
    arms = ((lift.members, labels["arm"]), (lift.control_members, labels["control"]))
    (few, small), (many, large) = arms if lift.members <= lift.control_members else arms[::-1]
    told = {"few": Count(language, few), "small": small, "many": number(language, many), "large": large}
    return told | {"needed": number(language, lift.arm_needed or 0)}


def _only_alone(lift: Lift) -> bool:
    """Beyond chance if it were the only comparison: its interval leaves 0 out, and yet nothing is decided."""
    return lift.p is not None and lift.adjusted_p is not None and lift.p < ALPHA <= lift.adjusted_p


def too_slow(lift: Lift) -> bool:
    """At the present pace it would go on for years: a number of days would be a promise that nobody means."""
    return lift.verdict == "more_days" and (lift.days_needed or 0) > SLOW_DAYS


def metric_label(lift: Lift, read: ReadOut, community: Community, language: Language) -> str:
    """The usual metrics by their names, one of the community by its label.

    Without a label it goes by its name in English, which names are written in, and else by what it counts.
    """
    declared = _declared(lift, read, community)
    if declared is not None and declared.label is not None:
        return declared.label.of(language)
    usual = METRICS.get(lift.metric)
    if usual is not None:
        return text(language, usual)
    return opening(lift.metric.replace("_", " ")) if language == "en" or declared is None else _counted(declared, community, language)


def kind_of(lift: Lift, read: ReadOut, community: Community) -> str:
    """How its figures are written: a ratio of payments is money."""
    declared = _declared(lift, read, community)
    return "value" if declared is not None and declared.kind == "ratio" and _paid(declared, community) else lift.kind


def _declared(lift: Lift, read: ReadOut, community: Community) -> Metric | None:
    return {metric.name: metric for one in community.experiments if one.id == read.id for metric in one.metrics}.get(lift.metric)


def _paid(metric: Metric, community: Community) -> bool:
    return any(signal.name == metric.signal and signal.value == "money" for signal in community.signals)


def _counted(metric: Metric, community: Community, language: Language) -> str:
    if metric.kind not in COUNTED or metric.signal == ANY:
        return text(language, METRICS.get(metric.kind, METRICS["contributions"]))
    labels = {signal.name: signal.label.of(language) for signal in community.signals}
    if metric.kind == "ratio" and _paid(metric, community):
        return text(language, "experiment.money_for_each", per=labels.get(metric.per or ""))
    return text(language, COUNTED[metric.kind], signal=labels.get(metric.signal or ""), per=labels.get(metric.per or ""))


def _unsigned(shown: Callable[[float], str], amount: float | None) -> str:
    return "" if amount is None else shown(amount).lstrip(f"+{JOINER}")


def written(kind: str, value: float, *, language: Language, currency: str) -> str:
    """A difference: in percentage points, money, or events."""
    if kind == "retention":
        return points(language, 100 * value)
    return money(language, value, currency, signed=True) if kind == "value" else decimal(value, 2, signed=True)


def written_estimate(kind: str, told: Estimate, *, language: Language, currency: str) -> list[str]:
    """A difference and the ends of its interval, all of one precision."""
    ends = [told.value, *told.interval]
    if kind == "value":
        return moneys(language, ends, currency, signed=True)
    value, low, high = (written(kind, end, language=language, currency=currency) for end in ends)
    return [value, decimal(100 * told.lower, 1, signed=True) if kind == "retention" else low, high]


def written_mean(kind: str, value: float | None, *, language: Language, currency: str) -> str:
    """Of one arm; nothing where it is not known yet."""
    if value is None:
        return ""
    if kind == "retention":
        return share(value)
    return money(language, value, currency) if kind == "value" else decimal(value, 2)


def written_p(p: float | None) -> str:
    if p is None:
        return ""
    return "<0.001" if p < 0.001 else decimal(p, 3)
