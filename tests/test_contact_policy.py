"""How often members may be contacted, on which channel, and when."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.actions import QuietHours
from models.community import DAY_US
from models.interventions import ContactHistory, ContactRuling, Rule, contact_ruling, send_not_before
from tests.planted import AS_OF, AS_OF_US, community, intervention

BOTH = ["wecom", "email"]
WEEKLY = {"name": "weekly", "max_contacts": 2, "days": 7}
CALLS = {"name": "calls_30d", "channel": "phone", "max_contacts": 1, "days": 30}


def history(*contacts: tuple, opted_out=()) -> ContactHistory:
    """Each contact: row of the member, days before AS_OF, channel, intervention."""
    member, ago, channel, name = zip(*contacts, strict=True) if contacts else ((), (), (), ())
    at = np.array([AS_OF_US - round(days * DAY_US) for days in ago], dtype=np.int64)
    return ContactHistory(np.array(member, dtype=np.int64), at, np.array(channel, dtype=str), np.array(name, dtype=str), opted_out)


def rule_on(past: ContactHistory, *interventions, caps=(), members=1, channel=None) -> ContactRuling:
    declared = community(*(interventions or [intervention()]), contact_policy={"caps": caps})
    return contact_ruling(past, declared, members, AS_OF_US, channel)


def channel_of(past: ContactHistory, *, caps=(), channels=BOTH, channel=None) -> str:
    ruling = rule_on(past, intervention(channels=channels), caps=caps, channel=channel)
    assert ruling.refusals.allowed.all()
    return channels[ruling.channel.item()]


def test_a_member_over_the_weekly_cap_is_not_contacted_again():
    past = history((0, 1, "email", "x"), (0, 6, "wecom", "y"), (1, 1, "email", "x"), (1, 7.1, "email", "x"))
    ruling = rule_on(past, caps=[WEEKLY], members=2)
    assert ruling.refusals.rule(0, 0) == Rule("contact_policy", "weekly")
    assert ruling.refusals.rule(1, 0) is None


@pytest.mark.parametrize(("days", "counts"), [(7, True), (7.0001, False), (0, False), (-0.5, False), (0.0001, True)])
def test_contacts_count_from_seven_days_before_up_to_this_moment_and_not_at_it(days, counts):
    cap = {"name": "weekly", "max_contacts": 1, "days": 7}
    assert rule_on(history((0, days, "email", "x")), caps=[cap]).refusals.allowed.item() is not counts


def test_the_cap_of_one_channel_leaves_the_others_open():
    past = history((0, 3, "phone", "call"))
    interventions = [intervention("call", channels=["phone"]), intervention("digest")]
    ruling = rule_on(past, *interventions, caps=[CALLS])
    assert ruling.refusals.rule(0, 0) == Rule("contact_policy", "calls_30d")
    assert ruling.refusals.rule(0, 1) is None


def test_a_contact_on_an_unknown_channel_counts_for_all_channels_together_alone():
    past = history((0, 1, "", "campaign of elsewhere"), (0, 2, "carrier pigeon", "x"))
    call = intervention("call", channels=["phone"])
    assert rule_on(past, call, caps=[CALLS]).refusals.allowed.all()
    assert rule_on(past, call, caps=[CALLS, WEEKLY]).refusals.rule(0, 0) == Rule("contact_policy", "weekly")


@pytest.mark.parametrize(("days", "cooling"), [(14, True), (14.1, False), (1, True)])
def test_an_intervention_rests_for_its_cooldown_whatever_the_channel(days, cooling):
    past = history((0, days, "wecom", "digest"))
    ruling = rule_on(past, intervention("digest", cooldown_days=14), intervention("badge", cooldown_days=14))
    assert ruling.refusals.rule(0, 0) == (Rule("contact_policy", "cooldown_days") if cooling else None)
    assert ruling.refusals.rule(0, 1) is None


def test_the_first_allowed_channel_of_the_list_is_taken():
    cap = {"name": "wecom_daily", "channel": "wecom", "max_contacts": 1, "days": 1}
    assert channel_of(history()) == "wecom"
    assert channel_of(history((0, 0.5, "wecom", "x")), caps=[cap]) == "email"
    assert channel_of(history(opted_out=((0, "wecom"),))) == "email"


def test_the_channel_of_the_conversation_goes_first_where_the_intervention_has_it():
    assert channel_of(history(), channel="email") == "email"
    assert channel_of(history(), channel="phone") == "wecom"
    assert channel_of(history(opted_out=((0, "email"),)), channel="email") == "wecom"


def test_when_all_channels_are_closed_the_rule_of_the_preferred_one_is_named():
    cap = {"name": "wecom_daily", "channel": "wecom", "max_contacts": 0, "days": 1}
    past = history(opted_out=((0, "email"),))
    both = intervention(channels=BOTH)
    assert rule_on(past, both, caps=[cap]).refusals.rule(0, 0) == Rule("contact_policy", "wecom_daily")
    assert rule_on(past, both, caps=[cap], channel="email").refusals.rule(0, 0) == Rule("contact_policy", "opted_out")


def test_who_opted_out_of_any_channel_is_reached_on_none():
    ruling = rule_on(history(opted_out=((1, "any"),)), intervention(channels=BOTH), members=2)
    assert ruling.refusals.allowed[:, 0].tolist() == [True, False]
    assert ruling.refusals.rule(1, 0) == Rule("contact_policy", "opted_out")


contacts = st.tuples(st.integers(0, 2), st.floats(-2, 40), st.sampled_from(["wecom", "email", ""]), st.sampled_from(["digest", "x"]))


@given(st.lists(contacts, max_size=20), st.integers(0, 4), st.integers(1, 30), st.sampled_from(["any", "wecom", "email"]))
def test_a_cap_agrees_with_counting_by_hand(past, most, days, channel):
    cap = {"name": "cap", "channel": channel, "max_contacts": most, "days": days}
    ruling = rule_on(history(*past), intervention(channels=BOTH), caps=[cap], members=3)
    for member in range(3):
        made = [where for who, ago, where, _ in past if who == member and 0 < round(ago * DAY_US) <= days * DAY_US]
        full = {where: channel in ("any", where) and len([c for c in made if channel in ("any", c)]) >= most for where in BOTH}
        open_channels = [where for where in BOTH if not full[where]]
        assert ruling.refusals.allowed[member, 0] == bool(open_channels)
        if open_channels:
            assert BOTH[ruling.channel[member, 0]] == open_channels[0]


def test_delivered_touches_of_a_log_are_contacts_and_assignments_to_nothing_are_not():
    touches = pl.DataFrame(
        {
            "member": pl.Series([5, 5, 6, 9], dtype=pl.UInt32),
            "timestamp": pl.Series([AS_OF] * 4).cast(pl.Datetime("us", "UTC")),
            "intervention": ["digest", "none", "badge", "digest"],
            "channel": ["email", None, None, "email"],
            "delivered": [True, True, True, False],
        }
    )
    past = ContactHistory.of_touches(touches, np.array([6, 9, 5]))
    told = sorted(zip(past.member.tolist(), past.at_us.tolist(), past.channel.tolist(), past.intervention.tolist(), strict=True))
    assert told == [(0, AS_OF_US, "", "badge"), (2, AS_OF_US, "email", "digest")]


SHANGHAI = ZoneInfo("Asia/Shanghai")
NIGHT = QuietHours(start=time(22), end=time(8))
NOON = QuietHours(start=time(12), end=time(14))


def local(day: int, hour: int, minute: int = 0, zone=SHANGHAI) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=zone)


@pytest.mark.parametrize(
    ("now", "quiet", "allowed"),
    [
        (local(9, 21, 59), NIGHT, local(9, 21, 59)),
        (local(9, 22), NIGHT, local(10, 8)),
        (local(9, 23, 30), NIGHT, local(10, 8)),
        (local(10, 0), NIGHT, local(10, 8)),
        (local(10, 7, 59), NIGHT, local(10, 8)),
        (local(10, 8), NIGHT, local(10, 8)),
        (local(10, 12), NOON, local(10, 14)),
        (local(10, 14), NOON, local(10, 14)),
        (local(10, 3), QuietHours(start=time(8), end=time(8)), local(10, 3)),
        (local(10, 3), None, local(10, 3)),
    ],
)
def test_nothing_is_sent_in_quiet_hours_by_the_clock_of_the_community(now, quiet, allowed):
    for as_of in (now, now.astimezone(UTC)):
        assert send_not_before(as_of, quiet, SHANGHAI) == allowed


def test_quiet_hours_end_by_the_clock_in_the_night_that_it_is_put_forward():
    berlin = ZoneInfo("Europe/Berlin")
    before = local(28, 23, zone=berlin)
    assert send_not_before(before, NIGHT, berlin) - before.astimezone(UTC) == timedelta(hours=8)


def test_a_cap_on_a_channel_that_no_intervention_has_is_refused():
    with pytest.raises(ValidationError, match=r"contact_policy.caps.calls_30d.channel: unknown channel 'phone'"):
        community(contact_policy={"caps": [CALLS]})
