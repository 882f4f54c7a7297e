"""A roll-out as the store holds it, compared: who was decided on in its stage, what they were sent, and what they did since."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from models.community import DAY_US
from models.experiment_declaration import Metric
from models.experiments import RETENTION, Record, standard_metrics
from models.moments import EPOCH, microseconds
from models.policy import in_control
from models.preferences import UNASKED
from models.rollout_comparison import Comparison, Sides, Watched, compare
from models.rollouts import WHOLE
from models.snapshots import Snapshots
from models.two_arms import Measure

if TYPE_CHECKING:
    import polars as pl

    from models.actions import Policy
    from models.arrays import Flags, Floats, Integers
    from models.community import Community
    from models.preferences import Preferences
    from models.rollouts import Rollout, Stage
    from models.store import Store

NAME = "rollout"
"""Of the figures in the store."""
SMALLEST_LIFT = 0.05


@dataclass(frozen=True)
class Term:
    """A stage that has two sides, and when it ended: until then every member was on one of them."""

    stage: Stage
    until_us: int


@dataclass(frozen=True)
class KeptComparison:
    """`mark`: of what the store held when it was read."""

    read_at: datetime
    mark: str
    comparison: Comparison

    def to_json(self) -> str:
        return json.dumps({"mark": self.mark, "comparison": self.comparison.to_dict()})

    @classmethod
    def of(cls, text: str, read_us: int) -> Self:
        told: dict[str, Any] = json.loads(text)
        return cls(EPOCH + timedelta(microseconds=read_us), told["mark"], Comparison.from_dict(told["comparison"]))


def term_of(rollout: Rollout, now_us: int) -> Term | None:
    """The last stage of less than all members; None where there was none."""
    ends = [*(stage.since_us for stage in rollout.stages[1:]), now_us if rollout.ended_us is None else min(rollout.ended_us, now_us)]
    with_two = [Term(stage, end) for stage, end in zip(rollout.stages, ends, strict=True) if stage.percent < WHOLE]
    return with_two[-1] if with_two else None


def read_comparison(store: Store, rollout: Rollout, policy: Policy, community: Community, now: datetime) -> Comparison | None:
    """`policy` is the champion's. Of members without a wish against it what they did is read. None for a roll-out to all from the start.

    A member counts from its first decision in the stage, and for what it did over so many days once they have passed within the stage.
    """
    term = term_of(rollout, microseconds(now))
    if term is None:
        return None
    made = store.members_of_rollout(rollout.challenger, term.stage.since_us, term.until_us)
    ids = made["member_id"].to_list()
    made = made.filter(~in_control(ids, policy))
    taken = rollout.takes(made["member_id"].to_list(), policy, term.stage.percent)
    record = Record.of_behaviour(store, community, now)
    behaviour = _behaviour(record, rollout, made, min(term.until_us, record.until_us))
    sent = _sent(community, made, store.everyones_preferences(), term.until_us)
    sides = Sides(taken, made["first_us"].to_numpy(), term.stage.percent / WHOLE, term.until_us)
    return compare(rollout.rollout_id, term.stage.percent, term.stage.since_us, sides, _followed(made, taken), (*behaviour, *sent))


def _behaviour(record: Record, rollout: Rollout, made: pl.DataFrame, until_us: int) -> list[Watched]:
    """Nobody who refused to be scored, or was erased, is due. Behaviour before is that before the roll-out, which cannot change it."""
    codes = {member_id: code for code, member_id in enumerate(record.member_ids)}
    code = np.array([codes.get(member_id, -1) for member_id in made["member_id"].to_list()], dtype=np.int64)
    there = np.flatnonzero(code >= 0)
    since = record.snapshots(code[there], made["first_us"].to_numpy()[there])
    begin = record.snapshots(code[there], np.full(len(there), rollout.started_us))
    return [_watched(record, metric, since, begin, there, len(code), until_us) for metric in _metrics(record.community)]


def _metrics(community: Community) -> list[Metric]:
    """Retention first, and over the shortest horizon, which tells sooner."""
    shortest, first = community.churn.horizons_days[0], [RETENTION]
    if shortest < community.churn.horizon_days:
        first.append(Metric(name=f"retention_{shortest}d", kind="retention", days=shortest))
    return [*first, *(metric for metric in standard_metrics(community) if metric is not RETENTION)]


def _watched(record: Record, metric: Metric, since: Snapshots, begin: Snapshots, there: Integers, members: int, until_us: int) -> Watched:
    measure = record.behaviour.measure(metric, since, until_us)
    before = record.behaviour.measure(metric, begin, until_us).before
    spread = replace(
        measure,
        value=_placed(measure.value, there, members),
        due=_placed(measure.due, there, members).astype(np.bool_),
        before=None if before is None else _placed(before, there, members),
    )
    guard = record.community.rollout
    if metric.kind != "retention":
        return Watched(spread, sign=1)
    return Watched(spread, sign=1, tolerance=guard.retention, margin=guard.margin)


def _placed(values: Floats | Flags, rows: Integers, members: int) -> Floats:
    placed = np.zeros(members)
    placed[rows] = values
    return placed


def _sent(community: Community, made: pl.DataFrame, wishes: dict[str, Preferences], until_us: int) -> list[Watched]:
    """Since a member is in, and before `until_us`."""
    guard, ids, since_us = community.rollout, made["member_id"].to_list(), made["first_us"].to_list()
    refused = (made["refusals"].to_numpy() > 0).astype(np.float64)
    out = [wishes.get(one, UNASKED).refused_within(begin_us, until_us) for one, begin_us in zip(ids, since_us, strict=True)]

    def counted(name: str, value: Floats) -> Measure:
        return Measure(name, "count", 0, SMALLEST_LIFT, value, np.ones(len(ids), dtype=np.bool_))

    return [
        Watched(counted("refusals", refused), -1, guard.refusals, rate=True),
        Watched(counted("opt_outs", np.array(out, dtype=np.float64)), -1, guard.opt_outs, rate=True),
        Watched(counted("contacts", made["contacts"].to_numpy().astype(np.float64)), *_bounded(guard.contacts)),
        Watched(counted("cost", made["cost"].to_numpy().astype(np.float64)), *_bounded(guard.cost)),
    ]


def _bounded(tolerance: float | None) -> tuple[int, float | None]:
    """Sign and tolerance of what is no harm unless it is declared."""
    return (0, None) if tolerance is None else (-1, tolerance)


def _followed(made: pl.DataFrame, taken: Flags) -> tuple[float | None, float | None]:
    decisions, theirs = made["decisions"].to_numpy(), made["by_challenger"].to_numpy()
    own = np.where(taken, theirs, decisions - theirs)
    champion, challenger = (_share(own[side], decisions[side]) for side in (~taken, taken))
    return champion, challenger


def _share(part: Integers, whole: Integers) -> float | None:
    return float(part.sum() / whole.sum()) if whole.sum() else None


def kept_comparison(store: Store, rollout: Rollout) -> KeptComparison | None:
    """None where it was not read since this roll-out began."""
    figures = store.figures(NAME)
    if figures is None:
        return None
    kept = KeptComparison.of(figures.body, figures.as_of_us)
    return kept if kept.comparison.rollout_id == rollout.rollout_id else None


def read_and_keep(store: Store, rollout: Rollout, policy: Policy, community: Community, now: datetime) -> KeptComparison | None:
    """Where nothing came since it was read, what is kept; `now` is the moment of reading, up to which everything counts."""
    mark, kept = f"{store.log_mark()}-{rollout.percent:g}", kept_comparison(store, rollout)
    if kept is not None and kept.mark == mark and microseconds(now) - microseconds(kept.read_at) < DAY_US // 24:
        return kept
    comparison = read_comparison(store, rollout, policy, community, now)
    if comparison is None:
        return None
    made = KeptComparison(now, mark, comparison)
    store.keep_figures(NAME, microseconds(now), made.to_json())
    return made
