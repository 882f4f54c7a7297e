"""What the catalogue's starting values mean for a member, against hand-computed odds and a simulated trial."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from models.uplift_beliefs import MOST_AVERTED, PriorUplift
from tests.planted import community, intervention

NO_FEATURES = np.empty((1, 0))


def prior(typical=0.5, **given) -> PriorUplift:
    return PriorUplift.of(community(intervention(**given)).interventions, typical)


def effect(model: PriorUplift, *risks: float) -> list[float]:
    return model.effect(NO_FEATURES, np.array(risks))[:, 0].tolist()


@pytest.mark.parametrize(("typical", "uplift"), [(0.5, 0.1), (0.2, 0.05), (0.7, -0.08), (0.4, 0.0)])
def test_a_member_of_usual_risk_gets_the_starting_uplift(typical, uplift):
    assert effect(prior(typical, starting_uplift=uplift), typical) == pytest.approx([uplift])


def test_the_effect_multiplies_the_odds_of_leaving_by_one_factor():
    """From 1/2 to 1/3 halves the odds. Risk 2/3 has odds 2, so 1, so 1/2: effect 1/6. Risk 1/10: odds 1/18, risk 1/19."""
    model = prior(0.5, starting_uplift=0.5 - 1 / 3)
    assert effect(model, 2 / 3, 1 / 10) == pytest.approx([1 / 6, 1 / 10 - 1 / 19])


def test_where_nobody_or_everybody_leaves_there_is_nothing_to_gain():
    assert effect(prior(), 0.0, 1.0) == [0, 0]
    small, middle, large = effect(prior(), 0.02, 0.55, 0.98)
    assert small < middle > large


@given(st.floats(0, 1), st.floats(0.001, 0.999), st.floats(-1, 1))
def test_nobody_is_kept_who_would_not_leave_nor_lost_who_would_not_stay(risk, typical, uplift):
    (gain,) = effect(prior(typical, starting_uplift=uplift), risk)
    assert risk - 1 - 1e-12 <= gain <= risk + 1e-12
    assert np.sign(gain) in (0, np.sign(uplift))


def test_a_starting_uplift_above_the_usual_risk_is_taken_as_nine_tenths_of_it():
    assert effect(prior(0.05, starting_uplift=0.3), 0.05) == pytest.approx([MOST_AVERTED * 0.05])
    assert effect(prior(0.95, starting_uplift=-0.3), 0.95) == pytest.approx([-MOST_AVERTED * 0.05])


def test_the_interval_at_the_usual_risk_is_about_that_of_the_trial_it_stands_for():
    """400 members: se^2 = 2/400 (.25 + .24) = .00245, se .0495, times 1.645 is .0814; the curve bends the ends by less than .01."""
    interval = prior(0.5, starting_evidence=400).interval(NO_FEATURES, np.array([0.5]))
    assert [interval.low.item(), interval.high.item()] == pytest.approx([0.1 - 0.0814, 0.1 + 0.0814], abs=0.01)


def test_the_interval_covers_as_often_as_it_says(rng):
    """Trials of 2,000 members with true risks .3 and .25: their log-odds shift, for a member of risk .6, lies inside 9 times of 10."""
    control, treated = (rng.binomial(1000, risk, 4000) / 1000 for risk in (0.3, 0.25))
    shift = logit(control) - logit(treated)
    interval = prior(0.3, starting_uplift=0.05, starting_evidence=2000).interval(NO_FEATURES, np.array([0.6]))
    found = 0.6 - expit(logit(0.6) - shift)
    assert np.mean((interval.low.item() < found) & (found < interval.high.item())) == pytest.approx(0.9, abs=0.03)


@given(st.floats(0, 1), st.floats(0.01, 0.99), st.floats(-0.5, 0.5), st.floats(1, 1e6))
def test_the_interval_holds_the_effect_and_stays_within_what_is_possible(risk, typical, uplift, evidence):
    model = prior(typical, starting_uplift=uplift, starting_evidence=evidence)
    interval = model.interval(NO_FEATURES, np.array([risk]))
    (gain,) = effect(model, risk)
    ends = [risk - 1 - 1e-12, interval.low.item(), gain, interval.high.item(), risk + 1e-12]
    assert ends == sorted(ends)


def test_more_evidence_and_a_lower_level_narrow_the_interval():
    def width(evidence, level):
        interval = prior(starting_evidence=evidence).interval(NO_FEATURES, np.array([0.4]), level)
        return (interval.high - interval.low).item()

    assert width(400, 0.5) < width(400, 0.9) < width(100, 0.9)
    assert width(400, 0.9) == pytest.approx(width(100, 0.9) / 2, rel=0.05)


def test_columns_follow_the_catalogue_and_an_unknown_risk_has_no_effect():
    model = PriorUplift.of(community(intervention("a", starting_uplift=0.1), intervention("b", starting_uplift=-0.1)).interventions, 0.5)
    assert model.interventions == ("a", "b")
    gains = model.effect(NO_FEATURES, np.array([0.5, np.nan]))
    assert gains[0] == pytest.approx([0.1, -0.1])
    assert np.isnan(gains[1]).all()
    assert model.source("a") == "prior"
