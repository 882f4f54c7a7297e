"""A risk beside the plain rules, on the same members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from models.errors import NotEnoughData
from models.evaluation import auc_difference, best_baseline, evaluate_churn, grade
from models.training_cuts import FEWEST_TO_GRADE, Outcomes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from models.arrays import Flags, Floats, Integers
    from models.evaluation import ChurnMetrics, Grade
    from models.intervals import Estimate


@dataclass(frozen=True)
class Compared:
    """`gain` is the AUC of the risk minus that of the baseline `best`, which ranks these members better than the other."""

    grade: Grade
    gain: Estimate
    best: str
    metrics: ChurnMetrics
    baselines: dict[str, ChurnMetrics]
    outcomes: Outcomes

    @property
    def shortage(self) -> str | None:
        """Why no grade above C can be given, whatever the gain; None where one can."""
        if self.outcomes.rarer >= FEWEST_TO_GRADE:
            return None
        seen = f"{self.outcomes.rarer} of {self.outcomes.snapshots} members tested had the rarer outcome"
        return f"not enough to tell: {seen}, {FEWEST_TO_GRADE} are needed"

    def to_dict(self, in_use: str, metrics: ChurnMetrics) -> dict[str, Any]:
        """What is kept and printed; `metrics` are of what is in use, one of the baselines where the model lost."""
        return {
            **metrics.to_dict(),
            "grade": self.grade,
            "shortage": self.shortage,
            "in_use": in_use,
            "auc_gain": self.gain.value,
            "auc_gain_interval": self.gain.interval,
            "baselines": {name: baseline.to_dict() for name, baseline in self.baselines.items()},
        }


def compare(
    churned: Flags, probability: Floats, baselines: Mapping[str, Floats], member: Integers, *, rng: np.random.Generator
) -> Compared:
    """All arrays have shape (n,), rows of one member share its code. Raises NotEnoughData where all churned or none did."""
    if len(churned) == 0:
        message = "no member was active before the test date: there is nobody to test on; choose another date"
        raise NotEnoughData(message)
    if churned.all() or not churned.any():
        what = "churned" if churned.all() else "stayed"
        message = f"all {len(churned)} members of the test date {what}: there is nothing to tell apart; choose another date or horizon"
        raise NotEnoughData(message)
    measuring, differing = rng.spawn(2)
    outcomes = Outcomes(len(churned), int(churned.sum()))
    best = best_baseline(churned, baselines)
    gain = auc_difference(churned, probability, baselines[best], member, rng=differing)
    return Compared(
        grade=grade(gain, outcomes.rarer),
        gain=gain,
        best=best,
        metrics=evaluate_churn(churned, probability, member, rng=measuring),
        baselines={name: evaluate_churn(churned, risk, member, rng=measuring) for name, risk in baselines.items()},
        outcomes=outcomes,
    )
