"""The experiments of a community, read from what the store holds: declared ones, the global control, and each intervention's own draw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl

from models.arm_counts import asked_about
from models.declared_assignments import NOTHING_DECLARED
from models.errors import UnknownExperiment
from models.events import event_arrays, without_members
from models.experiment_arms import NO_ARM, begin_us, clustered_arms, hashed_arms, written_arms
from models.experiment_declaration import Metric
from models.experiment_measures import Behaviour
from models.groups import group_columns
from models.intervention_trials import read_interventions
from models.moments import microseconds
from models.policy import in_control
from models.read_out import Enrolment, ReadOut, read_out
from models.snapshots import Snapshots
from models.statements import Statement
from models.whole_groups import counted, largest, whole_groups

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from models.arrays import Flags, Integers
    from models.community import Community
    from models.declared_assignments import DeclaredAssignments
    from models.events import EventArrays, EventLog
    from models.experiment_declaration import Experiment
    from models.read_out import Kind
    from models.store import Store

HELD_BACK, TREATED = "control", "treated"
RETENTION = Metric(name="retention", kind="retention")
CONTRIBUTIONS = Metric(name="contributions", kind="count", signal="any")
VALUE = Metric(name="value", kind="value")


@dataclass(frozen=True)
class Record:
    """What the store holds of all members who let themselves be scored; `decisions` as LogStore.assignments gives them.

    `declared` are assignments of the declared touches, of members who do not too.

    Nothing is known of `until_us` and later: now, or the first midnight after the last event, whichever comes first.
    """

    community: Community
    log: EventLog
    decisions: pl.DataFrame
    until_us: int
    declared: DeclaredAssignments = NOTHING_DECLARED

    @classmethod
    def of(cls, store: Store, community: Community, now: datetime) -> Self:
        told = cls.of_behaviour(store, community, now)
        return replace(told, decisions=store.assignments(), declared=store.declared_assignments())

    @classmethod
    def of_behaviour(cls, store: Store, community: Community, now: datetime) -> Self:
        """Of what members did alone, whatever was decided on them."""
        refusing = [member_id for member_id, wish in store.everyones_preferences().items() if not wish.personalization]
        log = without_members(store.whole_log(community), refusing)
        return cls(community, log, pl.DataFrame(), _known_until(log, community, now))

    @cached_property
    def events(self) -> EventArrays:
        return event_arrays(self.log, self.community)

    @property
    def member_ids(self) -> list[str]:
        return self.log.members["member_id"].to_list()

    @cached_property
    def decided(self) -> pl.DataFrame:
        """The decisions on these members, with `member`, their codes."""
        codes = self.log.members.select("member_id", member=pl.int_range(pl.len(), dtype=pl.UInt32))
        return self.decisions.join(codes, on="member_id").sort("member", "timestamp", maintain_order=True)

    def snapshots(self, member: Integers, since_us: Integers) -> Snapshots:
        return Snapshots(member, since_us, self.events.joined_us[member])

    @cached_property
    def behaviour(self) -> Behaviour:
        return Behaviour(self.community, self.events)


def _known_until(log: EventLog, community: Community, now: datetime) -> int:
    if log.events.is_empty():
        return microseconds(now)
    after = log.last.astimezone(community.zone).date() + timedelta(days=1)
    return min(microseconds(now), begin_us(after, community))


def experiment_ids(community: Community) -> tuple[str, ...]:
    """The global control first, by the id that decisions tell of it, then what is declared, then the interventions."""
    declared = (experiment.id for experiment in community.experiments)
    return (community.policy.control_salt, *declared, *(intervention.id for intervention in community.interventions))


def read_experiments(record: Record, only: str | None = None) -> tuple[ReadOut, ...]:
    """All of them in the order of `experiment_ids`, or one; raises UnknownExperiment."""
    community = record.community
    known = experiment_ids(community)
    if only is not None and only not in known:
        raise unknown_experiment(only, known)
    wanted = [one for one in known if only in (None, one)]
    read = {one.id: read_declared(record, one) for one in community.experiments if one.id in wanted}
    if community.policy.control_salt in wanted:
        read[community.policy.control_salt] = read_global_control(record)
    read |= {one.id: one for one in read_interventions(record, standard_metrics(community), wanted)}
    return tuple(read[one] for one in wanted)


def read_out_of(read: Sequence[ReadOut], experiment_id: str) -> ReadOut:
    """Raises UnknownExperiment."""
    by_id = {one.id: one for one in read}
    if experiment_id not in by_id:
        raise unknown_experiment(experiment_id, by_id)
    return by_id[experiment_id]


def unknown_experiment(asked: str, known: Iterable[str]) -> UnknownExperiment:
    return UnknownExperiment(f'no experiment "{asked}"; there are {", ".join(known)}')


def standard_metrics(community: Community) -> tuple[Metric, ...]:
    """What is read where nothing is declared: retention, contributions, and money where members pay any."""
    paid = any(signal.value == "money" for signal in community.signals)
    return (RETENTION, CONTRIBUTIONS, *((VALUE,) if paid else ()))


def read_global_control(record: Record) -> ReadOut:
    """All whom the service decided on, from their first decision on: those who are offered something against those held back."""
    policy, first = record.community.policy, record.decided.unique("member", keep="first", maintain_order=True)
    since_us = first["timestamp"].to_physical().to_numpy()
    enrolment = Enrolment(
        arms=(HELD_BACK, TREATED),
        shares=(policy.control_share, 1 - policy.control_share),
        arm=(~in_control(first["member_id"], policy)).astype(np.int64),
        since_us=since_us,
        started_us=int(since_us.min()) if len(since_us) else None,
    )
    return _read(record, policy.control_salt, "global_control", enrolment, first["member"].to_numpy(), standard_metrics(record.community))


def read_declared(record: Record, experiment: Experiment) -> ReadOut:
    """Members who were active when it began, and those who joined while it ran; of those whom a hash put into arms none is held back."""
    community, joined = record.community, record.events.joined_us
    start_us = begin_us(experiment.start, community)
    end_us = None if experiment.end is None else begin_us(experiment.end, community)
    stop_us = record.until_us if end_us is None else min(end_us, record.until_us)
    everyone = Snapshots.at(record.events, start_us)
    present = record.behaviour.qualifying.active(everyone, community.churn) & (joined <= start_us) & (start_us < stop_us)
    arms, clusters = arms_of(record, experiment), clusters_of(record, experiment)
    enrolled = np.flatnonzero((present | ((joined > start_us) & (joined < stop_us))) & (arms >= 0))
    enrolment = Enrolment(
        arms=tuple(arm.id for arm in experiment.arms),
        shares=tuple(arm.share for arm in experiment.arms),
        arm=arms[enrolled],
        since_us=np.maximum(joined[enrolled], start_us),
        started_us=start_us,
        ended_us=end_us,
        cluster=None if clusters is None else clusters[enrolled],
    )
    read = _read(record, experiment.id, "declared", enrolment, enrolled, experiment.metrics or standard_metrics(community))
    return replace(read, whole_groups=_undeclared_groups(record, experiment, enrolment, enrolled), notes=_in_no_arm(record, experiment))


def _in_no_arm(record: Record, experiment: Experiment) -> tuple[Statement, ...]:
    """Members whose text is that of no arm, which as often is a name that is written otherwise as it is somebody who takes no part."""
    if experiment.column is None:
        return ()
    told = _told(record, experiment.column)
    strange = told.filter(pl.Series(written_arms(told, experiment) == NO_ARM)).drop_nulls()
    if strange.is_empty():
        return ()
    return (Statement("experiment.in_no_arm", {"n": len(strange), "column": experiment.column, "value": strange[0]}),)


def _undeclared_groups(record: Record, experiment: Experiment, enrolment: Enrolment, enrolled: Integers) -> str | None:
    if experiment not in asked_about(record.community):
        return None
    members, arm = record.log.members[enrolled], pl.Series(enrolment.arm)
    columns = (name for name in group_columns(record.community) if name in members.columns)
    found = largest(whole_groups(column, counted(members[column], arm)) for column in columns)
    return None if found is None else found.column


def arms_of(record: Record, experiment: Experiment) -> Integers:
    """(n_members,): positions in `arms`, NO_ARM for those who are in none."""
    if experiment.column is not None:
        arms = written_arms(_told(record, experiment.column), experiment)
        return arms if experiment.cluster is None else np.where(_told(record, experiment.cluster).is_null().to_numpy(), NO_ARM, arms)
    held_back: Flags = in_control(record.member_ids, record.community.policy)
    if experiment.cluster is not None:
        return np.where(held_back, NO_ARM, clustered_arms(_told(record, experiment.cluster), experiment))
    return np.where(held_back, NO_ARM, hashed_arms(record.member_ids, experiment))


def clusters_of(record: Record, experiment: Experiment) -> Integers | None:
    """(n_members,): the cluster of each as a code, any for those who are in none; None where members were put into arms one by one."""
    if experiment.cluster is None:
        return None
    return _told(record, experiment.cluster).fill_null("").rank("dense").to_numpy().astype(np.int64)


def _told(record: Record, column: str) -> pl.Series:
    """Missing for all where the log has no such column."""
    told = record.log.members
    return told[column].cast(pl.String) if column in told.columns else pl.repeat(None, told.height, dtype=pl.String, eager=True)


def _read(record: Record, name: str, kind: Kind, enrolment: Enrolment, member: Integers, metrics: Sequence[Metric]) -> ReadOut:
    snapshots = record.snapshots(member, enrolment.since_us)
    measures = [record.behaviour.measure(metric, snapshots, record.until_us) for metric in metrics]
    return read_out(name, kind, enrolment, measures, record.until_us)
