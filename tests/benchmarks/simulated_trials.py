"""How often read-outs of trials that `keepwell simulate` writes hold the effects that were planted, and draws look as if they were none."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.test_simulated_trials import read_all

WORLDS, SEEDS = ("strong", "harmful", "mixed", "contrary"), range(5)


def main() -> None:
    for name in WORLDS:
        with tempfile.TemporaryDirectory() as folder:
            found = [one for seed in SEEDS for one in read_all(Path(folder, str(seed)), name, seed)]
        held, mismatches = sum(one.held for one in found), sum(one.told["sample_ratio"]["mismatch"] for one in found)
        print(f"{name:10} {held} of {len(found)} intervals hold the effect; {mismatches} draws taken for none", flush=True)
