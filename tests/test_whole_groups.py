"""Groups that were put into arms as wholes are told from members who were drawn one by one, by simulation and by the check of a log."""

from datetime import date
from functools import reduce
from operator import add

import numpy as np
import polars as pl
import pytest

from models.arm_counts import ArmCounts
from models.declaration import NO_LINES
from models.doubly_robust import averages_of, scores_of
from models.errors import InputError
from models.policy_value import estimate_dr, policy_difference
from models.trial import trial_of
from models.whole_groups import WholeGroups, counted, largest, whole_groups
from tests.written_logs import declared, read

SHAPES = [(4, 3), (6, 3), (10, 2), (12, 50), (40, 3), (200, 2)]
"""Groups, and members of each on average."""


def arms_of(rng, groups, size, share, *, whole, moved=0.0):
    """Group and arm of each member; `moved` of them are in another arm than their group drew."""
    group = np.repeat(np.arange(groups), rng.poisson(size, groups))
    by_group, by_member = rng.random(groups) < share, rng.random(len(group)) < share
    return group, np.where(whole & (rng.random(len(group)) >= moved), by_group[group], by_member)


def found(group, arm, chance=None):
    told = None if chance is None else pl.Series(np.log(np.where(arm, chance, 1 - chance)))
    return whole_groups("branch", counted(pl.Series(group).cast(pl.String), pl.Series(np.where(arm, "letter", "none")), told))


@pytest.mark.parametrize("share", [0.5, 0.1])
@pytest.mark.parametrize("known", [True, False])
def test_members_who_were_drawn_one_by_one_are_never_taken_for_groups(known, share):
    """Of 300 draws none; by chance at most one in ten thousand may be."""
    rng = np.random.default_rng(1)
    draws = (arms_of(rng, *shape, share, whole=False) for shape in SHAPES for _ in range(50))
    assert not any(found(*drawn, share if known else None) for drawn in draws)


@pytest.mark.parametrize(
    ("shape", "share", "moved"), [((12, 50), 0.5, 0.0), ((12, 50), 0.5, 0.03), ((40, 3), 0.5, 0.0), ((300, 5), 0.1, 0.03)]
)
def test_groups_that_were_drawn_as_wholes_are_found_though_some_members_moved(shape, share, moved):
    rng = np.random.default_rng(2)
    assert all(found(*arms_of(rng, *shape, share, whole=True, moved=moved)) for _ in range(20))


def test_what_is_found_is_counted_by_group():
    group = np.repeat(np.arange(10), 5)
    assert found(group, group < 5) == WholeGroups("branch", 10, 10, 50)
    assert found(group, (group < 5) ^ (np.arange(50) == 0)) == WholeGroups("branch", 10, 9, 50)


@pytest.mark.parametrize("whole", [True, False])
def test_what_is_drawn_anew_each_day_is_found_by_day_and_days_of_one_action_are_no_sign(whole):
    """On 10 days 100 of 400 members are drawn, by groups of 20 or one by one; on two more everybody is given the same."""
    rng = np.random.default_rng(5)
    member = np.concatenate([*(rng.choice(400, 100, replace=False) for _ in range(10)), np.arange(400), np.arange(400)])
    day = np.repeat(np.arange(12), [100] * 10 + [400, 400])
    group = member % 20
    drawn = (rng.random((12, 20)) < 0.5)[day, group] if whole else rng.random(len(day)) < 0.5
    arm = np.select([day == 10, day == 11], [True, False], drawn)
    told = whole_groups("branch", counted(*(pl.Series(one).cast(pl.String) for one in (group, arm)), day=pl.Series(day)))
    assert (told is not None) == whole


@pytest.mark.parametrize("kept_days", [1, 16])
def test_arms_that_are_kept_from_day_to_day_are_no_more_of_a_sign_than_one_draw(kept_days):
    """Four groups of three, each alike: of members drawn one by one that comes about once in 700 logs."""
    member = np.tile(np.arange(12), kept_days)
    group, arm, day = member // 3, member < 6, np.repeat(np.arange(kept_days), 12)
    assert whole_groups("branch", counted(*(pl.Series(one).cast(pl.String) for one in (group, arm)), day=pl.Series(day))) is None


def test_one_group_an_arm_and_groups_of_one_member_show_nothing():
    assert found(np.repeat([0, 1], 500), np.repeat([True, False], 500)) is None
    assert found(np.arange(1000), np.arange(1000) % 2 == 0) is None


def test_members_for_whom_there_was_no_choice_are_no_sign_of_groups():
    """Of two groups all are certain to be left alone; the two others are drawn one by one, nearly always the letter."""
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(4), 1000)
    chance = np.where(group < 2, 0.97, 0.0)
    assert found(group, rng.random(4000) < chance, chance) is None


def test_branches_are_named_where_their_chat_groups_are_whole_too():
    assert largest([WholeGroups("chat", 40, 40, 400), None, WholeGroups("branch", 8, 8, 400)]).column == "branch"
    assert largest([None]) is None


MEMBERS = 120
BRANCHES = 12
EXPERIMENT = {
    "id": "letter_test",
    "arms": [{"id": "none", "share": 0.5}, {"id": "letter", "share": 0.5}],
    "column": "mail_group",
    "start": date(2025, 6, 1),
}
SOURCE = {"path": "members.csv", "member": "member", "joined": "joined", "groups": ["branch"]}
TOUCHES = {"path": "touches.csv", "member": "member", "time": "at"}


def taken(folder, *, whole, **changes):
    """A log in which branches, or members, drew an arm; touches tell the same on two days, the arms swapped."""
    branch = np.arange(MEMBERS) % BRANCHES
    drawn = (branch < 6) if whole else np.random.default_rng(4).random(MEMBERS) < 0.5
    joined = [f"m{one},2025-01-01,branch {branch[one]},{'letter' if drawn[one] else 'none'}\n" for one in range(MEMBERS)]
    touches = [
        f"m{one},2025-0{6 + later}-01,{'question' if drawn[one] ^ later else 'none'}\n" for one in range(MEMBERS) for later in (0, 1)
    ]
    (folder / "members.csv").write_text("member,joined,branch,mail_group\n" + "".join(joined))
    (folder / "touches.csv").write_text("member,at,intervention\n" + "".join(touches))
    events = "member,time\n" + "".join(f"m{one},2025-0{month}-02\n" for one in range(MEMBERS) for month in range(1, 9))
    return read(folder, events, **{"experiments": [EXPERIMENT], "members": SOURCE, "touches": TOUCHES} | changes)


def checked(folder, *, whole, **changes):
    findings = taken(folder, whole=whole, **changes).findings
    return {one.code: one for one in findings if one.code in {"groups_in_arms", "groups_touched"}}


def test_the_check_names_what_to_declare_where_groups_were_put_into_arms_and_touched(tmp_path):
    told = checked(tmp_path, whole=True)
    assert {one.column for one in told.values()} == {"experiments.letter_test.cluster", "touches.cluster"}
    assert told["groups_in_arms"].message.startswith(
        'in 12 of 12 groups of "branch" all members are in one arm of letter_test, 120 members'
    )
    assert "declare `cluster: branch` at the experiment" in told["groups_in_arms"].what_to_do
    assert "declare `cluster: branch` under touches" in told["groups_touched"].what_to_do


def test_counts_of_parts_of_the_members_add_up(tmp_path):
    log = taken(tmp_path, whole=True).log
    community = declared("events.csv", experiments=[EXPERIMENT], members=SOURCE, touches=TOUCHES)
    half = MEMBERS // 2
    there = pl.col("member") < half
    halves = [(log.members[:half], log.touches.filter(there)), (log.members[half:], log.touches.filter(~there))]
    second = halves[1][1].with_columns(pl.col("member") - half)
    parts = [ArmCounts.of(*halves[0], community), ArmCounts.of(halves[1][0], second, community)]
    whole = ArmCounts.of(log.members, log.touches, community)
    assert list(reduce(add, parts).findings(community, NO_LINES)) == list(whole.findings(community, NO_LINES)) != []


def test_the_check_says_nothing_of_members_who_were_drawn_one_by_one(tmp_path):
    assert checked(tmp_path, whole=False) == {}


def test_the_check_says_nothing_where_the_groups_are_declared(tmp_path):
    assert checked(tmp_path, whole=True, experiments=[EXPERIMENT | {"cluster": "branch"}]) == {}
    assert set(checked(tmp_path, whole=True, touches=TOUCHES | {"cluster": "branch"})) == {"groups_in_arms"}


def groups_with_a_mood(rng, groups=30, size=20):
    """Group, arm and reward of each member: whole groups drew an arm that changes nothing, and members of a group are alike."""
    group = np.repeat(np.arange(groups), size)
    mood = rng.normal(0.6, 0.15, groups).clip(0, 1)
    return group, (rng.random(groups) < 0.5)[group].astype(int), (rng.random(len(group)) < mood[group]).astype(float)


def test_intervals_by_group_hold_where_those_by_member_do_not():
    """Of 200 logs without any effect, 90 % intervals of the average effect and of the gain of acting over leaving alone."""
    rng, half = np.random.default_rng(6), np.full((600, 2), 0.5)
    act, leave = np.tile([0.0, 1.0], (600, 1)), np.tile([1.0, 0.0], (600, 1))
    held = {kind: [] for kind in ("effect by group", "effect by member", "gain by group", "gain by member")}
    for _ in range(200):
        group, arm, reward = groups_with_a_mood(rng)
        expected = np.full((600, 2), reward.mean())
        scores = scores_of(arm, reward, half, expected)
        for kind, unit in (("group", group), ("member", np.arange(600))):
            told = averages_of(scores, unit)
            held[f"effect by {kind}"].append(abs(told.effect[0]) < 1.645 * told.error[0])
            values = [estimate_dr(reward, arm, half, target, expected, unit) for target in (act, leave)]
            gain = policy_difference(*values)
            held[f"gain by {kind}"].append(gain.low < 0 < gain.high)
    share = {kind: np.mean(found) for kind, found in held.items()}
    assert share["effect by group"] == pytest.approx(0.9, abs=0.06)
    assert share["gain by group"] == pytest.approx(0.9, abs=0.06)
    assert max(share["effect by member"], share["gain by member"]) < 0.75


def test_shares_of_few_groups_far_from_their_chances_are_no_columns_mixed_up():
    """Eight of twelve groups of 300 drew the letter at .5; of as many members drawn one by one that would not be chance."""
    group = np.repeat(np.arange(12), 300)
    given = (np.zeros((3600, 1)), np.where(group < 8, "letter", "none"), group % 2, np.full((3600, 2), 0.5))
    assert len(trial_of(*given, groups=group)) == 3600
    with pytest.raises(InputError, match="check the order of the columns"):
        trial_of(*given)
