"""How good the models are, from what was measured of each version and kept with it: for the page, which asks no registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from models.calibration_curve import CalibrationPoint
from models.intervals import Estimate
from models.statements import KeptStatement, Statement, statement_of

MODEL = "model"
"""Their name in the store."""
TRAINING, POLICIES = "training", "policies"
"""Names under which a version keeps what its training and `keepwell evaluate --policy` measured; an evaluation is kept under its date."""
RECENCY = "recency"


@dataclass(frozen=True)
class Measured:
    """What is in use of one version, and the recency rule, on members of one date whose outcome followed.

    `trained`: measured when it was trained. `out_of_time` is False where it had learned from outcomes after that date. `gain` is that of
    the trained model over `best_rule`, which ranks these members best of the plain rules; an earlier release did not keep which that is.
    """

    version: str
    as_of: datetime
    trained: bool
    out_of_time: bool
    horizon_days: int
    members: int
    churn_rate: float
    grade: str
    in_use: str
    auc: Estimate
    recency_auc: Estimate
    gain: Estimate
    calibration_error: Estimate
    calibration: tuple[CalibrationPoint, ...]
    best_rule: str | None = None
    best_rule_auc: float | None = None

    @classmethod
    def of(cls, version: str, told: Mapping[str, Any], *, trained: bool) -> Measured:
        """`told` as training and evaluation keep it."""
        churn = told["churn"]
        ranked = {name: metrics["auc"] for name, metrics in churn["baselines"].items()}
        best = max(ranked, key=ranked.__getitem__)
        return cls(
            version=version,
            as_of=datetime.fromisoformat(told["as_of"]),
            trained=trained,
            out_of_time=told["out_of_time"],
            horizon_days=told["horizon_days"],
            members=told["members"],
            churn_rate=churn["base_rate"],
            grade=churn["grade"],
            in_use=churn["in_use"],
            auc=_estimate(churn, "auc"),
            recency_auc=_estimate(churn["baselines"][RECENCY], "auc"),
            gain=_estimate(churn, "auc_gain"),
            calibration_error=_estimate(churn, "ece"),
            calibration=tuple(CalibrationPoint(**point) for point in told["calibration"]),
            best_rule=best,
            best_rule_auc=ranked[best],
        )


@dataclass(frozen=True)
class TriedPolicy:
    """Money for one decision, with its interval; `gain` over the first of them. `warnings` tell why it may not be believed."""

    name: str
    version: str | None
    value: Estimate
    gain: Estimate | None
    warnings: tuple[KeptStatement, ...]


@dataclass(frozen=True)
class TriedPolicies:
    """Policies on the same logged decisions. `outcome`: of a promotion, None where nobody asked for one; `missing`: what it lacked."""

    at: datetime
    decisions: int
    members: int
    level: float
    outcome: str | None
    missing: tuple[KeptStatement, ...]
    policies: tuple[TriedPolicy, ...]

    @classmethod
    def of_promotion(cls, told: Mapping[str, Any]) -> TriedPolicies | None:
        """From what `keepwell promote` keeps; None where no decisions could be compared."""
        if told["policies"] is None:
            return None
        missing = tuple(statement_of(one.get("statement", one["said"])) for one in told["requirements"] if not one["met"])
        return _tried(told, told["policies"], {"champion": told["against"], "challenger": told["version"]}, told["outcome"], missing)

    @classmethod
    def of_evaluation(cls, told: Mapping[str, Any]) -> TriedPolicies:
        """From what `keepwell evaluate --policy` keeps."""
        return _tried(told, told, told["versions"], None, ())


@dataclass(frozen=True)
class ModelFigures:
    """`measured` by date; `policies` what was compared last of champion and challenger, None where nothing was."""

    at: datetime
    champion: str | None
    challenger: str | None
    measured: tuple[Measured, ...]
    policies: TriedPolicies | None

    @property
    def of_champion(self) -> Measured | None:
        """The test on the latest date that the champion had not learned from; None where it was never measured, or then only so."""
        own = [one for one in self.measured if one.version == self.champion]
        return max(own, key=lambda one: (one.out_of_time, one.as_of), default=None)

    def to_json(self) -> str:
        return _FIGURES.dump_json(self).decode()

    @classmethod
    def from_json(cls, text: str) -> ModelFigures:
        return _FIGURES.validate_json(text)


_FIGURES = TypeAdapter(ModelFigures)


def measured_of(version: str, kept: Mapping[str, Mapping[str, Any]]) -> list[Measured]:
    """Of what one version keeps, by name."""
    return [Measured.of(version, told, trained=name == TRAINING) for name, told in kept.items() if name != POLICIES]


def latest_policies(
    kept: Mapping[str, Mapping[str, Mapping[str, Any]]], gates: Mapping[str, Mapping[str, Any] | None]
) -> TriedPolicies | None:
    """Of what each version keeps by name, and of how its promotion went."""
    tried = [TriedPolicies.of_evaluation(told[POLICIES]) for told in kept.values() if POLICIES in told]
    tried += [found for told in gates.values() if told is not None and (found := TriedPolicies.of_promotion(told)) is not None]
    return max(tried, key=lambda one: one.at, default=None)


def _estimate(told: Mapping[str, Any], name: str) -> Estimate:
    return Estimate(told[name], *told[f"{name}_interval"])


def _tried(
    told: Mapping[str, Any],
    trial: Mapping[str, Any],
    versions: Mapping[str, str | None],
    outcome: str | None,
    missing: tuple[Statement, ...],
) -> TriedPolicies:
    return TriedPolicies(
        at=datetime.fromisoformat(told["at"]),
        decisions=trial["decisions"],
        members=trial["members"],
        level=trial["level"],
        outcome=outcome,
        missing=missing,
        policies=tuple(_policy(name, judged, versions.get(name)) for name, judged in trial["policies"].items()),
    )


def _policy(name: str, judged: Mapping[str, Any], version: str | None) -> TriedPolicy:
    gain = judged["gain"]
    return TriedPolicy(
        name=name,
        version=version,
        value=_bounded(judged["dr"]),
        gain=None if gain is None else _bounded(gain),
        warnings=tuple(statement_of(told) for told in judged.get("statements", judged["warnings"])),
    )


def _bounded(told: Mapping[str, Any]) -> Estimate:
    return Estimate(told["value"], told["low"], told["high"])
