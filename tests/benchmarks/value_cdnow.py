"""What customers of cdnow are expected to buy and to spend after 1997-09-30, as `keepwell train` learns it, beside BG/NBD and Gamma-Gamma.

Calibration ends with 1997-09-30, the classic split; all customers are asked about. Both sides see purchases of the calibration alone: the
reference as most likely parameters, ours as the engine that `train` makes at 1997-10-01 for 273 (or 90) days, active being whoever bought
in the last 180: until July that is everyone, and those cuts are learned from. A purchase is a day with one.

The reference is computed from the papers' formulas. To see the kept library agree:
  uv venv ANYWHERE && uv pip install --python ANYWHERE/bin/python -r tests/benchmarks/btyd-requirements.txt
  export KEEPWELL_BTYD_PYTHON=ANYWHERE/bin/python
"""

from __future__ import annotations

import io
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from rich.console import Console
from scipy.stats import rankdata

from models.community import Community
from models.features import compute_features
from models.intervals import Estimate, Members, bootstrap_members, percentile_interval
from models.snapshots import Snapshots
from models.training import Trained, train
from models.value import PurchaseValue
from models.value_fit import tweedie_deviance
from pipelines.dates import moment
from pipelines.init import initialise
from pipelines.loading import Loaded, load
from pipelines.workspace import Workspace
from tests.benchmarks.buy_till_you_die import WEEK, BgNbd, Customers, customers_until, fit_bg_nbd, fit_gamma_gamma
from tests.benchmarks.real_logs import CDNOW, DATA, NOW, SEED

SPLIT = date(1997, 10, 1)
FILES = {"master": ("cdnow_master.csv.gz", "customer_id"), "sample": ("cdnow_sample.csv.gz", "sample_id")}
CASES = (("spending", 273), ("spending", 90), ("purchases", 273))
PUBLISHED = BgNbd(0.243, 4.414, 0.793, 2.426)
RESAMPLES = 400
LEVEL = 0.95
FIGURES = ("bias of the total", "MAE", "RMSE", "deviance", "calibration", "Spearman", "Gini", "top tenth holds")
PEER = os.environ.get("KEEPWELL_BTYD_PYTHON", "")
ROOT = Path(__file__).parents[2]


class Sides(NamedTuple):
    """actual, ours, reference: one number for each customer, shape (n,)."""

    actual: np.ndarray
    ours: np.ndarray
    reference: np.ndarray


@dataclass(frozen=True)
class Sorted:
    """Expected against actual, prepared so that a draw of customers, shape (n,), gives all figures at once.

    - bias: sum of expected / sum of actual - 1. Deviance: mean Tweedie deviance at p = 1.5.
    - calibration: over tenths of equal size by expected, sum of |expected - actual| of the tenth / sum of actual.
    - Spearman: of the ranks among all customers, ties halved, under the draw. Gini: 2 x area under the share of actual gathered by the
      customers expected to be best, minus 1; the top tenth is that curve at .1.
    """

    actual: np.ndarray
    expected: np.ndarray

    def figures(self, draw: np.ndarray) -> np.ndarray:
        order = np.argsort(-self.expected, kind="stable")
        weight, actual, expected = draw[order], self.actual[order], self.expected[order]
        mass, total, error = weight.sum(), (weight * actual).sum(), expected - actual
        reached, gathered = (np.concatenate([[0], np.cumsum(part)]) / whole for part, whole in ((weight, mass), (weight * actual, total)))
        tenth = np.minimum((reached[1:] * 10 - 1e-9).astype(int), 9)
        return np.array(
            [
                (weight * error).sum() / total,
                (weight * np.abs(error)).sum() / mass,
                np.sqrt((weight * error**2).sum() / mass),
                (weight * tweedie_deviance(actual, expected)).sum() / mass,
                np.abs(np.bincount(tenth, weights=weight * error, minlength=10)).sum() / total,
                _correlation(rankdata(actual), rankdata(expected), weight),
                2 * np.trapezoid(gathered, reached) - 1,
                np.interp(0.1, reached, gathered),
            ]
        )


def _correlation(left: np.ndarray, right: np.ndarray, weight: np.ndarray) -> float:
    covariance = np.cov(left, right, fweights=weight.astype(int))
    return float(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))


def purchases(name: str) -> pl.DataFrame:
    file, customer = FILES[name]
    log = pl.read_csv(DATA / "cdnow" / file, try_parse_dates=True)
    return log.group_by("date", customer=pl.col(customer)).agg(pl.col("amount").sum()).sort("customer", "date")


def loaded(log: pl.DataFrame, folder: Path) -> Loaded:
    log.rename({"customer": "customer_id"}).write_csv(folder / "log.csv")
    options = replace(CDNOW, log=folder / "log.csv", churn_days=90, active_days=180, output=folder / "keepwell.yaml")
    initialise(options, Console(file=io.StringIO()), now=NOW)
    return load(Workspace.find(folder), now=NOW)


def declared(community: Community, value_days: int) -> Community:
    churn = community.churn.model_copy(update={"horizons_days": (community.churn.horizon_days,)})
    value = community.value.model_copy(update={"source": "purchases", "value_days": value_days})
    return community.model_copy(update={"churn": churn, "value": value})


class Learned(NamedTuple):
    trained: Trained
    by_customer: pl.DataFrame


def learned(log: pl.DataFrame, value_days: int) -> Learned:
    """The engine trained at the split, and what it expects of each customer."""
    with tempfile.TemporaryDirectory() as folder:
        data = loaded(log, Path(folder))
    community, at = declared(data.community, value_days), moment(SPLIT.isoformat(), data.community)
    trained = train(data.arrays, community, test_as_of=at, trained_at=NOW, rng=np.random.default_rng(SEED))
    everyone = Snapshots.at(data.arrays, int(at.timestamp()) * 1_000_000)
    expected = trained.engine.value(compute_features(data.arrays, everyone, trained.engine.spec))
    customers = data.log.members.select(customer=pl.col("member_id").cast(pl.Int64))
    return Learned(trained, customers.with_columns(expected=pl.Series(expected)).sort("customer"))


def sides(log: pl.DataFrame, customers: Customers, quantity: str, days: int) -> tuple[Sides, Trained]:
    told = log if quantity == "spending" else log.with_columns(amount=pl.lit(1.0))
    after = told.filter(pl.col("date").is_between(SPLIT, SPLIT + timedelta(days=days), closed="left"))
    known = pl.DataFrame({"customer": customers.customer})
    actual = known.join(after.group_by("customer").agg(pl.col("amount").sum()), on="customer", how="left", maintain_order="left")
    result = learned(told, days)
    reference = fit_bg_nbd(customers).purchases(customers, days / WEEK)
    if quantity == "spending":
        reference = reference * fit_gamma_gamma(customers).money(customers)
    ours = known.join(result.by_customer, on="customer", how="left", maintain_order="left")["expected"].to_numpy()
    return Sides(actual["amount"].fill_null(0).to_numpy(), ours, reference), result.trained


def estimates(given: Sides) -> Iterator[tuple[str, tuple[Estimate, Estimate, Estimate]]]:
    """Of ours, of the reference and of their difference; bootstrap over customers."""
    both = [Sorted(given.actual, given.ours), Sorted(given.actual, given.reference)]
    members = Members(np.arange(len(given.actual)), len(given.actual))

    def values(draw: np.ndarray) -> np.ndarray:
        ours, reference = (side.figures(draw) for side in both)
        return np.concatenate([ours, reference, ours - reference])

    point = values(members.once())
    draws = bootstrap_members(values, members, rng=np.random.default_rng(SEED), resamples=RESAMPLES)
    told = [percentile_interval(float(value), column, LEVEL) for value, column in zip(point, draws.T, strict=True)]
    size = len(FIGURES)
    return ((name, (told[at], told[at + size], told[at + 2 * size])) for at, name in enumerate(FIGURES))


def shown(estimate: Estimate) -> str:
    digits = 2 if max(abs(bound) for bound in estimate.interval) >= 10 else 3
    return f"{estimate.value:.{digits}f} [{estimate.lower:.{digits}f}, {estimate.upper:.{digits}f}]"


def library(customers: Customers) -> str:
    """How far the kept library's expected spending lies from the formulas', and its parameters."""
    with tempfile.TemporaryDirectory() as folder:
        request, answer = Path(folder) / "request.npz", Path(folder) / "answer.npz"
        weeks = np.array(CASES[0][1] / WEEK)
        named = {name: getattr(customers, name) for name in ("frequency", "recency", "age", "money")}
        np.savez(request, weeks=weeks, **named)
        module = "tests.benchmarks.buy_till_you_die_peer"
        subprocess.run([PEER, "-W", "ignore", "-m", module, request, answer], cwd=ROOT, check=True, capture_output=True)
        with np.load(answer) as told:
            spent, parameters = told["purchases"] * told["money"], np.concatenate([told["bg_nbd"], told["gamma_gamma"]])
    ours = fit_bg_nbd(customers).purchases(customers, float(weeks)) * fit_gamma_gamma(customers).money(customers)
    return (
        f"PyMC-Marketing: {np.array2string(parameters, precision=3)}; largest difference in spending {np.abs(spent / ours - 1).max():.1e}"
    )


def report(name: str) -> None:
    log = purchases(name)
    customers = customers_until(log, SPLIT)
    usual = fit_bg_nbd(customers)
    parameters = ", ".join(f"{key} {value:.3f}" for key, value in asdict(usual).items())
    print(f"\n{name}: {len(customers.customer):,} customers; BG/NBD {parameters}")
    print(f"  log likelihood {usual.log_likelihood(customers):.1f}; at the published parameters {PUBLISHED.log_likelihood(customers):.1f}")
    print(f"  {library(customers) if PEER else 'PyMC-Marketing was not asked: KEEPWELL_BTYD_PYTHON is not set, see the head of this file'}")
    for quantity, days in CASES:
        given, trained = sides(log, customers, quantity, days)
        told, model = trained.value.validation, trained.engine.value
        assert isinstance(model, PurchaseValue)
        periods, weights = model.periods, {part: round(weight, 2) for part, weight in told.weights.items()}
        print(
            f"\n  {name}, {quantity} in {days} days: {given.actual.sum():,.0f} in all, by {(given.actual > 0).mean():.3f} of the customers"
        )
        print(f"    learned from {told.label_days} days, times {periods:.2f}; weights {weights}, {told.scheme.replace('_', ' ')}")
        print(f"    {'':18}{'keepwell':28}{'BG/NBD (+ Gamma-Gamma)':28}difference")
        for figure, (ours, reference, gap) in estimates(given):
            print(f"    {figure:18}{shown(ours):28}{shown(reference):28}{shown(gap)}", flush=True)


def main() -> None:
    if not DATA.is_dir():
        print(f"the real logs are not on this machine: {DATA} is absent")
        return
    for name in FILES:
        report(name)
