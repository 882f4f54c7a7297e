"""Effects that an engine learns from the touches of its log."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest

from models.assignments import assignments_of
from models.community import Community
from models.engine_files import load_engine, save_engine
from models.errors import ModelRefused
from models.events import EventArrays, EventLog, event_arrays
from models.learned_uplift import LearnedUplift
from models.log_uplift import UpliftFromLog, learn_uplift
from models.model_card import model_card
from models.snapshots import Snapshots
from models.training import Trained, train
from tests.planted import intervention
from tests.trained_world import DECLARED, TRAINED_AT

MEMBERS = 500
ARMS = ("group_invitation", "personal_call", "never_tried")


@dataclass(frozen=True)
class Taught:
    declared: Community
    log: EventLog
    events: EventArrays
    trained: Trained

    @property
    def everyone(self) -> Snapshots:
        return Snapshots.at(self.events, int(self.trained.test_as_of.timestamp()) * 1_000_000)

    @property
    def uplift(self) -> LearnedUplift:
        assert self.trained.engine.learned_uplift is not None
        return self.trained.engine.learned_uplift


def declared() -> Community:
    catalogue = [intervention(name, starting_uplift=0.02, starting_evidence=50, cost=1) for name in ARMS]
    touches = {"path": "touches.parquet", "member": "member_id", "time": "timestamp", "propensity_prefix": "propensity_"}
    told = DECLARED.model_dump(mode="json")
    churn = told["churn"] | {"horizons_days": [30]}
    return Community.model_validate({**told, "churn": churn, "interventions": catalogue, "touches": touches})


def of_first(log: EventLog, members: int) -> EventLog:
    rows = [table.filter(pl.col("member") < members) for table in (log.events, log.touches)]
    return EventLog(rows[0], log.members.head(members), rows[1])


@pytest.fixture(scope="module")
def taught(trained_world) -> Taught:
    community, log = declared(), of_first(trained_world.log, MEMBERS)
    events, at = event_arrays(log, community), trained_world.test_as_of
    trained = train(events, community, test_as_of=at, trained_at=TRAINED_AT, rng=np.random.default_rng(1), touches=log.touches)
    return Taught(community, log, events, trained)


def test_training_learns_from_all_assignments_whose_outcome_is_in_the_log(taught):
    log_end_us = int(taught.events.timestamp_us.max())
    assert taught.trained.engine.learned_through_us == log_end_us > taught.everyone.as_of_us[0]
    made = assignments_of(taught.log.touches, taught.events, taught.declared, until_us=log_end_us)
    assert taught.trained.uplift.rows == len(made) > 1_000
    assert {name: evidence.n for name, evidence in taught.uplift.evidence.items()} == {
        name: int((made.names == name).sum()) for name in ARMS
    }


def test_every_effect_says_whether_it_was_measured_or_believed(taught):
    assert [taught.uplift.source(name) for name in ARMS] == ["experiment", "experiment", "prior"]


def test_what_was_never_tried_follows_the_catalogue_and_the_risk(taught):
    scores = taught.trained.engine.score(taught.events, taught.everyone)
    probability = taught.trained.engine.main_probability(scores)
    effect = taught.uplift.effect(scores.features, probability)
    np.testing.assert_allclose(effect[:, 2], taught.uplift.beliefs.effect(scores.features, probability)[:, 2])
    usual = np.full(len(probability), taught.trained.engine.reference.typical_probability)
    np.testing.assert_allclose(taught.uplift.effect(scores.features, usual)[:, 2], 0.02)


def again(taught: Taught, touches: pl.DataFrame) -> UpliftFromLog:
    """Learned anew by the same draws from other touches."""
    events = event_arrays(replace(taught.log, touches=touches), taught.declared)
    kept, until = taught.trained.preparation.kept, int(taught.everyone.as_of_us[0])
    return learn_uplift(taught.trained.engine, events, touches, kept, until_us=until, rng=np.random.default_rng(2))


def test_a_touch_after_the_test_changes_nothing_that_was_learned(taught):
    touches = taught.log.touches
    later = pl.col("timestamp") > taught.trained.test_as_of
    changed = touches.with_columns(intervention=pl.when(later).then(pl.lit("personal_call")).otherwise(pl.col("intervention")))
    before, after = (again(taught, each) for each in (touches, changed))
    assert changed["intervention"].to_list() != touches["intervention"].to_list()
    assert after.uplift.evidence == before.uplift.evidence


def test_a_member_without_a_risk_has_no_effect(taught):
    scores = taught.trained.engine.score(taught.events, taught.everyone[:3])
    probability = np.array([0.3, np.nan, 0.5])
    assert np.isnan(taught.uplift.effect(scores.features, probability)).all(axis=1).tolist() == [False, True, False]
    low, high = taught.uplift.interval(scores.features, probability)
    assert np.isnan(low[1]).all()
    assert (low[0] < high[0]).all()


def test_the_engine_is_stored_with_what_it_learned(taught, tmp_path):
    save_engine(taught.trained.engine, taught.trained.golden, tmp_path / "engine")
    again = load_engine(tmp_path / "engine")
    assert again.learned_uplift.evidence == taught.uplift.evidence
    features = taught.trained.test_features[:50]
    probability = np.full(50, 0.4)
    np.testing.assert_array_equal(again.uplift.effect(features, probability), taught.uplift.effect(features, probability))


def test_golden_members_refuse_an_engine_whose_effects_have_moved(taught):
    fitted = taught.uplift.fitted
    moved = replace(taught.uplift, fitted=replace(fitted, average=fitted.average + 0.001))
    with pytest.raises(ModelRefused, match="other scores"):
        taught.trained.golden.verify(replace(taught.trained.engine, learned_uplift=moved))


def test_the_shares_of_the_features_in_an_effect_add_up(taught):
    features = taught.trained.test_features[:20]
    told = taught.uplift.contributions(features).sum(axis=2)
    np.testing.assert_allclose(told[:, :2], taught.uplift.fitted.effect(features[:, taught.uplift.columns])[:, :2], atol=1e-6)
    assert (told[:, 2] == 0).all()


def test_without_logged_probabilities_the_warning_travels_with_the_model(taught):
    bare = taught.log.touches.drop(pl.selectors.starts_with("propensity_"))
    told = again(taught, bare)
    assert {told.uplift.source(name) for name in ARMS[:2]} == {"observational"}
    assert any("effects are observational" in warning for warning in told.warnings)


def test_the_model_card_tells_the_effects(taught):
    card = model_card(taught.trained)
    assert "| group_invitation |" in card
    assert "| never_tried | 0 | – |" in card


def test_a_member_is_told_why_the_effect_is_not_the_usual_one(taught):
    engine, features = taught.trained.engine, taught.trained.test_features[:30]
    arms = np.arange(30) % 2
    told = engine.effect_reasons(features, engine.effect_contributions(features, arms), "en")
    effect = taught.uplift.fitted.effect(features[:, taught.uplift.columns])[np.arange(30), arms]
    usual = taught.uplift.contributions(features)[np.arange(30), arms, -1]
    np.testing.assert_allclose([sum(reason.contribution_pp for reason in row) for row in told], 100 * (effect - usual), atol=1e-6)
    assert any(row for row in told)
    believed = engine.effect_contributions(features[:1], np.array([2]))
    assert engine.effect_reasons(features[:1], believed, "en") == [()]


def test_rows_that_are_missing_from_a_trial_are_told(taught):
    """Half of the rows without any contact were not exported."""
    assert not [warning for warning in taught.trained.uplift.warnings if "do not explain" in warning]
    lost = (pl.col("intervention") == "none") & (pl.int_range(pl.len()) % 2 == 0)
    (warning,) = [said for said in again(taught, taught.log.touches.filter(~lost)).warnings if "do not explain" in said]
    assert "was assigned more often than the logged chances say" in warning
