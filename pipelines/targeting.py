"""Is targeting by risk hurting us? Answered from the log of any trial with a control, and written as one page."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from models.assignments import assignments_of
from models.effect_ranking import rank_effects
from models.errors import InputError
from models.held_out import effects_in_turn, engines_in_turn, hold_out
from models.in_turn import parts_of
from models.moments import microseconds
from models.policy import costs
from models.targeting import TrialRows, as_logged, best_predicted, compare_targeting
from models.targeting_report import Occasion, render_targeting_report
from pipelines.loading import champion_or_challenger, knowing_touches, load_to_learn
from pipelines.output import writing

if TYPE_CHECKING:
    from pathlib import Path

    from models.assignments import Assignments
    from models.declared import Language
    from models.effect_ranking import ArmRanking
    from models.engine import Engine
    from models.held_out import HeldOut
    from models.targeting import Targeting
    from models.training import Progress
    from pipelines.workspace import Workspace


@dataclass(frozen=True)
class TargetingTold:
    targeting: Targeting
    occasion: Occasion

    def to_dict(self) -> dict[str, Any]:
        """What `keepwell targeting --json` prints."""
        told, occasion = self.targeting, self.occasion
        return {
            "version": occasion.version,
            "currency": occasion.community.currency,
            "first": occasion.first.isoformat(),
            "last": occasion.last.isoformat(),
            "assignment": occasion.assignment,
            "finding": told.finding,
            "needed": told.needed,
            **asdict(told),
            "mix": {one.id: part for one, part in zip(occasion.community.interventions, told.mix, strict=True)},
            "interventions": [asdict(arm) for arm in occasion.arms],
            "warnings": [str(warning) for warning in occasion.warnings],
        }


def compare_rankings(
    workspace: Workspace, share: float, *, best_action: bool, version: str | None, seed: int, now: datetime, progress: Progress
) -> TargetingTold:
    """On all assignments of the log whose outcome is known; risks are those of the champion, else the challenger.

    Raises InputError, NotEnoughData, NoChampion, ModelRefused.
    """
    progress("log")
    loaded = load_to_learn(workspace, now=now)
    engine = knowing_touches(champion_or_challenger(workspace, version), loaded.community)
    touches = loaded.log.touches
    if touches is None:
        message = "no touches are declared: whom to contact is judged on what was tried; see `touches` in docs/declaration.md"
        raise InputError(message)
    until_us = int(loaded.arrays.timestamp_us.max())
    made = assignments_of(touches, loaded.arrays, engine.community, until_us=until_us)
    _check_any(made)
    holding, fitting, drawing, parting = np.random.default_rng(seed).spawn(4)
    progress("outcomes of the assignments")
    scores = engine.score(loaded.arrays, made.snapshots, threads=2)
    held = hold_out(scores.features, made, rng=holding)
    progress("effects, part by part")
    part = parts_of(made.unit, rng=parting)
    engines = engines_in_turn(engine, held, part, loaded.arrays, touches, until_us=until_us, rng=fitting)
    risk = engine.main_probability(scores)
    effects = effects_in_turn(engines, held, part, risk)
    progress("rankings")
    told = compare_targeting(_rows(engine, held, part, risk, effects, scores.value, best_action=best_action), share)
    arms = rank_effects(held, effects, part, rng=drawing)
    progress("done")
    return TargetingTold(told, _occasion(engine, held, arms, best_action=best_action))


def _check_any(made: Assignments) -> None:
    if len(made) == 0:
        message = "the log holds no assignment of a declared intervention, or of `none`, whose outcome is known yet"
        raise InputError(message)


def _rows(
    engine: Engine, held: HeldOut, part: np.ndarray, risk: np.ndarray, effects: np.ndarray, value: np.ndarray, *, best_action: bool
) -> TrialRows:
    cost = np.tile(costs(engine.community), (len(risk), 1))
    comparable = held.scores.comparable
    given = best_predicted(effects, value, cost, comparable) if best_action else as_logged(held.propensities.shares, comparable)
    return TrialRows(
        risk=risk,
        predicted=effects,
        value=value,
        cost=cost,
        score=held.scores.score,
        given=given,
        member=held.assignments.snapshots.member,
        unit=held.assignments.unit,
        part=part,
    )


def _occasion(engine: Engine, held: HeldOut, arms: tuple[ArmRanking, ...], *, best_action: bool) -> Occasion:
    at_us, kind = held.assignments.snapshots.as_of_us, held.propensities.kind
    return Occasion(
        community=engine.community,
        version=engine.version,
        trained_through=engine.provenance.trained_through,
        first=datetime.fromtimestamp(int(at_us.min()) / 1e6, UTC),
        last=datetime.fromtimestamp(int(at_us.max()) / 1e6, UTC),
        seen_share=float((at_us < microseconds(engine.provenance.trained_through)).mean()),
        assignment=kind,
        best_action=best_action,
        arms=arms,
        warnings=held.warnings(engine.names),
    )


def write_page(told: TargetingTold, output: Path, *, language: Language, now: datetime) -> None:
    """Raises InputError for a place that cannot be written to."""
    page = render_targeting_report(told.targeting, told.occasion, generated_at=now, language=language)
    with writing(output):
        output.write_text(page, encoding="utf-8")
