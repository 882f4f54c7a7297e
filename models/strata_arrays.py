"""Strata as arrays by name, as they are kept in files: none of them can hold code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields

import numpy as np
import numpy.typing as npt

from models.interventions import Rule
from models.plan_figures import Prospects
from models.planning import Candidates
from models.strata import Strata

Arrays = Mapping[str, npt.NDArray[np.generic]]
CANDIDATES, PROSPECTS = (tuple(field.name for field in fields(kind)) for kind in (Candidates, Prospects))


def strata_arrays(strata: Strata) -> dict[str, npt.NDArray[np.generic]]:
    return {
        "rules": np.frombuffer(json.dumps(strata.rules).encode(), np.uint8),
        "members": strata.members,
        "scored": strata.scored,
        "refused": strata.refused,
        **{f"candidates_{name}": getattr(strata.candidates, name) for name in CANDIDATES},
        **{f"prospects_{name}": getattr(strata.prospects, name) for name in PROSPECTS},
    }


def strata_of_arrays(told: Arrays) -> Strata:
    """What `strata_arrays` told, whatever else lies beside it."""
    return Strata(
        members=told["members"],  # type: ignore[arg-type]  # as they were told
        candidates=Candidates(*(told[f"candidates_{name}"] for name in CANDIDATES)),  # type: ignore[arg-type]  # the same
        prospects=Prospects(*(told[f"prospects_{name}"] for name in PROSPECTS)),  # type: ignore[arg-type]  # the same
        scored=told["scored"],  # type: ignore[arg-type]  # the same
        refused=told["refused"],  # type: ignore[arg-type]  # the same
        rules=tuple(Rule(*rule) for rule in json.loads(told["rules"].tobytes())),
    )
