"""The expected maximum profit equals its definition, and a better ranking never earns less."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta

from models.evaluation import empc
from models.intervals import FloatArray
from models.profit import CampaignEconomics, maximum_profit


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
