"""What an intervention costs when its incentive is paid by those who redeem it."""

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from models.costs import RedemptionRate, redemption_rates, with_redemption
from models.deciding import decide
from models.interventions import ContactHistory
from models.policy import costs
from models.snapshots import Snapshots
from tests.planted import AS_OF, AS_OF_US, Member, arrays, community, engine, intervention

VOUCHER = intervention("voucher", cost=0.5, incentive_cost=20, redemption_rate=0.3, redemption_evidence=10, valid_days=5)
TOUCHES = {"path": "touches.csv", "member": "m", "time": "t", "response": "answer"}


def touches(*rows: tuple, responses=True) -> pl.DataFrame:
    """Each row: days before AS_OF, intervention, response."""
    table = pl.DataFrame(
        {
            "member": pl.Series(range(len(rows)), dtype=pl.UInt32),
            "timestamp": pl.Series([AS_OF_US - round(row[0] * 86_400_000_000) for row in rows]).cast(pl.Datetime("us", "UTC")),
            "intervention": pl.Series([row[1] for row in rows], dtype=pl.Categorical),
            "delivered": [True] * len(rows),
            "response": pl.Series([row[2] for row in rows], dtype=pl.String),
        }
    )
    return table if responses else table.drop("response")


def test_an_incentive_costs_what_is_redeemed_of_it():
    """0.5 + 0.3 x 20 = 6.5; without an incentive the cost is what it was."""
    assert costs(community(VOUCHER, intervention("digest", cost=2))).tolist() == [6.5, 2]


def test_every_cost_of_a_decision_is_the_expected_one():
    """0.1 x 100 - 6.5 = 3.5."""
    declared = community(VOUCHER)
    events = arrays([Member()], declared)
    (decision,) = decide(
        engine(declared), events, Snapshots.at(events, AS_OF_US), ["m"], ["d"], ContactHistory.empty(), as_of=AS_OF, language="en"
    )
    candidate = decision.candidates[1]
    assert (candidate.cost, candidate.priority, candidate.expected_net_value) == pytest.approx((6.5, 3.5, 3.5))


def test_the_rate_is_learned_from_offers_that_have_ended_with_the_belief_as_earlier_members():
    """3 of 10 believed and 2 of 4 seen: 5 of 14. What was given less than five days ago may still be redeemed, and counts not yet."""
    seen = touches(
        (5, "voucher", "redeemed"),
        (9, "voucher", "redeemed"),
        (9, "voucher", "refused"),
        (30, "voucher", None),
        (4.9, "voucher", None),
        (9, "digest", "redeemed"),
    )
    (rate,) = redemption_rates(seen, community(VOUCHER, intervention("digest"), touches=TOUCHES), until_us=AS_OF_US)
    assert (rate.assigned, rate.redeemed, rate.belief, rate.rate) == (4, 2, 0.3, pytest.approx(5 / 14))
    assert (rate.low, rate.high) == pytest.approx(beta(5, 9).interval(0.9))


def test_without_a_column_of_responses_the_belief_stands():
    without = {key: value for key, value in TOUCHES.items() if key != "response"}
    (rate,) = redemption_rates(touches((9, "voucher", None), responses=False), community(VOUCHER, touches=without), until_us=AS_OF_US)
    assert (rate.assigned, rate.rate) == (0, pytest.approx(0.3))


def test_learned_rates_take_the_place_of_the_beliefs_in_every_cost():
    declared = community(VOUCHER, intervention("digest", cost=2), touches=TOUCHES)
    rates = redemption_rates(touches(*[(9, "voucher", None)] * 10), declared, until_us=AS_OF_US)
    learned = with_redemption(declared, rates)
    assert costs(learned).tolist() == pytest.approx([0.5 + 20 * 3 / 20, 2])
    assert learned.intervention("digest") == declared.intervention("digest")


@given(st.integers(0, 500), st.integers(0, 500), st.sampled_from([0.0, 0.3, 1.0]), st.floats(0.1, 1000))
def test_a_rate_lies_between_the_belief_and_what_was_seen_and_within_its_interval(redeemed, others, belief, evidence):
    assigned = redeemed + others
    declared = community({**VOUCHER, "redemption_rate": belief, "redemption_evidence": evidence})
    rate = RedemptionRate.of(declared.interventions[0], assigned, redeemed)
    seen = redeemed / assigned if assigned else belief
    assert min(belief, seen) - 1e-9 <= rate.rate <= max(belief, seen) + 1e-9
    assert 0 <= rate.low <= rate.high <= 1
    if 0 < rate.rate < 1 and assigned > 20:
        assert rate.low < rate.rate < rate.high
