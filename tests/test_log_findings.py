"""What a log lacks is said with what there is and what is needed: types, history, outcomes, repeats, holes."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from models.census import Census, Span
from models.declaration import load_declaration
from models.events import event_arrays
from models.histories import EventHistories
from models.holes import holes
from models.intake import read_log
from models.member_sample import Drawn
from models.moments import microseconds
from models.training_rows import default_test_as_of, gather
from tests.written_logs import NOW, declared, read, written

START = datetime(2025, 1, 6, tzinfo=UTC)


def found(intake, word):
    return [finding for finding in intake.findings if word in finding.message]


def weekly(members, weeks, leavers=()):
    """Everybody posts once a week; leavers only in the first half."""
    lines = [
        f"{member},{(START + timedelta(days=7 * week, hours=number)).isoformat()}\n"
        for number, member in enumerate(members)
        for week in range(weeks if member not in leavers else weeks // 2)
    ]
    return "member,time\n" + "".join(lines)


def days_of(counts):
    """A log with so many events on each day; days without any are not named."""
    return {START.date() + timedelta(days=day): int(count) for day, count in enumerate(counts) if count}


def test_a_misspelt_event_type_is_named_with_what_the_log_has_and_the_line(tmp_path):
    written(tmp_path, "member,time,type\nann,2025-03-01,post\nann,2025-03-02,comment\nann,2025-03-02,post\n")
    text = """\
name: test
log: {path: events.csv, member: member, time: time, type: type}
signals:
  - name: posts
    label: {en: posts, zh: 发帖}
    event_types:
      - pst
lifecycle: {tiers: [{name: base, min_contributions: 0, value: 1, label: {en: base, zh: 基础}}]}
interventions:
  - {id: q, label: {en: q, zh: 问}, category: social, lever: care, channels: [push], cost: 1, starting_uplift: 0, starting_evidence: 9}
"""
    path = written(tmp_path, text, "keepwell.yaml")
    declaration = load_declaration(path)
    intake = read_log(declaration.community, tmp_path, now=NOW, lines=declaration.lines)
    (finding,) = found(intake, "pst")
    assert finding.message == 'signals.posts: unknown event type "pst"; the log has "post", "comment" (line 7)'
    assert (finding.level, finding.line) == ("error", 7)
    assert found(intake, "no signal counts the event types")[0].message.endswith('"post" (2), "comment" (1)')


def test_one_of_several_names_that_does_not_occur_is_a_warning(tmp_path):
    signals = [{"name": "posts", "event_types": ["post", "topic"], "label": {"en": "posts", "zh": "发帖"}}]
    (finding,) = found(read(tmp_path, weekly("ab", 30), signals=signals), "topic")
    assert finding.level == "warning"


def test_a_history_too_short_for_a_horizon_says_what_there_is_and_what_is_needed(tmp_path):
    intake = read(tmp_path, weekly("abc", 12))
    messages = {finding.message: finding.level for finding in found(intake, "history")}
    assert messages == {
        "too short a history for a horizon of 30 days: have 78 days, need 90": "warning",
        "too short a history for a horizon of 90 days: have 78 days, need 270": "warning",
    }
    assert found(read(tmp_path, weekly("abc", 8)), "30 days: have 50 days, need 90")[0].level == "error"


@pytest.mark.parametrize(("days", "told"), [(0, False), (26, True), (27, False), (90, False)])
def test_a_rest_after_draws_that_ends_long_before_the_horizon_is_told(tmp_path, days, told):
    intake = read(tmp_path, weekly("abc", 30), contact_policy={"draw_cooldown_days": days})
    messages = [(finding.message, finding.level, finding.column) for finding in found(intake, "rest")]
    said = "members rest for 26 days after a draw, but effects are counted over 30 days"
    assert messages == ([(said, "warning", "contact_policy.draw_cooldown_days")] if told else [])


def test_too_few_churned_or_retained_members_are_counted_at_the_last_usable_day(tmp_path):
    stayers, leavers = [f"s{k}" for k in range(40)], [f"l{k}" for k in range(15)]
    intake = read(tmp_path, weekly(stayers, 30), churn={"horizons_days": [30], "active_days": 60})
    assert [finding.level for finding in found(intake, "too few churned members: have 0 of 40 active at 2025-06-")] == ["error"]
    churn = {"horizons_days": [30], "active_days": 150}
    (finding,) = found(read(tmp_path, weekly(stayers + leavers, 30, leavers), churn=churn, lookback_days=365), "too few")
    assert finding.message.startswith("too few churned members: have 15 of 55 active at")
    assert finding.level == "warning"


def test_enough_of_both_outcomes_is_no_finding(tmp_path):
    stayers, leavers = [f"s{k}" for k in range(110)], [f"l{k}" for k in range(110)]
    churn = {"horizons_days": [30], "active_days": 150}
    assert not found(read(tmp_path, weekly(stayers + leavers, 30, leavers), churn=churn), "too few")


def test_what_training_would_lack_is_told_as_training_counts_it(tmp_path):
    churn, members = {"horizons_days": [7], "horizon_days": 7, "active_days": 14}, [f"m{k}" for k in range(30)]
    text = weekly(members, 4, members[::2])
    intake, community = read(tmp_path, text, churn=churn), declared("events.csv", churn=churn)
    (finding,) = found(intake, "too little to train on")
    events = event_arrays(intake.log, community)
    test_us = microseconds(default_test_as_of(events, community))
    data = gather(EventHistories.of(events, community), community, test_us, np.random.default_rng(1), drawn=Drawn.of(events))
    seen = data.labelled(7).outcomes
    assert (finding.level, finding.told["snapshots"], finding.told["rarer"]) == ("error", seen.snapshots, seen.rarer)
    assert not found(read(tmp_path, weekly(members, 14, members[::2]), churn=churn), "too little to train on")


def test_repeated_events_are_kept_and_told(tmp_path):
    dates = read(tmp_path, "member,time,value\n" + "ann,2025-03-01,5\n" * 3 + "ann,2025-03-01,6\n", log={"value": "value"})
    (finding,) = found(dates, "equal another one")
    assert (finding.level, finding.message[:15]) == ("advice", "2 of 4 events e")
    assert dates.log.events.height == 4
    assert (
        found(read(tmp_path, "member,time\n" + "ann,2025-03-01 18:30:05\n" * 2), "1 of 2 events equals another one")[0].level == "warning"
    )


def test_rejected_rows_are_an_error_where_they_are_many(tmp_path):
    few = read(tmp_path, weekly("abcd", 30) + "eve,soon\n")
    assert [(finding.level, finding.line) for finding in found(few, "rejected")] == [("warning", 122)]
    many = read(tmp_path, weekly("ab", 5) + "eve,soon\n" * 2)
    assert [(finding.level, finding.line) for finding in found(many, "rejected")] == [("error", 12)]


def test_times_with_and_without_offset_in_one_column_are_told(tmp_path):
    intake = read(tmp_path, "member,time\nann,2025-03-01T10:00:00Z\nann,2025-03-01 18:30\n", timezone="Asia/Shanghai")
    (finding,) = found(intake, "1 of 2 times has no offset")
    assert (finding.line, finding.what_to_do[:49]) == (3, "those without are read by the clock of Asia/Shang")
    assert intake.log.events["timestamp"].to_list()[1] == datetime(2025, 3, 1, 10, 30, tzinfo=UTC)


def test_columns_that_are_not_read_and_old_times_are_told(tmp_path):
    intake = read(tmp_path, "member,time,colour\nann,1970-01-01,red\nann,2025-03-01,blue\n")
    assert found(intake, 'columns that are not read: "colour"')
    assert found(intake, "1 event lies before 1990: 1970-01-01")


def test_members_and_events_that_do_not_meet_are_told(tmp_path):
    written(tmp_path, "member,joined\nann,2025-03-05\nidle,2025-01-01\n", "members.csv")
    source = {"path": "members.csv", "member": "member", "joined": "joined"}
    intake = read(tmp_path, "member,time\nann,2025-03-01\nbob,2025-03-01\n", members=source)
    assert found(intake, "1 of 2 members has no event")
    assert found(intake, "1 of 2 members with events is not in members.csv")
    assert found(intake, 'events before they joined, such as "ann": 2025-03-01 00:00, joined 2025-03-05 00:00 UTC')


def test_an_intervention_of_the_touches_that_is_not_declared_is_told(tmp_path):
    written(tmp_path, "member,time,intervention\nann,2025-03-02,gift\nann,2025-03-02,none\n", "touches.csv")
    intake = read(tmp_path, "member,time\nann,2025-03-01\n", touches={"path": "touches.csv", "member": "member", "time": "time"})
    assert found(intake, '1 intervention is not in the catalogue: "gift"')
    assert not found(intake, "left alone")


def test_touches_without_anybody_who_was_left_alone_are_told(tmp_path):
    written(tmp_path, "member,time,intervention\nann,2025-03-02,q\nann,2025-03-03,q\n", "touches.csv")
    intake = read(tmp_path, "member,time\nann,2025-03-01\n", touches={"path": "touches.csv", "member": "member", "time": "time"})
    (finding,) = found(intake, 'nobody was left alone: none of the 2 touches is "none"')
    assert finding.level == "warning"


def test_touches_that_repeat_or_contradict_each_other_are_told_and_two_things_at_once_are_not(tmp_path):
    days = [
        "ann,2025-03-02,gift",
        "ann,2025-03-02,gift",
        "ann,2025-03-03,gift",
        "ann,2025-03-03,none",
        "ann,2025-03-04,gift",
        "ann,2025-03-04,call",
    ]
    written(tmp_path, "\n".join(["member,time,intervention", *days, ""]), "touches.csv")
    intake = read(tmp_path, "member,time\nann,2025-03-01\n", touches={"path": "touches.csv", "member": "member", "time": "time"})
    (finding,) = found(intake, "of the same member and time")
    assert finding.message.startswith("2 touches repeat another one")


@pytest.fixture
def busy(rng):
    """Two hundred days with twice as many events at weekends and a slow decline."""
    day = np.arange(200)
    return rng.poisson(np.where(day % 7 >= 5, 80, 40) * np.exp(-day / 150))


def test_a_log_without_holes_has_none_whatever_its_weeks_and_its_decline(busy):
    assert holes(days_of(busy)) == ()


@pytest.mark.parametrize(("first", "days", "left"), [(100, 1, 0), (100, 1, 2), (60, 5, 0), (40, 70, 0), (150, 3, 0)])
def test_a_planted_hole_is_found_with_its_days(busy, first, days, left):
    busy[first : first + days] = left
    (hole,) = holes(days_of(busy))
    assert (hole.first, hole.last) == (date(2025, 1, 6) + timedelta(days=first), date(2025, 1, 6) + timedelta(days=first + days - 1))
    assert hole.found == left * days


DAYS = np.arange(200)
GROWING = {
    "evenly": DAYS / 2,
    "fast": 5 * DAYS,
    "doubling each week": np.minimum(200, 0.3 * 2 ** (DAYS / 7)),
    "along an S": 60 / (1 + np.exp((70 - DAYS) / 12)),
    "at a launch": np.where(DAYS < 60, 0.5, 80),
    "at an early launch": np.where(DAYS < 20, 2, 80),
}


@pytest.mark.parametrize("rate", GROWING.values(), ids=GROWING)
def test_the_quiet_first_days_of_a_community_that_grows_are_no_holes(rate, rng):
    for _ in range(3):
        assert holes(days_of(rng.poisson(rate * np.where(DAYS % 7 >= 5, 1.6, 0.8)))) == ()


@pytest.mark.parametrize("rate", [rate for name, rate in GROWING.items() if name != "fast"])
def test_a_hole_is_found_once_a_community_has_grown(rate, rng):
    counts = rng.poisson(rate)
    counts[120:124] = 0
    (hole,) = holes(days_of(counts))
    assert (hole.first, hole.last) == (date(2025, 5, 6), date(2025, 5, 9))


@pytest.mark.parametrize(
    ("rate", "first"),
    [(3 * 2 ** (DAYS / 14), 45), (3 * 2 ** (DAYS / 14), 120), (np.minimum(3000, 2 * 2 ** (DAYS / 7)), 45), (0.05 * DAYS**2, 45)],
    ids=["doubling in two weeks, early", "doubling in two weeks", "doubling each week", "with the square"],
)
def test_a_hole_is_found_while_a_community_grows_fast(rate, first, rng):
    """Three empty days in each of ten logs, of which chance may hide few."""
    found = 0
    for _ in range(10):
        counts = rng.poisson(rate * np.where(DAYS % 7 >= 5, 1.6, 0.8))
        counts[first : first + 3] = 0
        found += [(hole.first, hole.last) for hole in holes(days_of(counts))] == [
            (date(2025, 1, 6) + timedelta(days=first), date(2025, 1, 8) + timedelta(days=first))
        ]
    assert found >= 7


@pytest.mark.parametrize(("first", "days"), [(1, 1), (3, 2), (9, 3)])
def test_a_hole_in_the_first_days_of_a_busy_log_is_found(busy, first, days):
    busy[first : first + days] = 0
    (hole,) = holes(days_of(busy))
    assert (hole.first, hole.last) == (date(2025, 1, 6) + timedelta(days=first), date(2025, 1, 5) + timedelta(days=first + days))


def test_holes_of_sparse_logs_are_sought_by_the_week(rng):
    counts = rng.poisson(3, 300)
    assert holes(days_of(counts)) == ()
    counts[99:120] = 0
    (hole,) = holes(days_of(counts))
    assert hole.first <= date(2025, 1, 6) + timedelta(days=103)
    assert hole.last >= date(2025, 1, 6) + timedelta(days=115)


@pytest.mark.parametrize("counts", [[1], [5, 5], [100, 0, 100], [1, *[0] * 400, 1]])
def test_a_log_too_short_or_too_empty_to_tell_has_no_holes(counts):
    assert holes(days_of(counts)) == ()


def test_a_hole_is_a_warning_with_its_span(tmp_path):
    posts = [START + timedelta(hours=hour) for hour in range(24 * 90) if not 30 <= hour // 24 < 34]
    intake = read(tmp_path, "member,time\n" + "".join(f"ann,{at.isoformat()}\n" for at in posts))
    (finding,) = found(intake, "a hole")
    assert finding.message == "a hole from 2025-02-05 to 2025-02-08: 0 events where about 96 are usual"


def test_ids_that_lost_their_last_digits_are_told(tmp_path):
    sound = weekly(["1e5", "2E+5", "8.6138e+100", "86138000000", "7.0"], 4)
    assert not found(read(tmp_path, sound), "last digits")
    (finding,) = found(read(tmp_path, sound + weekly(["8.61380E+10", "8.0351110e+16"], 5).removeprefix("member,time\n")), "last digits")
    assert (finding.level, finding.told) == ("warning", {"count": 2, "example": "8.61380E+10"})


@pytest.mark.parametrize("member", ["[deleted]", "Unknown", "-1", "匿名用户"])
def test_a_member_whose_name_stands_for_nobody_is_told(tmp_path, member):
    (finding,) = found(read(tmp_path, weekly(["ann", "unknown42", "10"], 3) + weekly([member], 2).removeprefix("member,time\n")), "nobody")
    assert (finding.level, finding.told) == ("warning", {"found": 2, "total": 11, "member": member})


def test_one_of_many_members_who_has_a_tenth_of_all_events_is_told(tmp_path):
    people = weekly([f"m{number}" for number in range(99)], 3)
    assert not found(read(tmp_path, people + weekly(["robot"], 33).removeprefix("member,time\n")), "alone")
    (finding,) = found(read(tmp_path, people + weekly(["robot"], 34).removeprefix("member,time\n")), "alone")
    assert finding.told == {"found": 34, "total": 331, "member": "robot"}
    assert not found(read(tmp_path, weekly(["ann", "bob"], 5)), "alone")


def basket(lines, hour):
    return "".join(f"ann,2025-03-{day:02d}T{hour},buy,{line}\n" for day in range(1, 9) for line in range(lines))


@pytest.mark.parametrize(("content", "together"), [(basket(5, "09:30"), 32), (basket(5, "00:00"), None), (basket(1, "09:30"), None)])
def test_lines_of_one_order_are_told_where_times_have_hours(tmp_path, content, together):
    content = "member,time,type,value\n" + content + "ann,2025-03-01T09:30,read,1\n" * (together is not None)
    signals = [{"name": "all", "event_types": ["buy", "read"], "label": {"en": "all", "zh": "全部"}}]
    findings = found(read(tmp_path, content, log={"type": "type", "type_is": None, "value": "value"}, signals=signals), "of one order")
    assert [(one.level, one.told["count"]) for one in findings] == ([] if together is None else [("advice", together)])


def test_counts_of_parts_add_up_to_those_of_all(tmp_path):
    log = read(tmp_path, weekly(["[deleted]", "ann", "8.61380E+10", "bob", "bea"], 5, leavers=["bob"])).log
    community = declared("events.csv")
    span = Span(log.first, log.last)
    parts = [Census.of(log.of_range(begin, end), community, span) for begin, end in ((0, 2), (2, 5))]
    whole = Census.of(log, community, span)
    told = Census.from_json((parts[0] + parts[1]).to_json())
    assert replace(told, pasts=()) == replace(whole, pasts=())
