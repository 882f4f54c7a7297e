"""What a period has for all members together: when it begins, what is used up, and whom that holds back."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from models.contact_policy import contact_ruling
from models.interventions import ContactHistory
from models.member_columns import MemberColumns
from models.quotas import NOTHING_USED_UP, Quotas, UsedUp, period_begin_us
from models.supply import Capacity
from tests.planted import AS_OF, AS_OF_US, community, intervention

OFFERS = (
    intervention("coupon", cost=3, channels=["wecom", "email"]),
    intervention("call", cost=10, channels=["phone"]),
    intervention("notice", cost=5, channels=["wecom"], message_class="mandatory"),
)


def utc(*parts: int) -> int:
    return int(datetime(*parts, tzinfo=UTC).timestamp()) * 1_000_000


def quotas(**capacity: object) -> Quotas:
    return Quotas.of(Capacity.model_validate(capacity), community(*OFFERS), AS_OF)


def ruled(used_up: UsedUp) -> list[tuple[str, str | None]]:
    """The channel of each intervention, and the rule that holds it back."""
    declared = community(*OFFERS)
    ruling = contact_ruling(ContactHistory.empty(), declared, MemberColumns(pl.DataFrame(), 1), AS_OF_US, None, used_up)
    rules = [ruling.refusals.rule(0, column) for column in range(len(OFFERS))]
    return [(declared.channels[at], rule and rule.name) for at, rule in zip(ruling.channel[0], rules, strict=True)]


@pytest.mark.parametrize(
    ("days", "zone", "begin"),
    [
        (1, "UTC", utc(2026, 3, 10)),
        (1, "Asia/Shanghai", utc(2026, 3, 9, 16)),
        (7, "UTC", utc(2026, 3, 9)),
    ],
)
def test_a_period_begins_at_midnight_by_the_clock_of_the_community_and_a_week_on_monday(days, zone, begin):
    assert period_begin_us(AS_OF, days, community(timezone=zone)) == begin


def test_every_moment_of_a_period_has_the_same_begin_and_the_next_period_another():
    moments = [datetime(2026, 3, day, hour, tzinfo=UTC) for day in range(1, 15) for hour in (0, 12, 23)]
    begins = [period_begin_us(moment, 3, community()) for moment in moments]
    assert sorted(set(np.diff(sorted(set(begins))))) == [3 * 86_400_000_000]
    assert all(begin <= utc(2026, 3, at.day, at.hour) < begin + 3 * 86_400_000_000 for begin, at in zip(begins, moments, strict=True))


def test_places_are_used_up_when_as_many_are_taken_and_money_when_the_cost_is_more_than_is_left():
    limited = quotas(interventions={"call": 2}, channels={"wecom": 1}, budget=12)
    assert limited.used_up({}) == NOTHING_USED_UP
    assert limited.used_up({"intervention:call": 1, "budget": 2.0}) == NOTHING_USED_UP
    full = limited.used_up({"intervention:call": 2, "channel:wecom": 1, "budget": 9.5})
    assert full == UsedUp(frozenset({"call"}), frozenset({"wecom"}), frozenset({"coupon", "call", "notice"}))
    assert UsedUp.from_dict(full.to_dict()) == full


def test_only_what_is_limited_is_counted():
    assert quotas(channels={"wecom": 5}).use("coupon", "wecom", 3.0) == {"channel:wecom": 1}
    assert quotas(budget=5, interventions={"call": 1}).use("call", "phone", 10.0) == {"budget": 10.0, "intervention:call": 1}


def test_a_channel_without_a_place_is_passed_over_for_the_next_one():
    assert ruled(UsedUp(channels=frozenset({"wecom"})))[0] == ("email", None)
    assert ruled(UsedUp(channels=frozenset({"wecom", "email"})))[0] == ("wecom", "capacity_used_up")


def test_marketing_is_held_back_and_what_is_mandatory_is_not():
    full = UsedUp(frozenset({"call", "notice"}), frozenset({"wecom"}), frozenset({"coupon", "notice"}))
    assert [rule for _, rule in ruled(full)] == ["budget_used_up", "capacity_used_up", None]
