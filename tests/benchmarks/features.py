"""From the ingested log on disk to the feature matrix, beside a bare scan of the same columns and beside pandas and Polars."""

from __future__ import annotations

import re
import resource
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd
import polars as pl
from pandas.core.groupby import SeriesGroupBy

from models.community import DAY_US
from models.events import ARRAY_COLUMNS, EVENTS_FILE, EventLog, event_arrays
from models.features import Feature, compute_features, feature_spec
from models.snapshots import Snapshots
from tests.benchmarks.event_log import END_US, SHARES, community, write_log

T = TypeVar("T")
MILLION = 1_000_000
REPEATS = 7


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


def pandas_feature(frame: pd.DataFrame, feature: Feature) -> pd.Series | None:
    """One feature as its own groupby; None for those that are arithmetic on others."""
    rows = frame if feature.signal == "any" else frame[frame["type"] == feature.signal]
    if feature.window_days is not None:
        rows = rows[rows["at"] >= END_US - feature.window_days * DAY_US]
    by_name = PANDAS.get(re.sub(r"_\d+d$", "", feature.name.removeprefix(f"{feature.signal}_")).replace(feature.signal, "signal"))
    return None if by_name is None else by_name(rows)


def pandas_gaps(rows: pd.DataFrame) -> SeriesGroupBy[Any, Any]:
    days = rows.drop_duplicates(["member", "day"])
    return (-days.groupby("member")["day"].diff()).groupby(days["member"])


PANDAS: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "count": lambda rows: rows.groupby("member").size(),
    "active_days": lambda rows: rows.groupby("member")["day"].nunique(),
    "days_since_signal": lambda rows: (END_US - rows.groupby("member")["at"].max()) / DAY_US,
    "first_seen_days": lambda rows: (END_US - rows.groupby("member")["at"].min()) / DAY_US,
    "sum": lambda rows: rows.groupby("member")["value"].sum(),
    "value_mean": lambda rows: rows.groupby("member")["value"].mean(),
    "value_last": lambda rows: rows.groupby("member")["value"].last(),
    "gap_mean": lambda rows: pandas_gaps(rows).mean(),
    "gap_sd": lambda rows: pandas_gaps(rows).std(ddof=0),
    "gap_max": lambda rows: pandas_gaps(rows).max(),
    "active_weeks": lambda rows: (rows["day"] // 7).groupby(rows["member"]).nunique(),
    "signals_used": lambda rows: rows.groupby("member")["type"].nunique(),
    "night_share": lambda rows: rows["clock"].lt(6).groupby(rows["member"]).mean(),
    "morning_share": lambda rows: rows["clock"].between(6, 11).groupby(rows["member"]).mean(),
    "afternoon_share": lambda rows: rows["clock"].between(12, 17).groupby(rows["member"]).mean(),
    "evening_share": lambda rows: rows["clock"].ge(18).groupby(rows["member"]).mean(),
}


def pandas_seconds(folder: Path, matrix: np.ndarray) -> float:
    """Features that are one groupby, each timed once on all events after it has been found equal to its column of the matrix.

    Those that are arithmetic on others (trends, shares, ratios) are taken to cost the mean of these. Reading the file and making
    the columns `at`, `day` and `clock` are not counted.
    """
    frame = pandas_frame(folder)
    times = []
    for position, feature in enumerate(feature_spec(community()).features):
        begin = time.perf_counter()
        found = pandas_feature(frame, feature)
        elapsed = time.perf_counter() - begin
        if found is not None:
            times.append(elapsed)
            empty = 0 if feature.family == "volume" or "_sum_" in feature.name or feature.window_days else np.nan
            np.testing.assert_allclose(matrix[:, position], found.reindex(range(len(matrix)), fill_value=empty), rtol=1e-4, atol=1e-3)
    print(f"  pandas, one groupby each: {sum(times):.1f} s for {len(times)} of the {matrix.shape[1]} features, each equal to its column")
    return sum(times) * matrix.shape[1] / len(times)


def pandas_frame(folder: Path) -> pd.DataFrame:
    events = bare_scan(folder).with_columns(at=pl.col("timestamp").to_physical())
    day = (END_US - events["at"] - 1) // DAY_US
    clock = (events["at"] // (DAY_US // 24) + 8) % 24
    types = cast("pl.Categorical", events["type"].dtype).categories.to_series().to_list()
    return pd.DataFrame({name: events[name].to_numpy() for name in ("member", "at", "value")}).assign(
        day=day.to_numpy(), clock=clock.to_numpy(), type=pd.Categorical.from_codes(events["type"].to_physical().to_numpy(), types)
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


def against_others(folder: Path) -> None:
    matrix = whole_path(folder)
    before = [seconds(lambda: whole_path(folder)) for _ in range(3)]
    n_features = matrix.shape[1]
    polars = seconds(lambda: polars_path(folder))
    print(f"  Polars, one expression each: {polars:.2f} s for {len(polars_expressions())} of the {n_features} features")
    seconds_of_all = pandas_seconds(folder, matrix)
    path = statistics.median(before + [seconds(lambda: whole_path(folder)) for _ in range(3)])
    print(f"  so {seconds_of_all:.0f} s for {n_features}; the whole path just before and after: {path:.3f} s")
    print(f"  pandas / whole path = {seconds_of_all / path:.0f} (required: at least 20)", flush=True)


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
        alone(against_others, folder)
        for millions in (1, 3, 10, 30):
            growth(folder, millions)


if __name__ == "__main__":
    main()
