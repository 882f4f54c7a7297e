"""Who may have an intervention at all, and which rule says no."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.declared import STAGES, TAGS
from models.interventions import ELIGIBILITY_RULES, MemberFacts, Refusals, Rule, eligibility_refusals
from models.lifecycle import Lifecycles
from models.rules import Eligibility
from tests.planted import community, intervention

TIERS = ("base", "koc")


def facts(*, stage="active", tier="base", tags=(), tenure=100.0, silence=1.0, probability=0.5, value=50.0) -> MemberFacts:
    return MemberFacts(
        Lifecycles(
            stage=np.array([STAGES.index(stage)]),
            tier=np.array([TIERS.index(tier)]),
            tags=np.array([[tag in tags for tag in TAGS]]),
            silence_days=np.array([silence]),
            tenure_days=np.array([tenure]),
            tiers=TIERS,
        ),
        np.array([probability]),
        np.array([value]),
    )


def refusals(who: MemberFacts, **eligibility) -> Refusals:
    return eligibility_refusals(who, community(intervention(eligibility=eligibility)).interventions)


@pytest.mark.parametrize(
    ("rule", "bound", "inside", "outside"),
    [
        ("stages", ["silent", "lost"], {"stage": "lost"}, {"stage": "new"}),
        ("tiers", ["koc"], {"tier": "koc"}, {"tier": "base"}),
        ("tags", ["interest_decay", "high_value"], {"tags": ["high_value"]}, {"tags": ["estrangement"]}),
        ("min_tenure_days", 3, {"tenure": 3}, {"tenure": 2.9}),
        ("max_tenure_days", 3, {"tenure": 3}, {"tenure": 3.1}),
        ("min_days_silent", 7, {"silence": 7}, {"silence": 6.9}),
        ("max_days_silent", 7, {"silence": 7}, {"silence": 7.1}),
        ("min_churn_probability", 0.4, {"probability": 0.4}, {"probability": 0.39}),
        ("min_value", 40, {"value": 40}, {"value": 39}),
    ],
)
def test_each_rule_holds_up_to_its_bound_and_is_named_when_it_does_not(rule, bound, inside, outside):
    assert refusals(facts(**inside), **{rule: bound}).allowed.all()
    assert refusals(facts(**outside), **{rule: bound}).rule(0, 0) == Rule("eligibility", rule)


def test_what_is_not_asked_does_not_bind():
    assert refusals(facts(stage="lost", tenure=0, silence=1e9, probability=0, value=0)).allowed.all()


def test_the_first_rule_that_fails_is_the_one_that_is_named():
    found = refusals(facts(stage="new", tenure=1, value=0), stages=["lost"], min_tenure_days=2, min_value=1)
    assert found.rule(0, 0) == Rule("eligibility", "stages")


def test_an_unknown_risk_meets_no_bound_on_risk():
    assert refusals(facts(probability=np.nan), min_churn_probability=0).rule(0, 0) == Rule("eligibility", "min_churn_probability")


def test_every_key_of_a_declaration_has_its_rule():
    assert set(ELIGIBILITY_RULES) == set(Eligibility.model_fields)


codes = st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=3, max_size=3).map(np.array)


@given(codes, codes)
def test_a_candidate_keeps_the_rule_of_the_earliest_stage_that_removed_it(early, late):
    first = Refusals((Rule("eligibility", "a"), Rule("eligibility", "b")), early)
    second = Refusals((Rule("contact_policy", "c"), Rule("contact_policy", "d")), late)
    joined = first.then(second)
    for row, column in np.ndindex(early.shape):
        assert joined.rule(row, column) == (first.rule(row, column) or second.rule(row, column))
