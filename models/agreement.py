"""Do the parts of one declaration speak of the same things? An error names the key, the value and what is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from models.actions import CONTACT_RULES, NO_ACTION

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from models.community import Community
    from models.rules import Eligibility

Named = TypeVar("Named", str, int)


def check_agreement(community: Community) -> None:
    """Raises ValueError for the first name that is given twice, is not declared, or is declared and cannot serve."""
    _check_repeats(community)
    _check_signals(community)
    _check_reach(community)
    _check_lifecycle_signals(community)
    _check_scenes(community)
    _check_catalogue(community)
    _check_contact_policy(community)
    _check_capacity(community)
    _check_touches(community)
    _check_experiments(community)


def _check_repeats(community: Community) -> None:
    _refuse_repeats("signals", [signal.name for signal in community.signals])
    _refuse_repeats("event_types of signals", [kind for signal in community.signals for kind in signal.event_types])
    _refuse_repeats("interventions", [intervention.id for intervention in community.interventions])
    _refuse_repeats("scenes", [scene.name for scene in community.scenes])
    _refuse_repeats("tiers", [tier.name for tier in community.lifecycle.tiers])
    _refuse_repeats("contact_policy.caps", [cap.name for cap in community.contact_policy.caps])


def _check_signals(community: Community) -> None:
    if not any(signal.qualifying for signal in community.signals):
        message = "signals: at least one must be qualifying, else every member is always silent"
        raise ValueError(message)


def _check_reach(community: Community) -> None:
    longest, active = community.windows_days[-1], community.churn.active_days
    if community.lookback_days < max(longest, active):
        message = f"lookback_days {community.lookback_days} must reach the longest window ({longest}) and active_days ({active})"
        raise ValueError(message)
    kept = community.store.events_days
    if kept is not None and kept < community.lookback_days:
        message = f"store.events_days {kept} must reach lookback_days ({community.lookback_days}), within which the features look"
        raise ValueError(message)


def _check_lifecycle_signals(community: Community) -> None:
    lifecycle = community.lifecycle
    names = [signal.name for signal in community.signals]
    rated = [signal.name for signal in community.signals if signal.value == "quantity"]
    _refuse_unknown("lifecycle.service_signals", "signal", lifecycle.service_signals, names)
    _refuse_unknown("lifecycle.satisfaction_signals", "signal with `value: quantity`", lifecycle.satisfaction_signals, rated)


def _check_scenes(community: Community) -> None:
    signals, longest = ["any", *(signal.name for signal in community.signals)], community.windows_days[-1]
    risen = [tier.name for tier in community.lifecycle.tiers[1:]]
    for scene in community.scenes:
        where = f"scenes.{scene.name}"
        _refuse_unknown(f"{where}.after_first", "signal", [scene.after_first or "any"], signals)
        _refuse_unknown(f"{where}.on_tiers", "tier above the first", scene.on_tiers or (), risen)
        if scene.on_tiers and 24 * (community.lookback_days - longest) < scene.open_hours:
            least = longest + -(-scene.open_hours // 24)
            message = f"{where}.on_tiers: to see a tier being reached, lookback_days {community.lookback_days} must be at least {least}"
            raise ValueError(message)
        if scene.on_date is not None and community.members is None:
            message = f"{where}.on_date: there are no dates without a table of `members`"
            raise ValueError(message)


def _check_catalogue(community: Community) -> None:
    for intervention in community.interventions:
        where = f"interventions.{intervention.id}"
        channels = [name.removeprefix("channel:") for name in intervention.context_weights if name.startswith("channel:")]
        _refuse_unknown(f"{where}.context_weights", "channel", channels, intervention.channels)
        _check_eligibility(f"{where}.eligibility", intervention.eligibility, community)


def _check_eligibility(where: str, eligibility: Eligibility, community: Community) -> None:
    signals = ["any", *(signal.name for signal in community.signals)]
    windows = {community.lookback_days, *community.windows_days}
    _refuse_unknown(f"{where}.scenes", "scene", eligibility.scenes or (), [scene.name for scene in community.scenes])
    _refuse_unknown(f"{where}.tiers", "tier", eligibility.tiers or (), [tier.name for tier in community.lifecycle.tiers])
    _refuse_unknown(f"{where}.consents", "consent", eligibility.consents or (), _consents(community))
    _refuse_unknown(f"{where}.channels", "channel", eligibility.channels or (), community.channels)
    for number, since in enumerate(eligibility.days_since or (), start=1):
        _refuse_unknown(f"{where}.days_since.{number}.signal", "signal", [since.signal], signals)
    for number, assigned in enumerate(eligibility.days_since_assigned or (), start=1):
        ids = [intervention.id for intervention in community.interventions]
        _refuse_unknown(f"{where}.days_since_assigned.{number}.intervention", "intervention", [assigned.intervention], ids)
    for number, count in enumerate(eligibility.counts or (), start=1):
        _refuse_unknown(f"{where}.counts.{number}.signal", "signal", [count.signal], signals)
        _refuse_unknown(f"{where}.counts.{number}.days", "window", [count.days], windows)
    _check_arms(f"{where}.experiment", eligibility, community)
    if eligibility.attributes and community.members is None:
        message = f"{where}.attributes: there are no attributes without a table of `members`"
        raise ValueError(message)


def _check_arms(where: str, eligibility: Eligibility, community: Community) -> None:
    declared = {experiment.id: [arm.id for arm in experiment.arms] for experiment in community.experiments}
    for name, arms in (eligibility.experiment or {}).items():
        _refuse_unknown(where, "experiment", [name], declared)
        _refuse_unknown(f"{where}.{name}", "arm", arms, declared[name])


def _check_contact_policy(community: Community) -> None:
    places = ["any", *community.channels]
    for cap in community.contact_policy.caps:
        _refuse_unknown(f"contact_policy.caps.{cap.name}.channel", "channel", [cap.channel], places)
        if cap.name in CONTACT_RULES:
            message = f"contact_policy.caps.{cap.name}.name: {cap.name!r} is the name of a rule that always applies; choose another name"
            raise ValueError(message)
    _refuse_unknown("contact_policy.opt_in", "channel", community.contact_policy.opt_in, places)
    _refuse_unknown("contact_policy.opt_in", "consent", community.contact_policy.opt_in.values(), _consents(community))
    if community.members is not None:
        _refuse_unknown("members.reachable", "channel", community.members.reachable, community.channels)


def _consents(community: Community) -> Collection[str]:
    return () if community.members is None else community.members.consents


def _check_capacity(community: Community) -> None:
    ids = [intervention.id for intervention in community.interventions]
    _refuse_unknown("capacity.interventions", "intervention", community.capacity.interventions, ids)
    _refuse_unknown("capacity.channels", "channel", community.capacity.channels, community.channels)


def _check_touches(community: Community) -> None:
    touches = community.touches
    if touches is None:
        return
    ids = [NO_ACTION, *(intervention.id for intervention in community.interventions)]
    _refuse_unknown("touches.arms", "intervention", touches.arms.values(), ids)
    _refuse_unknown("touches.propensities", "intervention", touches.propensities, ids)
    if touches.cluster is not None and community.members is None:
        message = "touches.cluster: there are no columns without a table of `members`"
        raise ValueError(message)


def _check_experiments(community: Community) -> None:
    control, interventions = community.policy.control_salt, [intervention.id for intervention in community.interventions]
    _refuse_repeats("experiments", [control, *interventions, *(experiment.id for experiment in community.experiments)])
    signals = ["any", *(signal.name for signal in community.signals)]
    valued = [signal.name for signal in community.signals if signal.value != "none"]
    paid = any(signal.value == "money" for signal in community.signals)
    for experiment in community.experiments:
        where = f"experiments.{experiment.id}"
        for key in ("column", "cluster"):
            if getattr(experiment, key) is not None and community.members is None:
                message = f"{where}.{key}: there are no columns without a table of `members`"
                raise ValueError(message)
        for metric in experiment.metrics:
            if metric.kind == "value" and not paid:
                message = f"{where}.metrics.{metric.name}: kind `value` adds up money, and no signal has `value: money`"
                raise ValueError(message)
            _refuse_unknown(f"{where}.metrics.{metric.name}.per", "signal", [metric.per or "any"], signals)
            values = metric.kind == "ratio"
            what = "signal with a `value`" if values else "signal"
            _refuse_unknown(
                f"{where}.metrics.{metric.name}.signal", what, [metric.signal] if metric.signal else [], valued if values else signals
            )


def _refuse_repeats(what: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        message = f"{what}: {repeated[0]!r} is given more than once"
        raise ValueError(message)


def _refuse_unknown(where: str, what: str, given: Iterable[Named], declared: Collection[Named]) -> None:
    unknown = sorted(set(given) - set(declared))
    if unknown:
        message = f"{where}: unknown {what} {unknown[0]!r}; declared are {sorted(declared)}"
        raise ValueError(message)
