"""How good the models are: what training, evaluation and promotion keep is read, and told as sentences."""

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from scipy.stats import binomtest

from models.calibration_curve import CalibrationPoint, calibration_points
from models.input_figures import InputFigures, told_findings
from models.intervals import Estimate
from models.model_figures import Measured, ModelFigures, TriedPolicies, latest_policies
from models.model_wording import told_champion, told_drift, told_input, told_policies
from models.statements import AS_TOLD, Statement
from tests.serving_world import DECLARED, NOW
from tests.shown_figures import FINDINGS, drift, found, measured, models

TRIAL = {
    "decisions": 900,
    "members": 250,
    "level": 0.9,
    "policies": {
        "champion": {"dr": {"value": 1.0, "low": 0.5, "high": 1.5}, "gain": None, "warnings": []},
        "challenger": {"dr": {"value": 1.2, "low": 0.7, "high": 1.7}, "gain": {"value": 0.2, "low": 0.1, "high": 0.3}, "warnings": []},
    },
}
GATE = {
    "version": "2",
    "against": "1",
    "at": "2025-07-01T00:00:00+00:00",
    "outcome": "refused",
    "requirements": [{"name": "calibration", "met": True, "said": "a"}, {"name": "policy_value", "met": False, "said": "b"}],
    "policies": TRIAL,
}


def test_calibration_points_are_counts_with_wilson_intervals(rng):
    risk = rng.beta(1, 3, 4000)
    churned = rng.random(4000) < risk
    points = calibration_points(churned, risk)
    assert sum(point.members for point in points) == 4000
    assert [point.said for point in points] == sorted(point.said for point in points)
    for point in points:
        interval = binomtest(round(point.seen * point.members), point.members).proportion_ci(method="wilson")
        assert (point.lower, point.upper) == pytest.approx((interval.low, interval.high), abs=1e-6)


def test_risks_that_are_right_are_told_to_come_true_in_nearly_all_tests(rng):
    """A verdict against them needs so many groups outside that chance brings them about in fewer than one of twenty tests."""
    wrong = 0
    for _ in range(200):
        risk = rng.beta(1, 3, 1000)
        points = calibration_points(rng.random(1000) < risk, risk)
        figures = replace(models(), measured=(replace(measured("1", 40, 0.8), calibration=points),))
        wrong += told_champion(figures, DECLARED, "en")["calibration_text"].startswith("Not everywhere")
    assert wrong <= 20


def test_risks_that_are_too_high_are_told_not_to_come_true(rng):
    risk = rng.beta(2, 3, 4000)
    points = calibration_points(rng.random(4000) < risk / 2, risk)
    figures = replace(models(), measured=(replace(measured("1", 40, 0.8), calibration=points),))
    assert told_champion(figures, DECLARED, "en")["calibration_text"].startswith("Not everywhere")
    assert "并非处处都准" in told_champion(figures, DECLARED, "zh")["calibration_text"]


def test_a_test_on_outcomes_that_the_model_had_not_seen_counts_before_a_later_one_that_flatters_it():
    flattering = replace(measured("1", 5, 0.95, trained=False), out_of_time=False)
    figures = replace(models(), measured=(measured("1", 60, 0.79), flattering))
    assert figures.of_champion == figures.measured[0]
    alone = replace(figures, measured=(flattering,))
    assert "flatter" in " ".join(told_champion(alone, DECLARED, "en")["details"])


def test_what_was_never_measured_is_said():
    assert told_champion(None, DECLARED, "en")["text"] == "No model has been measured yet"
    assert told_champion(replace(models(), measured=()), DECLARED, "en")["test"] is None
    assert told_policies(None, DECLARED, "en") is None


def test_the_comparison_made_last_is_told_whether_by_evaluation_or_by_promotion():
    evaluated = {**TRIAL, "at": "2025-07-02T00:00:00+00:00", "versions": {"champion": "1", "challenger": "3"}}
    later = latest_policies({"3": {"policies": evaluated}}, {"2": GATE, "3": None})
    assert [one.version for one in later.policies] == ["1", "3"]
    assert later.outcome is None
    promoted = latest_policies({"3": {}}, {"2": GATE})
    assert (promoted.outcome, promoted.missing) == ("refused", (Statement(AS_TOLD, {"said": "b"}),))
    assert promoted.policies[1].gain == Estimate(0.2, 0.1, 0.3)
    assert latest_policies({"1": {}}, {"1": {**GATE, "policies": None}}) is None


@pytest.mark.parametrize(
    ("gain", "said"),
    [
        (Estimate(0.2, 0.1, 0.3), "earn more"),
        (Estimate(-0.2, -0.3, -0.1), "earn less"),
        (Estimate(0.2, -0.1, 0.5), "no difference is established"),
    ],
)
def test_a_challenger_earns_more_only_where_the_whole_interval_says_so(gain, said):
    tried = TriedPolicies.of_promotion(GATE)
    tried = replace(tried, policies=(tried.policies[0], replace(tried.policies[1], gain=gain)))
    told = told_policies(tried, DECLARED, "en")
    assert said in told["text"]
    assert told["policies"][1]["gain"] == pytest.approx(1000 * gain.value)


def test_a_policy_whose_value_cannot_be_believed_is_told_so():
    assert not told_policies(models().policies, DECLARED, "en")["reliable"]
    assert told_policies(TriedPolicies.of_promotion(GATE), DECLARED, "en")["reliable"]


def test_members_who_have_not_moved_are_told_to_be_the_same():
    told = drift()
    still = replace(told, risk=replace(told.risk, notable=False), columns=tuple(replace(one, notable=False) for one in told.columns))
    assert told_drift(still, DECLARED, "en")["text"].startswith("No:")
    few = replace(still, columns=(replace(still.columns[0], notable=True, weight=0.01), *still.columns[1:]))
    assert told_drift(few, DECLARED, "en")["text"].startswith("Hardly:")
    some = replace(still, columns=(replace(still.columns[0], notable=True, weight=0.3), *still.columns[1:]))
    assert told_drift(some, DECLARED, "en")["text"].startswith("In part:")
    risk = replace(still, risk=replace(still.risk, notable=True))
    assert told_drift(risk, DECLARED, "zh")["text"].startswith("变了")


def test_what_moved_is_told_by_what_it_is_and_never_by_the_name_of_a_feature():
    told, names = told_drift(drift(), DECLARED, "en"), {one.name for one in drift().columns}
    assert not {group["text"] for group in told["groups"]} & names
    assert sum(group["weight"] for group in told["groups"]) == pytest.approx(sum(one.weight for one in drift().columns))
    assert all("_" not in group["text"] for group in told["groups"])


def test_the_shares_that_moved_add_up_to_the_one_that_is_said():
    """Two columns of one signal and family of which one moved, and one of another: .04 of .1, and .02 of .02, are the 6 % of the lead."""
    kept = drift()
    of = kept.columns[0]
    columns = (
        replace(of, name="a", signal="any", family="volume", weight=0.04, notable=True),
        replace(of, name="b", signal="any", family="volume", weight=0.06, notable=False),
        replace(of, name="c", signal="any", family="tenure", weight=0.02, notable=True),
        replace(of, name="d", signal="any", family="rhythm", weight=0.88, notable=False),
    )
    told = told_drift(replace(kept, risk=replace(kept.risk, notable=False), columns=columns), DECLARED, "en")
    assert "6% of what the model goes by" in told["text"]
    assert [(group["family"], group["moved"], group["columns"]) for group in told["groups"]] == [
        ("volume", 1, 2),
        ("tenure", 1, 1),
        ("rhythm", 0, 1),
    ]
    assert [group["moved_weight"] for group in told["groups"]] == pytest.approx([0.04, 0.02, 0])
    assert told["moved_weight"] == pytest.approx(sum(group["moved_weight"] for group in told["groups"]))


def test_a_gain_says_over_which_rule_it_is_and_how_good_that_is():
    """The better of the two plain rules is what the gain was measured against."""
    interval = {"auc_interval": [0.6, 0.8], "auc_gain": 0.09, "auc_gain_interval": [0.02, 0.1], "ece": 0.02, "ece_interval": [0.0, 0.1]}
    churn = {"auc": 0.79, **interval, "base_rate": 0.2, "grade": "A", "in_use": "blend"}
    for better, said in (("rfm_logistic", "a formula of last activity, frequency and money"), ("recency", "last activity alone")):
        rules = {name: {"auc": 0.70 if name == better else 0.65, "auc_interval": [0.6, 0.8]} for name in ("recency", "rfm_logistic")}
        about = {"as_of": NOW.isoformat(), "out_of_time": True, "horizon_days": 30, "members": 200, "calibration": []}
        test = Measured.of("1", {"churn": {**churn, "baselines": rules}, **about}, trained=True)
        told = told_champion(replace(models(), measured=(test,)), DECLARED, "en")
        assert told["gain_text"].startswith(f"The best simple rule, {said}, puts 70.0 of 100 pairs in the right order.")
        assert "+2.0 to +10.0 pairs" in told["gain_text"]
        assert (told["test"]["best_rule"], told["test"]["best_rule_auc"]) == (better, 0.70)


def test_a_gain_that_an_earlier_release_kept_without_its_rule_has_its_interval():
    kept = json.loads(models().to_json())
    for test in kept["measured"]:
        del test["best_rule"], test["best_rule_auc"]
    told = told_champion(ModelFigures.from_json(json.dumps(kept)), DECLARED, "en")
    assert told["gain_text"] == "95% interval of the difference: +2.0 to +10.0 pairs"


def test_an_example_of_a_row_is_left_out_and_its_line_is_kept():
    told = told_findings(FINDINGS)
    assert [one.level for one in told] == ["error", "advice"]
    assert told[0].message == '3 of 900 rows rejected: time "…" cannot be read'
    assert told[0].line == 7


@pytest.mark.parametrize(("level", "said"), [("error", "There are errors"), ("warning", "No errors."), ("advice", "No errors.")])
def test_the_check_is_told_by_its_gravest_finding(level, said):
    figures = replace(found(), findings=(replace(FINDINGS[0], level=level),))
    assert told_input(figures, DECLARED, "en")["text"].startswith(said)
    assert told_input(replace(figures, findings=()), DECLARED, "en")["text"] == "Nothing to complain about."


@pytest.mark.parametrize("figures", [models, found, drift])
def test_what_is_kept_is_read_back_as_it_was(figures):
    made = figures()
    assert type(made).from_json(made.to_json()) == made


def test_times_and_points_survive_being_kept():
    point = CalibrationPoint(40, 0.1, 0.125, 0.05, 0.26)
    figures = ModelFigures(NOW, "1", None, (replace(measured("1", 3, 0.8), calibration=(point,)),), None)
    assert ModelFigures.from_json(figures.to_json()).of_champion.calibration == (point,)
    kept = InputFigures(NOW, NOW - timedelta(days=1), NOW, 1, 1, 0, ())
    assert InputFigures.from_json(kept.to_json()) == kept
    assert np.isfinite(figures.of_champion.auc.value)
