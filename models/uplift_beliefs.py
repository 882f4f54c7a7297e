"""What each intervention is believed to do to retention, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

import numpy as np
from scipy.special import logit, ndtri

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.actions import Intervention
    from models.arrays import Floats
    from models.decision import UpliftSource

MOST_AVERTED = 0.9
_NEAREST = 1e-6
_FARTHEST = 30.0


class Apart(NamedTuple):
    """What members' intervals have beyond the errors that they share: differences between members that were not found.

    reach (k,): how far it goes to either side of one member's effect. They are a function of features that vary in so many `dimensions`,
    and average 0 over the members whom the average effect speaks of.
    """

    reach: Floats
    dimensions: float


class UpliftInterval(NamedTuple):
    """low, high: shape (n_members, n_interventions)."""

    low: Floats
    high: Floats


class Estimate(NamedTuple):
    """effect: shape (n_members, n_interventions)."""

    effect: Floats
    interval: UpliftInterval

    @classmethod
    def of(cls, told: Floats) -> Self:
        """The effect, and the low and the high end of its interval: shape (3, n_members, n_interventions)."""
        effect, low, high = told
        return cls(effect, UpliftInterval(low, high))


class UpliftModel(Protocol):
    """uplift = P(retained | intervention) - P(retained | none), in [-1, 1]; arrays have shape (n_members, n_interventions).

    features (n_members, n_features); probability (n_members,) of churn if nothing is done. NaN in, NaN out.
    """

    @property
    def interventions(self) -> tuple[str, ...]:
        """Ids, in the order of the columns."""

    def effect(self, features: Floats, probability: Floats) -> Floats: ...

    def interval(self, features: Floats, probability: Floats, level: float = 0.9) -> UpliftInterval: ...

    def estimate(self, features: Floats, probability: Floats, level: float = 0.9) -> Estimate:
        """Both in the time of one."""

    def apart(self, level: float = 0.9) -> Apart: ...

    def source(self, intervention_id: str) -> UpliftSource: ...


@dataclass(frozen=True)
class PriorUplift:
    """The catalogue's belief as one constant shift d of the log-odds of churn for each intervention.

    effect(p) = p - expit(logit(p) - d), and d solves effect(p_typical) = starting_uplift. So the effect is bounded by the
    risk itself, about d p (1 - p): largest in the middle, nothing where nobody leaves or everybody does. A starting uplift that would
    avert (or add) more than MOST_AVERTED of what there is at the typical risk is taken as that much.

    shift, shift_error: (n_interventions,), in log-odds.
    """

    interventions: tuple[str, ...]
    shift: Floats
    shift_error: Floats

    @classmethod
    def of(cls, interventions: Sequence[Intervention], typical_probability: float) -> Self:
        """The error of the shift is that of a two-arm trial of n = `starting_evidence` members, half in each arm, at the typical risk.

        With p0 the typical risk and p1 = p0 - starting_uplift, se(uplift) = sqrt(2/n (p0 (1 - p0) + p1 (1 - p1))); divided by the slope
        of the effect there, p1 (1 - p1), it is the standard error of d.
        """
        usual = np.clip(typical_probability, _NEAREST, 1 - _NEAREST)
        uplift = np.array([intervention.starting_uplift for intervention in interventions])
        evidence = np.array([intervention.starting_evidence for intervention in interventions])
        treated = np.clip(usual - uplift, (1 - MOST_AVERTED) * usual, 1 - (1 - MOST_AVERTED) * (1 - usual))
        error = np.sqrt(2 / evidence * (usual * (1 - usual) + treated * (1 - treated)))
        return cls(
            interventions=tuple(intervention.id for intervention in interventions),
            shift=logit(usual) - logit(treated),
            shift_error=error / (treated * (1 - treated)),
        )

    def effect(self, features: Floats, probability: Floats) -> Floats:  # noqa: ARG002 - a learned model reads the features
        return _shifted(probability, self._averted)

    def interval(self, features: Floats, probability: Floats, level: float = 0.9) -> UpliftInterval:  # noqa: ARG002 - as above
        """Both ends of d +- z shift_error, z = Phi^-1((1 + level) / 2), carried through the member's own curve.

        To first order that is effect +- z shift_error p1 (1 - p1), the error scaled by the slope at the member; unlike it, the ends stay
        within what is possible.
        """
        return Estimate.of(self.effect_and_ends(probability, level)).interval

    @cached_property
    def _averted(self) -> Floats:
        return _averted(self.shift)

    @cached_property
    def _averted_by_level(self) -> dict[float, Floats]:
        """Of the shift and of both ends, shape (3, 1, n_interventions)."""
        return {}

    def estimate(self, features: Floats, probability: Floats, level: float = 0.9) -> Estimate:
        return Estimate(self.effect(features, probability), self.interval(features, probability, level))

    def effect_and_ends(self, probability: Floats, level: float) -> Floats:
        """What `Estimate.of` takes."""
        if level not in self._averted_by_level:
            reach = ndtri((1 + level) / 2) * self.shift_error
            self._averted_by_level[level] = _averted(np.stack([self.shift, self.shift - reach, self.shift + reach]))[:, None]
        return _shifted(probability, self._averted_by_level[level])

    def apart(self, level: float = 0.9) -> Apart:  # noqa: ARG002 - as above
        """Nothing: whoever errs in the shift errs for all members."""
        return Apart(np.zeros(len(self.interventions)), 1.0)

    def source(self, intervention_id: str) -> UpliftSource:  # noqa: ARG002 - a learned model answers for each intervention
        return "prior"

    def to_dict(self) -> dict[str, Any]:
        return {"interventions": self.interventions, "shift": self.shift.tolist(), "shift_error": self.shift_error.tolist()}

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Self:
        return cls(tuple(stored["interventions"]), np.array(stored["shift"]), np.array(stored["shift_error"]))


def _averted(shift: Floats) -> Floats:
    """1 - exp(-d)."""
    averted: Floats = -np.expm1(-np.clip(shift, -_FARTHEST, _FARTHEST))
    return averted


def _shifted(probability: Floats, averted: Floats) -> Floats:
    """The change p - expit(logit(p) - d) = p (1 - p) (1 - exp(-d)) / (1 - p (1 - exp(-d))), shape (n_members, n_interventions).

    `averted` is 1 - exp(-d), shape (n_interventions,), or (m, 1, n_interventions) for m of them at once. In this form it is exactly 0
    for d = 0 and at both ends of p.
    """
    usual = np.asarray(probability, dtype=np.float64)[:, None]
    return usual * (1 - usual) * averted / (1 - usual * averted)
