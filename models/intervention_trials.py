"""Each intervention against doing nothing, from the chances with which the service drew what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.actions import NO_ACTION
from models.assignments import assignments_of
from models.drawn_arms import ARM, NONE, OTHER, Drawn, compare_drawn
from models.intervals import members_of_rows
from models.read_out import FEWEST, Enrolment, ReadOut, drawn_ratio, judged, lift_of
from models.small_arms import is_share

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from models.arrays import Flags, Floats
    from models.assignments import Assignments
    from models.experiment_declaration import Metric
    from models.experiments import Record
    from models.small_arms import SmallArm
    from models.two_arms import Compared, Measure


def read_interventions(record: Record, metrics: Sequence[Metric], wanted: Collection[str]) -> Iterator[ReadOut]:
    """For each wanted one, over the decisions that could have been it and could have been nothing, as they were assigned."""
    made = _assignments(record)
    measures = [record.behaviour.measure(metric, made.snapshots, record.until_us) for metric in metrics]
    for position, name in enumerate(made.interventions, start=1):
        if name in wanted:
            yield _read(record, made, measures, position)


def _assignments(record: Record) -> Assignments:
    """Decisions on members who were in the population then, the outcome of which may not be known yet; their chances were all logged."""
    actions = [NO_ACTION, *(intervention.id for intervention in record.community.interventions)]
    told = record.decided.filter(pl.col("propensities").is_not_null())
    chances = told["propensities"].str.json_decode(pl.Struct(dict.fromkeys(actions, pl.Float64))).struct.unnest()
    touches = told.drop("propensities").with_columns(chances[name].fill_null(0.0).alias(f"propensity_{name}") for name in actions)
    made = assignments_of(touches, record.events, record.community, until_us=np.iinfo(np.int64).max)
    return made if made.propensities is not None else made[np.array([], dtype=np.int64)]


def _read(record: Record, made: Assignments, measures: Sequence[Measure], position: int) -> ReadOut:
    shares = made.propensities if made.propensities is not None else np.empty((len(made), 1 + len(made.interventions)))
    possible = (shares[:, 0] > 0) & (shares[:, position] > 0)
    pair = possible & np.isin(made.arm, (0, position))
    check = drawn_ratio(made.arm[pair] == position, shares[pair, position] / (shares[pair, 0] + shares[pair, position]))
    at_us, arms = made.snapshots.as_of_us[possible], (NO_ACTION, made.interventions[position - 1])
    started = int(at_us.min()) if len(at_us) else None
    pace = Enrolment(arms, (0.5, 0.5), made.arm[possible], at_us, started).pace(record.until_us)
    lifts = []
    for measure in measures:
        rows = possible & measure.due
        n_arm, n_none = (int((made.arm[rows] == one).sum()) for one in (position, 0))
        compared = _compared(made, measure, shares, rows, position) if min(n_arm, n_none) >= FEWEST else None
        lifts.append(lift_of(measure, arms[1], arms[0], n_arm, n_none, compared, pace=pace))
    told = judged(lifts, readable=not check.mismatch)
    return ReadOut(arms[1], "intervention", arms, started, None, record.until_us, check, told, pace)


def _compared(made: Assignments, measure: Measure, shares: Floats, rows: Flags, position: int) -> Compared | SmallArm | None:
    assigned = np.select([made.arm[rows] == 0, made.arm[rows] == position], [NONE, ARM], OTHER)
    members = members_of_rows(made.unit[rows], int(rows.sum()))
    drawn = Drawn(assigned, measure.value[rows], shares[rows, 0], shares[rows, position], members)
    return compare_drawn(drawn, share=is_share(measure))
