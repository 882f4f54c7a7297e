"""What the rows say of each intervention on average, how much of it is belief, and what to do with that."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from scipy.special import ndtri

from models.assignments import AssignmentKind
from models.decision import UpliftSource
from models.doubly_robust import LEVEL

if TYPE_CHECKING:
    from collections.abc import Mapping

    from models.arrays import Floats
    from models.doubly_robust import Averages
    from models.propensity import Propensities
    from models.trial import Prior, Trial
    from models.uplift_weights import Weighted

POWER = 0.8
WITHIN_REACH = 10.0
"""Exploring is worth it while the members still needed are at most so many times those there are."""
FEW_ASSIGNED = 100
Verdict = Literal["act", "avoid", "explore", "not_enough"]


@dataclass(frozen=True)
class Evidence:
    """One intervention against `none`, on average over the rows where both were possible.

    Attributes:
        average_effect: doubly robust, from the rows alone; None without two members, or groups, of each arm. Its `interval` is at LEVEL.
        n, n_none: rows assigned to it, and to `none`.
        expected_effect, expected_error: after the prior, if any, weighted by precision; what the model's effects average to.
        heterogeneity_held: of the differences between members that the learners claim, the share found again out of fold, with
            `heterogeneity_interval`; 1 all of it, 0 none, beyond both by noise.
        source: `prior` while the prior is worth more than the rows; else `experiment` where propensities were logged, and `observational`
            where they were not, whatever the features say: that nothing decided the assignment but chance is known to who drew it alone.
        assignment: propensities logged, or not logged while no feature tells the assignment (`as_if_random`) or some do (`observational`).
        verdict: `act` or `avoid` where the interval leaves 0 out; else `explore` while the question can be settled with a few times the
            members, else `not_enough`.
        more_members: rows assigned to it that are still needed beside its n, with others at the same shares, to see the effect with 80 %
            power; 0 where it is seen, None where the rows show nothing to look for.
        smallest_propensity, effective_share, imbalance_before, imbalance_after: as in models.propensity.Overlap.
    """

    intervention: str
    source: UpliftSource
    verdict: Verdict
    average_effect: float | None
    interval: tuple[float, float] | None
    n: int
    n_none: int
    expected_effect: float
    expected_error: float
    heterogeneity_held: float | None
    heterogeneity_interval: tuple[float, float] | None
    more_members: int | None
    assignment: AssignmentKind
    smallest_propensity: float
    effective_share: float
    imbalance_before: float | None
    imbalance_after: float | None

    @property
    def detectable(self) -> bool:
        """Does the interval of the average effect leave 0 out?"""
        return self.verdict in {"act", "avoid"}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Evidence:
        pairs = {name: None if stored[name] is None else tuple(stored[name]) for name in ("interval", "heterogeneity_interval")}
        return cls(**{**stored, **pairs})


@dataclass(frozen=True)
class Expected:
    """Average effects after the prior, their errors, and where the prior is worth more than the rows; each of shape (k,)."""

    effect: Floats
    error: Floats
    mostly_prior: Floats


def expected_averages(trial: Trial, averages: Averages, priors: Mapping[str, Prior]) -> Expected:
    """The mean of prior and rows, weighted by 1 / error^2; a prior has that of a trial of `evidence` members, half in each arm."""
    effect, error, mostly = averages.effect.copy(), averages.error.copy(), np.isnan(averages.effect)
    variance = float(trial.outcome.var())
    for position, name in enumerate(trial.interventions):
        if name not in priors:
            continue
        prior = priors[name]
        precision = prior.evidence / (4 * max(variance, 1e-12))
        seen = 0.0 if np.isnan(averages.effect[position]) else 1 / max(averages.error[position], 1e-12) ** 2
        observed = float(np.nan_to_num(averages.effect[position]))
        effect[position] = (prior.uplift * precision + observed * seen) / (precision + seen)
        error[position] = 1 / np.sqrt(precision + seen)
        mostly[position] = seen < precision
    return Expected(effect, error, mostly)


def evidence_of(
    trial: Trial, averages: Averages, expected: Expected, weighted: Weighted, propensities: Propensities, priors: Mapping[str, Prior]
) -> dict[str, Evidence]:
    reach = float(ndtri((1 + LEVEL) / 2))
    overlap = propensities.overlap
    told = {}
    for at, name in enumerate(trial.interventions):
        average, error, seen = float(averages.effect[at]), float(averages.error[at]), bool(np.isfinite(averages.effect[at]))
        held, held_error = float(weighted.held[at]), float(weighted.held_error[at])
        rows, guess = int(trial.rows[at + 1]), average if seen else 0.0
        more = _more_members(len(trial), rows, guess, error, priors.get(name), float(trial.outcome.var()))
        told[name] = Evidence(
            intervention=name,
            source=_source(propensities.kind, mostly_prior=bool(expected.mostly_prior[at])),
            verdict=_verdict(average, reach * error, more, rows) if seen else "not_enough",
            average_effect=average if seen else None,
            interval=(average - reach * error, average + reach * error) if seen else None,
            n=rows,
            n_none=int(trial.rows[0]),
            expected_effect=float(expected.effect[at]),
            expected_error=float(expected.error[at]),
            heterogeneity_held=held if np.isfinite(held) else None,
            heterogeneity_interval=(held - reach * held_error, held + reach * held_error) if np.isfinite(held) else None,
            more_members=more,
            assignment=propensities.kind,
            smallest_propensity=float(overlap.smallest[at]),
            effective_share=float(overlap.effective[at]),
            imbalance_before=_number(overlap.before[at]),
            imbalance_after=_number(overlap.after[at]),
        )
    return told


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _source(kind: AssignmentKind, *, mostly_prior: bool) -> UpliftSource:
    if mostly_prior:
        return "prior"
    return "experiment" if kind == "logged" else "observational"


def _verdict(average: float, reach: float, more: int | None, n: int) -> Verdict:
    if abs(average) > reach:
        return "act" if average > 0 else "avoid"
    return "explore" if more is not None and more <= WITHIN_REACH * n else "not_enough"


def _more_members(n: int, assigned: int, average: float, error: float, prior: Prior | None, variance: float) -> int | None:
    """The share assigned to it, else half, of n ((z_level + z_power) error / effect)^2 - n rows.

    The effect is the one believed or, where that would have been seen by now, the one seen.
    """
    per_member = error**2 * n if np.isfinite(error) else 4 * variance
    reach = float(ndtri((1 + LEVEL) / 2))
    if abs(average) > reach * error:
        return 0
    for looked_for in (0.0 if prior is None else prior.uplift, average):
        needed = per_member * ((reach + float(ndtri(POWER))) / looked_for) ** 2 if looked_for else 0.0
        if needed > n:
            return int(np.ceil((needed - n) * (assigned / n or 0.5)))
    return None
