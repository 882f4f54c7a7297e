"""What a challenger must show before it may decide: requirements, each met or not, and what is missing in words."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from models.evaluation import evaluate_churn, log_loss_difference
from models.statements import Difference, Statement

if TYPE_CHECKING:
    import numpy as np

    from models.arrays import Flags, Floats, Integers
    from models.intervals import Estimate
    from models.policy_comparison import Judged
    from models.policy_value import PolicyDifference

MOST_CALIBRATION_ERROR = 0.05
"""Predicted risks may be off by so much on average; only an error that is larger beyond chance counts against a model."""
PER = 1000
KEPT_GAIN = 0.5
"""Of what the champion is sure to gain over doing nothing a renewal keeps at least this (FDA 2016, Non-Inferiority Clinical Trials)."""
NO_TOUCHES = Statement("proof.no_touches")


@dataclass(frozen=True)
class RiskProof:
    """The challenger's risks on members whose outcome it has not seen.

    `excess_log_loss`: challenger minus champion on the same members, in nats; above 0 the challenger is worse.
    """

    members: int
    calibration_error: Estimate
    excess_log_loss: Estimate


@dataclass(frozen=True)
class PolicyProof:
    """What the challenger's and the champion's decisions are worth on the same logged decisions; `source` tells which these are.

    `renewed_gain`: set where the challenger decides by the same rules and was only trained again; the lower bound of what the champion's
    decisions gain over doing nothing, money per decision. `as_it_is`: the gain of the very challenger on decisions that it learned from,
    where `gain` is that of its effects learned anew.
    """

    challenger: Judged
    champion: Judged
    gain: PolicyDifference
    source: Statement
    currency: str
    renewed_gain: float | None = None
    as_it_is: PolicyDifference | None = None

    @property
    def tolerance(self) -> float:
        """Money per PER decisions by which the challenger may be worse, if nobody says otherwise."""
        return 0.0 if self.renewed_gain is None else PER * (1 - KEPT_GAIN) * max(self.renewed_gain, 0.0)


@dataclass(frozen=True)
class Missing:
    """A proof that could not be made, and why."""

    why: Statement


@dataclass(frozen=True)
class Requirement:
    name: str
    met: bool
    said: Statement

    def to_dict(self) -> dict[str, Any]:
        """With the sentence in English."""
        return {"name": self.name, "met": self.met, "said": str(self.said), "statement": self.said.to_dict()}


@dataclass(frozen=True)
class Verdict:
    """`notes` qualify what was proved."""

    requirements: tuple[Requirement, ...]
    notes: tuple[Statement, ...] = ()

    @property
    def missing(self) -> tuple[Statement, ...]:
        return tuple(requirement.said for requirement in self.requirements if not requirement.met)

    @property
    def passed(self) -> bool:
        return not self.missing

    def to_dict(self) -> dict[str, Any]:
        told = [found.to_dict() for found in self.requirements]
        return {"passed": self.passed, "requirements": told, "notes": [str(note) for note in self.notes]}

    def noting(self, *notes: Statement) -> Self:
        return replace(self, notes=(*self.notes, *notes))


GOLDEN = Requirement("golden_members", met=True, said=Statement("proof.golden_members"))


def measure_risk(churned: Flags, challenger: Floats, champion: Floats, member: Integers, *, rng: np.random.Generator) -> RiskProof:
    """All of shape (n,); raises NotEnoughData where all churned or none did."""
    measuring, differing = rng.spawn(2)
    metrics = evaluate_churn(churned, challenger, member, rng=measuring)
    return RiskProof(metrics.n, metrics.ece, log_loss_difference(churned, challenger, champion, member, rng=differing))


def judge_first(why: Statement) -> Verdict:
    """Where there is nothing to compare with, the golden members suffice."""
    return Verdict((GOLDEN,), (why,))


def judge(risk: RiskProof | Missing, policy: PolicyProof | Missing | None, *, margin: float | None = None) -> Verdict:
    """A challenger beside a champion; `policy` is None where the log holds no assignments at all.

    `margin` is money per 1,000 decisions: by so much the challenger's decisions may be worse, at the lower bound of the difference. By
    default a renewal has the tolerance of its proof, and another policy none.
    """
    risk_requirements = _missing("risk", risk) if isinstance(risk, Missing) else (_calibration(risk),)
    if policy is None:
        compared = () if isinstance(risk, Missing) else (_risk_not_worse(risk),)
        return Verdict((GOLDEN, *risk_requirements, *compared), (NO_TOUCHES,))
    if isinstance(policy, Missing):
        return Verdict((GOLDEN, *risk_requirements, *_missing("policy_value", policy)))
    sound = (_believable("challenger", policy.challenger), _believable("champion", policy.champion))
    allowed = policy.tolerance if margin is None else margin
    better, itself = _better(policy, allowed), _as_it_is(policy, allowed)
    return Verdict((GOLDEN, *risk_requirements, *sound, better, *itself), (policy.source,))


def _missing(name: str, proof: Missing) -> tuple[Requirement, ...]:
    return (Requirement(name, met=False, said=proof.why),)


def _calibration(risk: RiskProof) -> Requirement:
    error = risk.calibration_error
    met = error.lower <= MOST_CALIBRATION_ERROR
    told = {**_bounds("error", error), "members": risk.members, "most": MOST_CALIBRATION_ERROR}
    return Requirement("calibration", met, Statement("proof.calibration" if met else "proof.calibration_off", told))


def _risk_not_worse(risk: RiskProof) -> Requirement:
    met = risk.excess_log_loss.lower <= 0
    said = Statement("proof.risk_not_worse" if met else "proof.risk_worse", _bounds("excess", risk.excess_log_loss))
    return Requirement("risk_not_worse", met, said)


def _believable(name: str, judged: Judged) -> Requirement:
    unbelievable, sound = EVIDENCE[name]
    if judged.warnings:
        return Requirement(f"{name}_evidence", met=False, said=Statement(unbelievable, {"why": judged.warnings}))
    value = judged.dr
    return Requirement(f"{name}_evidence", met=True, said=Statement(sound, {"effective": value.effective_sample_size, "rows": value.n}))


EVIDENCE = {
    "challenger": ("proof.challenger_unbelievable", "proof.challenger_evidence"),
    "champion": ("proof.champion_unbelievable", "proof.champion_evidence"),
}


def _better(policy: PolicyProof, margin: float) -> Requirement:
    """The lower bound of the paired difference lies above the margin below 0."""
    gain, currency = policy.gain, policy.currency
    bounds = {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
    told: dict[str, Any] = {name: Difference(PER * amount, currency) for name, amount in bounds.items()} | {"per": PER}
    if PER * gain.low > -margin:
        return Requirement("policy_value", met=True, said=Statement("proof.policy_value", told))
    told |= {"bound": Difference(-margin, currency), "advice": _advice(policy, margin)}
    return Requirement("policy_value", met=False, said=Statement("proof.policy_value_missing", told))


def _as_it_is(policy: PolicyProof, margin: float) -> tuple[Requirement, ...]:
    """What was learned anew may be sound where the challenger is not, as one that learned from touches that were mended since."""
    gain = policy.as_it_is
    if gain is None:
        return ()
    bounds = {"gain": gain.value, "gain_low": gain.low, "gain_high": gain.high}
    told: dict[str, Any] = {name: Difference(PER * amount, policy.currency) for name, amount in bounds.items()} | {"per": PER}
    met = PER * gain.high >= -margin
    return (Requirement("as_it_is", met, Statement("proof.as_it_is" if met else "proof.worse_as_it_is", told)),)


def _advice(policy: PolicyProof, margin: float) -> Statement:
    """How many decisions would show a gain as large as the one seen."""
    gain, there = policy.gain, policy.challenger.dr.n
    lead = gain.value + margin / PER
    if lead <= 0:
        return Statement("proof.nothing_speaks_for_it")
    needed = there * ((gain.value - gain.low) / lead) ** 2
    return Statement("proof.more_decisions", {"needed": round(needed), "there": there})


def _bounds(name: str, estimate: Estimate) -> dict[str, float]:
    return {name: estimate.value, f"{name}_low": estimate.lower, f"{name}_high": estimate.upper}
