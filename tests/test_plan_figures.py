"""What a plan is expected to bring, counted by hand."""

from dataclasses import astuple

import numpy as np
import pytest

from models.campaign import Campaign
from models.interventions import ContactHistory
from models.plan_figures import Arm, Outlook, Prospects, arms_of, of_crowd, outlook
from models.planning import Candidates, plan_jointly
from models.snapshots import Snapshots
from models.strata import Strata
from models.supply import Supply
from models.weighing import Weighed, weigh
from tests.planted import AS_OF, AS_OF_US, Member, PlantedEngine, arrays, community, engine, intervention

OFFER = intervention("offer", channels=["wecom"], cost=4)
NOTE = intervention("note", cost=1, starting_uplift=0.05, eligibility={"min_value": 50})


def weighed(planted: PlantedEngine, n: int) -> Weighed:
    events = arrays([Member()] * n, planted.community)
    ids = [f"m{row}" for row in range(n)]
    return weigh(planted, events, Snapshots.at(events, AS_OF_US), ids, ids, ContactHistory.empty(), as_of=AS_OF)


def planned(budget=None, *, exploration=0.0, value=(100.0,) * 10) -> Outlook:
    """Members of risk one half, for whom the offer's uplift is 0.1 and the note's 0.05."""
    declared = community(OFFER, NOTE, policy={"exploration": exploration})
    planted = engine(declared, len(value), value=list(value))
    strata = Strata.of(weighed(planted, len(value)), arms_of(planted))
    campaign = Campaign.of(planted, [strata], Supply.of(declared, declared.capacity, budget))
    return campaign.outlook(campaign.plan(), budget)


def test_money_and_members_add_up():
    """Offer 0.1 x 100 - 4 = 6, note 0.05 x 100 - 1 = 4. With 10 coins: 10 notes, net 40, better than two offers and two notes, 20."""
    told = planned(10.0)
    assert [(arm.intervention_id, arm.members) for arm in told.arms] == [("offer", 0), ("note", 10)]
    assert (told.spend, told.contacted) == (10, 10)
    assert told.net_value.value == pytest.approx(40)
    assert told.saved.value == pytest.approx(0.5)
    assert told.cost_per_saved == pytest.approx(20)


def test_the_interval_of_those_saved_takes_members_to_err_together():
    """Ten members with the same interval are worth ten times its ends, not the root of ten times its width."""
    declared = community(OFFER, NOTE)
    part = weighed(engine(declared, 10), 10)
    told = planned()
    assert told.arms[0].saved.lower == pytest.approx(10 * part.interval.low[0, 0])
    assert told.arms[0].saved.upper == pytest.approx(10 * part.interval.high[0, 0])
    assert told.saved.lower < told.saved.value < told.saved.upper


@pytest.mark.parametrize(
    ("population", "of_a_hundred"),
    [pytest.param(10, 10, id="all there are"), pytest.param(40, 75, id="a fourth"), pytest.param(1_000, 100, id="a few")],
)
def test_differences_that_were_not_found_add_up_the_less_the_more_of_the_members_have_it(population, of_a_hundred):
    """Ten of N members in four dimensions: of the square of ten times one's, a hundred, a fourth of 10 N - 100, from 10 to 100."""
    apart, declared = 0.02, community(OFFER, NOTE)
    part = weighed(engine(declared, 10), 10)
    arms = [Arm(name, "experiment", apart, 4.0, population) for name in ("offer", "note")]
    strata = Strata.of(part, arms)
    told = outlook(arms, strata, plan_jointly(strata.candidates, Supply.of(declared, declared.capacity, None), 0.0), None)
    reach = np.array([part.uplift[0, 0] - part.interval.low[0, 0], part.interval.high[0, 0] - part.uplift[0, 0]])
    below, above = np.sqrt(100 * (reach**2 - apart**2) + of_a_hundred * apart**2)
    assert astuple(told.saved) == pytest.approx((1, 1 - below, 1 + above))
    assert astuple(told.net_value) == pytest.approx((60, 60 - 100 * below, 60 + 100 * above))


def test_more_members_than_the_engine_was_tested_on_are_the_population():
    """Of the three the second has no score; a population of more stays."""
    declared = community(OFFER, NOTE)
    planted = engine(declared, 3, status=["scored", "already_churned", "scored"])
    arms = [Arm("offer", "experiment", population=1), Arm("note", "experiment", population=40)]
    assert [arm.population for arm in of_crowd(arms, Strata.of(weighed(planted, 3), arms))] == [2, 40]


def test_the_ends_of_the_net_value_are_those_of_the_effect_at_the_same_cost():
    """Each is 100 times those who are saved, less what is spent."""
    told = planned()
    for end in ("value", "lower", "upper"):
        assert getattr(told.net_value, end) == pytest.approx(100 * getattr(told.saved, end) - told.spend)
    assert told.value_kept == pytest.approx(100 * told.kept.value)


def test_contacts_whose_effect_is_only_believed_are_told():
    told = planned(10.0)
    assert {arm.source for arm in told.arms} == {"prior"}
    assert told.to_dict()["share_by_prior"] == 1


def test_the_cost_of_one_saved_has_no_upper_end_where_perhaps_nobody_is():
    told = planned()
    low, high = told.cost_per_saved_interval
    assert told.saved.lower > 0 or high is None
    assert low < told.cost_per_saved
    assert planned(0.0).cost_per_saved is None


def test_what_is_explored_is_counted_in_full():
    """Each of two interventions and doing nothing has 0.05, the best, the offer, 0.9."""
    told = planned(exploration=0.05)
    assert [arm.members for arm in told.arms] == pytest.approx([9.0, 0.5])
    assert told.spend == pytest.approx(9 * 4 + 0.5)


def test_the_rules_that_kept_most_members_from_an_intervention_are_named():
    told = planned(4.0, value=[100.0] * 6 + [40.0] * 4)
    offer, note = told.arms
    assert dict(offer.blocked) == {"arbitration:outbid": 6}
    assert dict(note.blocked) == {"eligibility:min_value": 4}


def test_members_without_a_score_count_for_nothing():
    declared = community(OFFER, NOTE)
    planted = engine(declared, 3, status=["scored", "already_churned", "scored"])
    part = weighed(planted, 3)
    prospects = Prospects.of(part, arms_of(planted))
    assert prospects.uplift[1].tolist() == [0, 0]
    assert np.isfinite(prospects.net_value).all()
    joint = plan_jointly(Candidates.of(part), Supply.of(declared, declared.capacity, None), 0.0)
    assert joint.expected[1].tolist() == [1, 0, 0]
