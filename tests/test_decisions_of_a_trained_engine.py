"""Decisions by an engine that was trained on the log of a simulated community, on the members of a larger one."""

import json
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from models.community import DAY_US
from models.deciding import Decisions, decide
from models.decision import Candidate, Decision
from models.decision_rows import traces
from models.decision_table import decide_table
from models.engine import Engine, explain
from models.events import EventArrays, EventLog, event_arrays
from models.interventions import ContactHistory
from models.simulation import SimulationConfig, simulate
from models.snapshots import Snapshots
from models.standing_texts import stand
from models.training_rows import default_test_as_of
from tests.planted import community, intervention
from tests.serving_world import world

OFFERED = community(
    intervention("coupon", cost=2, channels=["wecom", "email"], starting_uplift=0.03, cooldown_days=14),
    intervention("call", cost=15, channels=["phone"], starting_uplift=0.06, eligibility={"min_churn_probability": 0.2}),
    intervention("digest", cost=0.1, starting_uplift=0.01, eligibility={"tags": ["interest_decay", "estrangement"]}),
    contact_policy={"caps": [{"name": "weekly", "max_contacts": 1, "days": 7}]},
    policy={"exploration": 0.02, "control_share": 0.05},
)


@dataclass(frozen=True)
class Decided:
    """Everything that went in, and what came out for all members at once."""

    engine: Engine
    events: EventArrays
    snapshots: Snapshots
    ids: list[str]
    contacts: ContactHistory
    as_of: datetime
    batch: Decisions

    def alone(self, row: int) -> Decision:
        mine = self.contacts.member == row
        own = ContactHistory(
            np.zeros(mine.sum(), np.int64),
            *(part[mine] for part in (self.contacts.at_us, self.contacts.channel)),
            self.contacts.intervention[mine],
            undelivered=self.contacts.undelivered[mine],
        )
        events = self.events.of_members([row])
        here = Snapshots.at(events, int(self.snapshots.as_of_us[row]))
        ids = self.ids[row : row + 1]
        return decide(self.engine, events, here, ids, ids, own, as_of=self.as_of, language="zh", explain=explain)[0]


def _log() -> EventLog:
    world = simulate(SimulationConfig(members=500, days=240, start=date(2025, 1, 1)), np.random.default_rng(3))
    codes = world.members.select("member_id").with_row_index("member")
    joined = pl.col("joined").cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    rows = (frame.join(codes, on="member_id").drop("member_id").sort("member", "timestamp") for frame in (world.events, world.touches))
    return EventLog(next(rows).cast({"type": pl.Categorical}), world.members.select("member_id", joined), next(rows))


@pytest.fixture(scope="module")
def decided() -> Decided:
    learned = world().engine
    offered = {name: getattr(OFFERED, name) for name in ("interventions", "contact_policy", "policy")}
    engine = replace(learned, community=learned.community.model_copy(update=offered))
    log = _log()
    events = event_arrays(log, engine.community)
    as_of = default_test_as_of(events, engine.community)
    snapshots = Snapshots.at(events, int(as_of.timestamp()) * 1_000_000)
    ids = log.members["member_id"].to_list()
    contacts = ContactHistory.of_touches(log.touches, snapshots.member)
    batch = decide(engine, events, snapshots, ids, ids, contacts, as_of=as_of, language="zh", explain=explain)
    return Decided(engine, events, snapshots, ids, contacts, as_of, batch)


def test_a_member_alone_gets_the_decision_and_the_reasons_of_the_batch(decided):
    for row in range(0, len(decided.batch), 17):
        alone, batch = decided.alone(row), decided.batch[row]
        assert _names(alone) == _names(batch)
        assert _numbers(alone) == pytest.approx(_numbers(batch), rel=1e-12, abs=1e-9)


def _names(decision: Decision) -> list[object]:
    candidates = [
        (candidate.intervention_id, candidate.channel, candidate.rule, candidate.probability) for candidate in decision.candidates
    ]
    reasons = [(reason.code, reason.text) for reason in decision.reasons]
    return [decision.chosen, decision.draw, decision.arm, decision.no_action_reason, decision.last_event_at, candidates, reasons]


def _numbers(decision: Decision) -> list[float]:
    """Sums of products may differ in the last bit between one row and many."""
    candidates = [number for candidate in decision.candidates for number in (candidate.priority, *candidate.uplift_interval)]
    risks = [risk for _, risk in decision.churn.horizons]
    return [*risks, decision.member.value, *candidates, *(reason.contribution_pp for reason in decision.reasons)]


def test_the_table_holds_the_same_numbers(decided):
    inputs = (decided.engine, decided.events, decided.snapshots, decided.ids, decided.ids, decided.contacts)
    table = decide_table(*inputs, as_of=decided.as_of)
    assert table["member_id"].to_list() == decided.ids
    assert table["chosen"].to_list() == [decision.chosen for decision in decided.batch]
    assert table["churn_probability"].to_list() == [decision.churn.probability for decision in decided.batch]
    assert table["value_at_risk"].to_list() == [decision.member.value_at_risk for decision in decided.batch]


def test_members_have_a_score_while_they_are_active_and_known(decided):
    active_us = decided.engine.community.churn.active_days * DAY_US
    for row, decision in enumerate(decided.batch):
        silence = decision.member.days_silent
        first = decided.events.offsets[row]
        known = silence is not None and decided.events.timestamp_us[first] < decided.snapshots.as_of_us[row]
        expected = "insufficient_history" if not known else "scored" if silence * DAY_US <= active_us else "already_churned"
        assert decision.churn.status == expected


def test_reasons_add_up_to_the_distance_from_the_usual_risk(decided):
    scored = [decision for decision in decided.batch if decision.churn.status == "scored"]
    assert len(scored) > 200
    for decision in scored:
        distance = 100 * (decision.churn.probability - decision.churn.typical_probability)
        assert sum(reason.contribution_pp for reason in decision.reasons) == pytest.approx(distance, abs=1e-6)


def test_nobody_is_contacted_twice_within_the_cap_or_outside_of_the_rules(decided):
    recent = {
        row
        for row, at, reached in zip(decided.contacts.member, decided.contacts.at_us, decided.contacts.reached, strict=True)
        if reached and 0 < decided.snapshots.as_of_us[0] - at < 7 * DAY_US
    }
    chosen = [decision.chosen for decision in decided.batch]
    assert recent
    assert {chosen[row] for row in recent} == {"none"}
    assert {"coupon", "none"} <= set(chosen)
    for decision in decided.batch:
        assert decision.chosen != "call" or decision.churn.probability >= 0.2
        assert decision.chosen != "digest" or {"interest_decay", "estrangement"} & set(decision.member.tags)


def test_a_week_of_silence_later_the_same_members_are_at_greater_risk(decided):
    """Nothing but the clock moves: the events that followed are unknown to both."""
    rows = [row for row, decision in enumerate(decided.batch) if decision.churn.status == "scored" and decision.member.days_silent < 2][
        :100
    ]
    events = decided.events.of_members(rows)
    known = events.timestamp_us < decided.snapshots.as_of_us[0]
    cut = EventArrays(
        np.concatenate([[0], np.cumsum(known)])[events.offsets],
        *(part[known] for part in (events.timestamp_us, events.signal, events.value)),
        events.joined_us,
        events.contract_end_us,
    )
    ids = [decided.ids[row] for row in rows]
    later = decided.as_of + timedelta(days=7)
    snapshots = Snapshots.at(cut, int(later.timestamp()) * 1_000_000)
    after = decide(decided.engine, cut, snapshots, ids, ids, ContactHistory.empty(), as_of=later, language="en")
    change = [late.churn.probability - decided.batch[row].churn.probability for row, late in zip(rows, after, strict=True)]
    assert np.mean(change) > 0.02
    assert {decision.member.stage for decision in after} == {"silent"}


def test_a_score_says_of_every_member_what_its_decision_says(decided):
    told = stand(decided.engine, decided.events, decided.snapshots, decided.ids, language="zh", explain=explain)
    beside = decided.batch.standing_texts
    assert (told.churn, told.member, told.reasons) == (beside.churn, beside.member, beside.reasons)


def test_the_trace_of_each_tells_all_that_its_decision_holds(decided):
    for decision, text in zip(decided.batch, traces(decided.batch), strict=True):
        told, kept = json.loads(text), asdict(decision)
        kept["reasons"] = [reason._asdict() for reason in decision.reasons]
        kept["churn"]["horizons"] = [{"days": days, "probability": probability} for days, probability in decision.churn.horizons]
        kept["candidates"] = [_without_sending(candidate) for candidate in decision.candidates]
        for name in ("as_of", "features_as_of", "last_event_at"):
            kept[name] = None if kept[name] is None else kept[name].isoformat()
        del kept["effect_reasons"], told["churn"]["text"]
        assert told == json.loads(json.dumps(kept))


def _without_sending(candidate: Candidate) -> dict[str, object]:
    told = asdict(candidate) | {"weighed_uplift": candidate.weighed_uplift}
    return {name: value for name, value in told.items() if name not in {"send_not_before", "valid_until", "caution"}}
