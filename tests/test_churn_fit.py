"""A risk is chosen on rows that did not fit it and that come later; its horizons agree with one another."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from models.calibration import Identity, Platt
from models.churn import ChurnModel, HorizonModel
from models.churn_fit import TrainingRows, fit_horizon, split_by_member, split_by_time
from models.community import DAY_US
from models.errors import NotEnoughData
from models.evaluation import auc, ece, log_loss
from models.features import FeatureSpec, SignalUse
from models.margins import LinearMargin

SPEC = FeatureSpec((SignalUse("post", qualifying=True, valued=False),), (7,), 28, "UTC", touches=False)
KEPT = np.arange(len(SPEC.names))
RECENCY, TREND = SPEC.position("days_since_any"), SPEC.position("post_share")
HORIZON = 28


def true_risk(features: np.ndarray) -> np.ndarray:
    """High for the recently silent and, which no rule of recency and frequency sees, for a share far from zero on either side."""
    return expit(-2.5 + 0.08 * features[:, RECENCY] + 1.2 * np.abs(features[:, TREND]))


def planted(members: int, cuts: int, seed: int, *, step_days: int = 7, risk=true_risk) -> TrainingRows:
    """Every member at every cut; outcomes drawn from the risk."""
    rng = np.random.default_rng(seed)
    n = members * cuts
    features = rng.normal(size=(n, len(SPEC.names))).astype(np.float32)
    features[:, RECENCY] = rng.uniform(0, 28, n)
    as_of_us = np.repeat(np.arange(cuts) * step_days * DAY_US, members)
    return TrainingRows(features, rng.random(n) < risk(features), np.tile(np.arange(members), cuts), as_of_us)


def fitted(rows: TrainingRows, seed: int = 1):
    return fit_horizon(rows, HORIZON, SPEC, KEPT, rng=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def long_log():
    return fitted(planted(400, 18, seed=2))


@pytest.fixture(scope="module")
def later():
    return planted(20_000, 1, seed=3)


def test_the_checked_rows_come_a_whole_horizon_after_the_fitted_ones():
    """Of 18 weekly cuts the last third begins with cut 12. Rows of cut 8 have their outcome by then, those of cut 9 do not."""
    rows = planted(400, 18, seed=2)
    fit, check = split_by_time(rows, HORIZON)
    assert set((rows.as_of_us[check] // (7 * DAY_US)).tolist()) == set(range(12, 18))
    assert set((rows.as_of_us[fit] // (7 * DAY_US)).tolist()) == set(range(9))
    assert (rows.as_of_us[fit] + HORIZON * DAY_US).max() <= rows.as_of_us[check].min()


def test_a_short_log_gives_up_early_checks_before_it_gives_up_the_gap():
    """Of 9 weekly cuts the last third begins with cut 6, before which only cuts 0 to 2 have outcomes: 450 rows. Cut 7 leaves 600."""
    rows = planted(150, 9, seed=4)
    fit, check = split_by_time(rows, HORIZON)
    assert rows.as_of_us[check].min() == 7 * 7 * DAY_US
    assert rows.as_of_us[fit].max() == 3 * 7 * DAY_US


def test_a_log_too_short_for_a_gap_is_checked_on_members_left_out_and_later():
    rows = planted(150, 4, seed=5)
    assert split_by_time(rows, HORIZON) is None
    pairs = split_by_member(rows, HORIZON, np.random.default_rng(0))
    for fit, check in pairs:
        assert not set(rows.member[fit]) & set(rows.member[check])
        assert rows.as_of_us[fit].max() < rows.as_of_us[check].min()
    checked = np.concatenate([check for _, check in pairs])
    assert sorted(rows.member[checked]) == list(range(150))


def test_members_left_out_are_fitted_on_all_cuts_where_the_earlier_ones_hold_one_outcome_alone():
    rows = planted(300, 3, seed=6)
    rows = replace(rows, churned=rows.churned & (rows.as_of_us == rows.as_of_us.max()))
    for fit, check in split_by_member(rows, HORIZON, np.random.default_rng(0)):
        assert not set(rows.member[fit]) & set(rows.member[check])
        assert rows[fit].smaller_class > 0
    assert fitted(rows).validation.scheme == "members"


def test_a_single_cut_is_enough_for_a_risk():
    found = fitted(planted(600, 1, seed=7))
    assert found.validation.scheme == "members"
    assert found.validation.rows == 600


def test_the_scheme_and_its_rows_are_told(long_log):
    assert long_log.validation.scheme == "out_of_time"
    assert long_log.validation.rows == 6 * 400


def test_the_blend_finds_what_the_plain_rules_cannot_see(long_log, later):
    blend, rfm = (auc(later.churned, model.probability(later.features)) for model in (long_log.model, long_log.baselines["rfm_logistic"]))
    best = auc(later.churned, true_risk(later.features))
    assert best - 0.03 < blend <= best + 0.01
    assert blend > rfm + 0.05


def test_risks_are_calibrated_on_later_members(long_log, later):
    """Chance alone shows an error of about sqrt(2 x 10 x .22 / (pi n)): .024 in the 2,400 rows of the calibration, .008 here."""
    for model in (long_log.model, *long_log.baselines.values()):
        assert ece(later.churned, model.probability(later.features)) < 0.03


def test_the_blend_loses_no_more_than_its_parts_where_it_was_chosen(long_log):
    losses = long_log.validation.log_loss
    assert losses["blend"] < min(losses["booster"], losses["linear"], losses["rfm_logistic"]) + 0.005
    assert sum(long_log.validation.weights.values()) == pytest.approx(1)


def test_a_baseline_sees_recency_and_frequency_alone(long_log, later):
    blind = later.features.copy()
    blind[:, [column for column in KEPT if column not in {RECENCY, SPEC.position("any_count_28d")}]] = 99
    rfm, recency = long_log.baselines["rfm_logistic"], long_log.baselines["recency"]
    np.testing.assert_array_equal(rfm.probability(blind), rfm.probability(later.features))
    assert (np.diff(recency.probability(later.features[np.argsort(later.features[:, RECENCY])])) >= 0).all()


def test_where_recency_is_everything_the_rule_is_as_good_as_the_truth():
    def risk(features: np.ndarray) -> np.ndarray:
        return expit(-3 + 0.2 * features[:, RECENCY])

    found, fresh = fitted(planted(300, 18, seed=8, risk=risk)), planted(4000, 1, seed=9, risk=risk)
    rule, truth = (log_loss(fresh.churned, p) for p in (found.baselines["recency"].probability(fresh.features), risk(fresh.features)))
    assert rule == pytest.approx(truth, abs=0.01)


def test_the_same_seed_gives_the_same_risk(long_log):
    again = fitted(planted(400, 18, seed=2))
    assert again.model.to_dict() == long_log.model.to_dict()
    assert again.validation == long_log.validation


def test_features_that_are_not_kept_are_never_read(later):
    kept = KEPT[KEPT != TREND]
    found = fit_horizon(planted(200, 18, seed=2), HORIZON, SPEC, kept, rng=np.random.default_rng(1))
    changed = later.features.copy()
    changed[:, TREND] = 50
    np.testing.assert_array_equal(found.model.probability(changed), found.model.probability(later.features))


@pytest.mark.parametrize(("members", "churned"), [(199, 100), (400, 19), (400, 381)])
def test_too_few_rows_or_outcomes_are_refused_and_counted(members, churned):
    rows = planted(members, 1, seed=10)
    rows = replace(rows, churned=np.arange(members) < churned)
    with pytest.raises(NotEnoughData, match=rf"28-day risk.*{members} snapshots, {min(churned, members - churned)} of the rarer outcome"):
        fitted(rows)


def test_a_rarer_outcome_of_one_member_alone_is_refused():
    rows = planted(20, 24, seed=11, step_days=1)
    with pytest.raises(NotEnoughData, match="too few members"):
        fitted(replace(rows, churned=rows.member == 3))


def model_of(horizon_days: int, slope: float, intercept: float, platt: tuple[float, float] | None = None) -> HorizonModel:
    margin = LinearMargin(np.array([0]), np.zeros(1), np.zeros(1), np.ones(1), np.array([slope]), intercept)
    return HorizonModel(horizon_days, margin, Identity() if platt is None else Platt(*platt))


SLOPES = st.floats(-3, 3)
MODELS = st.lists(st.tuples(SLOPES, SLOPES, st.none() | st.tuples(st.floats(0, 2), SLOPES)), min_size=4, max_size=4)


@given(
    models=MODELS, main=st.sampled_from([7, 30, 60, 90]), values=st.lists(st.floats(-1e3, 1e3) | st.just(np.nan), min_size=1, max_size=5)
)
def test_silence_over_a_longer_time_is_never_likelier_and_the_main_horizon_keeps_its_risk(models, main, values):
    churn = ChurnModel(tuple(model_of(days, *given) for days, given in zip((7, 30, 60, 90), models, strict=True)), main)
    features = np.array(values)[:, None]
    risk = churn.probability(features)
    assert (np.diff(risk, axis=1) <= 0).all()
    np.testing.assert_array_equal(risk[:, churn.horizons_days.index(main)], churn.main_model.probability(features))


@given(models=MODELS, main=st.sampled_from([7, 30, 60, 90]))
def test_an_end_of_contract_within_a_longer_time_is_never_rarer(models, main):
    horizons = tuple(model_of(days, *given) for days, given in zip((7, 30, 60, 90), models, strict=True))
    churn = ChurnModel(horizons, main, "contract_end")
    risk = churn.probability(np.linspace(-3, 3, 7)[:, None])
    assert (np.diff(risk, axis=1) >= 0).all()
    np.testing.assert_array_equal(risk[:, churn.horizons_days.index(main)], churn.main_model.probability(np.linspace(-3, 3, 7)[:, None]))


def test_horizons_that_agree_are_left_as_they_are():
    """At 0 the risks are sigmoid(1) = .731, sigmoid(0) = .5 and sigmoid(-1) = .269."""
    churn = ChurnModel((model_of(7, 1, 1), model_of(30, 1, 0), model_of(90, 1, -1)), 30)
    assert churn.probability(np.zeros((1, 1)))[0] == pytest.approx([0.731059, 0.5, 0.268941], abs=1e-6)


def test_horizons_that_disagree_are_held_to_the_main_one():
    """Alone they would say .269, .5 and .731: a longer silence likelier than a shorter one."""
    churn = ChurnModel((model_of(7, 1, -1), model_of(30, 1, 0), model_of(90, 1, 1)), 30)
    assert churn.probability(np.zeros((1, 1)))[0] == pytest.approx([0.5, 0.5, 0.5])


def test_a_churn_model_survives_json_to_the_last_bit(long_log, later):
    shorter = replace(long_log.baselines["recency"], horizon_days=7)
    for outcome in ("silence", "contract_end"):
        churn = ChurnModel((shorter, long_log.model), HORIZON, outcome)
        again = ChurnModel.from_dict(json.loads(json.dumps(churn.to_dict())))
        assert again.outcome == outcome
        np.testing.assert_array_equal(again.probability(later.features), churn.probability(later.features))
