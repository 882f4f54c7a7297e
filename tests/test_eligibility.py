"""Who may have an intervention at all, and which rule says no."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from models.community import DAY_US
from models.declared import STAGES, TAGS
from models.eligibility import ELIGIBILITY_KEYS, MemberFacts, eligibility_refusals
from models.features import compute_features, feature_spec
from models.interventions import ContactHistory, Refusals, Rule
from models.lifecycle import Lifecycles
from models.member_columns import MemberColumns
from models.rules import Eligibility
from models.snapshots import Snapshots
from tests.planted import AS_OF_US, TWIN, Member, PlantedScores, arrays, community, intervention

TIERS = ("base", "koc")
MEMBERS = {
    "path": "members.csv",
    "member": "m",
    "joined": "j",
    "reachable": {"email": "has_email"},
    "consents": {"offers": "likes_offers", "calls": "likes_calls"},
}


SCENES = {name: {"name": name, "label": TWIN, "after_first": "post", "within_days": 1} for name in ("welcome", "gone")}


def refusals(
    *,
    stage="active",
    tier="base",
    worn=(),
    tenure=100.0,
    silence=1.0,
    probability=0.5,
    value=50.0,
    status="scored",
    events=None,
    told=None,
    assigned=(),
    scenes=(),
    given=None,
    **eligibility,
) -> Refusals:
    """One member as told; `assigned`: (days ago, intervention); `scenes`: those that are open."""
    asked = intervention("offer", channels=["email", "phone"], **{"eligibility": eligibility, **(given or {})})
    declared = community(asked, intervention("call"), members=MEMBERS, scenes=SCENES.values())
    events = arrays([Member(tenure, {"post": [1.0]} if events is None else events)], declared)
    snapshots = Snapshots.at(events, AS_OF_US)
    spec = feature_spec(declared)
    lifecycles = Lifecycles(
        stage=np.array([STAGES.index(stage)]),
        tier=np.array([TIERS.index(tier)]),
        tags=np.array([[tag in worn for tag in TAGS]]),
        silence_days=np.array([silence]),
        tenure_days=np.array([tenure]),
        tiers=TIERS,
    )
    scores = PlantedScores(compute_features(events, snapshots, spec), np.array([[probability]]), np.array([value]), np.array([status]))
    columns = MemberColumns(pl.DataFrame({name: [text] for name, text in (told or {}).items()}), 1)
    ago, names = zip(*assigned, strict=True) if assigned else ((), ())
    at = np.array([AS_OF_US - round(days * DAY_US) for days in ago], dtype=np.int64)
    past = ContactHistory(np.zeros(len(at), dtype=np.int64), at, np.full(len(at), "email"), np.array(names, dtype=str))
    return eligibility_refusals(
        MemberFacts(
            declared,
            spec,
            scores,
            np.array([probability]),
            lifecycles,
            columns,
            past,
            AS_OF_US,
            {name: np.array([name in scenes]) for name in SCENES},
            {},
        ),
    )


@pytest.mark.parametrize(
    ("rule", "bound", "inside", "outside"),
    [
        ("stages", ["silent", "lost"], {"stage": "lost"}, {"stage": "new"}),
        ("tiers", ["koc"], {"tier": "koc"}, {"tier": "base"}),
        ("tags", ["interest_decay", "high_value"], {"worn": ["high_value"]}, {"worn": ["estrangement"]}),
        ("no_tags", ["interest_decay", "high_value"], {"worn": ["estrangement"]}, {"worn": ["estrangement", "high_value"]}),
        ("consents", ["offers", "calls"], {"told": {"likes_offers": "yes", "likes_calls": "1.0"}}, {"told": {"likes_offers": "yes"}}),
        ("channels", ["email"], {"told": {"has_email": "true"}}, {"told": {"has_email": "no"}}),
        ("min_tenure_days", 3, {"tenure": 3}, {"tenure": 2.9}),
        ("max_tenure_days", 3, {"tenure": 3}, {"tenure": 3.1}),
        ("min_days_silent", 7, {"silence": 7}, {"silence": 6.9}),
        ("max_days_silent", 7, {"silence": 7}, {"silence": 7.1}),
        ("min_churn_probability", 0.4, {"probability": 0.4}, {"probability": 0.39}),
        ("max_churn_probability", 0.4, {"probability": 0.4}, {"probability": 0.41}),
        ("min_value", 40, {"value": 40}, {"value": 39}),
        ("max_value", 40, {"value": 40}, {"value": 41}),
    ],
)
def test_each_rule_holds_up_to_its_bound_and_is_named_when_it_does_not(rule, bound, inside, outside):
    assert refusals(**inside, **{rule: bound}).allowed[0, 0]
    assert refusals(**outside, **{rule: bound}).rule(0, 0) == Rule("eligibility", rule)


@pytest.mark.parametrize(
    ("key", "entry", "name", "inside", "outside"),
    [
        ("days_since", {"signal": "read", "at_least": 5}, "read", {"events": {"read": [5.0]}}, {"events": {"read": [4.9]}}),
        ("days_since", {"signal": "read", "at_least": 5}, "read", {"events": {}}, {"events": {"read": [9.0, 1.0]}}),
        ("days_since", {"signal": "read", "at_most": 5}, "read", {"events": {"read": [5.0]}}, {"events": {}}),
        ("days_since", {"signal": "any", "at_most": 5}, "any", {"events": {"post": [5.0]}}, {"events": {"read": [1.0]}}),
        ("counts", {"signal": "post", "days": 7, "at_least": 2}, "post.7", {"events": {"post": [6.9, 1]}}, {"events": {"post": [7.1, 1]}}),
        ("counts", {"signal": "read", "days": 30, "at_most": 0}, "read.30", {"events": {}}, {"events": {"read": [29.0]}}),
        (
            "days_since_assigned",
            {"intervention": "call", "at_least": 3},
            "call",
            {"assigned": [(3, "call")]},
            {"assigned": [(2.9, "call")]},
        ),
        ("days_since_assigned", {"intervention": "call", "at_least": 3}, "call", {}, {"assigned": [(9, "call"), (1, "call")]}),
        ("days_since_assigned", {"intervention": "call", "at_most": 3}, "call", {"assigned": [(3, "call")]}, {"assigned": [(1, "offer")]}),
    ],
)
def test_a_rule_on_one_of_many_names_what_it_is_about(key, entry, name, inside, outside):
    assert refusals(**inside, **{key: [entry]}).allowed[0, 0]
    assert refusals(**outside, **{key: [entry]}).rule(0, 0) == Rule("eligibility", f"{key}.{name}")


@pytest.mark.parametrize(
    ("text", "holds"), [("north", True), ("south", True), ("east", False), (None, False), ("7", True), ("7.0", True), ("07", True)]
)
def test_an_attribute_is_one_of_the_texts_or_the_same_number(text, holds):
    found = refusals(told={"region": text}, attributes={"region": ["north", "south", "7"]})
    assert found.rule(0, 0) == (None if holds else Rule("eligibility", "attributes.region"))


def test_an_attribute_that_the_table_of_members_lacks_is_nothing():
    assert refusals(attributes={"region": ["north"]}).rule(0, 0) == Rule("eligibility", "attributes.region")


def test_what_is_not_asked_does_not_bind():
    assert refusals(stage="lost", tenure=0.0, silence=1e9, probability=0.0, value=0.0, events={}).allowed.all()


def test_one_open_scene_suffices():
    wanted = {"given": {"eligibility": {"scenes": ["welcome", "gone"]}}}
    assert refusals(scenes=["gone"], **wanted).allowed[0, 0]
    assert refusals(**wanted).rule(0, 0) == Rule("eligibility", "scenes")


def test_the_first_rule_that_fails_is_the_one_that_is_named():
    found = refusals(stage="new", tenure=1.0, value=0.0, stages=["lost"], min_tenure_days=2, min_value=1)
    assert found.rule(0, 0) == Rule("eligibility", "stages")


def test_every_entry_of_a_list_must_hold():
    both = [{"signal": "post", "at_most": 3}, {"signal": "read", "at_most": 3}]
    assert refusals(events={"post": [1.0], "read": [1.0]}, days_since=both).allowed[0, 0]
    assert refusals(events={"post": [1.0]}, days_since=both).rule(0, 0) == Rule("eligibility", "days_since.read")


@pytest.mark.parametrize("bound", ["min_churn_probability", "max_churn_probability"])
def test_an_unknown_risk_meets_no_bound_on_risk(bound):
    assert refusals(probability=np.nan, **{bound: 0.5}).rule(0, 0) == Rule("eligibility", bound)


@pytest.mark.parametrize("status", ["already_churned", "insufficient_history", "opted_out"])
def test_a_member_without_a_score_may_have_what_asks_for_such_members_and_what_has_to_be_sent(status):
    assert refusals(status=status).rule(0, 0) == Rule("eligibility", status)
    for kind in ("mandatory", "transactional"):
        assert refusals(status=status, given={"message_class": kind}).allowed[0, 0]
    admitted = refusals(status=status, statuses=["already_churned", "insufficient_history"])
    assert admitted.rule(0, 0) == (Rule("eligibility", status) if status == "opted_out" else None)


def test_what_is_meant_for_members_who_are_gone_is_not_for_the_others():
    for kind in ("marketing", "transactional"):
        found = refusals(statuses=["already_churned"], given={"message_class": kind})
        assert found.rule(0, 0) == Rule("eligibility", "scored")


def test_every_key_of_a_declaration_has_its_rule():
    assert set(ELIGIBILITY_KEYS) == set(Eligibility.model_fields)


@pytest.mark.parametrize(
    ("eligibility", "fault"),
    [
        ({"tiers": ["gold"]}, r"interventions.offer.eligibility.tiers: unknown tier 'gold'; declared are \['base', 'koc'\]"),
        ({"tags": ["lonely"]}, "Input should be 'newcomer_at_risk'"),
        ({"consents": ["telepathy"]}, r"eligibility.consents: unknown consent 'telepathy'; declared are \['calls', 'offers'\]"),
        ({"channels": ["pigeon"]}, r"eligibility.channels: unknown channel 'pigeon'; declared are \['email'\]"),
        (
            {"days_since": [{"signal": "post", "at_least": 1}, {"signal": "pots", "at_least": 1}]},
            r"eligibility.days_since.2.signal: unknown signal 'pots'; declared are \['any', 'post', 'read'\]",
        ),
        ({"days_since": [{"signal": "post"}]}, "give `at_least`, `at_most` or both"),
        ({"counts": [{"signal": "post", "days": 7, "at_least": 3, "at_most": 2}]}, "at_least 3 is above at_most 2"),
        ({"counts": [{"signal": "post", "days": 8, "at_least": 1}]}, r"counts.1.days: unknown window 8; declared are \[1, 3, 7"),
        (
            {"days_since_assigned": [{"intervention": "gift", "at_least": 1}]},
            r"days_since_assigned.1.intervention: unknown intervention 'gift'; declared are \['offer'\]",
        ),
        ({"min_tenure_days": 30, "max_tenure_days": 3}, "min_tenure_days 30 is above max_tenure_days 3"),
        ({"stages": []}, "at least 1 item"),
    ],
)
def test_a_rule_that_cannot_hold_is_refused_and_told_what_is_declared(eligibility, fault):
    with pytest.raises(ValidationError, match=fault):
        community(intervention("offer", eligibility=eligibility), members=MEMBERS)


def test_rules_on_attributes_need_a_table_of_members():
    with pytest.raises(ValidationError, match="there are no attributes without a table of `members`"):
        community(intervention(eligibility={"attributes": {"region": ["north"]}}))


codes = st.lists(st.lists(st.integers(0, 2), min_size=2, max_size=2), min_size=3, max_size=3).map(np.array)


@given(codes, codes)
def test_a_candidate_keeps_the_rule_of_the_earliest_stage_that_removed_it(early, late):
    first = Refusals((Rule("eligibility", "a"), Rule("eligibility", "b")), early)
    second = Refusals((Rule("contact_policy", "c"), Rule("contact_policy", "d")), late)
    joined = first.then(second)
    for row, column in np.ndindex(early.shape):
        assert joined.rule(row, column) == (first.rule(row, column) or second.rule(row, column))
