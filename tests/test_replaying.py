"""What an engine would have done then: the same as if it had been asked then, and learned without those who are asked about."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from models.assignments import assignments_of
from models.community import DAY_US
from models.held_out import effects_in_turn, engines_in_turn, hold_out
from models.in_turn import parts_of
from models.interventions import ContactHistory
from models.moments import EPOCH
from models.replaying import replay, replay_in_turn
from models.uplift_beliefs import PriorUplift
from models.weighing import weigh
from tests.planted import community, intervention

CATALOGUE = (
    intervention("group_invitation", cost=1, channels=["wecom"], starting_uplift=0.04, cooldown_days=60),
    intervention("personal_call", cost=12, channels=["phone"], starting_uplift=0.06, eligibility={"min_churn_probability": 0.15}),
)


@pytest.fixture(scope="module")
def engine(trained_world):
    """A cooldown and a weekly cap ask how long ago contacts were."""
    declared = trained_world.trained.engine.community
    caps = {"caps": [{"name": "calls", "channel": "phone", "max_contacts": 1, "days": 60}]}
    rules = community(*CATALOGUE, contact_policy=caps, policy={"exploration": 0.05, "control_share": 0.1})
    parts = {name: getattr(rules, name) for name in ("interventions", "contact_policy", "policy")}
    return replace(trained_world.trained.engine, community=declared.model_copy(update=parts))


@pytest.fixture(scope="module")
def made(engine, trained_world):
    until = int(trained_world.events.timestamp_us.max())
    return assignments_of(trained_world.log.touches, trained_world.events, engine.community, until_us=until)


def test_all_moments_at_once_are_each_moment_alone(engine, made, trained_world):
    told = replay(engine, trained_world.log, trained_world.events, made.snapshots)
    removed = set()
    for at_us in np.unique(made.snapshots.as_of_us)[::4]:
        rows = np.flatnonzero(made.snapshots.as_of_us == at_us)
        members = made.snapshots.member[rows]
        contacts = ContactHistory.of_touches(trained_world.log.touches, members)
        ids = trained_world.log.members["member_id"].gather(members).to_list()
        as_of = EPOCH + timedelta(microseconds=int(at_us))
        alone = weigh(engine, trained_world.events, made.snapshots[rows], ids, ids, contacts, as_of=as_of)
        np.testing.assert_array_equal(told.propensity[rows], alone.propensity)
        np.testing.assert_array_equal(told.allowed[rows, 1:], alone.allowed)
        removed |= {alone.refusals.rules[code - 1].name for code in np.unique(alone.refusals.code) if code}
    assert {"cooldown_days", "calls", "global_control"} <= removed


def test_at_the_moment_of_a_draw_nobody_rests_from_the_one_before(engine, made, trained_world):
    """The log draws often on the same members: what is asked is what would have been drawn, and not whether it was too soon."""
    policy = engine.community.contact_policy.model_copy(update={"draw_cooldown_days": 60})
    resting = replace(engine, community=engine.community.model_copy(update={"contact_policy": policy}))
    before, after = (replay(one, trained_world.log, trained_world.events, made.snapshots) for one in (engine, resting))
    np.testing.assert_array_equal(after.propensity, before.propensity)
    later = replace(made.snapshots, as_of_us=made.snapshots.as_of_us + 1)
    told = replay(resting, trained_world.log, trained_world.events, later)
    drawn = made.propensities.max(axis=1) < 1
    assert drawn.any()
    assert np.all(told.propensity[drawn, 0] == 1)


def test_what_would_not_have_been_allowed_has_no_chance(engine, made, trained_world):
    told = replay(engine, trained_world.log, trained_world.events, made.snapshots)
    assert told.propensity.sum(axis=1) == pytest.approx(1)
    assert np.all(told.propensity[~told.allowed] == 0)
    assert np.all(told.propensity[told.allowed] > 0)


def test_an_engine_of_beliefs_is_asked_as_it_is(engine, made, trained_world):
    held = hold_out(engine.features(trained_world.events, made.snapshots), made, rng=np.random.default_rng(1))
    part = parts_of(made.unit, rng=np.random.default_rng(3))
    told = replay_in_turn(engine, held, part, trained_world.log, trained_world.events, rng=np.random.default_rng(2))
    assert not told.relearned.any()
    np.testing.assert_array_equal(told.propensity, replay(engine, trained_world.log, trained_world.events, made.snapshots).propensity)


def test_what_later_parts_showed_before_the_first_decision_that_is_judged_teaches_too(engine, made, trained_world):
    """And nothing that was not known by then, nor anything of the members of the part that is judged."""
    at_us, horizon_us = made.snapshots.as_of_us, engine.community.churn.horizon_days * DAY_US
    late = made[at_us >= np.quantile(at_us, 0.6)]
    held = hold_out(engine.features(trained_world.events, late.snapshots), late, rng=np.random.default_rng(1))
    part = parts_of(late.unit, rng=np.random.default_rng(4)) % 3
    until, touches = int(trained_world.events.timestamp_us.max()), trained_world.log.touches
    own, later = (touches["member"].is_in(np.unique(late.snapshots.member[part == number]).tolist()) for number in (1, 2))
    known = touches["timestamp"].to_physical() + horizon_us <= late.snapshots.as_of_us.min()

    def second(given):
        told = engines_in_turn(engine, held, part, trained_world.events, given, until_us=until, rng=np.random.default_rng(3))
        return told[0].learned_uplift.evidence

    as_it_is = second(touches)
    assert second(touches.filter(~own & (~later | known))) == as_it_is
    assert second(touches.filter(~(later & known))) != as_it_is


def test_decisions_are_asked_of_the_engine_of_their_part(engine, made, trained_world):
    """Where it learned from them: the rows of the last part are those of the last engine, and those of the first of the engine as it is."""
    held = hold_out(engine.features(trained_world.events, made.snapshots), made, rng=np.random.default_rng(1))
    part = parts_of(made.unit, rng=np.random.default_rng(4)) % 3
    until, log, events = int(trained_world.events.timestamp_us.max()), trained_world.log, trained_world.events
    beliefs = PriorUplift.of(engine.community.interventions, engine.reference.typical_probability)
    (*_, last) = engines_in_turn(engine, held, part, events, log.touches, until_us=until, rng=np.random.default_rng(3))
    taught = replace(engine, learned_uplift=replace(last.learned_uplift, beliefs=beliefs, through_us=until))
    told = replay_in_turn(taught, held, part, log, events, rng=np.random.default_rng(3))
    assert told.relearned.all()
    for number, asked in ((0, taught), (2, last)):
        rows = np.flatnonzero(part == number)
        np.testing.assert_array_equal(told.propensity[rows], replay(asked, log, events, made.snapshots[rows]).propensity)
    np.testing.assert_array_equal(told.as_it_is.propensity, replay(taught, log, events, made.snapshots).propensity)


def test_in_turn_a_part_is_judged_by_what_those_before_it_taught(engine, made, trained_world):
    """With the touches of all later parts gone, what judges the second stays as it is; what judges the third does not."""
    held = hold_out(engine.features(trained_world.events, made.snapshots), made, rng=np.random.default_rng(1))
    part = parts_of(made.unit, rng=np.random.default_rng(4)) % 3
    until, touches = int(trained_world.events.timestamp_us.max()), trained_world.log.touches
    earlier = touches.filter(~touches["member"].is_in(np.unique(made.snapshots.member[part > 0]).tolist()))
    whole, partial = (
        engines_in_turn(engine, held, part, trained_world.events, given, until_us=until, rng=np.random.default_rng(3))
        for given in (touches, earlier)
    )
    assert whole[0].learned_uplift.evidence == partial[0].learned_uplift.evidence
    assert whole[1].learned_uplift.evidence != partial[1].learned_uplift.evidence
    effects = effects_in_turn(whole, held, part, np.full(len(made), 0.4))
    assert np.isnan(effects[part == 0]).all()
    of_second = part == 1
    np.testing.assert_array_equal(effects[of_second], whole[0].uplift.effect(held.features[of_second], np.full(of_second.sum(), 0.4)))


def test_without_anybody_elses_assignments_the_catalogue_stands(engine, made, trained_world):
    held = hold_out(engine.features(trained_world.events, made.snapshots), made, rng=np.random.default_rng(1))
    part = np.ones(len(made), dtype=np.int64)
    until, touches = int(trained_world.events.timestamp_us.max()), trained_world.log.touches
    (only,) = engines_in_turn(engine, held, part, trained_world.events, touches, until_us=until, rng=np.random.default_rng(3))
    assert only.learned_uplift is None
