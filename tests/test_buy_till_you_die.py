"""The reference of the value benchmark is held to what its authors published on the 2,357 customers of cdnow."""

from datetime import date

import numpy as np
import polars as pl
import pytest

from tests.benchmarks.buy_till_you_die import BgNbd, Customers, GammaGamma, customers_until, fit_bg_nbd, fit_gamma_gamma

PUBLISHED = BgNbd(0.243, 4.414, 0.793, 2.426)
PUBLISHED_MONEY = GammaGamma(6.25, 3.74, 15.44)


@pytest.fixture(scope="module")
def sample(shared_data):
    log = pl.read_csv(shared_data / "cdnow" / "cdnow_sample.csv.gz", try_parse_dates=True)
    return customers_until(log.select("date", "amount", customer="sample_id"), date(1997, 10, 1))


def test_the_customers_are_those_of_the_published_table(sample, shared_data):
    table = pl.read_csv(shared_data / "cdnow" / "cdnow_rfm_week39.csv").sort("ID")
    np.testing.assert_array_equal(sample.frequency, table["frequency"])
    np.testing.assert_allclose(sample.recency, table["recency"], atol=0.006)
    np.testing.assert_allclose(sample.age, table["T"], atol=0.006)


def test_the_likelihood_of_the_published_parameters_is_the_published_one(sample):
    assert PUBLISHED.log_likelihood(sample) == pytest.approx(-9582.4, abs=0.05)


def test_the_published_parameters_are_the_most_likely_ones(sample):
    found, money = fit_bg_nbd(sample), fit_gamma_gamma(sample)
    np.testing.assert_allclose((found.r, found.alpha, found.a, found.b), (0.243, 4.414, 0.793, 2.426), atol=0.0006)
    np.testing.assert_allclose((money.p, money.q, money.v), (6.25, 3.74, 15.44), atol=0.01)


def customer(frequency, recency, age, money=0.0):
    return Customers(np.array([1]), *(np.array([float(value)]) for value in (frequency, recency, age, money)))


def test_a_customer_of_two_repeats_is_expected_as_often_as_in_the_authors_note():
    """Fader, Hardie and Lee, Implementing the BG/NBD model in Microsoft Excel: x = 2, last at 30.43, age 38.86, 39 weeks ahead."""
    assert PUBLISHED.purchases(customer(2, 30.43, 38.86), 39)[0] == pytest.approx(1.226, abs=0.001)


def test_expected_purchases_are_those_of_simulated_customers_of_the_same_history():
    """By rejection: pace from a gamma law, after each purchase gone with a chance from a beta law."""
    rng = np.random.default_rng(3)
    n, law = 400_000, BgNbd(2.0, 8.0, 1.5, 2.5)
    pace, drop = rng.gamma(law.r, 1 / law.alpha, n), rng.beta(law.a, law.b, n)
    at = np.cumsum(rng.exponential(1 / pace[:, None], (n, 40)), axis=1)
    alive = np.cumprod(rng.random((n, 40)) >= drop[:, None], axis=1)
    happened = np.column_stack([np.ones(n), alive[:, :-1]]).astype(bool)
    early = ((at < 10) & happened).sum(axis=1)
    later = ((at >= 10) & (at < 30) & happened).sum(axis=1)
    last = np.where((at < 10) & happened, at, 0).max(axis=1)
    alike = (early == 2) & (np.abs(last - 6) < 0.5)
    error = later[alike].std() / np.sqrt(alike.sum())
    assert law.purchases(customer(2, 6, 10), 20)[0] == pytest.approx(later[alike].mean(), abs=4 * error)


def test_who_never_came_again_is_expected_to_pay_the_mean_of_all():
    assert PUBLISHED_MONEY.money(customer(0, 0, 30))[0] == pytest.approx(6.25 * 15.44 / 2.74)
    assert PUBLISHED_MONEY.money(customer(400, 20, 30, 50.0))[0] == pytest.approx(50, abs=0.1)
