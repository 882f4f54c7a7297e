"""Asks the learners of causalml and econml, which live in an environment of their own.

uv venv ANYWHERE
uv pip install --python ANYWHERE/bin/python -r tests/benchmarks/peers-requirements.txt
export KEEPWELL_PEERS_PYTHON=ANYWHERE/bin/python
"""

from __future__ import annotations

import inspect
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.benchmarks import peer_learners
from tests.benchmarks.peer_learners import Answer
from tests.uplift_worlds import ARMS, WORLDS, Trial

ROOT = Path(__file__).parents[2]
REQUIREMENTS = Path(__file__).parent / "peers-requirements.txt"
PYTHON = os.environ.get("KEEPWELL_PEERS_PYTHON", "")
PATIENCE = {"econml forest": 100_000}
HOW_TO = """\
causalml and econml are left out. To have them, in an environment of their own:
  uv venv ANYWHERE && uv pip install --python ANYWHERE/bin/python -r tests/benchmarks/peers-requirements.txt
  export KEEPWELL_PEERS_PYTHON=ANYWHERE/bin/python"""


def request(world: str, log: Trial, new: Trial) -> dict[str, np.ndarray]:
    """The arrays of an NPZ file; without propensities where the world does not log them."""
    names = np.array(["none", *ARMS])
    code = (log.assignment[:, None] == names).argmax(axis=1)
    known = {"propensities": log.propensities, "new_propensities": new.propensities} if WORLDS[world].logged else {}
    return {"features": log.features, "code": code, "outcome": log.outcome, "new": new.features, **known}


def within_patience(learners: Sequence[str], size: int) -> list[str]:
    """Without those that take more than five minutes for a log of that size."""
    return [name for name in learners if size <= PATIENCE.get(name, size)]


def ask(arrays: dict[str, np.ndarray], learners: Sequence[str], threads: int = 1) -> dict[str, Answer]:
    """In one process; columns of the effects in the order of ARMS.

    Raises:
        subprocess.CalledProcessError: a learner failed; what it said stands on the standard error.
    """
    environment = os.environ | {"OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryDirectory() as folder:
        asked = Path(folder) / "request.npz"
        np.savez(asked, allow_pickle=False, **arrays)
        subprocess.run([PYTHON, "-m", "tests.benchmarks.peer_learners", asked, folder, *learners], cwd=ROOT, env=environment, check=True)
        return {name: Answer.read(Path(folder) / f"{name}.npz") for name in learners}


def code_of(learner: str) -> str:
    """What a learner's answer depends on beside the data: its function, the trees it may use, and the versions."""
    used = (peer_learners.LEARNERS[learner], peer_learners.econml, peer_learners.Members, *peer_learners.TREES)
    return "".join(inspect.getsource(one) for one in used) + REQUIREMENTS.read_text("utf-8")
