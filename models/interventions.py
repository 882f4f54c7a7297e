"""May this member have it, how often may we, and on which channel: every refusal with its stage and rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.community import DAY_US
from models.declared import STAGES, TAGS
from models.features import ANY

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zoneinfo import ZoneInfo

    from models.actions import Cap, Intervention, QuietHours
    from models.arrays import Flags, Floats, Integers, Names
    from models.community import Community
    from models.decision import RemovalStage
    from models.declared import Stage, Tag
    from models.lifecycle import Lifecycles

COOLDOWN = "cooldown_days"
OPTED_OUT = "opted_out"


class Rule(NamedTuple):
    """What removed a candidate.

    At the stage `eligibility` a key of its eligibility or the status of a member without a score; at `contact_policy` `cooldown_days`,
    `opted_out` or the name of a cap; at `control` `global_control`; at `arbitration` `lower_priority`.
    """

    stage: RemovalStage
    name: str


@dataclass(frozen=True)
class Refusals:
    """code (n_members, n_interventions): 0 where the candidate stands, else 1 + position in `rules` of the first rule that removed it."""

    rules: tuple[Rule, ...]
    code: Integers

    @property
    def allowed(self) -> Flags:
        standing: Flags = self.code == 0
        return standing

    def rule(self, member: int, intervention: int) -> Rule | None:
        code = int(self.code[member, intervention])
        return self.rules[code - 1] if code else None

    def stands_before(self, stage: RemovalStage) -> Flags:
        """What no earlier stage removed, nothing being asked after `stage`; shape of `code`."""
        at_stage = np.array([True, *(rule.stage == stage for rule in self.rules)])
        standing: Flags = at_stage[self.code]
        return standing

    def then(self, later: Refusals) -> Refusals:
        """What fell at the earlier stage is not asked again."""
        moved = np.where(later.code > 0, later.code + len(self.rules), 0)
        return Refusals((*self.rules, *later.rules), np.where(self.code > 0, self.code, moved))


@dataclass(frozen=True)
class MemberFacts:
    """What eligibility may ask; arrays of shape (n_members,). Where the probability is unknown (NaN) no bound on it holds."""

    lifecycles: Lifecycles
    probability: Floats
    value: Floats


def _in_stages(facts: MemberFacts, stages: Sequence[Stage]) -> Flags:
    return np.isin(facts.lifecycles.stage, [STAGES.index(stage) for stage in stages])


def _in_tiers(facts: MemberFacts, tiers: Sequence[str]) -> Flags:
    return np.isin(facts.lifecycles.tier, [facts.lifecycles.tiers.index(tier) for tier in tiers])


def _wears_one_of(facts: MemberFacts, tags: Sequence[Tag]) -> Flags:
    worn: Flags = np.logical_or.reduce(facts.lifecycles.tags[:, [TAGS.index(tag) for tag in tags]], axis=1)
    return worn


ELIGIBILITY_RULES: dict[str, Callable[[MemberFacts, Any], Flags]] = {
    "stages": _in_stages,
    "tiers": _in_tiers,
    "tags": _wears_one_of,
    "min_tenure_days": lambda facts, bound: facts.lifecycles.tenure_days >= bound,
    "max_tenure_days": lambda facts, bound: facts.lifecycles.tenure_days <= bound,
    "min_days_silent": lambda facts, bound: facts.lifecycles.silence_days >= bound,
    "max_days_silent": lambda facts, bound: facts.lifecycles.silence_days <= bound,
    "min_churn_probability": lambda facts, bound: facts.probability >= bound,
    "min_value": lambda facts, bound: facts.value >= bound,
}


def eligibility_refusals(facts: MemberFacts, interventions: Sequence[Intervention]) -> Refusals:
    """Rules are asked in the order of ELIGIBILITY_RULES; one that an intervention leaves out is not asked."""
    code = np.zeros((len(facts.value), len(interventions)), dtype=np.int16)
    for column, intervention in zip(code.T, interventions, strict=True):
        for number, (name, holds) in enumerate(ELIGIBILITY_RULES.items(), start=1):
            bound = getattr(intervention.eligibility, name)
            if bound is not None:
                column[(column == 0) & ~holds(facts, bound)] = number
    return Refusals(tuple(Rule("eligibility", name) for name in ELIGIBILITY_RULES), code)


@dataclass(frozen=True)
class ContactHistory:
    """Past contacts, delivered or reserved, whoever sent them; shape (n_contacts,) each, in any order.

    member: row of the batch that is decided on; at_us: microseconds since 1970 UTC; channel: name, "" where unknown (it counts for `any`
    alone); intervention: id, also one that the catalogue does not have. opted_out: (row, channel), or (row, "any") for all channels.
    """

    member: Integers
    at_us: Integers
    channel: Names
    intervention: Names
    opted_out: tuple[tuple[int, str], ...] = ()

    def refuses_all(self, n_members: int) -> Flags:
        """Members who opted out of every channel, shape (n_members,)."""
        rows = [row for row, channel in self.opted_out if channel == ANY]
        return np.isin(np.arange(n_members), rows)

    @classmethod
    def empty(cls) -> Self:
        return cls(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, str), np.empty(0, str))

    @classmethod
    def of_touches(cls, touches: pl.DataFrame, members: Integers, opted_out: tuple[tuple[int, str], ...] = ()) -> Self:
        """The delivered contacts of an EventLog's touches; members (n,): codes in the log, by row of the batch."""
        rows = pl.DataFrame({"member": members.astype(np.uint32), "row": np.arange(len(members))})
        made = touches.filter((pl.col("intervention") != NO_ACTION) & pl.col("delivered")).join(rows, on="member")
        return cls(
            made["row"].to_numpy(),
            made["timestamp"].to_physical().to_numpy(),
            made["channel"].cast(pl.String).fill_null("").to_numpy(),
            made["intervention"].cast(pl.String).to_numpy(),
            opted_out,
        )


@dataclass(frozen=True)
class ContactRuling:
    """channel (n_members, n_interventions): position in the community's channels of the best allowed one, else of the preferred one."""

    refusals: Refusals
    channel: Integers


def contact_ruling(
    history: ContactHistory, community: Community, n_members: int, as_of_us: int, channel: str | None = None
) -> ContactRuling:
    """The cooldown of the intervention, then for each of its channels the member's own refusal and the caps, in their order.

    The first allowed channel of the intervention's list is taken; `channel`, where the conversation is now, goes first if the list
    has it. When none is allowed the rule that closed the preferred one stands. Contacts count in [as_of - days, as_of).
    """
    caps = community.contact_policy.caps
    rules = tuple(Rule("contact_policy", name) for name in (COOLDOWN, OPTED_OUT, *(cap.name for cap in caps)))
    closed = _closed_channels(history, caps, community.channels, n_members, as_of_us)
    code = np.empty((n_members, len(community.interventions)), dtype=np.int16)
    chosen = np.empty_like(code)
    for position, intervention in enumerate(community.interventions):
        order = np.array([community.channels.index(name) for name in _preferred(intervention.channels, channel)])
        first = np.argmax(closed[:, order] == 0, axis=1)
        chosen[:, position] = order[first]
        cooling = _cooling(history, intervention, n_members, as_of_us)
        code[:, position] = np.where(cooling, 1, closed[np.arange(n_members), chosen[:, position]])
    return ContactRuling(Refusals(rules, code), chosen)


def _preferred(channels: tuple[str, ...], current: str | None) -> list[str]:
    return sorted(channels, key=lambda name: name != current)


def _closed_channels(history: ContactHistory, caps: Sequence[Cap], channels: tuple[str, ...], n_members: int, as_of_us: int) -> Integers:
    """(n_members, n_channels): 0 where open, 2 where the member opted out, 3 + position of the first cap that is full."""
    closed = np.zeros((n_members, len(channels)), dtype=np.int16)
    for row, channel in history.opted_out:
        closed[row, [channel in (ANY, name) for name in channels]] = 2
    for number, cap in enumerate(caps, start=3):
        counted = (cap.channel == ANY) | (history.channel == cap.channel)
        full = _contacts(history, counted, cap.days, n_members, as_of_us) >= cap.max_contacts
        covered = np.array([cap.channel in (ANY, name) for name in channels])
        closed[(closed == 0) & full[:, None] & covered] = number
    return closed


def _cooling(history: ContactHistory, intervention: Intervention, n_members: int, as_of_us: int) -> Flags:
    same: Flags = history.intervention == intervention.id
    return _contacts(history, same, intervention.cooldown_days, n_members, as_of_us) > 0


def _contacts(history: ContactHistory, counted: Flags, days: int, n_members: int, as_of_us: int) -> Integers:
    """Contacts of each member in [as_of - days, as_of), shape (n_members,)."""
    recent = counted & (history.at_us >= as_of_us - days * DAY_US) & (history.at_us < as_of_us)
    return np.bincount(history.member[recent], minlength=n_members)


def send_not_before(as_of: datetime, quiet: QuietHours | None, zone: ZoneInfo) -> datetime:
    """`as_of` itself, or within quiet hours their next end by the clock of `zone`; in UTC. Equal start and end are no quiet hours."""
    local = as_of.astimezone(zone)
    if quiet is None or not _within(quiet, local):
        return as_of.astimezone(UTC)
    end = datetime.combine(local.date(), quiet.end, tzinfo=zone)
    return (end if local.time() < quiet.end else _next_day(end)).astimezone(UTC)


def _next_day(local: datetime) -> datetime:
    """The same time of the next day by the clock, be that day 23 or 25 hours away."""
    return local + timedelta(days=1)


def _within(quiet: QuietHours, local: datetime) -> bool:
    now = local.time()
    if quiet.start <= quiet.end:
        return quiet.start <= now < quiet.end
    return now >= quiet.start or now < quiet.end
