"""Whole decisions for members whose risks and values are planted."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.catalogue_identity import catalogue_fingerprint, decides_alike
from models.community import DAY_US
from models.costs import RedemptionRate, with_redemption
from models.deciding import decide
from models.decision import ChurnScore, Decision, Reason
from models.decision_table import decide_table
from models.interventions import ContactHistory
from models.policy import draw_of
from models.snapshots import Snapshots
from models.uplift_beliefs import PriorUplift
from models.weighing import Context
from tests.planted import AS_OF, AS_OF_US, Member, PlantedEngine, arrays, community, engine, intervention

OFFER = intervention("offer", channels=["wecom", "email"], cost=3, valid_days=5)
CALL = intervention("call", channels=["phone"], cost=20, eligibility={"min_value": 50})
WEEKLY = {"caps": [{"name": "weekly", "max_contacts": 1, "days": 7}]}


def decide_all(planted: PlantedEngine, members: list[Member], contacts=None, **given) -> list[Decision]:
    return list(decide(*_inputs(planted, members, contacts), as_of=AS_OF, language="en", **given))


def table(planted: PlantedEngine, members: list[Member], contacts=None) -> pl.DataFrame:
    return decide_table(*_inputs(planted, members, contacts), as_of=AS_OF)


def _inputs(planted, members, contacts):
    events = arrays(members, planted.community)
    ids = [f"m{row}" for row in range(len(members))]
    return planted, events, Snapshots.at(events, AS_OF_US), ids, [f"d-{name}" for name in ids], contacts or ContactHistory.empty()


def one(*interventions, contacts=None, member=None, given=None, **planted) -> Decision:
    declared = community(*interventions, **(given or {}))
    return decide_all(engine(declared, **planted), [member or Member()], contacts)[0]


def contacted(ago: float, channel="email", name="digest") -> ContactHistory:
    return ContactHistory(np.array([0]), np.array([AS_OF_US - round(ago * DAY_US)]), np.array([channel]), np.array([name]))


def test_the_intervention_of_highest_priority_is_chosen():
    """Value 100, uplift 0.1: the offer is worth 10 - 3 = 7, the call 10 - 20 = -10."""
    decision = one(OFFER, CALL)
    assert decision.chosen == "offer"
    assert decision.no_action_reason is None
    assert [candidate.intervention_id for candidate in decision.candidates] == ["none", "offer", "call"]
    assert [candidate.priority for candidate in decision.candidates] == pytest.approx([0, 7, -10])


def test_levers_and_contexts_weigh_in_the_priority_and_not_in_the_expected_net_value():
    offer = {**OFFER, "lever_weight": 1.5, "context_weights": {"active": 2, "channel:wecom": 0.5}}
    candidate = one(offer).candidates[1]
    assert candidate.context_weight == 1
    assert candidate.priority == pytest.approx(1.5 * 10 - 3)
    assert candidate.expected_net_value == pytest.approx(10 - 3)


def test_a_member_whom_nothing_is_worth_its_cost_is_left_alone():
    decision = one(CALL)
    assert (decision.chosen, decision.no_action_reason) == ("none", "do_nothing_is_best")
    assert decision.candidates[1].rule == "lower_priority"
    assert decision.candidates[1].removed_at == "arbitration"


def test_what_is_not_eligible_is_out_however_much_it_would_bring():
    decision = one({**CALL, "cost": 0, "eligibility": {"min_value": 101}})
    assert (decision.candidates[1].removed_at, decision.candidates[1].rule) == ("eligibility", "min_value")
    assert (decision.chosen, decision.no_action_reason) == ("none", "nothing_allowed")
    assert decision.candidates[0].probability == 1


def test_a_member_over_the_weekly_cap_is_not_contacted_again():
    free = one(intervention(), given={"contact_policy": WEEKLY}, contacts=contacted(8))
    full = one(intervention(), given={"contact_policy": WEEKLY}, contacts=contacted(6))
    assert (free.chosen, full.chosen) == ("digest", "none")
    assert (full.candidates[1].removed_at, full.candidates[1].rule) == ("contact_policy", "weekly")


def test_the_offer_takes_the_channel_of_the_conversation():
    planted = engine(community(OFFER))
    channels = [decide_all(planted, [Member()], context=Context(at))[0].candidates[1].channel for at in (None, "email", "phone")]
    assert channels == ["wecom", "email", "wecom"]


def test_quiet_hours_put_the_sending_off_and_refuse_nothing():
    quiet = {"contact_policy": {"quiet_hours": {"start": "19:00", "end": "09:00"}}, "timezone": "Asia/Shanghai"}
    decision = one(OFFER, given=quiet)
    assert decision.chosen == "offer"
    assert decision.candidates[1].send_not_before == AS_OF + timedelta(hours=13)
    assert decision.candidates[1].valid_until == AS_OF + timedelta(days=5, hours=13)


def test_members_of_the_global_control_are_never_contacted_and_say_so():
    declared = community(OFFER, CALL, policy={"control_share": 0.5})
    decisions = decide_all(engine(declared, 200, value=10.0), [Member()] * 200)
    control = [decision for decision in decisions if decision.arm == "control"]
    assert 70 < len(control) < 130
    for decision in control:
        assert (decision.chosen, decision.no_action_reason) == ("none", "global_control")
        assert decision.candidates[0].probability == 1
        assert [candidate.rule for candidate in decision.candidates[1:]] == ["global_control", "min_value"]


def test_who_opted_out_of_all_contact_gets_none():
    past = replace(ContactHistory.empty(), opted_out=((0, "any"),))
    decision = one(OFFER, contacts=past)
    assert (decision.chosen, decision.no_action_reason) == ("none", "contact_refused")


def test_who_switched_personalisation_off_has_no_risk_no_value_and_no_action_and_the_others_are_as_they_were():
    impersonal = replace(ContactHistory.empty(), impersonal=(1,))
    planted = engine(community(OFFER, CALL), 3, risk=0.7)
    before, off, after = decide_all(planted, [Member(events={"post": [2.0]})] * 3, impersonal)
    assert (off.churn, off.churn.status) == (ChurnScore("opted_out", 30), "opted_out")
    assert (off.chosen, off.no_action_reason, off.reasons, off.last_event_at) == ("none", "opted_out", (), None)
    assert (off.member.value, off.member.value_at_risk) == (0, None)
    assert [candidate.intervention_id for candidate in off.candidates] == ["none"]
    assert [before, after] == decide_all(planted, [Member(events={"post": [2.0]})] * 3)[::2]


def test_what_has_to_be_sent_reaches_who_switched_personalisation_off():
    notice = intervention("notice", message_class="mandatory", eligibility={})
    impersonal = replace(ContactHistory.empty(), impersonal=(0,))
    assert one(OFFER, notice, contacts=impersonal).chosen == "notice"


def test_the_table_tells_nothing_of_who_switched_personalisation_off():
    row = table(engine(community(OFFER)), [Member()], replace(ContactHistory.empty(), impersonal=(0,))).row(0, named=True)
    told = ("churn_probability", "risk_band", "stage", "tier", "tags", "value", "value_at_risk", "tenure_days", "days_silent")
    assert [row[name] for name in told] == [None] * len(told)
    assert (row["status"], row["chosen"], row["no_action_reason"]) == ("opted_out", "none", "opted_out")


@pytest.mark.parametrize("status", ["insufficient_history", "already_churned", "opted_out"])
def test_a_member_without_a_score_has_no_numbers_of_risk_and_nothing_is_done(status):
    decision = one(OFFER, status=status, risk=0.7)
    assert (decision.churn.status, decision.churn.probability, decision.churn.horizons) == (status, None, ())
    assert decision.member.value_at_risk is None
    assert [candidate.intervention_id for candidate in decision.candidates] == ["none"]
    assert (decision.chosen, decision.no_action_reason) == ("none", status)


def test_the_score_is_set_against_the_reference():
    """Of the ten reference risks 0, 0.1, ..., 0.9, five lie below 0.45; bands begin at 0.3 and 0.6."""
    churn = one(OFFER, risk=0.45).churn
    assert (churn.probability, churn.percentile, churn.risk_band, churn.typical_probability) == (0.45, 0.5, "medium", 0.5)
    assert churn.horizons == ((7, 0.45), (30, 0.45), (90, 0.45))
    assert [one(OFFER, risk=risk).churn.risk_band for risk in (0.29, 0.3, 0.6)] == ["low", "medium", "high"]


def test_the_member_is_described_as_it_stands():
    member = one(OFFER, member=Member(12.5, {"post": [8.0], "read": [2.0]}), risk=0.25, value=80.0).member
    assert (member.stage, member.tier, member.tags) == ("silent", "base", ())
    assert (member.value, member.value_at_risk, member.tenure_days, member.days_silent) == (80, 20, 12.5, 8)


def test_the_last_event_is_the_members_own_and_before_the_decision():
    assert one(OFFER, member=Member(events={"post": [8.0], "read": [2.0, -1.0]})).last_event_at == AS_OF - timedelta(days=2)
    assert one(OFFER, member=Member(events={"read": [-1.0]})).last_event_at is None
    assert one(OFFER, member=Member(events={})).last_event_at is None


GONE = intervention("come_back", cost=4, eligibility={"statuses": ["scored", "already_churned"]})


def test_a_member_without_a_score_gets_what_asks_for_such_members_at_the_belief_of_the_catalogue():
    """0.1 x 100 - 4 = 6, where a member of the same risk with a score would have it by that risk."""
    decision = one(OFFER, GONE, status="already_churned", risk=0.99)
    assert [candidate.intervention_id for candidate in decision.candidates] == ["none", "come_back"]
    assert (decision.chosen, decision.churn.probability, decision.no_action_reason) == ("come_back", None, None)
    assert decision.candidates[1].priority == pytest.approx(6)
    assert decision.candidates[1].uplift_source == "prior"
    scored = one(OFFER, GONE, risk=0.99).candidates[2]
    assert scored.uplift < decision.candidates[1].uplift == pytest.approx(0.1)


def test_a_member_without_a_score_is_in_the_control_and_under_the_caps_like_any_other():
    full = one(GONE, status="already_churned", given={"contact_policy": WEEKLY}, contacts=contacted(1))
    assert (full.chosen, full.candidates[1].rule, full.no_action_reason) == ("none", "weekly", "already_churned")
    held = one(GONE, status="already_churned", given={"policy": {"control_share": 0.5}})
    assert held.candidates[1].rule == ("global_control" if held.arm == "control" else None)


TERMS = intervention("terms", message_class="mandatory", cost=50, eligibility={"stages": ["active"]})
RECEIPT = intervention("receipt", message_class="transactional", cost=50, eligibility={"max_days_silent": 0.5})
RECENT = Member(events={"post": [0.25]})


@pytest.mark.parametrize(
    ("arms", "member", "rules"),
    [
        ((OFFER, TERMS, RECEIPT), RECENT, ["mandatory_first", "mandatory_first", None]),
        ((OFFER, TERMS, RECEIPT), Member(), ["mandatory_first", None, "max_days_silent"]),
        ((OFFER, TERMS, RECEIPT), Member(events={"post": [9.0]}), [None, "stages", "max_days_silent"]),
    ],
)
def test_what_has_to_be_sent_goes_before_what_is_worth_more_if_the_member_may_have_it(arms, member, rules):
    decision = one(*arms, member=member, given={"policy": {"exploration": 0.1}})
    assert [candidate.rule for candidate in decision.candidates[1:]] == rules
    if "mandatory_first" in rules:
        assert decision.chosen == arms[rules.index(None)]["id"]
        assert [candidate.probability for candidate in decision.candidates].count(1.0) == 1
        assert not decision.exploration


def test_what_has_to_be_sent_reaches_the_global_control_and_members_without_a_score():
    declared = community(OFFER, TERMS, policy={"control_share": 0.5})
    decisions = decide_all(engine(declared, 40), [Member()] * 40)
    assert {decision.chosen for decision in decisions} == {"terms"}
    assert len({decision.arm for decision in decisions}) == 2
    assert one(OFFER, {**TERMS, "eligibility": {}}, status="insufficient_history").chosen == "terms"


def test_with_caution_an_uncertain_effect_weighs_less_and_the_factors_say_so():
    plain, careful = (one(OFFER, given={"policy": {"caution": caution}}).candidates[1] for caution in (0, 0.5))
    assert (careful.uplift, careful.uplift_interval) == (plain.uplift, plain.uplift_interval)
    assert plain.weighed_uplift == plain.uplift
    assert careful.weighed_uplift == pytest.approx((plain.uplift + plain.uplift_interval[0]) / 2)
    assert careful.priority == pytest.approx(careful.weighed_uplift * 100 - 3)


def test_explored_choices_are_marked_and_come_as_often_as_declared():
    declared = community(OFFER, CALL, policy={"exploration": 0.1})
    decisions = decide_all(engine(declared, 2000), [Member()] * 2000)
    chosen = {arm: [d for d in decisions if d.chosen == arm] for arm in ("none", "offer", "call")}
    assert len(chosen["none"]) == pytest.approx(200, abs=40)
    assert len(chosen["call"]) == pytest.approx(200, abs=40)
    assert {d.no_action_reason for d in chosen["none"]} == {"explored_nothing"}
    assert all(d.exploration == (d.chosen != "offer") for d in decisions)


def test_a_decision_can_be_replayed_from_its_candidates_and_its_draw():
    declared = community(OFFER, CALL, policy={"exploration": 0.1})
    for decision in decide_all(engine(declared, 100), [Member()] * 100):
        assert decision.draw == draw_of(decision.decision_id)
        cumulated = np.cumsum([candidate.probability for candidate in decision.candidates])
        assert decision.candidates[int(np.argmax(cumulated > decision.draw))].intervention_id == decision.chosen


def test_reasons_are_asked_for_members_with_a_score_alone_and_in_their_order():
    def explain(planted, features, probability, language):
        return [(Reason("post", "raises", float(p), None, None, language),) for p in probability]

    planted = engine(community(), 3, risk=[0.1, 0.2, 0.3], status=["scored", "already_churned", "scored"])
    told = [decision.reasons for decision in decide_all(planted, [Member()] * 3, explain=explain)]
    assert [[reason.contribution_pp for reason in reasons] for reasons in told] == [[0.1], [], [0.3]]


def test_the_fingerprint_of_the_catalogue_changes_with_what_a_decision_rests_on_and_with_nothing_else():
    declared = community(OFFER)
    assert catalogue_fingerprint(declared) == catalogue_fingerprint(community(OFFER, name="Other"))
    others = [community({**OFFER, "cost": 4}), community(OFFER, contact_policy=WEEKLY), community(OFFER, policy={"exploration": 0.01})]
    assert len({catalogue_fingerprint(one) for one in (declared, *others)}) == 4


def test_a_redemption_rate_that_was_learned_makes_no_other_rules():
    declared = community(OFFER)
    offer = declared.interventions[0]
    learned = with_redemption(declared, [RedemptionRate(offer.id, 0.3, 0.2, 0.4, 50, 15, 0.5)])
    assert catalogue_fingerprint(learned) != catalogue_fingerprint(declared)
    assert decides_alike(learned, declared)
    dearer = declared.model_copy(update={"interventions": (offer.model_copy(update={"cost": offer.cost + 1}),)})
    assert not decides_alike(dearer, declared)


days = st.lists(st.floats(-3, 120), max_size=8)
people = st.builds(Member, st.floats(0, 200), st.fixed_dictionaries({"post": days, "read": days}))
planted_members = st.tuples(
    people,
    st.floats(0, 1),
    st.floats(0, 500),
    st.sampled_from(["scored", "scored", "scored", "insufficient_history", "already_churned"]),
)
past_contacts = st.lists(
    st.tuples(st.integers(0, 3), st.floats(0, 20), st.sampled_from(["email", "wecom"]), st.sampled_from(["offer", "call"])), max_size=8
)
CROWDED = community(
    {**OFFER, "cooldown_days": 3, "context_weights": {"silent": 1.5, "channel:email": 0.5}, "refusal_cooldown_days": 9},
    {**CALL, "cost": 5, "message_class": "mandatory", "eligibility": {"min_value": 400}},
    intervention("digest", starting_uplift=-0.02, eligibility={"stages": ["new", "active", "silent"]}),
    contact_policy={**WEEKLY, "quiet_hours": {"start": "22:00", "end": "08:00"}},
    policy={"exploration": 0.05, "control_share": 0.2, "caution": 0.3},
)


def _crowd(drawn, contacts, exploration=0.05):
    members, risk, value, status = (list(column) for column in zip(*drawn, strict=True))
    made = [contact for contact in contacts if contact[0] < len(members)]
    who, ago, channel, name = zip(*made, strict=True) if made else ((), (), (), ())
    at = np.array([AS_OF_US - round(day * DAY_US) for day in ago], dtype=np.int64)
    past = ContactHistory(np.array(who, dtype=np.int64), at, np.array(channel, dtype=str), np.array(name, dtype=str))
    declared = CROWDED.model_copy(update={"policy": CROWDED.policy.model_copy(update={"exploration": exploration})})
    return engine(declared, risk=risk, value=value, status=status), members, past


@given(st.lists(planted_members, min_size=1, max_size=4), past_contacts)
def test_one_member_alone_gets_the_decision_of_the_batch(drawn, contacts):
    planted, members, past = _crowd(drawn, contacts)
    inputs = _inputs(planted, members, past)
    batch = list(decide(*inputs, as_of=AS_OF, language="en"))
    _, events, snapshots, ids, decision_ids, _ = inputs
    for row in range(len(members)):
        mine = past.member == row
        own = ContactHistory(past.member[mine] * 0, past.at_us[mine], past.channel[mine], past.intervention[mine])
        alone = decide(planted, events, snapshots[[row]], [ids[row]], [decision_ids[row]], own, as_of=AS_OF, language="en")
        assert list(alone) == [batch[row]]


@given(st.lists(planted_members, min_size=1, max_size=4), past_contacts)
def test_the_probabilities_of_all_candidates_sum_to_one_and_the_refused_have_none(drawn, contacts):
    for decision in decide_all(*_crowd(drawn, contacts)):
        assert sum(candidate.probability for candidate in decision.candidates) == pytest.approx(1, abs=1e-12)
        assert all((candidate.probability > 0) == (candidate.removed_at is None) for candidate in decision.candidates)
        assert (decision.no_action_reason is None) == (decision.chosen != "none")


@given(st.lists(planted_members, min_size=1, max_size=4), past_contacts, st.sampled_from([0, 0.05]))
def test_the_table_tells_what_the_decisions_tell(drawn, contacts, exploration):
    crowd = _crowd(drawn, contacts, exploration)
    for decision, row in zip(decide_all(*crowd), table(*crowd).iter_rows(named=True), strict=True):
        told = {candidate.intervention_id: candidate for candidate in decision.candidates}
        chosen = told[decision.chosen]
        assert (row["chosen"], row["channel"], row["arm"]) == (decision.chosen, chosen.channel, decision.arm)
        assert (row["no_action_reason"], row["exploration"]) == (decision.no_action_reason, decision.exploration)
        assert (row["priority"], row["propensity"], row["cost"]) == (chosen.priority, chosen.probability, chosen.cost)
        assert (row["uplift"], row["uplift_low"], row["uplift_high"]) == (chosen.uplift, *chosen.uplift_interval)
        assert row["expected_net_value"] == chosen.expected_net_value
        assert (row["send_not_before"], row["valid_until"]) == (chosen.send_not_before, chosen.valid_until)
        assert (row["churn_probability"], row["churn_percentile"]) == (decision.churn.probability, decision.churn.percentile)
        assert (row["status"], row["risk_band"]) == (decision.churn.status, decision.churn.risk_band)
        assert (row["stage"], row["tier"], row["tags"]) == (decision.member.stage, decision.member.tier, ",".join(decision.member.tags))
        assert (row["value_at_risk"], row["days_silent"]) == (decision.member.value_at_risk, decision.member.days_silent)
        standing = sorted(
            (c for c in decision.candidates[1:] if c.rule in (None, "lower_priority")), key=lambda candidate: -candidate.priority
        )
        assert row["ranked"] == ",".join(candidate.intervention_id for candidate in standing)
        for name, candidate in told.items():
            assert row[f"propensity_{name}"] == candidate.probability
            if name != "none":
                removed = f"{candidate.removed_at}:{candidate.rule}" if candidate.removed_at else None
                assert (row[f"removed_{name}"], row[f"priority_{name}"]) == (removed, candidate.priority)


def test_the_table_of_a_community_can_be_written_as_csv_and_as_parquet(tmp_path):
    decided = table(engine(CROWDED, 3, status=["scored", "already_churned", "scored"]), [Member()] * 3)
    decided.write_csv(tmp_path / "decisions.csv")
    decided.write_parquet(tmp_path / "decisions.parquet")
    assert pl.read_parquet(tmp_path / "decisions.parquet").equals(decided)
    assert decided["churn_probability"].null_count() == decided["removed_digest"].drop_nulls().str.ends_with("already_churned").sum() == 1


def test_a_learned_uplift_can_take_the_place_of_the_prior():
    """It tells the members apart by a feature and knows the call alone from an experiment."""

    class Learned(PriorUplift):
        def effect(self, features, probability):
            gains = np.where(features[:, [position]] > 50, [[0.0, 0.4]], [[0.4, 0.0]])
            return gains * np.sign(probability)[:, None]

        def source(self, intervention_id):
            return "experiment" if intervention_id == "call" else "prior"

    class Learning(PlantedEngine):
        @property
        def uplift(self):
            return Learned.of(self.community.interventions, 0.5)

    planted = Learning(community(OFFER, CALL), [0.5] * 2, [100.0] * 2, ["scored"] * 2)
    position = planted.spec.position("tenure_days")
    young, old = decide_all(planted, [Member(40), Member(60)])
    assert (young.chosen, old.chosen) == ("offer", "call")
    assert [candidate.uplift_source for candidate in old.candidates[1:]] == ["prior", "experiment"]
