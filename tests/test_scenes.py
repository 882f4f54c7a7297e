"""Moments in a member's life, each of which is acted on once."""

from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.community import DAY_US
from models.deciding import decide
from models.events import EventArrays
from models.interventions import ContactHistory
from models.member_columns import MemberColumns
from models.scenes import open_scenes
from models.snapshots import Snapshots
from models.store import DecisionRow, LoggedEvent, Store
from models.weighing import weigh
from tests.planted import AS_OF, AS_OF_US, TWIN, Member, arrays, community, engine, intervention, tier

HOUR = 1 / 24
MEMBERS = {"path": "members.csv", "member": "m", "joined": "j", "timezone": "zone"}


def scene(name="moment", **given):
    return {"name": name, "label": TWIN, **given}


def staged(given, *interventions, **more):
    """A community of one scene, by default with one intervention for it."""
    told = {"members": MEMBERS} if "on_date" in given else {}
    arms = interventions or (intervention("act", eligibility={"scenes": ["moment"]}),)
    return community(*arms, scenes=[scene(**given)], **told, **more)


def is_open(given, *, member=None, told=None, assigned=(), as_of_us=AS_OF_US, zone="UTC", **more) -> bool:
    """`assigned`: (days before as_of, intervention)."""
    declared = staged(given, **more)
    columns = MemberColumns(pl.DataFrame({"born": [told]}, schema={"born": pl.String}), 1)
    events = arrays([member or Member()], declared)
    at = np.array([as_of_us - round(ago * DAY_US) for ago, _ in assigned], dtype=np.int64)
    names = np.array([name for _, name in assigned], dtype=str)
    past = ContactHistory(np.zeros(len(at), dtype=np.int64), at, np.full(len(at), "email"), names)
    found = open_scenes(declared, events, Snapshots.at(events, as_of_us), columns, columns.zones(None, ZoneInfo(zone)), past, as_of_us)
    return found["moment"].item()


FIRST_READ = {"after_first": "read", "within_hours": 24}


@pytest.mark.parametrize(
    ("events", "there"),
    [
        ({"read": [0.5]}, True),
        ({"read": [23.99 * HOUR]}, True),
        ({"read": [1.0]}, False),
        ({"read": [40.0, 0.5]}, False),
        ({"read": [-0.5]}, False),
        ({"read": []}, False),
        ({"post": [0.5]}, False),
    ],
)
def test_the_first_event_of_a_signal_is_a_moment_for_so_many_hours(events, there):
    assert is_open(FIRST_READ, member=Member(events=events)) is there


def test_the_first_of_any_is_the_first_that_qualifies():
    assert is_open({**FIRST_READ, "after_first": "any"}, member=Member(events={"read": [30.0], "post": [0.5]}))
    assert not is_open({**FIRST_READ, "after_first": "any"}, member=Member(events={"read": [0.5]}))


@pytest.mark.parametrize(
    ("days", "joined", "there"),
    [([6.99], 90, False), ([7.0], 90, True), ([9.99, 50], 90, True), ([10.0], 90, False), ([], 7, True), ([], 10, False)],
)
def test_a_silence_is_a_moment_when_it_has_lasted_so_long(days, joined, there):
    quiet = {"after_silence_days": 7, "within_days": 3}
    assert is_open(quiet, member=Member(joined, {"post": days, "read": [1.0]})) is there


ROSE = {"on_tiers": ["koc"], "within_days": 3}
THREE_FOR_KOC = {"lifecycle": {"tiers": [tier("base", 0, 1), tier("koc", 3, 9)]}}


@pytest.mark.parametrize(
    ("posts", "there"),
    [
        ([9, 5, 2.9], True),
        ([9, 5, 3.0], False),
        ([9, 5, 4, 1], False),
        ([92, 91.5, 2], False),
        ([92, 91.5, 50, 1], False),
        ([91.9, 50, 2], True),
        ([91, 90.5, 90.4, 50, 2, 1], False),
        ([95, 94, 93, 50, 2, 1], True),
        ([60, 59, 58, 1], False),
    ],
)
def test_a_tier_is_reached_by_the_event_that_makes_the_contributions_of_the_longest_window_enough(posts, there):
    """Of 90 days; who falls below the bound when old events leave the window reaches it again."""
    assert is_open(ROSE, member=Member(400, {"post": posts}), **THREE_FOR_KOC) is there


def at(*when, zone="UTC") -> int:
    return round(datetime(*when, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000


BORN = {"on_date": "born", "within_days": 2}


@pytest.mark.parametrize(
    ("born", "now", "there"),
    [
        ("1990-03-10", at(2026, 3, 10), True),
        ("1990-03-10", at(2026, 3, 9, 23, 59), False),
        ("1990-03-10", at(2026, 3, 11, 23, 59), True),
        ("1990-03-10", at(2026, 3, 12), False),
        ("1990-12-31", at(2026, 1, 1, 12), True),
        ("2000-02-29", at(2026, 2, 28), True),
        ("2000-02-29", at(2026, 2, 27, 23), False),
        ("2000-02-29", at(2028, 2, 28, 23), False),
        ("2000-02-29", at(2028, 2, 29), True),
        ("2000-02-29", at(2100, 2, 28, 1), True),
        (None, at(2026, 3, 10), False),
        ("soon", at(2026, 3, 10), False),
    ],
)
def test_a_day_of_the_year_begins_at_midnight_and_29_february_is_the_28th_in_common_years(born, now, there):
    assert is_open(BORN, told=born, as_of_us=now) is there


def test_the_day_begins_by_the_clock_of_the_member():
    eve = at(2026, 3, 9, 16)
    assert [is_open(BORN, told="1990-03-10", as_of_us=eve, zone=zone) for zone in ("Asia/Shanghai", "UTC")] == [True, False]


@pytest.mark.parametrize(
    ("assigned", "there"),
    [
        ([(0.25, "act")], False),
        ([(1.4, "act")], False),
        ([(1.6, "act")], True),
        ([(0.25, "other")], True),
        ([(-0.1, "act")], True),
        ([(300, "act"), (0.1, "act")], False),
    ],
)
def test_a_moment_is_over_when_it_was_acted_on_and_the_day_alone_may_be_logged(assigned, there):
    """The first read was half a day ago: what was assigned since, or less than a day before, was for it."""
    assert is_open(FIRST_READ, member=Member(events={"read": [0.5]}), assigned=assigned) is there


def test_whatever_names_the_scene_acts_on_it():
    arms = [intervention(name, eligibility={"scenes": ["moment"]}) for name in ("act", "else")]
    declared = staged(FIRST_READ, *arms)
    events = arrays([Member(events={"read": [0.5]})], declared)
    past = replace(contacts_of([(0, AS_OF_US - DAY_US // 8)]), intervention=np.array(["else"]), undelivered=np.array([True]))
    weighed = weigh(engine(declared), events, Snapshots.at(events, AS_OF_US), ["m"], ["d"], past, as_of=AS_OF)
    assert [weighed.refusals.rule(0, column).name for column in (0, 1)] == ["scenes", "scenes"]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"within_days": 1}, "give exactly one of after_first, after_silence_days, on_date, on_tiers, not none"),
        ({"after_first": "post", "on_date": "x", "within_days": 1}, "exactly one of .*, not after_first and on_date"),
        ({"after_first": "post"}, "give exactly one of within_hours, within_days, not none"),
        ({"after_first": "pots", "within_days": 1}, r"scenes.moment.after_first: unknown signal 'pots'; declared are \['any', 'post'"),
        ({"on_tiers": ["base"], "within_days": 1}, r"scenes.moment.on_tiers: unknown tier above the first 'base'; declared are \['koc'\]"),
        ({"on_tiers": ["koc"], "within_days": 300}, r"to see a tier being reached, lookback_days 365 must be at least 390"),
    ],
)
def test_a_scene_that_cannot_be_told_is_refused(given, fault):
    with pytest.raises(ValidationError, match=fault):
        staged(given)


def test_names_of_scenes_and_the_table_of_their_dates_are_checked():
    with pytest.raises(ValidationError, match=r"interventions.a.eligibility.scenes: unknown scene 'birthday'; declared are \['moment'\]"):
        staged(FIRST_READ, intervention("a", eligibility={"scenes": ["birthday"]}))
    with pytest.raises(ValidationError, match=r"scenes: 'moment' is given more than once"):
        community(scenes=[scene(**FIRST_READ)] * 2)
    with pytest.raises(ValidationError, match=r"scenes.moment.on_date: there are no dates without a table of `members`"):
        community(scenes=[scene(**BORN)])


EVERY_SCENE = [
    scene("first", **FIRST_READ),
    scene("quiet", after_silence_days=7, within_days=3),
    scene("gone", after_silence_days=30, within_days=7),
    scene("rose", **ROSE),
    scene("born", **BORN),
]
stories = st.builds(
    Member,
    st.floats(0, 400),
    st.fixed_dictionaries({name: st.lists(st.floats(-5, 500), max_size=12) for name in ("post", "read")}),
)
born = st.dates(date(1950, 1, 1), date(2010, 1, 1)).map(str)


def every(members, told) -> tuple:
    named = intervention(eligibility={"scenes": [each["name"] for each in EVERY_SCENE]})
    declared = community(named, scenes=EVERY_SCENE, members=MEMBERS, **THREE_FOR_KOC)
    zones = ["Asia/Shanghai" if day < "1980" else None for day in told]
    events = replace(arrays(members, declared), rule_columns=pl.DataFrame({"born": told, "zone": pl.Series(zones, dtype=pl.String)}))
    return declared, events


def opened(declared, events: EventArrays, rows=None) -> dict[str, list[bool]]:
    snapshots = Snapshots.at(events, AS_OF_US)
    snapshots = snapshots if rows is None else snapshots[rows]
    columns = MemberColumns.of(events, snapshots)
    found = open_scenes(declared, events, snapshots, columns, columns.zones("zone", declared.zone), ContactHistory.empty(), AS_OF_US)
    return {name: flags.tolist() for name, flags in found.items()}


@given(st.lists(st.tuples(stories, born), min_size=1, max_size=5))
def test_one_member_alone_is_in_the_scenes_of_the_batch_and_what_comes_later_changes_nothing(drawn):
    members, told = (list(column) for column in zip(*drawn, strict=True))
    declared, events = every(members, told)
    together = opened(declared, events)
    for row in range(len(members)):
        assert opened(declared, events.of_members([row])) == {name: [flags[row]] for name, flags in together.items()}
    assert opened(*every([kept_of(member, lambda ago: round(ago * DAY_US) > 0) for member in members], told)) == together


def kept_of(member: Member, kept) -> Member:
    return replace(member, events={name: [ago for ago in days if kept(ago)] for name, days in member.events.items()})


@given(stories, born)
def test_a_store_that_keeps_the_lookback_and_the_last_event_before_it_tells_the_same(member, told):
    old = [min((ago for ago in days if ago > 365), default=0) for days in member.events.values()]
    kept = kept_of(member, lambda ago: ago <= 365 or ago in old)
    assert opened(*every([kept], [told])) == opened(*every([member], [told]))


@given(st.lists(st.integers(1, 200), max_size=15), st.integers(1, 4))
def test_a_tier_is_reached_where_counting_day_by_day_says_so(days, floor):
    """A second telling: the moments at which the number of posts of the last 90 days rises to the floor."""
    posts = sorted({float(day) for day in days}, reverse=True)
    rises = [ago for ago in posts if within_90(posts, ago, including=True) >= floor > within_90(posts, ago, including=False)]
    last = min(rises, default=np.inf)
    found = is_open(
        {"on_tiers": ["koc"], "within_days": 30},
        member=Member(900, {"post": posts}),
        lifecycle={"tiers": [tier("base", 0, 1), tier("koc", floor, 9)]},
    )
    assert found == (last < 30)


def within_90(posts, ago, *, including) -> int:
    """Posts up to 90 days before the moment `ago`: just after it, with that of the moment itself, or at it, without."""
    return sum(ago <= post < ago + 90 if including else ago < post <= ago + 90 for post in posts)


def test_the_service_acts_on_a_moment_once_from_what_its_store_holds(tmp_path):
    declared = staged(FIRST_READ, policy={"control_share": 0})
    rules = []
    with closing(Store.open(f"sqlite:///{tmp_path}/keepwell.db")) as store:
        store.add_events([LoggedEvent("ann", AS_OF_US - DAY_US // 2, "read"), LoggedEvent("ann", AS_OF_US - 90 * DAY_US, "post")])
        for number, minutes in enumerate((0, 1, 300)):
            as_of = AS_OF + timedelta(minutes=minutes)
            as_of_us = AS_OF_US + minutes * 60_000_000
            past = store.past(["ann"], declared, as_of_us)
            snapshots = Snapshots.at(past.events, as_of_us)
            (decision,) = decide(
                engine(declared), past.events, snapshots, ["ann"], [f"d{number}"], past.contacts, as_of=as_of, language="en"
            )
            rules.append((decision.chosen, decision.candidates[1].removed_at, decision.candidates[1].rule))
            store.record([DecisionRow(f"d{number}", "ann", as_of_us, "7", decision.chosen, "email", past.contacts_seen[0], "{}")])
    assert rules == [("act", None, None), ("none", "eligibility", "scenes"), ("none", "eligibility", "scenes")]


@given(st.lists(st.tuples(stories, born, st.floats(0, 40)), min_size=1, max_size=5))
def test_each_snapshot_is_seen_from_its_own_time_also_beside_others(drawn):
    members, told, back = (list(column) for column in zip(*drawn, strict=True))
    declared, events = every(members, told)
    times = AS_OF_US - (np.array(back) * DAY_US).astype(np.int64)
    snapshots = replace(Snapshots.at(events, AS_OF_US), as_of_us=times)
    columns = MemberColumns.of(events, snapshots)
    zones, assigned = columns.zones("zone", declared.zone), [(row, times[row] - DAY_US // 2) for row in range(0, len(members), 2)]
    past = replace(contacts_of(assigned), intervention=np.full(len(assigned), "digest"))
    moved = replace(past, at_us=past.at_us + AS_OF_US - times[past.member])
    together = open_scenes(declared, events, snapshots, columns, zones, moved, AS_OF_US)
    for row in range(len(members)):
        alone, mine = snapshots[[row]], contacts_of([(0, at_us) for who, at_us in assigned if who == row])
        own, mine = MemberColumns.of(events, alone), replace(mine, intervention=np.full(len(mine.at_us), "digest"))
        found = open_scenes(declared, events, alone, own, own.zones("zone", declared.zone), mine, int(times[row]))
        assert {name: flags.item() for name, flags in found.items()} == {name: flags[row] for name, flags in together.items()}


YEAR = 365
RUNS = {
    "every day": lambda _: [float(day) for day in range(YEAR)],
    "twice a day": lambda _: sorted(day + hour for day in range(YEAR // 2) for hour in (0.3, 0.8)),
    "at odd hours with days left out": lambda rng: sorted(day + rng.random() for day in range(YEAR) if rng.random() > 0.15),
    "in bursts": lambda rng: sorted(day + minute / 1440 for day in range(YEAR // 2) for minute in (0, 1, 2) if rng.random() > 0.3),
}
PEOPLE = 12


def lives(rng) -> list[Member]:
    """A year of posts in spells with silences between them, ending at AS_OF; reads begin somewhere."""
    members = []
    for _ in range(PEOPLE):
        gaps = np.where(rng.random(60) < 0.7, rng.exponential(1.5, 60), rng.uniform(5, 60, 60))
        posts = YEAR - rng.uniform(0, 60) - gaps.cumsum()
        reads = rng.uniform(0, YEAR, rng.integers(1, 3))
        members.append(Member(YEAR + 1.0, {"post": posts[posts > 0].tolist(), "read": reads.tolist()}))
    return members


@pytest.mark.parametrize("cron", list(RUNS))
@pytest.mark.parametrize("given", [FIRST_READ, EVERY_SCENE[1], EVERY_SCENE[2], ROSE, BORN], ids=lambda given: next(iter(given)))
def test_over_many_runs_every_moment_that_a_run_falls_into_is_acted_on_once(cron, given):
    rng = np.random.default_rng(7)
    declared = staged({key: value for key, value in given.items() if key not in ("name", "label")}, **THREE_FOR_KOC)
    told = [str(date(1980, 1, 1) + timedelta(days=31 * number)) for number in range(PEOPLE)]
    events = replace(arrays(lives(rng), declared), rule_columns=pl.DataFrame({"born": told}))
    planted, ids = engine(declared, PEOPLE), [f"m{row}" for row in range(PEOPLE)]
    acted, seen = [], {}
    for run in RUNS[cron](rng):
        now = AS_OF_US - round((YEAR - run) * DAY_US)
        snapshots = Snapshots.at(events, now)
        columns = MemberColumns.of(events, snapshots)
        zones = columns.zones("zone", declared.zone)
        fresh = open_scenes(declared, events, snapshots, columns, zones, ContactHistory.empty(), now)["moment"]
        as_of = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=now)
        weighed = weigh(planted, events, snapshots, ids, [f"{run}-{name}" for name in ids], contacts_of(acted), as_of=as_of)
        for row in np.flatnonzero(fresh):
            seen.setdefault((row, moment_of(given, events, row, now, told[row])), []).append(now)
        acted += [(row, now) for row in np.flatnonzero(weighed.chosen)]
    assert len(seen) > 5
    assert sorted((row, runs[0]) for (row, _), runs in seen.items()) == sorted(acted)


def contacts_of(acted) -> ContactHistory:
    """`acted`: (row, time)."""
    member, at_us = (np.array([row[position] for row in acted], dtype=np.int64) for position in (0, 1))
    return ContactHistory(member, at_us, np.full(len(acted), "email"), np.full(len(acted), "act"))


def moment_of(given, events: EventArrays, row: int, now: int, told: str) -> object:
    """What tells one moment from another: the last post for a silence, the year for a day of it, the post that lifted for a tier."""
    mine = slice(*events.offsets[[row, row + 1]])
    times, kinds = events.timestamp_us[mine], events.signal[mine]
    posts = times[(kinds == 0) & (times < now)]
    if "after_silence_days" in given:
        return posts[-1] if len(posts) else "joined"
    if "on_date" in given:
        born_on = date.fromisoformat(told)
        today = datetime.fromtimestamp(now / 1e6, tz=UTC).date()
        return today.year - ((today.month, today.day) < (born_on.month, born_on.day))
    if "on_tiers" in given:
        ago = [(now - post) / DAY_US for post in posts]
        rose = [within_90(ago, back, including=True) >= 3 > within_90(ago, back, including=False) for back in ago]
        return posts[rose][-1]
    return "first"
