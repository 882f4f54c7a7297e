"""What is done every day without a person, and how often, as it is declared."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from models.declared import Declared, PositiveDays, Share


class Schedule(Declared):
    """`deliveries`: a pattern of the files that bring a day's events, from the folder of the declaration, such as `days/*.csv`.

    A file of which more than `most_rejected` of the rows cannot be used is refused whole. A model is trained again when what it learned
    from is `retrain_days` older than what it could learn from now, or `retrain_early_days` where the monitor raised an alarm about it.
    With `record` the decisions are kept in the store too. Tables and reports of a run are kept for `keep_days`.
    """

    deliveries: str | None = None
    most_rejected: Share = 0.1
    retrain_days: PositiveDays = 28
    retrain_early_days: PositiveDays = 7
    record: bool = False
    report: bool = True
    keep_days: PositiveDays = 30


class Watch(Declared):
    """From where on the monitor raises an alarm.

    `stale_hours`: the log's last event is so old. `rejected`: share of the rows that could not be used. `feature_psi`, `score_psi`:
    population stability index, where chance does not explain it. `auc_drop`: AUC below the expected one by so much beyond chance,
    `log_loss_excess` nats above it, `calibration_gap` the share of members who went away from it, likewise. `mix_p`, `control_p`:
    p-values of what was chosen against its chances, and of the control's size. `plan_excess`: share by which more was given than the plan
    in force foresaw. `days`: decisions of so many days are looked at.
    """

    stale_hours: Annotated[int, Field(gt=0)] = 24
    rejected: Share = 0.05
    feature_psi: Annotated[float, Field(gt=0)] = 0.25
    score_psi: Annotated[float, Field(gt=0)] = 0.25
    auc_drop: Share = 0.03
    log_loss_excess: Annotated[float, Field(gt=0)] = 0.05
    calibration_gap: Share = 0.05
    mix_p: Share = 0.001
    control_p: Share = 0.001
    plan_excess: Annotated[float, Field(ge=0)] = 0.1
    days: PositiveDays = 28
