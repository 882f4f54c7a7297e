"""In which arm of a declared experiment a member is: what read-outs compare, and what interventions may be kept for."""

from __future__ import annotations

from datetime import datetime, time
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from models.member_columns import NOWHERE, positions_of
from models.moments import microseconds
from models.policy import choose, draws_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from models.arrays import Integers
    from models.community import Community
    from models.experiment_declaration import Experiment
    from models.member_columns import MemberColumns

NO_ARM = NOWHERE


def begin_us(day: date, community: Community) -> int:
    """Its midnight by the community's clock."""
    return microseconds(datetime.combine(day, time(), tzinfo=community.zone))


def hashed_arms(units: Sequence[str], experiment: Experiment) -> Integers:
    """(n,): by the hash of the experiment's id and the member's, or the cluster's, so that each stays where it is."""
    draws = draws_of(f"{experiment.id}:{unit}" for unit in units)
    return choose(np.tile([arm.share for arm in experiment.arms], (len(draws), 1)), draws)


def clustered_arms(told: pl.Series, experiment: Experiment) -> Integers:
    """(n,): all members of a cluster in its arm; NO_ARM for those who are in none."""
    clusters = told.cast(pl.String)
    return np.where(clusters.is_null().to_numpy(), NO_ARM, hashed_arms(clusters.fill_null("").to_list(), experiment))


def written_arms(told: pl.Series, experiment: Experiment) -> Integers:
    """(n,): as another system wrote them; NO_ARM where the text is that of none."""
    return positions_of(told, [arm.id for arm in experiment.arms])


def arms_in_force(community: Community, member_ids: Sequence[str], columns: MemberColumns, as_of_us: int) -> Mapping[str, Integers]:
    """For each experiment that an intervention is kept for, positions in its arms, shape (n_members,); NO_ARM for all before its start."""
    asked = {name for intervention in community.interventions for name in intervention.eligibility.experiment or ()}
    return {one.id: _arms_of(one, community, member_ids, columns, as_of_us) for one in community.experiments if one.id in asked}


def _arms_of(experiment: Experiment, community: Community, member_ids: Sequence[str], columns: MemberColumns, as_of_us: int) -> Integers:
    if as_of_us < begin_us(experiment.start, community):
        return np.full(len(member_ids), NO_ARM)
    if experiment.column is not None:
        return written_arms(columns.text(experiment.column), experiment)
    if experiment.cluster is not None:
        return clustered_arms(columns.text(experiment.cluster), experiment)
    return hashed_arms(member_ids, experiment)
