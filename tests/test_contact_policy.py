"""How often members may be contacted, on which channel, and with whose leave."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.community import DAY_US
from models.contact_policy import ContactRuling, contact_ruling
from models.interventions import NOT_DRAWN, ContactHistory, Rule
from models.member_columns import MemberColumns
from tests.planted import AS_OF, AS_OF_US, community, intervention

BOTH = ["wecom", "email"]
WEEKLY = {"name": "weekly", "max_contacts": 2, "days": 7}
CALLS = {"name": "calls_30d", "channel": "phone", "max_contacts": 1, "days": 30}


def history(*contacts: tuple, opted_out=(), response=None, undelivered=None) -> ContactHistory:
    """Each contact: row of the member, days before AS_OF, channel, intervention."""
    member, ago, channel, name = zip(*contacts, strict=True) if contacts else ((), (), (), ())
    at = np.array([AS_OF_US - round(days * DAY_US) for days in ago], dtype=np.int64)
    told = [np.array(column, dtype=kind) for column, kind in ((member, np.int64), (channel, str), (name, str))]
    return ContactHistory(
        told[0],
        at,
        *told[1:],
        opted_out,
        None if response is None else np.array(response, dtype=str),
        None if undelivered is None else np.array(undelivered),
    )


def rule_on(past: ContactHistory, *interventions, caps=(), members=1, channel=None, policy=(), told=None, source=None) -> ContactRuling:
    """`told`: columns of the table of members, one cell for each."""
    table = {"members": {"path": "members.csv", "member": "m", "joined": "j", **source}} if source else {}
    declared = community(*(interventions or [intervention()]), contact_policy={"caps": caps, **dict(policy)}, **table)
    return contact_ruling(past, declared, MemberColumns(pl.DataFrame(told or {}), members), AS_OF_US, channel)


def rules(ruling: ContactRuling, row=0) -> list[str | None]:
    """What refused each intervention."""
    return [rule and rule.name for rule in (ruling.refusals.rule(row, column) for column in range(ruling.channel.shape[1]))]


def channel_of(past: ContactHistory, *, caps=(), channels=BOTH, channel=None) -> str:
    ruling = rule_on(past, intervention(channels=channels), caps=caps, channel=channel)
    assert ruling.refusals.allowed.all()
    return channels[ruling.channel.item()]


def test_a_member_over_the_weekly_cap_is_not_contacted_again():
    past = history((0, 1, "email", "x"), (0, 6, "wecom", "y"), (1, 1, "email", "x"), (1, 7.1, "email", "x"))
    ruling = rule_on(past, caps=[WEEKLY], members=2)
    assert ruling.refusals.rule(0, 0) == Rule("contact_policy", "weekly")
    assert ruling.refusals.rule(1, 0) is None


@pytest.mark.parametrize(("days", "counts"), [(6.9999, True), (7, False), (7.0001, False), (0, False), (-0.5, False), (0.0001, True)])
def test_a_contact_stops_to_count_seven_days_later_and_does_not_count_at_its_own_moment(days, counts):
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


@pytest.mark.parametrize(("days", "cooling"), [(13.9, True), (14, False), (1, True)])
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


TWO_CLASSES = (
    intervention("offer"),
    intervention("terms", message_class="mandatory"),
    intervention("receipt", message_class="transactional", cooldown_days=2),
)


def test_what_is_transactional_knows_no_caps_and_no_opt_out_but_its_own_rest():
    full = {"name": "never", "max_contacts": 0, "days": 1}
    assert rules(rule_on(history(), *TWO_CLASSES, caps=[full])) == ["never", "never", None]
    assert rules(rule_on(history(opted_out=((0, "any"),)), *TWO_CLASSES)) == ["opted_out", "opted_out", None]
    assert rules(rule_on(history((0, 1, "email", "receipt")), *TWO_CLASSES)) == [None, None, "cooldown_days"]


@pytest.mark.parametrize(("name", "counts"), [("offer", True), ("terms", True), ("campaign of elsewhere", True), ("receipt", False)])
def test_all_contacts_fill_the_caps_but_our_transactional_ones(name, counts):
    ruling = rule_on(history((0, 1, "email", name)), intervention("other"), *TWO_CLASSES, caps=[{**WEEKLY, "max_contacts": 1}])
    assert rules(ruling)[0] == ("weekly" if counts else None)


def test_what_did_not_reach_the_member_was_no_contact():
    past = history((0, 1, "email", "digest"), undelivered=[True])
    assert rules(rule_on(past, intervention(cooldown_days=9), caps=[{**WEEKLY, "max_contacts": 1}])) == [None]


@pytest.mark.parametrize(
    ("ago", "own", "others"), [(2, "refused_before", "refused_recently"), (3, "refused_before", None), (10, None, None)]
)
def test_after_a_refusal_the_refused_rests_longer_than_all_the_rest(ago, own, others):
    interventions = [intervention("offer", refusal_cooldown_days=10), intervention("digest"), TWO_CLASSES[2]]
    for said in ("refused", "accepted", ""):
        past = history((0, ago, "email", "offer"), response=[said])
        found = rules(rule_on(past, *interventions, policy={"refusal_cooldown_days": 3}))
        assert found == ([own, others, None] if said == "refused" else [None, None, None])


@pytest.mark.parametrize(("ago", "rests"), [(0.001, True), (27.99, True), (28, False), (60, False), (0, False), (-1, False)])
def test_after_a_draw_all_marketing_rests_whatever_was_drawn_and_nothing_else_does(ago, rests):
    interventions = [intervention("offer"), intervention("terms", message_class="mandatory"), TWO_CLASSES[2]]
    for contacts in ((), ((0, max(ago, 1), "email", "offer"),)):
        past = replace(history(*contacts), drawn_us=np.array([AS_OF_US - round(ago * DAY_US), NOT_DRAWN]))
        ruling = rule_on(past, *interventions, members=2, policy={"draw_cooldown_days": 28})
        assert rules(ruling) == ["drawn_recently" if rests else None, None, None]
        assert rules(ruling, 1) == [None, None, None]
        assert rules(rule_on(past, *interventions, members=2)) == [None, None, None]


def test_what_has_a_rest_of_its_own_is_told_with_it():
    past = replace(history((0, 1, "email", "offer")), drawn_us=np.array([AS_OF_US - DAY_US]))
    interventions = [intervention("offer", cooldown_days=3), intervention("digest")]
    assert rules(rule_on(past, *interventions, policy={"draw_cooldown_days": 28})) == ["cooldown_days", "drawn_recently"]


def test_a_channel_on_which_the_member_cannot_be_reached_is_passed_over_by_every_class():
    source = {"reachable": {"wecom": "has_wecom"}}
    interventions = [intervention("offer", channels=BOTH), intervention("receipt", channels=["wecom"], message_class="transactional")]
    ruling = rule_on(history(), *interventions, members=3, source=source, told={"has_wecom": ["yes", "no", None]})
    assert [rules(ruling, row) for row in range(3)] == [[None, None], [None, "unreachable"], [None, "unreachable"]]
    assert ruling.channel[:, 0].tolist() == [0, 1, 1]


def test_where_an_opt_in_is_needed_silence_is_no_leave():
    source = {"consents": {"offers": "likes_offers"}}
    told = {"likes_offers": ["yes", "no", None]}
    one_channel = rule_on(history(), *TWO_CLASSES, members=3, source=source, told=told, policy={"opt_in": {"email": "offers"}})
    anywhere = rule_on(history(), *TWO_CLASSES, members=3, source=source, told=told, policy={"opt_in": {"any": "offers"}})
    for ruling in (one_channel, anywhere):
        assert rules(ruling, 0) == [None, None, None]
        assert rules(ruling, 1) == rules(ruling, 2) == ["no_consent", "no_consent", None]


contacts = st.tuples(st.integers(0, 2), st.floats(-2, 40), st.sampled_from(["wecom", "email", ""]), st.sampled_from(["digest", "x"]))


@given(st.lists(contacts, max_size=20), st.integers(0, 4), st.integers(1, 30), st.sampled_from(["any", "wecom", "email"]))
def test_a_cap_agrees_with_counting_by_hand(past, most, days, channel):
    cap = {"name": "cap", "channel": channel, "max_contacts": most, "days": days}
    ruling = rule_on(history(*past), intervention(channels=BOTH), caps=[cap], members=3)
    for member in range(3):
        made = [where for who, ago, where, _ in past if who == member and 0 < round(ago * DAY_US) < days * DAY_US]
        full = {where: channel in ("any", where) and len([c for c in made if channel in ("any", c)]) >= most for where in BOTH}
        open_channels = [where for where in BOTH if not full[where]]
        assert ruling.refusals.allowed[member, 0] == bool(open_channels)
        if open_channels:
            assert BOTH[ruling.channel[member, 0]] == open_channels[0]


def test_touches_of_a_log_are_contacts_where_they_were_delivered_and_assignments_to_nothing_are_none():
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
    told = zip(past.member.tolist(), past.channel.tolist(), past.intervention.tolist(), past.reached.tolist(), strict=True)
    assert sorted(told) == [(0, "", "badge", True), (1, "email", "digest", False), (2, "email", "digest", True)]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"contact_policy": {"caps": [CALLS]}}, r"contact_policy.caps.calls_30d.channel: unknown channel 'phone'"),
        ({"contact_policy": {"caps": [{**WEEKLY, "name": "opted_out"}]}}, "'opted_out' is the name of a rule that always applies"),
        ({"contact_policy": {"opt_in": {"phone": "offers"}}}, r"contact_policy.opt_in: unknown channel 'phone'"),
        ({"contact_policy": {"opt_in": {"any": "offers"}}}, r"contact_policy.opt_in: unknown consent 'offers'; declared are \[\]"),
        (
            {"members": {"path": "m.csv", "member": "m", "joined": "j", "reachable": {"fax": "has_fax"}}},
            r"members.reachable: unknown channel 'fax'; declared are \['email'\]",
        ),
    ],
)
def test_a_rule_on_what_is_not_declared_is_refused(given, fault):
    with pytest.raises(ValidationError, match=fault):
        community(**given)
