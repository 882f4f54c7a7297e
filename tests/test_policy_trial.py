"""Champion, plain policies and a challenger on a log in which one intervention was planted to keep members, and another to lose them."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest

from models.assignments import assignments_of
from models.errors import NotEnoughData
from models.experiment_declaration import Experiment
from models.held_out import hold_out
from models.in_turn import PARTS
from models.learned_uplift import LearnedUplift
from models.moments import microseconds
from models.policy_trial import try_policies
from models.replaying import replay
from models.snapshots import Activity, label_churn, pool, population
from models.sources import TouchesSource
from models.supply import Capacity
from models.uplift_beliefs import PriorUplift
from pipelines.loading import knowing_touches
from tests.learned import evidence
from tests.planted import community, intervention

DAY_US = 86_400_000_000
COST = 0.05
CATALOGUE = (
    intervention("gift", cost=COST, channels=["wecom"], starting_uplift=0.0, cooldown_days=0),
    intervention("nag", cost=0, channels=["wecom"], starting_uplift=0.0, cooldown_days=0),
)


@pytest.fixture(scope="module")
def engine(trained_world):
    """Believes in nothing and explores; nobody is in the global control; it counts as older than the log."""
    trained = trained_world.trained.engine
    declared, before = trained.community, replace(trained.provenance, trained_through=trained_world.log.first)
    rules = community(*CATALOGUE, policy={"exploration": 0.02, "control_share": 0})
    parts = {name: getattr(rules, name) for name in ("interventions", "contact_policy", "policy")}
    return replace(trained, community=declared.model_copy(update=parts), provenance=before)


@pytest.fixture(scope="module")
def log(engine, trained_world):
    """Assigned by lot, .35 gift, .15 nag, .5 nothing, as seen from outside: those who were sent the gift stayed more often than others.

    P(stayed | gift) / P(stayed) is planted by sharing the arms out by the outcome: of those who stayed a share of .40 has the gift, and
    of those who were lost as many as make the whole .35.
    """
    rng = np.random.default_rng(4)
    churn = engine.community.churn
    activity = Activity.of(trained_world.events, engine.qualifying)
    last = int(trained_world.events.timestamp_us.max()) - churn.horizon_days * DAY_US
    rows = pool([population(activity, last - 14 * DAY_US * step, churn) for step in range(6)])
    stayed = ~label_churn(activity, rows, churn.horizon_days, churn)
    rate = stayed.mean()
    gift = np.where(stayed, 0.40, (0.35 - 0.40 * rate) / (1 - rate))
    nag = np.where(stayed, 0.10, (0.15 - 0.10 * rate) / (1 - rate))
    draw = rng.random(len(rows))
    arm = np.select([draw < gift, draw < gift + nag], ["gift", "nag"], "none")
    touches = pl.DataFrame(
        {
            "member": rows.member.astype(np.uint32),
            "timestamp": pl.Series(rows.as_of_us).cast(pl.Datetime("us", "UTC")),
            "intervention": arm,
            "channel": "wecom",
            "delivered": False,
            "propensity_none": 0.5,
            "propensity_gift": 0.35,
            "propensity_nag": 0.15,
        }
    ).sort("member", "timestamp")
    return replace(trained_world.log, touches=touches)


def tried(engines, log, trained_world):
    return try_policies(engines, log, trained_world.events, rng=np.random.default_rng(1))


@pytest.fixture(scope="module")
def told(engine, log, trained_world):
    return tried({"champion": engine}, log, trained_world)


def test_the_best_constant_is_what_was_planted_and_beats_nobody(told):
    policies = told.comparison.policies
    assert policies["best_constant"].note == "gift, chosen in 7 of 7 parts"
    assert policies["best_constant"].gain.low > 0
    assert policies["random"].gain.high < 0


def test_the_values_are_those_that_were_planted(engine, log, told, trained_world):
    """Among those who stayed, .40 of the .35 had the gift, .50 of the .50 nothing: rewards 8/7 and 1 of the mean of retained x value."""
    made = assignments_of(log.touches, trained_world.events, engine.community, until_us=int(trained_world.events.timestamp_us.max()))
    replayed = replay(engine, log, trained_world.events, made.snapshots)
    worth = made.retained * replayed.value
    may = replayed.allowed[:, 1]
    gift = (8 / 7 * worth * may + worth * ~may - COST * may).mean()
    for name, planted in (("best_constant", gift), ("nobody", worth.mean())):
        value = told.comparison.policies[name].dr
        assert abs(value.value - planted) < 3 * value.standard_error
        assert value.outside_support == 0
        assert value.effective_sample_size > 100


def test_what_has_a_limit_goes_to_as_many_as_there_were_places_for_whatever_policy_is_judged(engine, log, told, trained_world):
    """The log gave the gift to .35 of its members, and fewer are declared: so many may have it."""
    held = tried({"champion": declaring(engine, capacity=Capacity(interventions={"gift": 5}))}, log, trained_world)
    few, all_of_them = (one.comparison.policies["best_constant"].gain for one in (held, told))
    assert held.comparison.policies["best_constant"].note == told.comparison.policies["best_constant"].note
    assert 0 < few.value < 0.5 * all_of_them.value
    assert held.comparison.policies["nobody"].dr.value == told.comparison.policies["nobody"].dr.value
    assert "no policy hands out more places or money" in str(held.source)
    assert "places" not in str(told.source)


def test_an_action_that_was_never_logged_lies_outside(engine, log, trained_world):
    """The challenger has an intervention more, and takes it."""
    new = intervention("parade", cost=0, channels=["wecom"], starting_uplift=0.2, starting_evidence=1000)
    more = community(*CATALOGUE, new).interventions
    challenger = replace(engine, community=engine.community.model_copy(update={"interventions": more}), version="2")
    told = tried({"champion": engine, "challenger": challenger}, log, trained_world)
    judged = told.comparison.policies["challenger"]
    assert judged.dr.outside_support > 0.8
    assert "actions that the log never tried" in str(judged.warnings[0])


@dataclass(frozen=True)
class Certain:
    """Stands for fitted effects that are the same for everybody."""

    effects: dict[str, float]

    @property
    def interventions(self):
        return tuple(self.effects)

    @property
    def evidence(self):
        return {name: evidence(name) for name in self.effects}

    def effect_and_ends(self, features, _level):
        return np.tile(list(self.effects.values()), (3, len(features), 1))


def test_a_version_that_learned_something_else_than_the_log_tells_is_seen_with_its_own_effects(engine, log, trained_world):
    """As if from touches under each other's names, mended since. Of the assignments of the last day nothing can be learned anew."""
    last = log.touches["timestamp"].max()
    beliefs = PriorUplift.of(engine.community.interventions, engine.reference.typical_probability)
    learned = LearnedUplift(Certain({"gift": -0.2, "nag": 0.2}), beliefs, np.arange(1), microseconds(last) + 1)
    lately = replace(log, touches=log.touches.filter(pl.col("timestamp") == last))
    told = tried({"champion": engine, "challenger": replace(engine, learned_uplift=learned, version="2")}, lately, trained_world)
    assert told.comparison.policies["challenger"].gain.high >= 0
    assert told.as_it_is["challenger"].high < 0
    assert "champion" not in told.as_it_is


def test_later_assignments_are_preferred(engine, log, trained_world):
    """An engine that learned until the middle of the log is judged on what came after."""
    middle = log.touches["timestamp"].median()
    early = replace(engine, provenance=replace(engine.provenance, trained_through=middle))
    told = tried({"champion": early}, log, trained_world)
    used, taught = told.source.told["used"], told.source.told["taught"]
    assert 500 <= used < log.touches.height
    assert used - taught == told.comparison.n
    assert taught == pytest.approx(used / PARTS, rel=0.1)
    said = f"{used:,} of {log.touches.height:,} assignments whose outcome is known, {taught:,} of which only teach"
    assert str(told.source).startswith(said)


def test_a_log_without_touches_or_outcomes_cannot_tell(engine, log, trained_world):
    with pytest.raises(NotEnoughData, match="no touches are declared"):
        tried({"champion": engine}, replace(log, touches=None), trained_world)
    with pytest.raises(NotEnoughData, match="whose outcome is known yet"):
        tried({"champion": engine}, replace(log, touches=log.touches.head(0)), trained_world)


GROUPS = 40


@pytest.fixture(scope="module")
def branches(trained_world):
    """The branch of each member, and the events with it."""
    members = trained_world.log.members.height
    column = pl.Series("branch", [f"branch {number % GROUPS}" for number in range(members)])
    return replace(trained_world.events, rule_columns=column.to_frame())


@pytest.fixture(scope="module")
def of_branches(log):
    """The same assignments, those of a branch alike: the first half has the gift."""
    drawn = pl.when(pl.col("member") % GROUPS < GROUPS // 2).then(pl.lit("gift")).otherwise(pl.lit("none"))
    return log.touches.with_columns(intervention=drawn, propensity_none=0.5, propensity_gift=0.5, propensity_nag=0.0)


def declaring(engine, **changes):
    return replace(engine, community=engine.community.model_copy(update=changes))


TOUCHES = TouchesSource(path="touches.csv", member="m", time="t", cluster="branch")
EXPERIMENT = Experiment.model_validate(
    {"id": "e", "arms": [{"id": "none", "share": 0.5}, {"id": "x", "share": 0.5}], "start": "2025-01-01", "cluster": "branch"}
)


def test_groups_of_touches_are_those_declared_or_those_of_an_experiment_by_which_they_were_given(engine, log, of_branches, branches):
    until_us = int(branches.timestamp_us.max())
    by_touches, by_experiment = declaring(engine, touches=TOUCHES).community, declaring(engine, experiments=(EXPERIMENT,)).community
    made = assignments_of(log.touches, branches, by_touches, until_us=until_us)
    assert (made.units.column, len(np.unique(made.unit))) == ("branch", GROUPS)
    assert str(made.warnings[-1]).endswith(f"intervals are over {GROUPS} groups")
    assert assignments_of(of_branches, branches, by_experiment, until_us=until_us).units is not None
    assert assignments_of(log.touches, branches, by_experiment, until_us=until_us).units is None
    assert assignments_of(of_branches, branches, engine.community, until_us=until_us).units is None


def test_an_engine_is_asked_by_the_groups_that_are_declared_now_and_decides_as_it_did(engine):
    written = EXPERIMENT.model_copy(update={"id": "w", "column": "mail_group"})
    own = [one.model_copy(update={"cluster": None}) for one in (EXPERIMENT, written)]
    later = EXPERIMENT.model_copy(update={"id": "later"})
    now = engine.community.model_copy(
        update={"touches": TOUCHES, "experiments": (EXPERIMENT, written, later), "capacity": Capacity(budget=7)}
    )
    asked = knowing_touches(declaring(engine, experiments=tuple(own)), now).community
    assert (asked.touches, asked.capacity.budget) == (TOUCHES, 7)
    assert asked.experiments == (own[0], written, later)


def test_the_groups_told_are_those_of_the_rows_that_are_used(engine, of_branches, branches):
    until_us = int(branches.timestamp_us.max())
    made = assignments_of(of_branches, branches, declaring(engine, touches=TOUCHES).community, until_us=until_us)
    some = made[np.flatnonzero(made.snapshots.member % GROUPS < 3)]
    assert str(some.warnings[-1]).endswith("intervals are over 3 groups")


def test_members_of_no_group_are_counted_as_members(engine, of_branches, branches):
    until_us = int(branches.timestamp_us.max())
    by_branch = declaring(engine, touches=TOUCHES).community
    lonely = int(assignments_of(of_branches, branches, by_branch, until_us=until_us).snapshots.member[0])
    without = pl.when(pl.int_range(pl.len()) != lonely).then(pl.col("branch")).alias("branch")
    made = assignments_of(of_branches, replace(branches, rule_columns=branches.rule_columns.select(without)), by_branch, until_us=until_us)
    assert str(made.warnings[-1]).endswith(f"intervals are over {GROUPS} groups and 1 member of no group")
    alone = made[made.snapshots.member == lonely]
    assert str(alone.warnings[-1]).endswith("intervals are over 0 groups and 1 member of no group")


def test_folds_keep_groups_whole_and_what_is_learned_again_has_seen_none_of_theirs(engine, of_branches, branches):
    until_us = int(branches.timestamp_us.max())
    made = assignments_of(of_branches, branches, declaring(engine, touches=TOUCHES).community, until_us=until_us)
    held = hold_out(np.zeros((len(made), 1)), made, rng=np.random.default_rng(2))
    assert held.fold.max() > 0
    for fold in range(held.fold.max() + 1):
        mine, others = (set(made.snapshots.member[rows] % GROUPS) for rows in (held.fold == fold, held.fold != fold))
        assert not mine & others
        assert set(made.like(held.fold == fold) % GROUPS) == mine


def test_policies_are_compared_over_groups(engine, log, of_branches, branches, trained_world):
    told = try_policies(
        {"champion": declaring(engine, touches=TOUCHES)}, replace(log, touches=of_branches), branches, rng=np.random.default_rng(1)
    )
    assert (told.by, told.to_dict()["intervals_by"]) == ("branch", "branch")
    judged = GROUPS - GROUPS // PARTS
    assert told.comparison.policies["nobody"].dr.n_members == judged
    assert str(told.warnings[-1]).endswith(f"intervals are over {judged} groups")
    assert told.comparison.n_members > 5 * GROUPS
