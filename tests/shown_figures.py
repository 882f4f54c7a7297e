"""Figures of interventions and models of the served world, as `keepwell decide` keeps them for the pages."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from models.calibration_curve import CalibrationPoint
from models.decision_table import decide_table
from models.drift_figures import DRIFT, DriftFigures, drift_figures
from models.events import event_arrays
from models.findings import Finding
from models.input_figures import INPUT, InputFigures, told_findings
from models.intervals import Estimate
from models.intervention_figures import INTERVENTIONS, InterventionReport, intervention_report
from models.interventions import ContactHistory
from models.model_figures import MODEL, Measured, ModelFigures, TriedPolicies, TriedPolicy
from models.moments import microseconds
from models.snapshots import Snapshots
from models.statements import Difference, Statement
from tests.learned import evidence, with_evidence
from tests.serving_world import DECLARED, NOW, Running, world

FINDINGS = (
    Finding("advice", "windows_days", 12, "long_windows", {"days": 90, "have": 60}),
    Finding("error", "time", 7, "rows.time_unread", {"count": 3, "total": 900, "value": "m0000007"}, "events"),
)


GAIN = {name: Difference(amount, "CNY") for name, amount in (("gain", 200.0), ("gain_low", -100.0), ("gain_high", 500.0), ("bound", 0.0))}
ADVICE = Statement("proof.more_decisions", {"needed": 2025, "there": 900})
MISSING = (Statement("proof.policy_value_missing", GAIN | {"per": 1000, "advice": ADVICE}),)


def interventions(touched: pl.DataFrame | None = None) -> InterventionReport:
    """The coupon is shown to help; the call was never measured."""
    measured = evidence("coupon", average=0.062, interval=(0.01, 0.11), verdict="act", more_members=0)
    unmeasured = evidence("call", average=None, interval=None, source="prior", verdict="not_enough", n=0, more_members=4000)
    engine = with_evidence(world().engine, measured, unmeasured)
    events = event_arrays(world().log, DECLARED)
    ids = world().log.members["member_id"].to_list()
    everyone = Snapshots.at(events, microseconds(NOW))
    table = decide_table(world().engine, events, everyone, ids, [f"d-{one}" for one in ids], ContactHistory.empty(), as_of=NOW)
    return intervention_report(engine, table, made() if touched is None else touched, events, NOW)


def made() -> pl.DataFrame:
    """Three contacts of the coupon: delivered and redeemed, delivered, on the way."""
    return pl.DataFrame(
        {
            "member": pl.Series([0, 1, 2], dtype=pl.UInt32),
            "timestamp": pl.Series([NOW - timedelta(days=days) for days in (9, 8, 1)], dtype=pl.Datetime("us", "UTC")),
            "intervention": ["coupon"] * 3,
            "delivered": [True, True, False],
            "response": ["redeemed", "refused", None],
            "pending": [False, False, True],
        }
    )


def measured(version: str, days: int, auc: float, *, trained: bool = True) -> Measured:
    risks = (0.05, 0.2, 0.35, 0.45, 0.6)
    points = tuple(CalibrationPoint(40, risk, risk + 0.01, max(risk - 0.1, 0.0), risk + 0.12) for risk in risks)
    return Measured(
        version=version,
        as_of=NOW - timedelta(days=days),
        trained=trained,
        out_of_time=True,
        horizon_days=30,
        members=200,
        churn_rate=0.2,
        grade="A",
        in_use="blend",
        auc=Estimate(auc, auc - 0.03, auc + 0.03),
        recency_auc=Estimate(0.71, 0.67, 0.75),
        gain=Estimate(0.06, 0.02, 0.1),
        calibration_error=Estimate(0.021, 0.004, 0.032),
        calibration=points,
        best_rule="rfm_logistic",
        best_rule_auc=auc - 0.06,
    )


def models() -> ModelFigures:
    champion = TriedPolicy("champion", "1", Estimate(12.0, 11.0, 13.0), None, ())
    challenger = TriedPolicy(
        "challenger",
        "2",
        Estimate(12.2, 11.1, 13.3),
        Estimate(0.2, -0.1, 0.5),
        (Statement("proof.few_effective_rows", {"effective": 40.0, "rows": 900, "needed": 100.0}),),
    )
    nobody = TriedPolicy("nobody", None, Estimate(9.0, 8.0, 10.0), Estimate(-3.0, -4.0, -2.0), ())
    tried = TriedPolicies(NOW, 900, 250, 0.9, "refused", MISSING, (champion, challenger, nobody))
    tests = (measured("1", 60, 0.79), measured("1", 40, 0.81, trained=False), measured("2", 31, 0.82))
    return ModelFigures(NOW, "1", "2", tests, tried)


def drift() -> DriftFigures:
    told = drift_figures(world().engine, event_arrays(world().log, DECLARED), NOW, DECLARED.monitor)
    assert told is not None
    return told


def found() -> InputFigures:
    return InputFigures(NOW, NOW - timedelta(days=200), NOW, 900, 260, 3, told_findings(FINDINGS))


def show_figures(running: Running) -> None:
    bodies = {INTERVENTIONS: interventions(), MODEL: models(), DRIFT: drift(), INPUT: found()}
    for name, figures in bodies.items():
        running.store.keep_figures(name, microseconds(NOW), figures.to_json())
