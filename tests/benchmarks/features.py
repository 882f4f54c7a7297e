"""From the ingested log on disk to the feature matrix, beside a bare scan of the same columns and beside pandas and Polars."""

from __future__ import annotations

import re
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar, cast

import numpy as np
import pandas as pd
import polars as pl

from models.community import DAY_US
from models.events import ARRAY_COLUMNS, EVENTS_FILE, EventLog, event_arrays
from models.features import compute_features, feature_spec
from models.snapshots import Snapshots
from tests.benchmarks.event_log import DAYS, END_US, SHARES, community, write_log

T = TypeVar("T")
MILLION = 1_000_000
REPEATS = 7
GRID = [(signal, days) for signal in ("purchase", "read") for days in (7, 30, DAYS)]
KIND = re.compile(r"(count|active_days|sum)_\d+d$|^(days_since)_")


def nothing(folder: Path) -> None:
    """The imports alone: what a process weighs before it has read anything."""


def bare_scan(folder: Path) -> pl.DataFrame:
    return pl.read_parquet(folder / EVENTS_FILE, columns=list(ARRAY_COLUMNS))


def whole_path(folder: Path) -> np.ndarray:
    declared = community()
    events = event_arrays(EventLog.read(folder, columns=ARRAY_COLUMNS), declared)
    return compute_features(events, Snapshots.at(events, END_US), feature_spec(declared), threads=2)


def seconds(run: Callable[[], object]) -> float:
    """Without the time to free the result."""
    begin = time.perf_counter()
    result = run()
    elapsed = time.perf_counter() - begin
    del result
    return elapsed


def alone(run: Callable[..., T], *args: object) -> T:
    """In a fresh process, so that this one stays small: on Linux a child inherits the peak memory of its parent."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(run, *args).result()


def interleaved(folder: Path, repeats: int) -> tuple[float, float, float]:
    """Median seconds of the scan and of the whole path, each timed in turn, and the median of their ratios."""
    bare_scan(folder), whole_path(folder)
    pairs = [(seconds(lambda: bare_scan(folder)), seconds(lambda: whole_path(folder))) for _ in range(repeats)]
    scans, paths = zip(*pairs, strict=True)
    return statistics.median(scans), statistics.median(paths), statistics.median(path / scan for scan, path in pairs)


def peak_mb(run: Callable[[Path], object], folder: Path) -> int:
    """Of a process that does this one thing."""
    run(folder)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def parts(folder: Path) -> None:
    """Where the time of the whole path goes."""
    declared = community()
    spec = feature_spec(declared)
    log = EventLog.read(folder, columns=ARRAY_COLUMNS)
    events = event_arrays(log, declared)
    snapshots = Snapshots.at(events, END_US)
    steps: dict[str, Callable[[], object]] = {
        "read the four columns": lambda: EventLog.read(folder, columns=ARRAY_COLUMNS),
        "flat arrays": lambda: event_arrays(log, declared),
        "features, two threads": lambda: compute_features(events, snapshots, spec, threads=2),
        "features, one thread": lambda: compute_features(events, snapshots, spec),
    }
    for name, run in steps.items():
        print(f"    {name:24s}{statistics.median(seconds(run) for _ in range(5)):8.3f} s")


def pandas_feature(frame: pd.DataFrame, kind: str, signal: str, days: int) -> pd.Series:
    """One feature as one groupby, as a notebook would have it."""
    chosen = frame[(frame["type"] == signal) & (frame["at"] >= END_US - days * DAY_US)].groupby("member")
    if kind == "count":
        return chosen.size()
    if kind == "active_days":
        return chosen["day"].nunique()
    return chosen["value"].sum() if kind == "sum" else (END_US - chosen["at"].max()) / DAY_US


def pandas_seconds(frame: pd.DataFrame, matrix: np.ndarray) -> float:
    """All features, from a few on all the events, each of which must equal its column of the matrix.

    Each kind (counts, active days, sums, recency) is timed for a rare and a common signal, in a short, a middle and the longest
    window; its mean counts for every feature of the kind. The others (gaps, streaks, hours, entropy) count as a count; reading
    the file and the columns `at` and `day` are free. Both favour pandas.
    """
    kinds = Counter(kind_of(name) for name in feature_spec(community()).names)
    for kind, number in kinds.items():
        assert_same(frame, kind, matrix)
        mean = statistics.mean(seconds(lambda k=kind, s=s, d=d: pandas_feature(frame, k, s, d)) for s, d in GRID)
        print(f"    {kind:12s}{mean:8.3f} s each, {number} features")
        kinds[kind] = mean * number
    return sum(kinds.values())


def kind_of(name: str) -> str:
    found = KIND.search(name)
    return "count" if found is None else found[1] or found[2]


def assert_same(frame: pd.DataFrame, kind: str, matrix: np.ndarray) -> None:
    names = feature_spec(community()).names
    for signal, days in GRID:
        name = {"days_since": f"days_since_{signal}"}.get(kind, f"{signal}_{kind}_{days}d")
        if name in names and (kind != "days_since" or days == DAYS):
            found = pandas_feature(frame, kind, signal, days).reindex(range(len(matrix)), fill_value=np.nan if kind == "days_since" else 0)
            np.testing.assert_allclose(matrix[:, names.index(name)], found.to_numpy(), rtol=1e-5)


def pandas_frame(folder: Path) -> pd.DataFrame:
    events = bare_scan(folder).with_columns(at=pl.col("timestamp").to_physical())
    day = ((END_US - events["at"] - 1) // DAY_US).alias("day")
    types = cast("pl.Categorical", events["type"].dtype).categories.to_series().to_list()
    return pd.DataFrame({name: events[name].to_numpy() for name in ("member", "at", "value")}).assign(
        day=day.to_numpy(), type=pd.Categorical.from_codes(events["type"].to_physical().to_numpy(), types)
    )


def polars_expressions() -> list[pl.Expr]:
    """One expression for each count, sum and recency."""
    windows = feature_spec(community()).windows
    at, value = pl.col("at"), pl.col("value")
    recent = {days: at >= END_US - days * DAY_US for days in windows}
    found = [((pl.col("type") == signal) & recent[days]).sum().alias(f"{signal}_{days}") for signal in SHARES for days in windows]
    found += [value.filter(recent[days]).sum().alias(f"sum_{days}") for days in windows]
    return found + [at.filter(pl.col("type") == signal).max().alias(f"last_{signal}") for signal in SHARES]


def polars_path(folder: Path) -> pl.DataFrame:
    events = bare_scan(folder).with_columns(at=pl.col("timestamp").to_physical())
    return events.group_by("member").agg(polars_expressions())


def against_others(folder: Path, path: float) -> None:
    matrix = whole_path(folder)
    n_features = matrix.shape[1]
    polars = seconds(lambda: polars_path(folder))
    print(f"  Polars, one expression each: {polars:.2f} s for {len(polars_expressions())} of the {n_features} features")
    print(f"  pandas, one groupby each, extrapolated from {4 * len(GRID)} runs on all events:")
    pandas = pandas_seconds(pandas_frame(folder), matrix)
    print(f"  pandas for {n_features} features: {pandas:.0f} s = {pandas / path:.0f} x the whole path (required: at least 20)")


def growth(folder: Path, millions: int) -> None:
    alone(write_log, folder, millions * MILLION, millions * MILLION // 100)
    scan, path, ratio = alone(interleaved, folder, 3)
    peak = alone(peak_mb, whole_path, folder)
    print(f"  {millions:3d} M events {scan:8.3f} s scan {path:8.3f} s path {ratio:6.1f} x  peak {peak:6,d} MB", flush=True)


def main() -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        alone(write_log, folder, 10 * MILLION, 100_000)
        scan, path, ratio = alone(interleaved, folder, REPEATS)
        n_features = len(feature_spec(community()).names)
        print(f"  10 M events, 100,000 members, {n_features} features; medians of {REPEATS} interleaved runs")
        print(f"  bare scan {scan:.3f} s; file to matrix {path:.3f} s = {ratio:.1f} x (required: at most 12, aim 6)")
        alone(parts, folder)
        whole, bare, imports = (alone(peak_mb, run, folder) for run in (whole_path, bare_scan, nothing))
        print(f"  peak memory {whole:,} MB; the scan alone {bare:,} MB; the imports {imports:,} MB", flush=True)
        alone(against_others, folder, path)
        for millions in (1, 3, 10, 30):
            growth(folder, millions)


if __name__ == "__main__":
    main()
