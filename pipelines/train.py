"""Trains on the log, tests on later outcomes, and registers the engine as challenger."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import polars as pl

from models.calibration_curve import calibration_points
from models.explanation import shap_summary
from models.figures import calibration_figure, lift_figure
from models.model_card import model_card
from models.model_figures import TRAINING
from models.registry import DataDescription, RunRecord, measured_file
from models.training import GATHERING, train_on
from models.training_cuts import latest_test
from models.training_tables import Draws, tables_of
from pipelines.dates import moment
from pipelines.lessons import lesson_here
from pipelines.loading import registry
from pipelines.publish_figures import publish_models

if TYPE_CHECKING:
    from datetime import datetime

    from matplotlib.figure import Figure

    from models.evaluation import ChurnMetrics
    from models.registry import Registered
    from models.training import Progress, Trained
    from models.training_tables import TrainingTables
    from models.uplift_evidence import Evidence
    from pipelines.lessons import Asked, Lesson, LessonOf
    from pipelines.workspace import Workspace

SHAP_ROWS = 2000


@dataclass(frozen=True)
class TrainingSummary:
    registered: Registered
    trained: Trained
    lesson: Lesson

    def to_dict(self) -> dict[str, Any]:
        """What `keepwell train --json` prints: `churn` is what is in use; `churn.blend` the fitted model, also where it lost."""
        trained, compared, lesson = self.trained, self.trained.churn.compared, self.lesson
        return {
            "version": self.registered.version,
            "run_id": self.registered.run_id,
            "test_as_of": trained.test_as_of.isoformat(),
            "horizon_days": trained.engine.churn.main,
            "members": trained.members,
            "members_in_log": trained.drawn.members,
            "members_left_out": lesson.left_out,
            "sample": {"share": trained.drawn.sample.share, "salt": trained.drawn.sample.salt, "members": lesson.members},
            "snapshots": trained.snapshots,
            "cuts": trained.cuts,
            "events": lesson.events,
            "events_rejected": lesson.rejected,
            "churn": {**compared.to_dict(trained.churn.in_use, trained.churn.metrics), "blend": compared.metrics.to_dict()},
            "value": {"source": trained.value.source, "expected": trained.value.expected, "actual": trained.value.actual},
            "effects": [evidence.to_dict() for evidence in effects_of(trained)],
            "redemption": [rate.to_dict() for rate in trained.redemption],
            "warnings": list(trained.warnings),
        }


def train_challenger(
    workspace: Workspace, asked: Asked, *, now: datetime, progress: Progress, lesson_of: LessonOf = lesson_here
) -> TrainingSummary:
    """`lesson_of` brings what is trained on. Raises InputError, NotEnoughData, and RegistryUnavailable before the work begins."""
    progress("registry")
    models = registry(workspace)
    models.aliases()
    progress("log")
    draws = Draws.of(np.random.default_rng(asked.seed))
    with lesson_of(workspace, asked, now=now) as lesson:
        progress(GATHERING)
        tables = _tables(lesson, asked, draws)
    trained = train_on(tables, trained_at=now, draws=draws, progress=progress)
    progress("registration")
    registered = models.register(trained.engine, trained.golden, run_record(trained, lesson, workspace, asked.seed))
    publish_models(workspace, now=now)
    progress("done")
    return TrainingSummary(registered, trained, lesson)


def _tables(lesson: Lesson, asked: Asked, draws: Draws) -> TrainingTables:
    community = lesson.community
    test_as_of = latest_test(lesson.drawn.last_us, community) if asked.test_as_of is None else moment(asked.test_as_of, community)
    return tables_of(lesson.histories, community, test_as_of=test_as_of, drawn=lesson.drawn, touches=lesson.touches, draws=draws)


def effects_of(trained: Trained) -> tuple[Evidence, ...]:
    """What was learned of each intervention; nothing where the log has no touches, or too few."""
    learned = trained.engine.learned_uplift
    return () if learned is None else tuple(learned.evidence.values())


def run_record(trained: Trained, lesson: Lesson, workspace: Workspace, seed: int) -> RunRecord:
    return RunRecord(
        parameters=_parameters(trained, seed),
        metrics=_metrics(trained),
        figures=_figures(trained),
        texts={
            "model_card.md": model_card(trained),
            "declaration.yaml": workspace.declaration.read_text(encoding="utf-8"),
            measured_file(TRAINING): json.dumps(_measured(trained)),
        },
        data=_data(lesson, workspace),
    )


def _measured(trained: Trained) -> dict[str, Any]:
    """The test, in the form of an evaluation."""
    tested = trained.churn
    return {
        "as_of": trained.test_as_of.isoformat(),
        "horizon_days": trained.engine.churn.main,
        "members": trained.members,
        "out_of_time": True,
        "churn": tested.compared.to_dict(tested.in_use, tested.metrics),
        "calibration": [point.to_dict() for point in calibration_points(tested.churned, tested.probability)],
    }


def _parameters(trained: Trained, seed: int) -> dict[str, str | int | float]:
    churn = trained.engine.community.churn
    parameters: dict[str, str | int | float] = {
        "seed": seed,
        "test_as_of": trained.test_as_of.isoformat(),
        "horizon_days": churn.horizon_days,
        "active_days": churn.active_days,
        "cuts": trained.cuts,
        "snapshots": trained.snapshots,
        "sample_share": trained.drawn.sample.share,
        "sample_salt": trained.drawn.sample.salt,
        "features_kept": len(trained.preparation.kept),
        "in_use": trained.churn.in_use,
        "grade": trained.churn.compared.grade,
        "feature_fingerprint": trained.engine.spec.fingerprint,
    }
    for fitted in trained.horizons:
        chosen, days = fitted.validation, fitted.model.horizon_days
        parameters[f"validation_{days}d"] = chosen.scheme
        parameters[f"weights_{days}d"] = json.dumps(chosen.weights)
        parameters[f"trees_{days}d"] = chosen.trees
        parameters[f"calibration_{days}d"] = chosen.calibration
        parameters[f"majority_share_{days}d"] = chosen.majority_share
    return parameters


def _metrics(trained: Trained) -> dict[str, float]:
    compared = trained.churn.compared
    told = _flat("", trained.churn.metrics) | _flat("blend_", compared.metrics)
    for name, metrics in compared.baselines.items():
        told |= _flat(f"{name}_", metrics)
    told |= {"auc_gain": compared.gain.value, "auc_gain_lower": compared.gain.lower, "auc_gain_upper": compared.gain.upper}
    told |= {f"effect_{each.intervention}": each.expected_effect for each in effects_of(trained)}
    return told | {"value_expected": trained.value.expected}


def _flat(prefix: str, metrics: ChurnMetrics) -> dict[str, float]:
    """An interval becomes two metrics, `_lower` and `_upper`."""
    flat: dict[str, float] = {}
    for name, value in metrics.to_dict().items():
        if isinstance(value, list):
            stem = f"{prefix}{name.removesuffix('_interval')}"
            flat |= {f"{stem}_lower": value[0], f"{stem}_upper": value[1]}
        else:
            flat[f"{prefix}{name}"] = float(value)
    return flat


def _figures(trained: Trained) -> dict[str, Figure]:
    churn, features = trained.churn, trained.test_features[:SHAP_ROWS]
    contributions = trained.engine.churn.contributions(features)
    return {
        "calibration.png": calibration_figure(churn.churned, churn.probability),
        "lift.png": lift_figure(churn.churned, {churn.in_use: churn.probability, **_baseline_risks(trained)}),
        "shap.png": shap_summary(contributions, features, trained.engine.names),
    }


def _baseline_risks(trained: Trained) -> dict[str, np.ndarray]:
    return {name: model.probability(trained.test_features) for name, model in trained.engine.baselines.items()}


def _data(lesson: Lesson, workspace: Workspace) -> DataDescription:
    """Counts by event type: what was learned from can be recognised, and no member can."""
    profile = lesson.profile.with_columns(pl.col("first", "last").dt.to_string())
    path = lesson.community.log.path
    source = path if "://" in path else str((workspace.root / path).resolve())
    return DataDescription(lesson.community.name, source, pd.DataFrame(profile.to_dicts()))
