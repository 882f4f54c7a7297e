"""BG/NBD and Gamma-Gamma of PyMC-Marketing, the kept library, in an environment of its own.

`PYTHON -m tests.benchmarks.buy_till_you_die_peer REQUEST ANSWER`, where PYTHON has what btyd-requirements.txt names, reads the arrays
frequency, recency, age, money (as in `buy_till_you_die.Customers`) and weeks from REQUEST and writes ANSWER, both NPZ: purchases (n,), mean
money (n,) and the parameters. Flat priors: the posterior mode is the maximum of the likelihood.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd

POSITIVE = {"bg_nbd": ("r", "alpha", "a", "b"), "gamma_gamma": ("p", "q", "v")}


def fitted(kind: str, name: str, data: pd.DataFrame) -> Any:
    flat = import_module("pymc_extras.prior").Prior("HalfFlat")
    model = getattr(import_module("pymc_marketing.clv"), kind)(data=data, model_config=dict.fromkeys(POSITIVE[name], flat))
    model.fit(method="map", progressbar=False)
    return model


def parameters(model: Any, name: str) -> list[float]:
    return [float(model.idata.posterior[parameter].mean()) for parameter in POSITIVE[name]]


def answer(asked: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    columns = {name: asked[name] for name in ("frequency", "recency")}
    data = pd.DataFrame({"customer_id": np.arange(len(asked["age"])), **columns, "T": asked["age"], "monetary_value": asked["money"]})
    again = data[(data["frequency"] > 0) & (data["monetary_value"] > 0)]
    purchases, spending = fitted("BetaGeoModel", "bg_nbd", data), fitted("GammaGammaModel", "gamma_gamma", again)
    return {
        "purchases": np.asarray(purchases.expected_purchases(data, future_t=float(asked["weeks"]))).ravel(),
        "money": np.asarray(spending.expected_customer_spend(data)).ravel(),
        "bg_nbd": np.array(parameters(purchases, "bg_nbd")),
        "gamma_gamma": np.array(parameters(spending, "gamma_gamma")),
    }


if __name__ == "__main__":
    with np.load(sys.argv[1]) as request:
        np.savez(sys.argv[2], allow_pickle=False, **answer(dict(request)))
