"""Do the parts of one declaration speak of the same things? An error names the key, the value and what is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from models.community import Community


def check_agreement(community: Community) -> None:
    """Raises ValueError for the first name that is given twice, is not declared, or is declared and cannot serve."""
    _check_repeats(community)
    _check_signals(community)
    _check_reach(community)
    _check_lifecycle_signals(community)
    _check_catalogue(community)
    _check_caps(community)
    _check_capacity(community)


def _check_repeats(community: Community) -> None:
    _refuse_repeats("signals", [signal.name for signal in community.signals])
    _refuse_repeats("event_types of signals", [kind for signal in community.signals for kind in signal.event_types])
    _refuse_repeats("interventions", [intervention.id for intervention in community.interventions])
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


def _check_lifecycle_signals(community: Community) -> None:
    lifecycle = community.lifecycle
    names = [signal.name for signal in community.signals]
    rated = [signal.name for signal in community.signals if signal.value == "quantity"]
    _refuse_unknown("lifecycle.service_signals", "signal", lifecycle.service_signals, names)
    _refuse_unknown("lifecycle.satisfaction_signals", "signal with `value: quantity`", lifecycle.satisfaction_signals, rated)


def _check_catalogue(community: Community) -> None:
    tiers = [tier.name for tier in community.lifecycle.tiers]
    for intervention in community.interventions:
        where = f"interventions.{intervention.id}"
        channels = [name.removeprefix("channel:") for name in intervention.context_weights if name.startswith("channel:")]
        _refuse_unknown(f"{where}.eligibility.tiers", "tier", intervention.eligibility.tiers or (), tiers)
        _refuse_unknown(f"{where}.context_weights", "channel", channels, intervention.channels)


def _check_caps(community: Community) -> None:
    for cap in community.contact_policy.caps:
        _refuse_unknown(f"contact_policy.caps.{cap.name}.channel", "channel", [cap.channel], ["any", *community.channels])


def _check_capacity(community: Community) -> None:
    ids = [intervention.id for intervention in community.interventions]
    _refuse_unknown("capacity.interventions", "intervention", community.capacity.interventions, ids)
    _refuse_unknown("capacity.channels", "channel", community.capacity.channels, community.channels)


def _refuse_repeats(what: str, names: list[str]) -> None:
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        message = f"{what}: {repeated[0]!r} is given more than once"
        raise ValueError(message)


def _refuse_unknown(where: str, what: str, given: Iterable[str], declared: Collection[str]) -> None:
    unknown = sorted(set(given) - set(declared))
    if unknown:
        message = f"{where}: unknown {what} {unknown[0]!r}; declared are {sorted(declared)}"
        raise ValueError(message)
