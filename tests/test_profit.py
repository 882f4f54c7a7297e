"""The expected maximum profit, with an assumed and with a learned response, equals its definition; a better ranking never earns less."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, norm

from models.errors import InputError
from models.evaluation import empc
from models.intervals import FloatArray
from models.profit import CampaignEconomics, learned_profit, maximum_profit


def profit_by_integration(churned: FloatArray, probability: FloatArray, economics: CampaignEconomics) -> float:
    """The definition: the best cut-off is searched anew at every acceptance, over all cut-offs and not the hull."""
    order = np.argsort(-probability, kind="stable")
    last_of_tie = np.flatnonzero(np.diff(probability[order], append=-1.0))
    found = np.append(0.0, np.cumsum(churned[order])[last_of_tie]) / len(order)
    lost = np.append(0.0, np.cumsum(1 - churned[order])[last_of_tie]) / len(order)
    per_retained = economics.offer_cost + economics.contact_cost

    def profit(acceptance: float) -> float:
        per_churned = acceptance * (economics.clv - economics.offer_cost) - economics.contact_cost
        best = float((per_churned * found - per_retained * lost).max())
        return best * float(beta.pdf(acceptance, economics.acceptance_alpha, economics.acceptance_beta))

    return sum(quad(profit, low, low + 0.05, limit=200)[0] for low in np.arange(0, 1, 0.05))


@pytest.mark.parametrize(
    "economics",
    [
        CampaignEconomics(),
        CampaignEconomics(clv=60.0, offer_cost=15.0, contact_cost=4.0, acceptance_alpha=2.0, acceptance_beta=3.0),
        CampaignEconomics(clv=20.0, offer_cost=15.0, contact_cost=6.0),
    ],
)
def test_expected_maximum_profit_equals_its_integral(economics: CampaignEconomics) -> None:
    rng = np.random.default_rng(4)
    probability = np.round(rng.beta(2, 5, 120), 2)
    churned = (rng.random(120) < probability).astype(float)
    expected = profit_by_integration(churned, probability, economics)
    assert empc(churned, probability, economics=economics) == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_the_profit_of_a_perfect_ranking_is_known() -> None:
    """Contact exactly the churners wherever gamma 190 > 1: about .25 (190 x .3 - 1) = 14 a member, share .25."""
    found = maximum_profit(np.array([25.0, 0.0]), np.array([0.0, 75.0]))
    assert found.profit == pytest.approx(14.0, abs=1e-4)
    assert found.target_share == pytest.approx(0.25, abs=1e-4)


@given(st.integers(0, 2**32 - 1))
def test_a_better_ranking_never_earns_less(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probability = np.round(rng.beta(2, 5, 60), 2)
    churned = np.append([0.0, 1.0], rng.random(58) < probability[2:])
    earned = empc(churned, probability)
    assert empc(churned, churned) >= earned - 1e-9
    assert earned >= empc(churned, np.full(60, 0.5)) - 1e-9


def learned_by_integration(score: FloatArray, net: FloatArray, spread: FloatArray) -> float:
    """The definition: at every response the best number of contacted members is searched anew."""
    order = np.argsort(-score, kind="stable")
    last = np.flatnonzero(np.diff(score[order], append=np.inf))
    gains, slopes = (np.append(0.0, np.cumsum(held[order])[last]) / len(net) for held in (net, spread))
    steps = np.linspace(-8, 8, 100_001)
    best = (gains[:, None] + slopes[:, None] * steps).max(axis=0)
    return float(np.trapezoid(best * norm.pdf(steps), steps))


def test_a_learned_response_equals_its_integral() -> None:
    rng = np.random.default_rng(3)
    net, spread, score = rng.normal(-0.2, 2, 60), rng.gamma(2, 0.5, 60), np.round(rng.normal(size=60), 1)
    assert learned_profit(score, net, spread).profit == pytest.approx(learned_by_integration(score, net, spread), rel=1e-4)


def test_members_who_are_alike_are_an_option_on_the_response() -> None:
    """All are contacted where 1 + 2 d > 0: E max(0, 1 + 2 d) = Phi(.5) + 2 phi(.5) = 1.3956, with probability Phi(.5)."""
    told = learned_profit(np.arange(5.0), np.full(5, 1.0), np.full(5, 2.0))
    assert told.profit == pytest.approx(norm.cdf(0.5) + 2 * norm.pdf(0.5))
    assert told.target_share == pytest.approx(norm.cdf(0.5))


def test_a_certain_response_earns_what_is_worth_it() -> None:
    """Net values 3, 1 and -2: (3 + 1) / 3 from two of three members; ranked by risk the worst comes first: 3 + 1 - 2."""
    net = np.array([3.0, 1.0, -2.0])
    told = learned_profit(net, net, np.zeros(3))
    assert (told.profit, told.target_share) == pytest.approx((4 / 3, 2 / 3))
    assert learned_profit(-net, net, np.zeros(3)).profit == pytest.approx(2 / 3)


def test_ranking_by_risk_earns_less_where_the_lost_cannot_be_kept() -> None:
    """Planted: the uplift falls with the risk (Ascarza 2018), so that by risk the useless come first."""
    rng = np.random.default_rng(8)
    risk = rng.beta(2, 3, 5000)
    net, spread = 100 * 0.1 * (1 - risk) - 6, np.full(5000, 0.5)
    by_net, by_risk, by_chance = (learned_profit(score, net, spread).profit for score in (net, risk, rng.random(5000)))
    assert by_net > by_chance > by_risk
    assert by_net == pytest.approx(np.maximum(net, 0).mean(), rel=0.1)


def test_a_member_without_a_score_is_refused() -> None:
    with pytest.raises(InputError, match="must be finite"):
        learned_profit(np.array([1.0, 2.0]), np.array([1.0, np.nan]), np.array([1.0, 1.0]))
