"""What is counted of a log, part by part, before anything is said of it: counts of parts can be added."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
import polars as pl

from models.community import DAY_US
from models.events import event_arrays
from models.features import feature_spec
from models.moments import microseconds
from models.snapshots import Activity, label_churn, last_usable_cut, population
from models.training_cuts import Outcomes, cuts_to_learn_from, latest_test

if TYPE_CHECKING:
    from models.arrays import Integers
    from models.community import Community
    from models.events import EventLog

PLAUSIBLE_FROM = 1990


SHORTENED = r"^-?\d(\.\d+)?[eE]\+\d{2}$"
"""How spreadsheets and programs write long numbers of which they keep the first digits alone: 8.61380E+10."""
NOBODY = frozenset(
    {"deleted", "removed", "unknown", "anonymous", "guest", "nobody", "undefined", "0", "-1", "匿名", "匿名用户", "游客", "未知"}
)


@dataclass(frozen=True)
class Counted:
    """How many `members` of one kind there are, and the busiest of them with its events, "" where there is none."""

    members: int = 0
    most: int = 0
    busiest: str = ""

    @classmethod
    def of(cls, events: pl.DataFrame) -> Self:
        """events: `member_id` and the number of `events` of each."""
        if events.is_empty():
            return cls()
        top = events.sort("events", "member_id").row(-1, named=True)
        return cls(events.height, top["events"], top["member_id"])

    def __add__(self, other: Counted) -> Counted:
        top = max(self, other, key=lambda one: (one.most, one.busiest))
        return Counted(self.members + other.members, top.most, top.busiest)


class Span(NamedTuple):
    """The first and the last event of a whole log."""

    first: datetime
    last: datetime

    def last_cut(self, horizon_days: int) -> int:
        """Microseconds: the last moment with a whole horizon after it."""
        return last_usable_cut(microseconds(self.last), horizon_days)

    def cuts(self, horizon_days: int) -> tuple[int, int]:
        """The last usable one and the middle of the log, where more members are left to ask."""
        latest = self.last_cut(horizon_days)
        return latest, min(latest, (microseconds(self.first) + microseconds(self.last)) // 2)


@dataclass(frozen=True)
class Past:
    """Qualifying events of each member around one cut, shape (n_members,).

    Their number before it, in the last `active_days` before it, and from it on; the last one before it, else the joining.
    """

    before: Integers
    recent: Integers
    later: Integers
    latest_us: Integers
    joined_us: Integers

    @classmethod
    def of(cls, activity: Activity, cut_us: int, active_days: int) -> Self:
        everyone = np.arange(len(activity.joined_us))
        at = np.full(len(everyone), cut_us)
        position = activity.first_from(everyone, at)
        before = position - activity.offsets[:-1]
        recent = activity.count_between(everyone, at - active_days * DAY_US, at)
        held = np.append(activity.timestamp_us, 0)[np.maximum(position - 1, 0)]
        return cls(before, recent, activity.offsets[1:] - position, np.where(before > 0, held, activity.joined_us), activity.joined_us)

    def __add__(self, other: Past) -> Past:
        return Past(*(np.concatenate([mine, its]) for mine, its in zip(vars(self).values(), vars(other).values(), strict=True)))


@dataclass(frozen=True)
class Census:
    """Of a log, or a part of it that holds whole members.

    types: events by type. daily: events by day of the community's clock. repeated: rows that equal another one in every column but the id.
    together: events at the very moment of an earlier one of the same member and type. timed: does any event lie in another hour than the
    first of a day? old: events before PLAUSIBLE_FROM. asked, churned: members of the population at the last cut of the span. everyone,
    shortened, nobody: members with events, those whose ids have lost their last digits, and those whose ids are words for nobody in
    particular. learned: what a training would learn from, or as much of it as suffices. pasts: of each cut of the span, members of later
    parts after those of earlier ones.
    """

    types: Counter[str] = field(default_factory=Counter)
    daily: Counter[date] = field(default_factory=Counter)
    repeated: int = 0
    together: int = 0
    timed: bool = False
    old: int = 0
    asked: int = 0
    churned: int = 0
    everyone: Counted = field(default_factory=Counted)
    shortened: Counted = field(default_factory=Counted)
    nobody: Counted = field(default_factory=Counted)
    learned: Outcomes = field(default_factory=Outcomes)
    pasts: tuple[Past, ...] = ()

    @classmethod
    def of(cls, log: EventLog, community: Community, span: Span) -> Self:
        events, churn = log.events, community.churn
        local = events["timestamp"].dt.convert_time_zone(community.timezone)
        activity = Activity.of(event_arrays(log, community), feature_spec(community).layout.qualifying)
        asked = population(activity, span.last_cut(churn.horizon_days), churn)
        counted, near = _by_member(log), _at_one_moment(events)
        return cls(
            types=Counter(dict(events.group_by(pl.col("type").cast(pl.String)).len().iter_rows())),
            daily=Counter(dict(local.dt.date().to_frame("day").group_by("day").len().iter_rows())),
            repeated=near.height - near.unique().height,
            together=near.height - near.select("member", "timestamp", "type").unique().height,
            timed=bool((local.dt.hour() > 0).any()),
            old=int((events["timestamp"].dt.year() < PLAUSIBLE_FROM).sum()),
            asked=len(asked),
            churned=int(label_churn(activity, asked, churn.horizon_days, churn).sum()),
            everyone=Counted.of(counted),
            shortened=Counted.of(counted.filter(pl.col("member_id").str.contains(SHORTENED))),
            nobody=Counted.of(counted.filter(_is_nobody(pl.col("member_id")))),
            learned=_learned(activity, span, community),
            pasts=tuple(Past.of(activity, cut, churn.active_days) for cut in span.cuts(churn.horizon_days)),
        )

    def __add__(self, other: Census) -> Census:
        return Census(
            self.types + other.types,
            self.daily + other.daily,
            self.repeated + other.repeated,
            self.together + other.together,
            self.timed or other.timed,
            self.old + other.old,
            self.asked + other.asked,
            self.churned + other.churned,
            self.everyone + other.everyone,
            self.shortened + other.shortened,
            self.nobody + other.nobody,
            self.learned + other.learned,
            tuple(mine + its for mine, its in zip(self.pasts, other.pasts, strict=True)) if self.pasts else other.pasts,
        )

    def to_json(self) -> str:
        """Without the pasts."""
        counts = {name: getattr(self, name) for name in ("types", "repeated", "together", "timed", "old", "asked", "churned")}
        daily = {day.isoformat(): events for day, events in self.daily.items()}
        told = {name: asdict(getattr(self, name)) for name in ("everyone", "shortened", "nobody", "learned")}
        return json.dumps(counts | told | {"daily": daily})

    @classmethod
    def from_json(cls, text: str) -> Self:
        told = json.loads(text)
        daily = Counter({date.fromisoformat(day): events for day, events in told["daily"].items()})
        members = {name: Counted(**told[name]) for name in ("everyone", "shortened", "nobody")}
        return cls(**told | members | {"types": Counter(told["types"]), "daily": daily, "learned": Outcomes(**told["learned"])})


def _is_nobody(member_id: pl.Expr) -> pl.Expr:
    return member_id.str.to_lowercase().str.strip_chars(" []()<>").is_in(NOBODY)


def _by_member(log: EventLog) -> pl.DataFrame:
    """`member_id` and the number of `events`, of those who have any."""
    events = log.events.group_by("member").len("events")
    return events.select(log.members["member_id"].gather(events["member"]), "events")


def _learned(activity: Activity, span: Span, community: Community) -> Outcomes:
    """From the latest cut back, until what one part holds suffices; so the sum over parts is all there is wherever it does not."""
    churn, outcomes = community.churn, Outcomes()
    test_us = microseconds(latest_test(microseconds(span.last), community))
    for cut in reversed(cuts_to_learn_from(microseconds(span.first), test_us, churn)):
        asked = population(activity, cut, churn)
        outcomes += Outcomes(len(asked), int(label_churn(activity, asked, churn.horizon_days, churn).sum()))
        if outcomes.suffice:
            break
    return outcomes


def _at_one_moment(events: pl.DataFrame) -> pl.DataFrame:
    """Those that have neighbours of the same member and moment."""
    same = ((events["member"] == events["member"].shift()) & (events["timestamp"] == events["timestamp"].shift())).fill_null(value=False)
    return events.filter(same | same.shift(-1).fill_null(value=False)).select("member", "timestamp", "type", "value", "channel")
