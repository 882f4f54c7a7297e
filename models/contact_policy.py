"""How often may we, on which channel, and with whose leave: every refusal with its rule."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from models.actions import CONTACT_RULES
from models.community import DAY_US
from models.eligibility import reachable
from models.features import ANY
from models.interventions import ContactHistory, Refusals, Rule
from models.once import Once
from models.policy import CLASSES
from models.quotas import NOTHING_USED_UP
from models.scenes import SLACK_DAYS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from models.actions import Intervention
    from models.arrays import Flags, Integers
    from models.community import Community
    from models.member_columns import MemberColumns
    from models.quotas import UsedUp

COOLDOWN, REFUSED_BEFORE, REFUSED_RECENTLY, DRAWN_RECENTLY, UNREACHABLE, OPTED_OUT, NO_CONSENT, NO_PLACE, NO_MONEY = CONTACT_RULES
_CODE = {name: number for number, name in enumerate(CONTACT_RULES, start=1)}


@dataclass(frozen=True)
class ContactRuling:
    """channel (n_members, n_interventions): position in the community's channels of the best allowed one, else of the preferred one."""

    refusals: Refusals
    channel: Integers


def contact_ruling(
    history: ContactHistory,
    community: Community,
    columns: MemberColumns,
    as_of_us: int,
    channel: str | None = None,
    used_up: UsedUp = NOTHING_USED_UP,
) -> ContactRuling:
    """The intervention's own rest, those after a refusal and a draw, then for each of its channels whether the member may be met there.

    The first open channel of the intervention's list is taken; `channel`, where the conversation is now, goes first if the list
    has it. When none is open the rule that closed the preferred one stands. Contacts count in (as_of - days, as_of): with a cap of n in
    d days no d days hold more than n of them, and one is possible again after exactly d days. What is `used_up` holds back marketing alone.
    """
    desk = _Desk(history, community, columns, as_of_us)
    mandatory = desk.closed_channels()
    closed = np.array([desk.without_places(mandatory, used_up), mandatory, desk.unreachable_channels])
    ways = _ways(community)
    classes, channels = ways.get(channel, ways[None])
    here = closed[classes[:, None], :, channels]
    first = (here == 0).argmax(axis=1)
    every = np.arange(len(classes))[:, None]
    ruled, chosen = here[every, first, np.arange(columns.n_members)].T, channels[every, first].T
    at_rest = desk.resting()
    code = np.where(at_rest, at_rest, np.where(ruled, ruled, _exhausted(community, used_up)))
    return ContactRuling(Refusals(_rules(community), code), chosen)


class _Ways(NamedTuple):
    """Of each intervention its message class, shape (k,), and its channels in their order, shape (k, most); the last one fills up."""

    classes: Integers
    channels: Integers

    @classmethod
    def of(cls, community: Community, channel: str | None) -> Self:
        orders = [[community.channels.index(name) for name in _preferred(one.channels, channel)] for one in community.interventions]
        most = max(map(len, orders), default=1)
        filled = [order + order[-1:] * (most - len(order)) for order in orders]
        classes = [CLASSES.index(one.message_class) for one in community.interventions]
        return cls(np.array(classes, dtype=np.int64), np.array(filled, dtype=np.int16).reshape(-1, most))


@Once
def _ways(community: Community) -> dict[str | None, _Ways]:
    """By the channel where the conversation is now."""
    return {channel: _Ways.of(community, channel) for channel in (None, *community.channels)}


@Once
def _rules(community: Community) -> tuple[Rule, ...]:
    return tuple(Rule("contact_policy", name) for name in (*CONTACT_RULES, *(cap.name for cap in community.contact_policy.caps)))


class _Rests(NamedTuple):
    """Of all interventions: the position of each, and how long they rest after an assignment and after a refusal, in microseconds.

    `bound` by refusals is what is not transactional, by draws what is `marketing`; `capped` (k + 1,) is what is not transactional, and what
    is no intervention of ours, the last.
    """

    position_of: dict[str, int]
    after_us: Integers
    refused_us: Integers
    bound: Flags
    marketing: Flags
    capped: Flags


@Once
def _rests(interventions: tuple[Intervention, ...]) -> _Rests:
    bound = [intervention.message_class != "transactional" for intervention in interventions]
    return _Rests(
        {intervention.id: position for position, intervention in enumerate(interventions)},
        np.array([intervention.cooldown_days * DAY_US for intervention in interventions], dtype=np.int64),
        np.array([intervention.refusal_cooldown_days * DAY_US for intervention in interventions], dtype=np.int64),
        np.array(bound),
        np.array([intervention.message_class == "marketing" for intervention in interventions]),
        np.array([*bound, True]),
    )


class _Caps(NamedTuple):
    """Of c caps: the days of each in microseconds and its most contacts, shape (c, 1).

    `channel_of`: the position of each channel; counts (c, n_channels + 1): whether a contact there counts, on an unknown one last;
    covers (c, n_channels): whether it closes the channel.
    """

    channel_of: dict[str, int]
    days_us: Integers
    most: Integers
    counts: Flags
    covers: Flags


@Once
def _caps(community: Community) -> _Caps:
    caps, channels = community.contact_policy.caps, community.channels
    counts = [[cap.channel in (ANY, name) for name in (*channels, "")] for cap in caps]
    covers = np.array(counts, dtype=np.bool_).reshape(len(caps), 1 + len(channels))
    return _Caps(
        {name: position for position, name in enumerate(channels)},
        np.array([cap.days * DAY_US for cap in caps], dtype=np.int64)[:, None],
        np.array([cap.max_contacts for cap in caps], dtype=np.int64)[:, None],
        covers,
        covers[:, :-1],
    )


@Once
def history_days(community: Community) -> int:
    """How far back the rules look at assignments."""
    policy = community.contact_policy
    asked = [entry for intervention in community.interventions for entry in intervention.eligibility.days_since_assigned or ()]
    bounds = [max(entry.at_least or 0, entry.at_most or 0) for entry in asked]
    rests = [max(intervention.cooldown_days, intervention.refusal_cooldown_days) for intervention in community.interventions]
    scenes = [scene.open_hours / 24 + SLACK_DAYS for scene in community.scenes]
    days = [policy.refusal_cooldown_days, *(cap.days for cap in policy.caps), *rests, *bounds, *scenes]
    return 1 + int(max(days))


def _exhausted(community: Community, used_up: UsedUp) -> Integers:
    """(n_interventions,): the code of what there is no more of for anybody, 0 where there is."""
    code = np.zeros(len(community.interventions), dtype=np.int16)
    if used_up.interventions or used_up.too_dear:
        for position, intervention in enumerate(community.interventions):
            if intervention.message_class == "marketing":
                code[position] = _code_of_want(intervention.id, used_up)
    return code


def _code_of_want(intervention_id: str, used_up: UsedUp) -> int:
    if intervention_id in used_up.interventions:
        return _CODE[NO_PLACE]
    return _CODE[NO_MONEY] if intervention_id in used_up.too_dear else 0


def _preferred(channels: tuple[str, ...], current: str | None) -> list[str]:
    return sorted(channels, key=lambda name: name != current)


@dataclass(frozen=True)
class _Desk:
    """Codes count CONTACT_RULES and then the caps, from 1; 0 is open."""

    history: ContactHistory
    community: Community
    columns: MemberColumns
    as_of_us: int

    def resting(self) -> Integers:
        """(n_members, n_interventions): the code of the rest that each intervention has to keep, 0 for none."""
        rests, history = _rests(self.community.interventions), self.history
        code = np.zeros((self.columns.n_members, len(rests.after_us)), dtype=np.int16)
        if history.drawn_us is not None:
            code[self._drawn_recently(history.drawn_us)[:, None] & rests.marketing] = _CODE[DRAWN_RECENTLY]
        if not len(history.member):
            return code
        known, refused = self._ours >= 0, history.refused
        if refused.any():
            code[self._refused_recently(refused)[:, None] & rests.bound] = _CODE[REFUSED_RECENTLY]
            code[self._lately(refused & known & rests.bound[self._ours], rests.refused_us)] = _CODE[REFUSED_BEFORE]
        code[self._lately(history.reached & known, rests.after_us)] = _CODE[COOLDOWN]
        return code

    def _lately(self, chosen: Flags, rest_us: Integers) -> tuple[Integers, Integers]:
        """Member and intervention of the chosen assignments that are younger than the rest of their intervention, (k,)."""
        rows = (chosen & self._before & (self.history.at_us > self.as_of_us - rest_us[self._ours])).nonzero()[0]
        return self.history.member[rows], self._ours[rows]

    @cached_property
    def _ours(self) -> Integers:
        """The intervention of each assignment, -1 where it is none of ours."""
        position_of = _rests(self.community.interventions).position_of
        return np.array([position_of.get(name, -1) for name in self.history.intervention.tolist()], dtype=np.int64)

    @cached_property
    def _before(self) -> Flags:
        """Which assignments were made before `as_of`."""
        before: Flags = self.history.at_us < self.as_of_us
        return before

    @property
    def channels(self) -> tuple[str, ...]:
        return self.community.channels

    def _refused_recently(self, refused: Flags) -> Flags:
        """Anything, shape (n_members,)."""
        since_us = self.as_of_us - self.community.contact_policy.refusal_cooldown_days * DAY_US
        recently = np.zeros(self.columns.n_members, dtype=np.bool_)
        recently[self.history.member[refused & self._before & (self.history.at_us > since_us)]] = True
        return recently

    def _drawn_recently(self, drawn_us: Integers) -> Flags:
        """(n_members,)."""
        since_us = self.as_of_us - self.community.contact_policy.draw_cooldown_days * DAY_US
        recently: Flags = (drawn_us > since_us) & (drawn_us < self.as_of_us)
        return recently

    @cached_property
    def unreachable_channels(self) -> Integers:
        """(n_members, n_channels): where the member cannot be reached at all."""
        closed = np.zeros((self.columns.n_members, len(self.channels)), dtype=np.int16)
        members = self.community.members
        for position, name in enumerate(self.channels):
            if members is not None and name in members.reachable:
                closed[~reachable(self.columns, members, name), position] = _CODE[UNREACHABLE]
        return closed

    def closed_channels(self) -> Integers:
        """(n_members, n_channels): the first rule that closes each."""
        closed = self.unreachable_channels.copy()
        for row, channel in self.history.opted_out:
            here = self._covered(channel)
            closed[row, here & (closed[row] == 0)] = _CODE[OPTED_OUT]
        for channel, refused in self._without_consent():
            closed[(closed == 0) & refused[:, None] & self._covered(channel)] = _CODE[NO_CONSENT]
        caps, full = _caps(self.community), self._full()
        for cap in np.unique(full.nonzero()[0]).tolist():
            closed[(closed == 0) & full[cap][:, None] & caps.covers[cap]] = len(CONTACT_RULES) + 1 + cap
        return closed

    def without_places(self, closed: Integers, used_up: UsedUp) -> Integers:
        """`closed`, and the channels on which there is no place left for anybody."""
        if not used_up.channels:
            return closed
        full = np.array([name in used_up.channels for name in self.channels])
        return np.where((closed == 0) & full, _CODE[NO_PLACE], closed).astype(closed.dtype)

    def _without_consent(self) -> Iterator[tuple[str, Flags]]:
        members = self.community.members
        for channel, consent in self.community.contact_policy.opt_in.items():
            if members is not None:
                yield channel, ~self.columns.says_yes(members.consents[consent])

    def _covered(self, channel: str) -> Flags:
        return np.array([channel in (ANY, name) for name in self.channels])

    def _full(self) -> Flags:
        """(n_caps, n_members): whether the member had the most contacts that each cap allows, in (as_of - days, as_of).

        All count that reached the member, whoever made them, but our transactional ones.
        """
        caps, history = _caps(self.community), self.history
        channel = np.array([caps.channel_of.get(name, -1) for name in history.channel.tolist()], dtype=np.int64)
        counted = history.reached & self._before & _rests(self.community.interventions).capped[self._ours]
        inside = counted & (history.at_us > self.as_of_us - caps.days_us) & caps.counts[:, channel]
        cap, contact = inside.nonzero()
        n_caps, n_members = len(caps.most), self.columns.n_members
        number = np.bincount(cap * n_members + history.member[contact], minlength=n_caps * n_members).reshape(n_caps, n_members)
        full: Flags = number >= caps.most
        return full
