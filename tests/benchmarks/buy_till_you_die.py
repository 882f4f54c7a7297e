"""BG/NBD (Fader, Hardie and Lee 2005a) and Gamma-Gamma (Fader, Hardie and Lee 2005b): the classic for customers without a contract.

Written from the formulas of the papers; held to the published parameters and likelihood by tests/test_buy_till_you_die.py, and beside a
kept library by the benchmark `value_cdnow`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl
from scipy.optimize import minimize
from scipy.special import betaln, gammaln, hyp2f1

WEEK = 7


@dataclass(frozen=True)
class Customers:
    """frequency: days with a purchase after the first; recency: weeks from the first to the last; age: weeks from the first to the end.

    money: mean paid on the repeated days, 0 without one. All shape (n,), rows by rising `customer`.
    """

    customer: np.ndarray
    frequency: np.ndarray
    recency: np.ndarray
    age: np.ndarray
    money: np.ndarray


def customers_until(log: pl.DataFrame, split: date) -> Customers:
    """log: customer, date, amount; several purchases of one day are one. The last day of calibration is the one before `split`."""
    days = log.filter(pl.col("date") < split).group_by("customer", "date").agg(pl.col("amount").sum())
    days = days.with_columns(first=pl.col("date").min().over("customer"))
    repeated = pl.col("amount").filter(pl.col("date") > pl.col("first"))
    told = days.group_by("customer").agg(
        frequency=pl.len() - 1,
        recency=(pl.col("date").max() - pl.col("first").first()).dt.total_days() / WEEK,
        age=(split - timedelta(days=1) - pl.col("first").first()).dt.total_days() / WEEK,
        money=repeated.mean().fill_null(0.0),
    )
    columns = told.sort("customer")
    return Customers(columns["customer"].to_numpy(), *(columns[name].to_numpy().astype(float) for name in told.columns[1:]))


@dataclass(frozen=True)
class BgNbd:
    r: float
    alpha: float
    a: float
    b: float

    def log_likelihood(self, customers: Customers) -> float:
        """Equation (6) of the paper, summed."""
        x, recency, age = customers.frequency, customers.recency, customers.age
        common = gammaln(self.r + x) - gammaln(self.r) + self.r * np.log(self.alpha) + betaln(self.a, self.b + x) - betaln(self.a, self.b)
        still = -(self.r + x) * np.log(self.alpha + age)
        gone = np.log(self.a) - np.log(np.maximum(self.b + x - 1, 1e-9)) - (self.r + x) * np.log(self.alpha + recency)
        return float((common + np.logaddexp(still, np.where(x > 0, gone, -np.inf))).sum())

    def purchases(self, customers: Customers, weeks: float) -> np.ndarray:
        """Expected days with a purchase in the `weeks` that follow: equation (10), shape (n,)."""
        x, recency, age = customers.frequency, customers.recency, customers.age
        later = hyp2f1(self.r + x, self.b + x, self.a + self.b + x - 1, weeks / (self.alpha + age + weeks))
        bought = 1 - ((self.alpha + age) / (self.alpha + age + weeks)) ** (self.r + x) * later
        odds_gone = self.a / np.maximum(self.b + x - 1, 1e-9) * ((self.alpha + age) / (self.alpha + recency)) ** (self.r + x)
        return (self.a + self.b + x - 1) / (self.a - 1) * bought / (1 + np.where(x > 0, odds_gone, 0))


@dataclass(frozen=True)
class GammaGamma:
    p: float
    q: float
    v: float

    def log_likelihood(self, customers: Customers) -> float:
        """Of the mean paid by those who came again and paid something."""
        paid = (customers.frequency > 0) & (customers.money > 0)
        x, mean = customers.frequency[paid], customers.money[paid]
        shape = self.p * x
        terms = gammaln(shape + self.q) - gammaln(shape) - gammaln(self.q) + self.q * np.log(self.v)
        return float((terms + (shape - 1) * np.log(mean) + shape * np.log(x) - (shape + self.q) * np.log(x * mean + self.v)).sum())

    def money(self, customers: Customers) -> np.ndarray:
        """Expected mean paid, shape (n,): p (v + x m) / (p x + q - 1)."""
        x = customers.frequency
        return self.p * (self.v + x * customers.money) / (self.p * x + self.q - 1)


def fit_bg_nbd(customers: Customers) -> BgNbd:
    return BgNbd(*_most_likely(lambda values: BgNbd(*values).log_likelihood(customers), (0.5, 5, 1, 3), len(customers.customer)))


def fit_gamma_gamma(customers: Customers) -> GammaGamma:
    return GammaGamma(*_most_likely(lambda values: GammaGamma(*values).log_likelihood(customers), (5, 4, 15), len(customers.customer)))


def _most_likely(log_likelihood: Callable[[np.ndarray], float], start: tuple[float, ...], n: int) -> list[float]:
    """By Nelder and Mead on the logs of the positive parameters."""
    options = {"xatol": 1e-7, "fatol": 1e-11, "maxiter": 4000}
    found = minimize(lambda logs: -log_likelihood(np.exp(logs)) / n, np.log(start), method="Nelder-Mead", options=options)
    return np.exp(found.x).tolist()
