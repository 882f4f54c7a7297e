"""Profiles a log and drafts its declaration, for a person to correct."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import available_timezones

from models.canonical import Intake
from models.catalogue import Pace, default_contact_policy, default_interventions, default_lifecycle, default_scenes
from models.community import Community, Value
from models.declaration import NO_LINES, parse_declaration
from models.declaration_text import declaration_text
from models.declared import Language
from models.drafting import RHYTHM_HORIZONS, Profile, draft_churn, draft_signals, draft_tiers, draft_windows, usual_column
from models.errors import InputError
from models.event_kinds import kind_of
from models.groups import MOST_VALUES
from models.intake import read_events, take_in
from models.reading import Place, located, typed
from models.rhythm import Rhythm
from models.sources import MOST_GROUPS, LogSource, MembersSource
from models.tables import open_table
from models.times import read_times
from models.touch_drafting import TouchColumns, columns_of_arms, draft_touches
from pipelines.drafted_notes import churn_notes, seen_notes, signal_notes

if TYPE_CHECKING:
    from datetime import datetime

    import polars as pl
    from rich.console import Console

    from models.community import Signal
    from models.drafting import ChurnDraft
    from models.touch_drafting import DraftedTouches

MOST_CATEGORIES = 50
MOST_DAYS = 1825
UNTOLD_TYPE = "activity"
BIRTHDAYS = ("birthday", "birth_date", "birthdate", "date_of_birth", "dob", "生日", "出生日期")


@dataclass(frozen=True)
class InitOptions:
    """The options of `keepwell init`; the member column has one name in all tables. Without a type every row is an `activity`."""

    log: Path
    member: str
    time: str
    type: str | None = None
    type_is: str | None = None
    value: str | None = None
    members: Path | None = None
    joined: str | None = None
    touches: Path | None = None
    touch_time: str | None = None
    touch_arm: str | None = None
    churn_days: int | None = None
    active_days: int | None = None
    contract_event: str | None = None
    language: Language = "en"
    timezone: str = "UTC"
    currency: str = "CNY"
    output: Path = Path("keepwell.yaml")
    force: bool = False

    @property
    def only_type(self) -> str | None:
        return self.type_is or (UNTOLD_TYPE if self.type is None else None)

    def check(self) -> None:
        """Raises InputError for options that contradict each other."""
        if self.output.exists() and not self.force:
            raise InputError(f"{self.output} exists; give --force to write over it, or another name with -o")
        if self.member == self.time:
            raise InputError(f'--member and --time both name the column "{self.member}"; name the two columns of the log')
        if self.type is not None and self.type_is is not None:
            raise InputError("give either --type COL, the column with the event type, or --type-is NAME, the one type of all events")
        if (self.members is None) != (self.joined is None):
            raise InputError("--members FILE and --joined COL go together: the table of members and its column with the date of joining")
        self._check_touches()
        if self.timezone not in available_timezones():
            raise InputError(f'--timezone: unknown time zone "{self.timezone}"; use an IANA name such as "Asia/Shanghai" or "UTC"')
        if not re.fullmatch("[A-Z]{3}", self.currency):
            raise InputError(f'--currency: "{self.currency}" is no code of three capital letters such as CNY or USD')
        for option, days in (("--churn-days", self.churn_days), ("--active-days", self.active_days)):
            if days is not None and not 1 <= days <= MOST_DAYS:
                raise InputError(f"{option}: {days} must be whole days from 1 to {MOST_DAYS:,}")

    def _check_touches(self) -> None:
        for option, column in (("--touch-time", self.touch_time), ("--touch-arm", self.touch_arm)):
            if column is not None and self.touches is None:
                raise InputError(f"{option}: there is no table of touches; give it with --touches FILE, or leave {option} out")


def initialise(options: InitOptions, console: Console, *, now: datetime) -> Path:
    """Writes the declaration and says what was seen. Raises InputError, also where the file exists and `force` is not given."""
    options.check()
    draft = _draft(options, now)
    text = declaration_text(draft.community, draft.notes)
    parse_declaration(text, options.output.name)
    _write(options.output, text)
    if options.type is None and options.type_is is None:
        console.print(f'No type was named: every row counts as "{UNTOLD_TYPE}". With --type COL different behaviour is told apart.')
    for line in (*draft.notes["log"], *draft.notes["signals"][1:], *draft.notes["churn"], *draft.notes["interventions"]):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    console.print(f"Wrote {options.output}. Read it, correct it, then run: keepwell check", highlight=False, soft_wrap=True)
    return options.output


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as fault:
        raise InputError(f"{path} cannot be written: {fault.strerror}") from None


@dataclass(frozen=True)
class _Draft:
    """notes: what was seen, by the block of the declaration that it belongs to."""

    community: Community
    notes: dict[str, tuple[str, ...]]


def _draft(options: InitOptions, now: datetime) -> _Draft:
    root = options.output.resolve().parent
    place = Place(root, NO_LINES, options.timezone, now)
    source = _log_source(options, root)
    events = read_events(source, place)
    profile = Profile.of(events.rows)
    _check_contract_event(options.contract_event, profile)
    signals = draft_signals(profile, options.value, options.contract_event)
    kept_by = [kind for signal in signals if signal.qualifying for kind in signal.event_types]
    rhythm = Rhythm.of(events.rows, kept_by, RHYTHM_HORIZONS)
    churn = draft_churn(profile.days, options.churn_days, options.active_days, options.contract_event, rhythm)
    touches = _touches(options, root)
    community = _community(options, source, root, events.rows, profile, signals, churn, touches)
    intake = take_in(events, community, place)
    attributed = _with_attributes(community, intake, root)
    notes = {
        "log": (*seen_notes(profile, intake, options.timezone), *attributed.notes, *(() if touches is None else touches.notes)),
        "signals": signal_notes(profile, signals, options.value),
        "churn": churn_notes(churn, profile, rhythm, asked=options.churn_days is not None),
        "interventions": () if touches is None else touches.guesses,
    }
    return _Draft(attributed.community, notes)


def _check_contract_event(contract_event: str | None, profile: Profile) -> None:
    names = [seen.name for seen in profile.types]
    if contract_event is not None and contract_event not in names:
        has = ", ".join(f'"{name}"' for name in names[:12])
        raise InputError(f'--contract-event: unknown event type "{contract_event}"; the log has {has}')


def _community(
    options: InitOptions,
    source: LogSource,
    root: Path,
    rows: pl.DataFrame,
    profile: Profile,
    signals: tuple[Signal, ...],
    draft: ChurnDraft,
    touches: DraftedTouches | None,
) -> Community:
    churn, pace = draft.churn, Pace(draft.churn.horizon_days)
    windows = draft_windows(profile.days, churn)
    value_days = max(90, churn.horizon_days) if profile.days >= 200 else churn.horizon_days
    roles = {signal.name: kind_of(signal.event_types[0]).role for signal in signals if signal.name != "other"}
    tiers = draft_tiers(rows, profile, signals, windows[-1], value_days)
    lookback_days = max(365, 2 * churn.active_days)
    paid = next((signal.name for signal in signals if signal.value == "money"), "any")
    scenes = default_scenes(pace, tiers, lookback_days - windows[-1], first=paid, born=_birthdays(options))
    interventions = default_interventions(pace, scenes) if touches is None else touches.interventions(pace, scenes)
    return Community(
        name=_stem(options.log)[:64],
        language=options.language,
        currency=options.currency,
        timezone=options.timezone,
        log=source,
        members=_members_source(options, root),
        touches=None if touches is None else touches.source,
        signals=signals,
        windows_days=windows,
        lookback_days=lookback_days,
        churn=churn,
        value=Value(source="purchases" if any(signal.value == "money" for signal in signals) else "tiers", value_days=value_days),
        lifecycle=default_lifecycle(
            pace,
            tiers,
            service=tuple(name for name, role in roles.items() if role == "service"),
            satisfaction=tuple(signal.name for signal in signals if signal.value == "quantity" and roles.get(signal.name) == "rating"),
        ),
        scenes=scenes,
        interventions=interventions,
        contact_policy=default_contact_policy(interventions),
    )


def _stem(path: Path) -> str:
    return path.resolve().name.split(".")[0] or "community"


def _from(root: Path, path: Path) -> str:
    """The path from the declaration's folder; absolute where there is no way, as between drives."""
    try:
        return Path(os.path.relpath(path.absolute(), root)).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def _log_source(options: InitOptions, root: Path) -> LogSource:
    columns = open_table(options.log).columns
    used = {options.member, options.time, options.type, options.value}
    return LogSource(
        path=_from(root, options.log),
        member=options.member,
        time=options.time,
        type=options.type,
        type_is=options.only_type,
        value=options.value,
        event_id=usual_column(columns, ("event_id", "eventid", "event_uuid"), used),
        channel=usual_column(columns, ("channel", "渠道"), used),
    )


def _members_source(options: InitOptions, root: Path) -> MembersSource | None:
    if options.members is None or options.joined is None:
        return None
    zone = usual_column(open_table(options.members).columns, ("timezone", "time_zone", "tz", "时区"), {options.member, options.joined})
    return MembersSource(path=_from(root, options.members), member=options.member, joined=options.joined, timezone=zone)


def _birthdays(options: InitOptions) -> str | None:
    """The column of the members table that holds them, if one is named so and can be read."""
    if options.members is None:
        return None
    table = open_table(options.members)
    column = usual_column(table.columns, BIRTHDAYS, {options.member, options.joined})
    try:
        held = 0 if column is None else read_times(table.read([column])[column], options.timezone).timestamp.count()
    except InputError:
        return None
    return column if held else None


def _touches(options: InitOptions, root: Path) -> DraftedTouches | None:
    if options.touches is None:
        return None
    asked = TouchColumns(options.member, options.touch_time, options.touch_arm)
    return draft_touches(open_table(options.touches), _from(root, options.touches), asked, options.time)


@dataclass(frozen=True)
class _Attributed:
    community: Community
    notes: tuple[str, ...]


def _with_attributes(community: Community, intake: Intake, root: Path) -> _Attributed:
    """Columns of the members table that do not know the future, and are numbers or have few categories: no names, no free text.

    The first of the latter are groups too.
    """
    source = community.members
    if source is None:
        return _Attributed(community, ())
    table = open_table(located(root, source.path))
    columns = [name for name in table.columns if name not in {source.member, source.joined}]
    assigned = columns_of_arms(table, columns, intake.log, community)
    leaking = {leak.column for leak in intake.leaks} - assigned
    plain = [name for name in columns if name not in leaking | assigned and _is_attribute(table.read([name])[name])]
    labels = [name for name in plain if _is_group(table.read([name])[name])][:MOST_GROUPS]
    chosen = community.model_copy(update={"members": source.model_copy(update={"attributes": tuple(plain), "groups": tuple(labels)})})
    notes = [
        f'members: column "{name}" was measured at the end (it tells what members did later), so it is left out.'
        for name in columns
        if name in leaking
    ]
    notes += [
        f'members: column "{name}" is what was assigned, as the touches tell it, so it is left out.' for name in columns if name in assigned
    ]
    texts = [f'"{name}"' for name in columns if name not in leaking | assigned and name not in plain]
    if texts:
        notes.append(f"members: left out, as they hold one value, dates or free text: {', '.join(texts)}")
    return _Attributed(chosen, tuple(notes))


def _is_attribute(column: pl.Series) -> bool:
    kept = typed(column)
    return kept.n_unique() > 1 and (kept.dtype.is_numeric() or kept.n_unique() <= MOST_CATEGORIES)


def _is_group(column: pl.Series) -> bool:
    kept = typed(column)
    return not kept.dtype.is_numeric() and kept.n_unique() <= MOST_VALUES
