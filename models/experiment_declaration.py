"""An experiment as it is declared: who is in which arm, from when to when, and what is measured."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from models.declared import Declared, Identifier, Label, Name, PositiveDays

MetricKind = Literal["retention", "value", "count", "ratio"]


class Metric(Declared):
    """What is compared between the arms, of each member over the `days` that follow its enrolment.

    `retention`: not gone, as churn is declared. `value`: money of all signals, times the margin. `count`: events of `signal` (`any`: of all
    qualifying ones). `ratio`: the sum of the values of `signal` per event of `per`. `smallest_lift`: the change, as a share of the
    control's mean, that is worth waiting for. Without `days` the churn horizon holds, for `value` the `value_days`.
    """

    name: Identifier
    label: Label | None = None
    kind: MetricKind
    signal: Name | None = None
    per: Name | None = None
    days: PositiveDays | None = None
    smallest_lift: Annotated[float, Field(gt=0, le=10)] = 0.05

    @model_validator(mode="after")
    def _names_what_it_counts(self) -> Self:
        wanted = {"count": (True, False), "ratio": (True, True)}.get(self.kind, (False, False))
        if (self.signal is not None, self.per is not None) != wanted:
            needs = " and ".join(name for name, needed in zip(("signal", "per"), wanted, strict=True) if needed) or "neither signal nor per"
            message = f"a metric of kind {self.kind} needs {needs}"
            raise ValueError(message)
        return self


class Arm(Declared):
    """`share` of the members of the experiment, above 0."""

    id: Annotated[str, Field(min_length=1, max_length=64)]
    share: Annotated[float, Field(gt=0, lt=1)]
    label: Label | None = None


class Experiment(Declared):
    """Members in arms, the first of which is the control.

    Arms follow from a salted hash of the member's id, and stay; or from the text in `column` of the members table, where another system
    assigned them. With `cluster`, a column of that table, members with one text there are in one arm: the hash is that of the text, and
    those without any take no part. Members are enrolled from the begin of `start` to the begin of `end`, by the community's clock: those
    who are active then at once, others when they join. Without `metrics` the usual ones are read.
    """

    id: Identifier
    label: Label | None = None
    arms: Annotated[tuple[Arm, ...], Field(min_length=2, max_length=10)]
    column: str | None = None
    cluster: str | None = None
    start: date
    end: date | None = None
    metrics: Annotated[tuple[Metric, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        shares = sum(arm.share for arm in self.arms)
        if abs(shares - 1) > 1e-6:
            message = f"the shares of the arms add up to {shares:g}, and must to 1"
            raise ValueError(message)
        for what, names in (("arm", [arm.id for arm in self.arms]), ("metric", [metric.name for metric in self.metrics])):
            if len(set(names)) < len(names):
                message = f"an {what} is given more than once: {', '.join(names)}"
                raise ValueError(message)
        if self.end is not None and self.end <= self.start:
            message = f"end {self.end} must be after start {self.start}"
            raise ValueError(message)
        return self
