"""Interventions from the catalogue to a response: counts by hand, costs by hand, and what may be said of them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.events import event_arrays
from models.intervals import Estimate
from models.intervention_figures import CostPerSaved, InterventionReport, intervention_report
from models.intervention_wording import cost_sentence, effect_sentence, told, verdict_of, verdict_sentence
from tests.learned import evidence, with_evidence
from tests.serving_world import DECLARED, NOW, world

TABLE = pl.DataFrame(
    {
        "chosen": ["coupon", "none", "call", "none", "none", "none"],
        "removed_coupon": [None, None, None, "eligibility:already_churned", "contact_policy:weekly", "control:global_control"],
        "removed_call": [
            "arbitration:lower_priority",
            None,
            None,
            "eligibility:already_churned",
            "eligibility:min_churn_probability",
            "eligibility:min_churn_probability",
        ],
        "propensity_none": [0.02, 0.02, 0.02, 1.0, 1.0, 1.0],
        "propensity_coupon": [0.98, 0.96, 0.02, 0.0, 0.0, 0.0],
        "propensity_call": [0.0, 0.02, 0.96, 0.0, 0.0, 0.0],
    }
)


def touches(*rows):
    """(days before now, intervention, delivered, response, pending), all of the first member."""
    return pl.DataFrame(
        {
            "member": pl.Series([0] * len(rows), dtype=pl.UInt32),
            "timestamp": pl.Series([NOW - timedelta(days=row[0]) for row in rows], dtype=pl.Datetime("us", "UTC")),
            "intervention": [row[1] for row in rows],
            "delivered": [row[2] for row in rows],
            "response": pl.Series([row[3] for row in rows], dtype=pl.String),
            "pending": [row[4] for row in rows],
        }
    )


def report(made=None, engine=None, table=TABLE):
    at = NOW.astimezone(ZoneInfo("Asia/Shanghai"))
    return intervention_report(engine or world().engine, table, made, event_arrays(world().log, DECLARED), at)


def figures(name, *arguments, **more):
    return next(one for one in report(*arguments, **more).interventions if one.id == name)


def test_a_member_is_counted_at_the_first_rule_that_keeps_it_out():
    told = {step.name: (step.members, step.blocked) for step in figures("coupon").run}
    assert told["catalogue"] == (6, ())
    assert told["eligible"] == (5, (("eligibility:already_churned", 1),))
    assert told["within_policy"][0] == 3
    assert dict(told["within_policy"][1]) == {"control:global_control": 1, "contact_policy:weekly": 1}
    assert told["ranked"][0] == 1


def test_what_was_best_and_not_drawn_is_told_apart_from_what_was_not_best():
    assert dict(figures("coupon").run[-1].blocked) == {"arbitration:drawn": 1, "arbitration:lower_priority": 1}
    assert dict(figures("call").run[-1].blocked) == {"arbitration:lower_priority": 2}


def test_the_commonest_rule_comes_first():
    eligible = figures("call").run[1]
    assert eligible.blocked == (("eligibility:min_churn_probability", 2), ("eligibility:already_churned", 1))


def test_contacts_are_followed_from_the_decision_to_the_response():
    made = touches(
        (1, "coupon", False, None, True),
        (2, "coupon", False, None, False),
        (5, "coupon", True, None, False),
        (6, "coupon", True, "redeemed", False),
        (7, "coupon", True, "refused", False),
        (8, "coupon", True, "accepted", False),
        (9, "call", True, "accepted", False),
        (9, "none", True, None, False),
        (200, "coupon", True, "accepted", False),
    )
    assigned, sent, converted = figures("coupon", made).contacts
    assert (assigned.members, sent.members, converted.members) == (6, 4, 2)
    assert dict(sent.blocked) == {"waiting": 1, "undelivered": 1}
    assert dict(converted.blocked) == {"refused": 1, "no_response": 1}


def test_where_nobody_reports_responses_it_is_not_known_who_accepted():
    *_, sent, converted = figures("coupon", touches((4, "coupon", True, None, False))).contacts
    assert (sent.members, converted.members) == (1, None)
    assert [step.members for step in figures("coupon").contacts] == [0, 0, None]


def test_activity_counts_as_an_answer_only_once_its_time_is_over():
    """The last event of an active member lies a second after one delivery; another is an hour old."""
    events = world().log.events.filter(pl.col("timestamp").is_between(NOW - timedelta(days=60), NOW - timedelta(days=5)))
    qualifying = events.filter(pl.col("type").cast(pl.String) == "comment").row(-1, named=True)
    days = (NOW - qualifying["timestamp"]) / timedelta(days=1)
    made = touches((days + 1 / 86_400, "coupon", True, None, False), (1 / 24, "coupon", True, None, False))
    made = made.with_columns(member=pl.lit(qualifying["member"], dtype=pl.UInt32))
    assert (figures("coupon", made).answered, figures("coupon", made).answerable) == (1, 1)


@pytest.mark.parametrize(
    ("effect", "expected"),
    [
        (Estimate(0.05, 0.02, 0.10), CostPerSaved("known", 60.0, 30.0, 150.0)),
        (Estimate(0.05, -0.01, 0.10), CostPerSaved("not_below", None, 30.0, None)),
        (Estimate(-0.02, -0.05, 0.10), CostPerSaved("not_below", None, 30.0, None)),
        (Estimate(-0.05, -0.10, -0.02), CostPerSaved("cannot_be_said")),
        (Estimate(0.0, 0.0, 0.0), CostPerSaved("cannot_be_said")),
    ],
)
def test_a_member_kept_costs_the_contact_over_the_effect(effect, expected):
    """A contact of 3: 3 / .05 = 60, 3 / .1 = 30, 3 / .02 = 150."""
    found = CostPerSaved.of(3.0, effect)
    assert found.kind == expected.kind
    for end in ("value", "lower", "upper"):
        assert getattr(found, end) == pytest.approx(getattr(expected, end))


@given(st.floats(0, 1000), st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 0.5))
def test_the_cost_of_a_member_kept_lies_within_its_ends(cost, value, below, above):
    found = CostPerSaved.of(cost, Estimate(value, value - below, value + above))
    if found.kind == "known":
        assert found.lower <= found.value * (1 + 1e-9)
        assert found.value <= found.upper * (1 + 1e-9)
    assert (found.lower is None) == (found.kind == "cannot_be_said")


def test_a_cost_is_told_as_surely_as_the_effect_allows():
    def said(effect, cost=3.0, language="en"):
        return cost_sentence(CostPerSaved.of(cost, effect), cost, "CNY", language)

    assert said(Estimate(0.05, 0.02, 0.10)) == "CN¥60 for each member kept (CN¥30 to CN¥150)"
    assert said(Estimate(0.05, -0.01, 0.10)) == "Not below CN¥30 for each member kept; it may keep nobody"
    assert said(Estimate(-0.05, -0.1, -0.02)) == "Cannot be said: even at its best it keeps nobody"
    assert said(Estimate(0.05, 0.02, 0.1), cost=0.0) == "A contact costs nothing"
    assert said(Estimate(0.05, -0.01, 0.1), language="zh") == "每留住一位成员不低于¥30，也可能一位都留不住"


def test_without_touches_an_effect_is_the_belief_of_the_catalogue():
    one = figures("coupon")
    assert (one.source, one.evidence, verdict_of(one)) == ("prior", None, "not_measured")
    assert one.effect.value == pytest.approx(0.05)
    assert one.effect.lower < one.effect.value < one.effect.upper
    assert "catalogue" in verdict_sentence(one, "en")


def test_a_measured_effect_is_told_with_its_own_interval():
    engine = with_evidence(world().engine, evidence("coupon", average=0.062, interval=(0.01, 0.11), verdict="act", n=512))
    one = figures("coupon", engine=engine)
    assert one.effect == Estimate(0.062, 0.01, 0.11)
    assert effect_sentence(one, "en") == "Of 100 members contacted about 6.2 more stay (90% interval: +1.0 to +11.0)"
    assert effect_sentence(one, "zh") == "每联系100位成员，大约多留住6.2位（90%区间：+1.0至+11.0）"
    assert verdict_sentence(one, "en") == "It helps. That is shown by 512 contacts."


@pytest.mark.parametrize(
    ("verdict", "more", "said"),
    [
        ("avoid", 0, "It does harm: after 512 contacts"),
        ("explore", 2_387, "About 2,400 more would settle it"),
        ("not_enough", 90_000, "About 90,000 more would be needed"),
        ("not_enough", None, "so far nothing speaks for or against it"),
    ],
)
def test_a_verdict_says_how_many_members_it_still_takes(verdict, more, said):
    engine = with_evidence(world().engine, evidence("coupon", verdict=verdict, more_members=more, n=512))
    assert said in verdict_sentence(figures("coupon", engine=engine), "en")


def test_evidence_that_is_worth_less_than_the_belief_leaves_the_belief():
    engine = with_evidence(world().engine, evidence("coupon", source="prior", average=0.4, interval=(-0.5, 0.9)))
    assert figures("coupon", engine=engine).effect.value == pytest.approx(0.05)


def test_what_is_kept_is_read_back_as_it_was():
    engine = with_evidence(world().engine, evidence("coupon"))
    made = report(touches((4, "coupon", True, "accepted", False)), engine=engine)
    assert InterventionReport.from_json(made.to_json()) == made


def test_a_report_is_told_in_both_languages_with_the_same_numbers():
    made = report(touches((4, "coupon", True, "accepted", False)))

    def numbers(told_in):
        if isinstance(told_in, dict):
            return {key: numbers(value) for key, value in told_in.items() if key not in {"label", "text"} and not key.endswith("_text")}
        return [numbers(value) for value in told_in] if isinstance(told_in, list) else told_in

    assert numbers(told(made, "en")) == numbers(told(made, "zh"))
    assert told(made, "en")["as_of"] == datetime(2025, 7, 20, 12, tzinfo=UTC)


def test_an_empty_catalogue_has_no_figures():
    engine = world().engine
    bare = replace(engine, community=engine.community.model_copy(update={"interventions": ()}))
    assert report(engine=bare).interventions == ()
