"""An intervention that is kept for an arm of an experiment is offered to the members of that arm and to nobody else."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from models.community import Community
from models.decision import Candidate, MemberState
from models.decision_table import decide_table
from models.events import event_arrays
from models.experiment_arms import NO_ARM, hashed_arms, written_arms
from models.experiment_declaration import Experiment
from models.interventions import ContactHistory
from models.member_columns import MemberColumns
from models.moments import microseconds
from models.refusal_wording import Standing, removal_sentence
from models.snapshots import Snapshots
from models.weighing import weigh
from tests.planted import community, intervention
from tests.serving_world import DECLARED, NOW, world

ARMS = [{"id": "none", "share": 0.3}, {"id": "letter", "share": 0.5}, {"id": "card", "share": 0.2}]
STARTED = (NOW - timedelta(days=10)).date()
OFFERED = {"coupon": {"experiment": {"letter_test": ["letter", "card"]}}}


def declared(eligibility=OFFERED, *, exploration=0.1, **experiment) -> Community:
    letter = Experiment.model_validate({"id": "letter_test", "arms": ARMS, "start": STARTED, **experiment})
    content = DECLARED.model_copy(update={"experiments": (letter,)}).model_dump(exclude_defaults=True)
    content["policy"] |= {"exploration": exploration}
    content["interventions"] = [one | {"eligibility": eligibility.get(one["id"], {})} for one in content["interventions"]]
    return Community.model_validate(content)


def decided(community_, as_of=NOW, **written) -> pl.DataFrame:
    """`written`: columns that the members table has besides."""
    engine = replace(world().engine, community=community_)
    log = replace(world().log, members=world().log.members.with_columns(**written))
    events, ids = event_arrays(log, community_), log.members["member_id"].to_list()
    decision_ids = [f"d-{one}" for one in ids]
    return decide_table(engine, events, Snapshots.at(events, microseconds(as_of)), ids, decision_ids, ContactHistory.empty(), as_of=as_of)


@pytest.fixture(scope="module")
def table():
    return decided(declared())


def arms(table, community_) -> np.ndarray:
    return hashed_arms(table["member_id"].to_list(), community_.experiments[0])


def test_only_members_of_the_named_arms_can_get_it_and_the_others_keep_the_rule(table):
    outside = arms(table, declared()) == 0
    scored = (table["status"] == "scored").to_numpy()
    assert table.filter(outside)["propensity_coupon"].max() == 0
    assert set(table.filter(outside & scored)["removed_coupon"]) == {"eligibility:experiment.letter_test"}
    assert "eligibility:experiment.letter_test" not in set(table.filter(~outside)["removed_coupon"])
    assert (table.filter(~outside & scored)["propensity_coupon"] > 0).any()


def test_the_chances_of_a_member_are_those_of_the_actions_that_its_arm_leaves(table):
    """Two actions are possible within the arms, doing nothing and the coupon; with the call they are three, each explored with .1."""
    chances = table.select("propensity_none", "propensity_coupon", "propensity_call").to_numpy()
    assert chances.sum(axis=1) == pytest.approx(np.ones(len(table)))
    possible = (chances > 0).sum(axis=1)
    best = chances.max(axis=1)
    assert best == pytest.approx(1 - 0.1 * (possible - 1))
    assert set(possible[arms(table, declared()) == 0].tolist()) <= {1, 2}


def test_what_the_others_are_offered_does_not_hang_on_the_arms(table):
    plain = decided(declared({}))
    treated = arms(table, declared()) > 0
    assert table.filter(treated).equals(plain.filter(treated))


def test_before_the_experiment_begins_nobody_is_in_an_arm():
    early = decided(declared(start=NOW.date() + timedelta(days=1)))
    assert early["propensity_coupon"].max() == 0
    assert not (decided(declared(start=NOW.date()))["propensity_coupon"] == 0).all()


def test_one_member_alone_is_decided_on_as_among_all_others(table):
    engine = replace(world().engine, community=declared())
    events, ids = event_arrays(world().log, DECLARED), world().log.members["member_id"].to_list()
    for row in (3, 40, 111):
        snapshot = Snapshots(np.array([row]), np.array([microseconds(NOW)]), events.joined_us[[row]])
        weighed = weigh(engine, events, snapshot, [ids[row]], [f"d-{ids[row]}"], ContactHistory.empty(), as_of=NOW)
        told = table.row(row, named=True)
        assert weighed.propensity[0] == pytest.approx([told[f"propensity_{name}"] for name in ("none", "coupon", "call")])


def test_the_arms_that_another_system_wrote_are_read_from_their_column():
    written = MemberColumns(pl.DataFrame({"mail_group": ["letter", "none", "other", None]}), 4)
    found = written_arms(written.text("mail_group"), declared().experiments[0])
    assert found.tolist() == [1, 0, NO_ARM, NO_ARM]


def test_members_of_one_branch_are_offered_what_its_arm_is_offered():
    branch = pl.Series(np.resize(np.array(["north", "south", "west", None]), len(world().log.members)), dtype=pl.String)
    kept = declared({"coupon": {"experiment": {"letter_test": ["letter", "card"]}}}, cluster="branch")
    coupon = decided(kept, branch=branch)["propensity_coupon"]
    arm = dict(zip(("north", "south", "west"), hashed_arms(("north", "south", "west"), kept.experiments[0]), strict=True))
    assert {0} < set(arm.values())
    for name in ("north", "south", "west", None):
        assert (coupon.filter(branch.eq_missing(name)).max() > 0) == (arm.get(name, 0) > 0)


def test_who_is_in_no_arm_of_another_system_is_offered_nothing_that_is_kept_for_the_last_one():
    groups = pl.Series(np.resize(np.array(["card", "letter", "other", None]), len(world().log.members)), dtype=pl.String)
    kept = declared({"coupon": {"experiment": {"letter_test": "card"}}}, column="mail_group")
    coupon = decided(kept, mail_group=groups)["propensity_coupon"]
    assert coupon.filter(groups.eq_missing("card")).max() > 0
    assert coupon.filter(groups.ne_missing("card")).max() == 0


def test_a_member_outside_of_the_arm_is_told_why():
    told = declared({"coupon": {"experiment": {"letter_test": "letter"}}}, label={"en": "Letter test", "zh": "信件实验"})
    removed = Candidate(
        "coupon", None, 0.0, (0.0, 0.0), "prior", 0.0, 1.0, 1.0, 0.0, 0.0, removed_at="eligibility", rule="experiment.letter_test"
    )
    standing = Standing(MemberState("active", "base", (), 0.0, 0.0, 100.0, 1.0), 0.4)
    assert removal_sentence("en", removed, standing, told) == 'Only for letter of the experiment "Letter test"'
    assert removal_sentence("zh", removed, standing, told) == "仅限实验“信件实验”中的letter"


def test_a_declaration_may_name_one_arm_or_several():
    one, several = (declared({"coupon": {"experiment": {"letter_test": arms_}}}) for arms_ in ("letter", ["letter", "card"]))
    told = [each.interventions[0].eligibility.experiment for each in (one, several)]
    assert told == [{"letter_test": ("letter",)}, {"letter_test": ("letter", "card")}]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        (
            {"letter_tset": "letter"},
            r"offer.eligibility.experiment: unknown experiment 'letter_tset'; declared are \['letter_test'\]",
        ),
        ({"letter_test": "leter"}, r"eligibility.experiment.letter_test: unknown arm 'leter'; declared are \['card', 'letter', 'none'\]"),
        ({"letter_test": []}, "at least 1 item"),
        ({}, "at least 1 item"),
    ],
)
def test_an_experiment_or_an_arm_that_there_is_not_is_refused(rule, fault):
    letter = {"id": "letter_test", "arms": ARMS, "start": STARTED}
    with pytest.raises(ValidationError, match=fault):
        community(intervention("offer", eligibility={"experiment": rule}), experiments=[letter])
