"""Real logs, drafted, read and trained on as `keepwell init` and `keepwell train` do: every figure beside both plain rules."""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from rich.console import Console

from models.intervals import Estimate
from models.training import Trained, train
from pipelines.dates import moment
from pipelines.init import InitOptions, initialise
from pipelines.loading import Loaded, load
from pipelines.workspace import Workspace

DATA = Path(__file__).parents[3] / "shared" / "data"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
SEED = 0
CDNOW = InitOptions(
    log=DATA / "cdnow" / "cdnow_master.csv.gz",
    member="customer_id",
    time="date",
    type_is="purchase",
    value="amount",
    churn_days=180,
    active_days=180,
)
WIKIPEDIA = InitOptions(
    log=DATA / "wikipedia_newcomers_es" / "edits_es.csv.gz",
    member="member_id",
    time="time",
    type_is="edit",
    members=DATA / "wikipedia_newcomers_es" / "members_es.csv.gz",
    joined="registered",
)
FIGURES = {"AUC": "auc", "average precision": "average_precision", "Brier": "brier", "ECE": "ece"}


@dataclass(frozen=True)
class Case:
    """A log, how long a silence means gone, whom to ask about, and when: the first date is told in full, one line each for the others."""

    name: str
    options: InitOptions
    churn_days: int
    active_days: int
    dates: Sequence[str] = field(default=())


CASES = (
    Case("cdnow", CDNOW, 180, 180, ("1998-01-01", "1997-11-15", "1997-12-15")),
    Case("wikipedia es", WIKIPEDIA, 28, 28, ("2018-03-01", "2018-02-01", "2018-04-01", "2018-05-01")),
    Case("wikipedia es", WIKIPEDIA, 7, 28, ("2018-03-01",)),
    Case("wikipedia es", WIKIPEDIA, 28, 7, ("2018-03-01",)),
)


def drafted(case: Case, folder: Path) -> Loaded:
    options = replace(case.options, churn_days=case.churn_days, active_days=case.active_days, output=folder / "keepwell.yaml")
    initialise(options, Console(file=io.StringIO()), now=NOW)
    return load(Workspace.find(folder), now=NOW)


def trained(loaded: Loaded, date: str) -> Trained:
    at = moment(date, loaded.community)
    return train(loaded.arrays, loaded.community, test_as_of=at, trained_at=NOW, rng=np.random.default_rng(SEED))


def shown(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.lower:.3f}, {estimate.upper:.3f}]"


def tell_in_full(result: Trained, seconds: float) -> None:
    compared = result.churn.compared
    learned = f"{result.snapshots:,} snapshots at {result.cuts} dates; {seconds:.1f} s"
    print(f"  {result.members:,} members, churn {compared.metrics.base_rate:.3f}; {learned}")
    models = {"blend": compared.metrics, **compared.baselines}
    print(f"  {'':18}" + "".join(f"{name:24}" for name in models))
    for label, name in FIGURES.items():
        print(f"  {label:18}" + "".join(f"{shown(getattr(metrics, name)):24}" for metrics in models.values()))
    print(f"  gain over {compared.best} {shown(compared.gain)}; grade {compared.grade}; in use: {result.churn.in_use}")


def tell_in_a_line(date: str, result: Trained) -> None:
    compared = result.churn.compared
    aucs = ", ".join(f"{name} {metrics.auc.value:.3f}" for name, metrics in {"blend": compared.metrics, **compared.baselines}.items())
    print(
        f"  {date}: {result.members:,} members, churn {compared.metrics.base_rate:.3f}; AUC {aucs}; gain {shown(compared.gain)}; "
        f"ECE {compared.metrics.ece.value:.3f}; grade {compared.grade}; in use: {result.churn.in_use}"
    )


def run(case: Case) -> None:
    with tempfile.TemporaryDirectory() as folder:
        loaded = drafted(case, Path(folder))
        first, *others = case.dates
        print(f"\n{case.name}, {case.churn_days}/{case.active_days} days, test {first}", flush=True)
        began = time.perf_counter()
        result = trained(loaded, first)
        tell_in_full(result, time.perf_counter() - began)
        for date in others:
            tell_in_a_line(date, trained(loaded, date))


def main() -> None:
    if not DATA.is_dir():
        print(f"the real logs are not on this machine: {DATA} is absent")
        return
    for case in CASES:
        run(case)
