"""Training, batches, requests and partitions see the same features, and a change of definition cannot pass unnoticed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models import features
from models.events import NEVER_US, EventArrays
from models.feature_kernel import KERNEL_VERSION
from models.features import FeatureSpec, SignalUse, compute_features
from models.snapshots import Snapshots
from tests.feature_reference import DAY
from tests.feature_worlds import NOON, SPEC
from tests.test_features import MANY_SIGNALS, a_log

FINGERPRINT_ELSEWHERE = """
from tests.feature_reference import DAY
from tests.feature_worlds import SPEC
print(SPEC.fingerprint)
"""


@pytest.mark.parametrize(
    "changed",
    [
        replace(SPEC, windows_days=(1, 2, 7)),
        replace(SPEC, lookback_days=29),
        replace(SPEC, timezone="Asia/Shanghai"),
        replace(SPEC, touches=False),
        replace(SPEC, signals=SPEC.signals[::-1]),
        replace(SPEC, signals=(replace(SPEC.signals[0], qualifying=False), *SPEC.signals[1:])),
        replace(SPEC, signals=(replace(SPEC.signals[0], valued=True), *SPEC.signals[1:])),
        replace(SPEC, signals=(replace(SPEC.signals[0], name="posted"), *SPEC.signals[1:])),
        replace(SPEC, signals=(*SPEC.signals, SignalUse("share", qualifying=True, valued=False))),
    ],
    ids=["window", "lookback", "time zone", "touches", "order", "qualifying", "valued", "name", "signal"],
)
def test_the_fingerprint_changes_with_a_definition(changed: FeatureSpec):
    assert changed.fingerprint != SPEC.fingerprint


def test_the_fingerprint_changes_with_the_kernel(monkeypatch):
    before = replace(SPEC).fingerprint
    monkeypatch.setattr(features, "KERNEL_VERSION", KERNEL_VERSION + 1)
    assert replace(SPEC).fingerprint != before


@pytest.mark.parametrize("seed", ["0", "1"])
def test_the_fingerprint_is_the_same_in_every_process(seed):
    elsewhere = subprocess.run(
        [sys.executable, "-c", FINGERPRINT_ELSEWHERE],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONHASHSEED": seed},
    )
    assert elsewhere.stdout.strip() == SPEC.fingerprint


def test_equal_specifications_have_equal_fingerprints():
    assert replace(SPEC).fingerprint == SPEC.fingerprint


def a_fixed_log() -> EventArrays:
    """Made by arithmetic, so that no generator of random numbers can change it."""
    lengths = np.array([0, 1, 40, 3000])
    n, member = int(lengths.sum()), np.repeat(np.arange(4), lengths)
    step = np.arange(n, dtype=np.int64)
    at = NOON + 2 * DAY - step * 7_919_000_017 % (400 * DAY)
    return EventArrays(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        timestamp_us=at[np.lexsort((at, member))],
        signal=(step * step % 31 % len(MANY_SIGNALS.uses)).astype(np.uint8),
        value=np.where(step % 3 == 0, np.nan, step % 101 / 4),
        joined_us=NOON - np.array([1, 40, 200, 600]) * DAY,
        contract_end_us=np.full(4, NEVER_US),
    )


def test_a_changed_value_needs_a_new_version_of_the_kernel():
    """If this fails because a definition was changed on purpose, raise KERNEL_VERSION and put the new digest here."""
    events = a_fixed_log()
    found = compute_features(events, Snapshots.at(events, NOON), MANY_SIGNALS)
    text = "\n".join(" ".join(f"{value:.4g}" for value in row) for row in found.tolist())
    assert (KERNEL_VERSION, hashlib.sha256(text.encode()).hexdigest()[:16]) == (2, "4cc582cce646cc04")


def merged(parts: list[EventArrays], spec: FeatureSpec) -> np.ndarray:
    return np.concatenate([compute_features(part, Snapshots.at(part, NOON), spec) for part in parts])


@pytest.mark.parametrize("n_parts", [2, 7])
def test_partitions_of_whole_members_give_the_matrix_of_the_whole(rng, n_parts):
    events = a_log(rng, rng.integers(0, 200, 300))
    whole = compute_features(events, Snapshots.at(events, NOON), MANY_SIGNALS)
    parts = [events.of_members(members) for members in np.array_split(np.arange(300), n_parts)]
    assert merged(parts, MANY_SIGNALS).tobytes() == whole.tobytes()


def test_a_request_for_one_member_gives_the_row_of_the_batch_at_every_cut(rng):
    events = a_log(rng, rng.integers(0, 200, 50))
    cuts = NOON - np.arange(5) * 30 * DAY
    member = np.repeat(np.arange(50), len(cuts))
    snapshots = Snapshots(member, np.tile(cuts, 50), events.joined_us[member])
    batch = compute_features(events, snapshots, MANY_SIGNALS, threads=2)
    for row in range(len(snapshots)):
        alone = events.of_members([member[row]])
        request = Snapshots.at(alone, int(snapshots.as_of_us[row]))
        assert compute_features(alone, request, MANY_SIGNALS)[0].tobytes() == batch[row].tobytes()
