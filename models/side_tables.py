"""Reads the tables beside the log: members with what was known of them at joining, and earlier assignments."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import polars as pl

from models.actions import NO_ACTION
from models.declared_and_kept import NAMED
from models.groups import group_findings
from models.logged_chances import PREFIX, chance_findings
from models.member_columns import as_written, date_columns, rule_findings
from models.reading import Place, Read, flags, not_a_number
from models.screening import Fault, Screened
from models.side_counts import MemberCounts, TouchCounts
from models.sources import RESPONSES
from models.tables import cell_texts, id_texts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.community import Community
    from models.sources import MembersSource, TouchesSource
    from models.tables import Table

TOUCH_KEYS = ("member", "time", "intervention", "channel", "delivered", "response", "decision_id", "touch_id")
"""Of TouchesSource, those that name a column."""
N_TIME_FAULTS = 3
"""Of `Place.time_faults`."""


def read_members(source: MembersSource, place: Place, community: Community, first_events: pl.DataFrame) -> Read:
    """`member_id`, `joined` (null where not given) and every further column, whether or not the declaration names it.

    first_events: `member_id` and `first`, of the members who have events.
    """
    table = place.open(source.path, "members", member_columns(source))
    require_rule_columns(table, source, place, community)
    raw = _without_nested(table.read(table.columns), source)
    told = member_rows(raw, source, place, community)
    member, joined = told.rows["member_id"], told.rows["joined"]
    active = member.is_in(first_events["member_id"].implode()).fill_null(value=False)
    missing, *others = told.faults
    faults = [
        missing,
        Fault(member.is_not_null() & ~member.is_first_distinct(), source.member, "member_again"),
        *others,
        Fault(joined.is_null() & ~active, source.joined, "neither"),
    ]
    screened = Screened.of(table, faults)
    rows = told.rows.filter(screened.accepted)
    found = (
        *MemberCounts.of(rows, first_events).findings(source),
        *rule_findings(rows, source, community),
        *group_findings(rows.select(source.groups)),
    )
    return Read(rows, screened.rejected, (*screened.findings, *found))


def require_rule_columns(table: Table, source: MembersSource, place: Place, community: Community) -> None:
    """Raises InputError for a column that interventions, scenes or experiments read and the table lacks."""
    for intervention in community.interventions:
        for column in intervention.eligibility.attributes or ():
            place.require(column, table, source.path, "interventions", f"{intervention.id}.eligibility.attributes")
    for scene in community.scenes:
        if scene.on_date is not None:
            place.require(scene.on_date, table, source.path, "scenes", f"{scene.name}.on_date")
    if community.touches is not None and community.touches.cluster is not None:
        place.require(community.touches.cluster, table, source.path, "touches", "cluster")
    for experiment in community.experiments:
        for key, named in (("column", experiment.column), ("cluster", experiment.cluster)):
            if named is not None:
                place.require(named, table, source.path, "experiments", f"{experiment.id}.{key}")


class SideRows(NamedTuple):
    """Rows before any is refused, and what one row alone shows, in the order of rank."""

    rows: pl.DataFrame
    faults: tuple[Fault, ...]


def member_rows(raw: pl.DataFrame, source: MembersSource, place: Place, community: Community) -> SideRows:
    """As `read_members` gives them; of the table, or of a part of it where `place` knows its habits."""
    member, joined = id_texts(raw[source.member]), place.times(raw[source.joined])
    unread = joined.timestamp.is_null() & cell_texts(raw[source.joined]).is_not_null()
    faults = (
        Fault(member.is_null(), source.member, "no_member"),
        Fault(unread, source.joined, "join_unread"),
        Fault(place.future(joined), source.joined, "join_future"),
    )
    further = [_told(raw[name], place, community) for name in raw.columns if name not in {source.member, source.joined}]
    rows = pl.DataFrame([member.alias("member_id"), joined.timestamp.alias("joined")]).hstack(_renamed(further))
    return SideRows(rows, faults)


def _told(column: pl.Series, place: Place, community: Community) -> pl.Series:
    """A date that a scene reads as `YYYY-MM-DD`, what no model reads as it is written, all else as its type."""
    if column.name in date_columns(community):
        times = place.times(column).timestamp
        return times.dt.convert_time_zone(place.timezone).dt.strftime("%Y-%m-%d").alias(column.name)
    return cell_texts(column) if column.name in as_written(community) else place.typed(column)


def member_columns(source: MembersSource) -> dict[str, str | None]:
    """By the key that names each."""
    return {
        "member": source.member,
        "joined": source.joined,
        "timezone": source.timezone,
        **{f"attributes.{position}": name for position, name in enumerate(source.attributes)},
        **{f"reachable.{channel}": name for channel, name in source.reachable.items()},
        **{f"consents.{consent}": name for consent, name in source.consents.items()},
        **{f"groups.{position}": name for position, name in enumerate(source.groups)},
    }


def read_touches(source: TouchesSource, place: Place, community: Community, member_ids: pl.Series) -> Read:
    """The columns of `EventLog.touches`, with `member_id` for `member`."""
    named = touch_columns(source)
    table = place.open(source.path, "touches", named)
    arms = logged_arms(source, table.columns)
    raw = table.read(sorted({name for name in (*named.values(), *arms) if name is not None}))
    told = touch_rows(raw, source, place, arms, semicolons=table.semicolons)
    known = told.rows["member_id"].is_in(member_ids.implode()).fill_null(value=False)
    of_one = told.faults[: 1 + N_TIME_FAULTS]
    unknown = Fault(~known, source.member, "unknown_member")
    screened = Screened.of(table, [*of_one, unknown, *told.faults[len(of_one) :]])
    said = told.rows["response"]
    rows = told.rows.with_columns(response=known_response(said)).filter(screened.accepted)
    found = TouchCounts.of(rows, said, community).findings(source)
    chances = chance_findings(rows, table.columns, community, source)
    return Read(rows, screened.rejected, (*screened.findings, *found, *chances))


def touch_columns(source: TouchesSource) -> dict[str, str | None]:
    """By the key that names each."""
    return {key: getattr(source, key) for key in TOUCH_KEYS}


def logged_arms(source: TouchesSource, columns: Sequence[str]) -> dict[str, str]:
    """By the table's column the one of `EventLog.touches`."""
    prefix = source.propensity_prefix
    if prefix is None:
        return {}
    told = {name: name.removeprefix(prefix) for name in columns if name.startswith(prefix)}
    return {name: f"{PREFIX}{source.arms.get(arm, arm)}" for name, arm in told.items()}


def same_chances(source: TouchesSource) -> dict[str, float]:
    """By the column of `EventLog.touches` the probability that is the same for every row of the table."""
    return {f"{PREFIX}{arm}": share for arm, share in source.propensities.items()}


def touch_rows(raw: pl.DataFrame, source: TouchesSource, place: Place, arms: Mapping[str, str], *, semicolons: bool) -> SideRows:
    """As `read_touches` gives them, but for `response`, which is told as it is; of a part of the table where `place` knows its habits."""
    member, written = id_texts(raw[source.member]), cell_texts(raw[source.intervention])
    intervention = written.replace(source.arms) if source.arms else written
    times = place.times(raw[source.time])
    everyone = pl.repeat(value=True, n=raw.height, eager=True)
    delivered = everyone if source.delivered is None else _delivered(raw[source.delivered], intervention)
    propensity = {name: place.numbers(raw[name], semicolons=semicolons) for name in arms}
    faults = [
        Fault(member.is_null(), source.member, "no_member"),
        *place.time_faults(raw[source.time], times),
        Fault(intervention.is_null(), source.intervention, "no_intervention"),
    ]
    if source.delivered is not None:
        faults.append(Fault(delivered.is_null(), source.delivered, "delivered_unread"))
    for name, share in propensity.items():
        wrong = not_a_number(raw[name], share) | ~share.is_between(0, 1).fill_null(value=True)
        faults.append(Fault(wrong, name, "no_probability"))
    nothing = pl.repeat(None, raw.height, dtype=pl.String, eager=True)
    channel = nothing if source.channel is None else cell_texts(raw[source.channel])
    said = nothing if source.response is None else cell_texts(raw[source.response]).str.strip_chars().str.to_lowercase()
    rows = pl.DataFrame(
        {"member_id": member, "timestamp": times.timestamp, "intervention": intervention, "channel": channel, "delivered": delivered}
        | {"response": said}
        | _named(raw, source)
        | _of_arms(propensity, arms)
    )
    rows = rows.with_columns(pl.lit(share).alias(column) for column, share in same_chances(source).items())
    return SideRows(rows, tuple(faults))


def named_kinds(source: TouchesSource) -> dict[str, pl.DataType]:
    """NAMED, where the table has ids of the service."""
    return {} if source.decision_id is None and source.touch_id is None else {NAMED: pl.String()}


def _named(raw: pl.DataFrame, source: TouchesSource) -> dict[str, pl.Series]:
    """The id of the decision goes before that of the touch."""
    told = [cell_texts(raw[column]) for column in (source.decision_id, source.touch_id) if column is not None]
    return {name: pl.select(pl.coalesce(*told)).to_series() for name in named_kinds(source)}


def _of_arms(shares: Mapping[str, pl.Series], arms: Mapping[str, str]) -> dict[str, pl.Series]:
    """By arm, where texts that stand for one arm have columns of their own: their sum."""
    told: dict[str, pl.Series] = {}
    for column, share in shares.items():
        arm = arms[column]
        told[arm] = told[arm] + share if arm in told else share
    return told


def _delivered(cells: pl.Series, intervention: pl.Series) -> pl.Series:
    """Boolean; null where the cell says neither yes nor no. Of `none` there was nothing to deliver, so that its cell may be empty."""
    idle = (intervention == NO_ACTION).fill_null(value=False) & cell_texts(cells).is_null()
    return flags(cells).set(idle, value=False)


def known_response(said: pl.Series) -> pl.Series:
    """One of RESPONSES, else null."""
    return said.set(~said.is_in(RESPONSES).fill_null(value=False), None)


def _without_nested(raw: pl.DataFrame, source: MembersSource) -> pl.DataFrame:
    """Lists and records that nobody asked for are no attributes."""
    named = {source.member, source.joined, *source.attributes}
    return raw.select(name for name, kind in raw.schema.items() if name in named or not kind.is_nested())


def _renamed(columns: list[pl.Series]) -> list[pl.Series]:
    return [column.alias(f"{column.name}_") if column.name in {"member_id", "joined"} else column for column in columns]
