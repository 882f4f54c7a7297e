"""Each intervention against doing nothing, from the chances with which it was drawn, by the service or in a trial that is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.actions import NO_ACTION
from models.balance import Draw, any_unlike
from models.drawn_arms import ARM, NONE, OTHER, Drawn, compare_drawn
from models.drawn_pool import DrawnPool
from models.intervals import members_of_rows
from models.read_out import FEWEST, Enrolment, ReadOut, Sources, befores, drawn_ratio, judged, lift_of
from models.small_arms import is_share
from models.statements import Statement

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from models.arrays import Flags, Floats, Integers
    from models.experiment_declaration import Metric
    from models.experiments import Record
    from models.read_out import RatioCheck
    from models.small_arms import SmallArm
    from models.two_arms import Compared, Measure


def read_interventions(record: Record, metrics: Sequence[Metric], wanted: Collection[str]) -> Iterator[ReadOut]:
    """For each wanted one, over the assignments that could have been it and could have been nothing, as they were assigned."""
    if not any(intervention.id in wanted for intervention in record.community.interventions):
        return
    pool = DrawnPool.of(record)
    measures = [record.behaviour.measure(metric, pool.made.snapshots, record.until_us) for metric in metrics]
    for position, name in enumerate(pool.made.interventions, start=1):
        if name in wanted:
            yield _read(record, pool, measures, position)


def _read(record: Record, pool: DrawnPool, measures: Sequence[Measure], position: int) -> ReadOut:
    made = pool.made
    possible = (pool.shares[:, 0] > 0) & (pool.shares[:, position] > 0)
    pair = np.flatnonzero(possible & np.isin(made.arm, (0, position)))
    check, clusters = _sizes(pool, pair, position)
    draw = Draw(made.arm[pair] == position, _chance(pool, pair, position), np.unique(made.unit[pair], return_inverse=True)[1])
    unlike = any_unlike([(draw, befores(measures, pair))])
    switched = made.switched.get(made.interventions[position - 1], 0)
    at_us, arms = made.snapshots.as_of_us[possible], (NO_ACTION, made.interventions[position - 1])
    started = int(at_us.min()) if len(at_us) else None
    pace = Enrolment(arms, (0.5, 0.5), made.arm[possible], at_us, started).pace(record.until_us)
    lifts = []
    for measure in measures:
        rows = possible & measure.due
        n_arm, n_none = (int((made.arm[rows] == one).sum()) for one in (position, 0))
        compared = _compared(pool, measure, rows, position) if min(n_arm, n_none) >= FEWEST else None
        lifts.append(lift_of(measure, arms[1], arms[0], n_arm, n_none, compared, pace=pace if clusters is None else 0.0))
    declared = int((possible & pool.declared).sum())
    return ReadOut(
        arms[1],
        "intervention",
        arms,
        started,
        None,
        record.until_us,
        check,
        judged(lifts, readable=not (unlike or switched or (clusters or check).mismatch)),
        pace,
        clusters=clusters,
        whole_groups=pool.whole_groups if declared else None,
        unlike_before=unlike,
        sources=Sources(int(possible.sum()) - declared, declared),
        notes=(*pool.notes(arms[1]), *((Statement("experiment.days_drawn", {"days": switched}),) if switched else ())),
    )


def _sizes(pool: DrawnPool, pair: Integers, position: int) -> tuple[RatioCheck, RatioCheck | None]:
    """Of the rows that were either, and of the groups where such were given the same together and nothing was drawn by the service.

    The service draws anew for each decision; a table may have drawn once for all rows of a member, or group, so that the first row of each
    is looked at.
    """
    treated, declared = pool.made.arm[pair] == position, pool.declared[pair]
    chance = _chance(pool, pair, position)
    of_table = np.flatnonzero(declared)
    first = of_table[np.unique(pool.made.unit[pair][of_table], return_index=True)[1]]
    whole = pool.made.units is not None and bool(declared.any()) and bool(declared.all())
    clusters = drawn_ratio(treated[first], chance[first], of_clusters=True) if whole else None
    return drawn_ratio(treated, chance, [np.flatnonzero(~declared), first]), clusters


def _chance(pool: DrawnPool, pair: Integers, position: int) -> Floats:
    chance: Floats = pool.shares[pair, position] / (pool.shares[pair, 0] + pool.shares[pair, position])
    return chance


def _compared(pool: DrawnPool, measure: Measure, rows: Flags, position: int) -> Compared | SmallArm | None:
    made = pool.made
    assigned = np.select([made.arm[rows] == 0, made.arm[rows] == position], [NONE, ARM], OTHER)
    members = members_of_rows(made.unit[rows], int(rows.sum()))
    drawn = Drawn(assigned, measure.value[rows], pool.shares[rows, 0], pool.shares[rows, position], members)
    return compare_drawn(drawn, share=is_share(measure))
