"""Puts a registered engine in force, once it has shown what a challenger must show; keeps what it showed with the version."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from models.catalogue_identity import decides_alike
from models.errors import InputError, ModelRefused, NotEnoughData
from models.gate import GOLDEN, Missing, PolicyProof, Verdict, judge, judge_first, measure_risk
from models.policy_trial import try_policies
from models.registry import CHALLENGER, CHAMPION
from models.statements import Statement
from pipelines.evaluate import known_outcomes
from pipelines.loading import knowing_touches, load_to_learn, registry
from pipelines.publish_figures import publish_models
from pipelines.rollout import running_rollout

if TYPE_CHECKING:
    from datetime import datetime

    from models.engine import Engine
    from models.gate import RiskProof
    from models.policy_trial import PolicyTrial
    from models.training import Progress
    from pipelines.loading import Loaded
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class Force:
    """A promotion without proof, and why."""

    because: str


@dataclass(frozen=True)
class Shown:
    """What a version showed: `risk` and `policies` where they could be measured."""

    verdict: Verdict
    risk: RiskProof | None = None
    policies: PolicyTrial | None = None


@dataclass(frozen=True)
class Promotion:
    """`against` was in force before, None where nothing was; `because` is there where it was forced."""

    version: str
    against: str | None
    at: datetime
    shown: Shown
    because: str | None = None

    @property
    def outcome(self) -> str:
        if self.because is not None:
            return f"forced: {self.because}"
        return "passed" if self.shown.verdict.passed else "refused"

    def to_dict(self) -> dict[str, Any]:
        """What is kept with the version, and what `keepwell promote --json` prints."""
        shown = self.shown
        return {
            "version": self.version,
            "against": self.against,
            "at": self.at.isoformat(),
            "outcome": self.outcome.split(":", maxsplit=1)[0],
            "because": self.because,
            **shown.verdict.to_dict(),
            "risk": None if shown.risk is None else asdict(shown.risk),
            "policies": None if shown.policies is None else shown.policies.to_dict(),
        }


def promote(
    workspace: Workspace,
    version: str | None,
    *,
    now: datetime,
    margin: float | None = None,
    force: Force | None = None,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> Promotion:
    """As `try_promotion`; raises ModelRefused where proof is missing, and says which, InputError while a roll-out runs."""
    running = running_rollout(workspace)
    if running is not None:
        message = (
            f"roll-out {running.rollout_id} of version {running.challenger} runs; `keepwell rollout finish` or `keepwell rollback` ends it"
        )
        raise InputError(message)
    promotion = try_promotion(workspace, version, now=now, margin=margin, force=force, seed=seed, progress=progress)
    if not promotion.shown.verdict.passed:
        message = (
            f"version {promotion.version} is not put in force: {'; '.join(map(str, promotion.shown.verdict.missing))}. "
            f"Version {promotion.against} stays; `keepwell promote --force --because TEXT` promotes without proof"
        )
        raise ModelRefused(message)
    return promotion


def try_promotion(
    workspace: Workspace,
    version: str | None,
    *,
    now: datetime,
    margin: float | None = None,
    force: Force | None = None,
    seed: int = 0,
    progress: Progress = lambda _: None,
) -> Promotion:
    """By default of the challenger. Where it is refused, nothing is in force that was not before.

    A forced promotion measures nothing; its golden members must agree all the same. Raises NoChampion where nothing is registered, and
    ModelRefused for a version that cannot be loaded.
    """
    models, cache = registry(workspace), workspace.model_cache
    chosen = models.version_of(CHALLENGER) if version is None else version
    engine, against = models.load(chosen, cache), models.aliases().get(CHAMPION)
    if force is not None:
        shown = Shown(Verdict((GOLDEN,), (Statement("proof.forced"),)))
    else:
        shown = _shown(workspace, engine, against, margin=margin, seed=seed, now=now, progress=progress)
    return settle(workspace, Promotion(chosen, against, now, shown, None if force is None else force.because))


def settle(workspace: Workspace, promotion: Promotion) -> Promotion:
    """What was shown is kept with the version, which is put in force where it passed. Raises ModelRefused where it cannot be loaded."""
    models = registry(workspace)
    models.record_gate(promotion.version, promotion.outcome, promotion.to_dict())
    if promotion.shown.verdict.passed:
        models.promote(promotion.version, workspace.model_cache, at=promotion.at)
    publish_models(workspace, now=promotion.at)
    return promotion


def _shown(
    workspace: Workspace, engine: Engine, against: str | None, *, margin: float | None, seed: int, now: datetime, progress: Progress
) -> Shown:
    if against is None:
        return Shown(judge_first(Statement("proof.no_champion")))
    if against == engine.version:
        return Shown(judge_first(Statement("proof.champion_already")))
    try:
        champion = registry(workspace).load(against, workspace.model_cache)
    except ModelRefused as refusal:
        return Shown(judge_first(Statement("proof.champion_not_loaded", detail=str(refusal))))
    progress("log")
    loaded = load_to_learn(workspace, now=now)
    risking, trying = np.random.default_rng(seed).spawn(2)
    progress("risk beside the champion's")
    risk = _risk(engine, champion, loaded, risking)
    progress("decisions beside the champion's")
    trial = _trial(engine, champion, loaded, trying)
    progress("done")
    renewal = decides_alike(engine.community, champion.community)
    proved = trial if trial is None or isinstance(trial, Missing) else _policy(trial, loaded.community.currency, renewal=renewal)
    return Shown(
        verdict=judge(risk, proved, margin=margin),
        risk=None if isinstance(risk, Missing) else risk,
        policies=None if isinstance(trial, Missing) else trial,
    )


def _risk(engine: Engine, champion: Engine, loaded: Loaded, rng: np.random.Generator) -> RiskProof | Missing:
    """At the last date whose outcome the log holds, which the challenger has not seen."""
    horizons = [one.community.churn.horizon_days for one in (engine, champion)]
    if horizons[0] != horizons[1]:
        return Missing(Statement("proof.other_horizon", {"challenger": horizons[0], "champion": horizons[1]}))
    try:
        known = known_outcomes(engine, loaded.arrays, None)
        mine, theirs = (
            one.churn.main_model.probability(one.features(loaded.arrays, known.members, threads=2)) for one in (engine, champion)
        )
        return measure_risk(known.churned, mine, theirs, known.members.member, rng=rng)
    except (InputError, NotEnoughData) as shortage:
        return Missing(Statement("proof.risk_not_measured", detail=str(shortage)))


def _trial(engine: Engine, champion: Engine, loaded: Loaded, rng: np.random.Generator) -> PolicyTrial | Missing | None:
    """None where the log holds no assignment at all."""
    touches = loaded.log.touches
    if touches is None or touches.is_empty():
        return None
    try:
        engines = {role: knowing_touches(one, loaded.community) for role, one in ((CHAMPION, champion), (CHALLENGER, engine))}
        return try_policies(engines, loaded.log, loaded.arrays, rng=rng)
    except (InputError, NotEnoughData) as shortage:
        return Missing(Statement("proof.policies_not_measured", detail=str(shortage)))


def _policy(trial: PolicyTrial, currency: str, *, renewal: bool) -> PolicyProof | Missing:
    policies = trial.comparison.policies
    gain = policies[CHALLENGER].gain
    if gain is None:
        return Missing(Statement("proof.policies_not_measured", detail="the challenger was not compared"))
    unlogged = () if trial.assignment == "logged" else (Statement("proof.chances_estimated", {"how": trial.assignment}),)
    source = Statement("proof.clauses", {"clauses": (trial.source, *unlogged)}) if unlogged else trial.source
    nothing = policies["nobody"].gain
    renewed_gain = -nothing.high if renewal and nothing is not None else None
    as_it_is = trial.as_it_is.get(CHALLENGER)
    return PolicyProof(policies[CHALLENGER], policies[CHAMPION], gain, source, currency, renewed_gain, as_it_is)
