"""Monotone maps from a margin (log-odds) to a probability."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from models.errors import ModelRefused
from models.intervals import FloatArray


@dataclass(frozen=True)
class Identity:
    """sigmoid(margin): the margin is already calibrated."""

    def __call__(self, margin: npt.ArrayLike) -> FloatArray:
        return np.asarray(expit(np.asarray(margin, dtype=np.float64)))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "identity"}


@dataclass(frozen=True)
class Platt:
    """sigmoid(slope * margin + intercept), slope >= 0 (Platt 1999)."""

    slope: float
    intercept: float

    def __call__(self, margin: npt.ArrayLike) -> FloatArray:
        return np.asarray(expit(self.slope * np.asarray(margin, dtype=np.float64) + self.intercept))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "platt", "slope": self.slope, "intercept": self.intercept}


@dataclass(frozen=True)
class Beta:
    """sigmoid(a ln p - b ln(1 - p) + c) with p = sigmoid(margin) and a, b >= 0.

    The family of likelihood ratios between two beta distributions (Kull, Silva Filho and Flach 2017).
    """

    a: float
    b: float
    c: float

    def __call__(self, margin: npt.ArrayLike) -> FloatArray:
        return np.asarray(expit(beta_columns(np.asarray(margin, dtype=np.float64)) @ [self.a, self.b, self.c]))

    def to_dict(self) -> dict[str, Any]:
        return {"kind": "beta", "a": self.a, "b": self.b, "c": self.c}


@dataclass(frozen=True)
class Isotonic:
    """Centred isotonic regression: calibrated log-odds, linear between the centres of the pooled blocks.

    Plain isotonic regression is a staircase that ties members; joining the centres of its stairs keeps their order
    (Oron and Flournoy 2017). Beyond the outer centres the log-odds go on with `tail_slope`.
    """

    margin: tuple[float, ...]
    log_odds: tuple[float, ...]
    tail_slope: float

    def __call__(self, margin: npt.ArrayLike) -> FloatArray:
        asked = np.asarray(margin, dtype=np.float64)
        beyond = asked - np.minimum(np.maximum(asked, self.margin[0]), self.margin[-1])
        return np.asarray(expit(np.interp(asked, *self._line) + self.tail_slope * beyond))

    @cached_property
    def _line(self) -> tuple[FloatArray, FloatArray]:
        return np.array(self.margin), np.array(self.log_odds)

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": "isotonic",
            "margin": list(self.margin),
            "log_odds": list(self.log_odds),
            "tail_slope": self.tail_slope,
        }


Calibration = Identity | Platt | Beta | Isotonic

KINDS: dict[str, Callable[..., Calibration]] = {
    "identity": Identity,
    "platt": Platt,
    "beta": Beta,
    "isotonic": Isotonic,
}


def calibration_from_dict(stored: Mapping[str, Any]) -> Calibration:
    """Inverse of `to_dict`, exact to the last bit through JSON. Raises ModelRefused on an unknown kind."""
    kind = stored.get("kind")
    if kind not in KINDS:
        raise ModelRefused(f"calibration kind {kind!r} is unknown; allowed: {', '.join(KINDS)}; retrain the model")
    parameters = {name: tuple(held) if isinstance(held, list) else held for name, held in stored.items()}
    del parameters["kind"]
    return KINDS[kind](**parameters)


def beta_columns(margin: FloatArray) -> FloatArray:
    """The columns ln p, -ln(1 - p) and 1 for p = sigmoid(margin), on a new last axis of length 3."""
    columns = np.empty((*margin.shape, 3))
    columns[..., 0], columns[..., 1], columns[..., 2] = -np.logaddexp(0, -margin), np.logaddexp(0, margin), 1.0
    return columns
