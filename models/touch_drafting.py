"""Drafts how a table of earlier assignments is read, and the interventions that were assigned in it, for a person to correct."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from models.actions import NO_ACTION, Intervention
from models.catalogue import OFFERS, default_interventions
from models.declared import Label
from models.drafting import usual_column
from models.errors import InputError
from models.logged_chances import PREFIX
from models.sources import TouchesSource
from models.tables import cell_texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from models.catalogue import Pace
    from models.community import Community
    from models.events import EventLog
    from models.rules import Scene
    from models.tables import Table

MOST_ARMS, MOST_CHANNELS = 40, 8
FEWEST_ARMS, NEARLY = 2, 0.95
TIMES = (
    "timestamp",
    "time",
    "sent_at",
    "sent",
    "assigned_at",
    "contacted_at",
    "touched_at",
    "date",
    "时间",
    "发送时间",
    "触达时间",
    "日期",
)
ARMS = (
    "intervention",
    "arm",
    "treatment",
    "treatment_group",
    "treatment_flg",
    "variant",
    "action",
    "campaign",
    "offer",
    "触达手段",
    "手段",
    "干预",
    "分组",
)
AT_ONCE = "; where all were assigned at one time, add a column that holds it in each row"
NOTHING = {
    "none",
    "nothing",
    "control",
    "ctrl",
    "holdout",
    "hold out",
    "untreated",
    "control group",
    "baseline",
    "placebo",
    "no",
    "n",
    "0",
    "0.0",
    "false",
    "对照",
    "对照组",
    "空白组",
    "空白",
    "空白对照",
    "空白对照组",
    "无",
    "无触达",
    "不触达",
    "未触达",
    "不发送",
    "未发送",
    "不发券",
    "未发券",
    "不干预",
    "未干预",
}
"""How tables call doing nothing, in small letters and with spaces; so is what begins with "no ", such as "No E-Mail"."""


@dataclass(frozen=True)
class TouchColumns:
    """Of the table of touches; None for a column that is to be found by its name."""

    member: str
    time: str | None = None
    arm: str | None = None


@dataclass(frozen=True)
class DraftedTouches:
    """texts: what stands in the table for each arm, the commonest first, none where they are more than a catalogue can hold.

    n_texts: how many there are; channels: by text, those on which it was assigned.
    """

    source: TouchesSource
    texts: tuple[str, ...]
    n_texts: int
    channels: Mapping[str, tuple[str, ...]]

    @property
    def ids(self) -> dict[str, str]:
        return {text: self.source.arms.get(text, text) for text in self.texts}

    def interventions(self, pace: Pace, scenes: Sequence[Scene]) -> tuple[Intervention, ...]:
        """The usual catalogue where it has all that was assigned, else what was assigned and nothing more."""
        usual = {one.id: one for one in default_interventions(pace, scenes)}
        assigned = {name: text for text, name in self.ids.items() if name != NO_ACTION}
        if assigned.keys() <= usual.keys():
            return tuple(usual.values())
        return tuple(usual.get(name) or _guessed(name, text, self.channels.get(text, ()), pace) for name, text in assigned.items())

    @property
    def notes(self) -> tuple[str, ...]:
        told = f'touches: "{self.source.time}" is read as the time, "{self.source.intervention}" as what was assigned'
        stand = ", ".join(f'"{text}" as {name}' for text, name in self.source.arms.items())
        return (f"{told}{f' ({stand})' if stand else ''}.{self._open}",)

    @property
    def _open(self) -> str:
        """What is left to the person who corrects the draft."""
        if self.n_texts > MOST_ARMS:
            return f" {self.n_texts:,} different texts are too many for a catalogue; say under touches.arms which ids they stand for."
        if self.texts and NO_ACTION not in self.ids.values():
            return " None of it seems to mean doing nothing; say which does, under touches.arms: {TEXT: none}."
        return ""

    @property
    def guesses(self) -> tuple[str, ...]:
        """What must be corrected of the interventions, for no table tells it."""
        usual = {NO_ACTION, *(offer.id for offer in OFFERS)}
        new = [name for name in self.ids.values() if name not in usual]
        if not new:
            return ()
        return (
            f"interventions: {', '.join(new)} were found in the touches; their cost, category, lever and belief are guesses. Correct them.",
        )


def draft_touches(table: Table, path: str, asked: TouchColumns, log_time: str) -> DraftedTouches:
    """Raises InputError where a column is missing, or cannot be told by its name."""
    columns = table.columns
    time = _column(columns, asked.time, (log_time, *TIMES), f"--touches {path}", "--touch-time", "the time of the assignment", AT_ONCE)
    arm = _column(columns, asked.arm, ARMS, f"--touches {path}", "--touch-arm", "what was assigned")
    if asked.member not in columns:
        raise InputError(f'--touches {path}: no column "{asked.member}" (--member); it has {", ".join(columns)}')
    channel = usual_column(columns, ("channel", "渠道"))
    held = table.read([name for name in (arm, channel) if name is not None])
    arms = cell_texts(held[arm]).alias("arm")
    texts = _commonest(arms)
    drafted = texts if len(texts) <= MOST_ARMS else ()
    source = TouchesSource(
        path=path,
        member=asked.member,
        time=time,
        intervention=arm,
        arms=_ids_of(drafted),
        channel=channel,
        delivered=usual_column(columns, ("delivered",)),
        response=usual_column(columns, ("response",)),
        decision_id=usual_column(columns, ("decision_id",)),
        touch_id=usual_column(columns, ("touch_id",)),
        propensity_prefix=PREFIX if any(column.startswith(PREFIX) for column in columns) else None,
    )
    return DraftedTouches(source, drafted, len(texts), {} if channel is None else _channels(arms, cell_texts(held[channel])))


def _column(columns: Sequence[str], named: str | None, usual: Sequence[str], where: str, option: str, what: str, more: str = "") -> str:
    if named is not None and named not in columns:
        raise InputError(f'{where}: no column "{named}" ({option}); it has {", ".join(columns)}')
    found = named or usual_column(columns, usual)
    if found is None:
        raise InputError(f"{where}: which column holds {what}? Name it with {option} COL; it has {', '.join(columns)}{more}")
    return found


def _commonest(texts: pl.Series) -> tuple[str, ...]:
    """Each once, the commonest first, of those as common the first by its letters."""
    counted = texts.drop_nulls().value_counts().sort("count", texts.name, descending=[True, False])
    return tuple(counted[texts.name])


def _channels(arms: pl.Series, told: pl.Series) -> dict[str, tuple[str, ...]]:
    pairs = pl.DataFrame({"arm": arms, "channel": told}).drop_nulls()
    return {str(arm): _commonest(part["channel"])[:MOST_CHANNELS] for (arm,), part in pairs.group_by("arm")}


def _ids_of(texts: Iterable[str]) -> dict[str, str]:
    """By each text that is not its own id; no two share one but those of doing nothing."""
    ids: dict[str, str] = {}
    for number, text in enumerate(texts, start=1):
        name = NO_ACTION if _is_nothing(text) else _identifier(text, number)
        while name != NO_ACTION and name in ids.values():
            name = f"{name[:60]}_{number}"
        ids[text] = name
    return {text: name for text, name in ids.items() if text != name}


def _is_nothing(text: str) -> bool:
    plain = re.sub(r"[\s_-]+", " ", text.strip().lower())
    return plain in NOTHING or plain.startswith("no ")


def _identifier(text: str, number: int) -> str:
    plain = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")[:60]
    return plain if plain[:1].isalpha() else f"arm_{plain or number}"


def _guessed(name: str, text: str, channels: tuple[str, ...], pace: Pace) -> Intervention:
    return Intervention(
        id=name,
        label=Label(en=text, zh=text),
        category="content",
        lever="curiosity",
        channels=channels or ("app_push",),
        cost=0.1,
        starting_uplift=0.01,
        starting_evidence=500,
        cooldown_days=pace.days(14, 7, 90),
        valid_days=pace.days(7, 2, 30),
        refusal_cooldown_days=pace.days(60, 30, 365),
    )


def columns_of_arms(table: Table, columns: Sequence[str], log: EventLog, community: Community) -> set[str]:
    """Of a table of members the columns that hold, in the texts of the touches, the first arm of nearly each member who has one."""
    members, source = community.members, community.touches
    if log.touches is None or members is None or source is None or log.touches["intervention"].n_unique() < FEWEST_ARMS:
        return set()
    first = log.touches.unique("member", keep="first", maintain_order=True)
    arms = log.members.select("member_id")[first["member"]].with_columns(arm=first["intervention"].cast(pl.String))
    ids = table.read([members.member])[members.member]
    arm = cell_texts(ids).to_frame("member_id").join(arms, on="member_id", how="left", maintain_order="left")["arm"]
    held = table.read(columns)
    plain = (held[name] for name in columns if not held[name].dtype.is_nested())
    told = {column.name: cell_texts(column).replace(source.arms) for column in plain}
    return {name for name, texts in told.items() if int((texts == arm).sum()) >= NEARLY * max(arm.count(), 1)}
