"""Read-outs of interventions from trials that the declared touches tell, with the chances that were logged for them."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from models.declared_assignments import DECLARED_COLUMNS, NOTHING_DECLARED, DeclaredAssignments
from models.experiment_wording import notes_of, told
from models.experiments import read_experiments
from models.kept_read_outs import KeptReadOuts
from models.moments import microseconds
from models.read_out import Sources
from tests.test_experiments import NO_DECISIONS, NOW, START, decisions, declared, drawn, ids, log_of, record

HALF = {"none": 0.5, "call": 0.5}


def trial(member_ids, chosen, chances, at=START):
    """As `decisions`, of the declared touches."""
    return DeclaredAssignments(decisions(member_ids, chosen, chances, at).select(list(DECLARED_COLUMNS)), {})


def read(log, touches, name="call", *, made=NO_DECISIONS, world=None):
    (found,) = read_experiments(replace(record(world or declared(), log, made), declared=touches), name)
    return found


def drawn_trial(seed, n, effect):
    who = ids(n)
    chosen, chances, stays = drawn(np.random.default_rng(seed), who, effect)
    return who, chosen, chances, log_of(who, stays)


def test_a_trial_of_nine_is_read_as_worked_out_by_hand():
    """Four members at .5 and five at .8 of nothing. Weights of the called 2, 2, 5, of whom the first two stay: 4/9; of those left alone
    2, 2, 1.25 four times, of whom one at .5 and two at .8 stay: (2 + 2.5) / 9 = 1/2."""
    who = ids(9)
    chosen = ["call", "call", "none", "none", "call", "none", "none", "none", "none"]
    chances = [HALF] * 4 + [{"none": 0.8, "call": 0.2}] * 5
    lift = read(log_of(who, [1, 1, 1, 0, 0, 1, 1, 0, 0]), trial(who, chosen, chances)).lift("retention")
    assert (lift.members, lift.control_members) == (3, 6)
    assert (lift.mean, lift.control_mean, lift.lift.value) == pytest.approx((4 / 9, 1 / 2, -1 / 18))


def test_what_a_table_tells_is_read_as_the_same_decisions_of_the_service_would_be():
    who, chosen, chances, log = drawn_trial(2, 4000, 0.15)
    of_table = read(log, trial(who, chosen, chances))
    of_service = read(log, NOTHING_DECLARED, made=decisions(who, chosen, chances))
    assert of_table.sources == Sources(0, 4000)
    assert of_service.sources == Sources(4000, 0)
    assert replace(of_table, sources=None) == replace(of_service, sources=None)
    assert of_table.lift("retention").verdict == "raises"
    assert of_table.lift("retention").lift.lower < 0.15 < of_table.lift("retention").lift.upper


def test_decisions_and_declared_touches_are_told_together():
    who, chosen, chances, log = drawn_trial(3, 6000, 0.1)
    halves = [(who[begin:end], chosen[begin:end], chances[begin:end]) for begin, end in pairwise((0, 2500, 6000))]
    found = read(log, trial(*halves[0]), made=decisions(*halves[1]))
    whole = read(log, NOTHING_DECLARED, made=decisions(who, chosen, chances))
    assert found.sources == Sources(3500, 2500)
    assert found.lifts == whole.lifts


def test_decisions_that_were_exported_into_the_table_count_once_by_id_or_by_time():
    who, chosen, chances, log = drawn_trial(4, 2000, 0.1)
    at = [START + timedelta(seconds=number, microseconds=654_321) for number in range(2000)]
    rounded = [moment.replace(microsecond=0) for moment in at]
    made = decisions(who, chosen, chances, at)
    for times in (at, rounded, [moment + timedelta(seconds=1) for moment in rounded]):
        found = read(log, trial(who, chosen, chances, times), made=made)
        assert found.sources == Sources(2000, 0)
        assert found.lifts == read(log, NOTHING_DECLARED, made=made).lifts
        assert notes_of(found, "en")[1:] == ["Counted once: 2,000 assignments of the declared touches that are decisions of the service."]
    late = trial(who, chosen, chances, [moment + timedelta(hours=5) for moment in at])
    assert read(log, late, made=made).sources == Sources(2000, 2000)
    named = replace(late, rows=late.rows.with_columns(named=made["decision_id"]))
    assert read(log, named, made=made).sources == Sources(2000, 0)
    other = read(log, trial(who, ["none" if name == "call" else "call" for name in chosen], chances, at), made=made)
    assert other.sources == Sources(2000, 2000)


def test_an_arm_that_members_kept_over_many_rows_is_one_draw_of_each():
    """Of 20 trials in which nothing has an effect and each member has twenty rows of one arm; row by row nearly all would be no draw.

    At 5 % more than 4 are called in 3 of 1,000 such rounds.
    """
    rng, mismatches, called = np.random.default_rng(5), 0, 0
    for _ in range(20):
        who = ids(150)
        arm = rng.choice(["none", "call"], 150)
        log = log_of(who, rng.random(150) < 0.5)
        at = [START + timedelta(hours=hour) for hour in range(20) for _ in who]
        found = read(log, trial(who * 20, arm.tolist() * 20, [HALF] * 3000, at))
        mismatches += found.check.mismatch
        called += found.lift("retention").verdict in {"raises", "lowers"}
    assert mismatches == 0
    assert called <= 4


def test_trials_without_an_effect_are_called_one_no_more_often_than_told():
    """50 trials with chances that differ by row and follow who stays: 5 % of three metrics, and twice the binomial error.

    Of how many exactly tells the benchmark `declared_trials`.
    """
    rng, verdicts = np.random.default_rng(6), []
    for _ in range(50):
        who = ids(400)
        chosen, chances, stays = drawn(rng, who, 0.0)
        found = read(log_of(who, stays), trial(who, chosen, chances))
        verdicts.append({lift.verdict for lift in found.lifts})
    assert np.mean([bool(one & {"raises", "lowers"}) for one in verdicts]) <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 50)
    assert sum("not_readable" in one for one in verdicts) <= 1


def test_draws_that_do_not_follow_the_logged_chances_are_not_read_and_a_sound_source_hides_no_other():
    who, chosen, chances, log = drawn_trial(7, 6000, 0.0)
    rng = np.random.default_rng(7)
    cheated = ["call" if rng.random() < 0.3 else name for name in chosen[:1000]]
    alone = read(log, trial(who[:1000], cheated, chances[:1000]))
    beside = read(log, trial(who[:1000], cheated, chances[:1000]), made=decisions(who[1000:], chosen[1000:], chances[1000:]))
    for found in (alone, beside):
        assert found.check.mismatch
        assert {lift.verdict for lift in found.lifts} == {"not_readable"}


def test_chances_of_all_where_the_busy_had_others_are_not_read_though_the_sizes_are_right():
    rng, who = np.random.default_rng(14), ids(4000)
    busy = np.arange(4000) % 2 == 1
    called = rng.random(4000) < np.where(busy, 0.7, 0.3)
    log = log_of(who, rng.random(4000) < np.where(busy, 0.6, 0.2))
    earlier = log.events.filter(pl.col("timestamp") < START, pl.col("member") % 2 == 1).with_columns(
        pl.col("timestamp") - timedelta(days=3)
    )
    log = replace(log, events=pl.concat([log.events, earlier]).sort("member", "timestamp"))
    own = [{"none": 0.3, "call": 0.7} if one else {"none": 0.7, "call": 0.3} for one in busy]
    arms = np.where(called, "call", "none").tolist()
    right, wrong = (read(log, trial(who, arms, chances)) for chances in (own, [HALF] * 4000))
    assert not right.unlike_before
    assert right.lift("retention").verdict not in {"raises", "lowers", "not_readable"}
    assert not wrong.check.mismatch
    assert wrong.unlike_before
    assert wrong.lift("retention").verdict == "not_readable"
    said = told(wrong, declared(), "en")
    assert said["unlike_before"]
    assert "did not do alike before" in said["sample_ratio"]["text"]
    assert said["lifts"][0]["text"].endswith("were not alike before.")
    assert KeptReadOuts.from_json(KeptReadOuts(NOW, "", "", (wrong,)).to_json(), microseconds(NOW)).read_outs == (wrong,)


def test_touches_without_a_logged_chance_are_no_experiment_and_that_is_said():
    found = read(log_of(ids(8), [1, 0] * 4), DeclaredAssignments(NOTHING_DECLARED.rows, {"call": 1200, "coupon": 3}))
    assert {lift.verdict for lift in found.lifts} == {"waiting"}
    assert found.members == 0
    assert notes_of(found, "en") == [
        "Left out: 1,200 assignments of the declared touches without a logged chance, for they are no experiment."
    ]
    assert notes_of(found, "zh") == ["未计入：声明的触达记录中有1,200次分配没有记录概率，不构成实验。"]


def test_rows_with_chances_that_cannot_be_right_are_left_out_and_counted():
    who, chosen, chances, log = drawn_trial(8, 1000, 0.1)
    wrong = ids(1003)[1000:]
    log = log_of(ids(1003), np.arange(1003) % 2)
    touches = trial(
        [*who, *wrong], [*chosen, "call", "call", "none"], [*chances, {"none": 0.5, "call": 0.2}, {"none": 1.0, "call": 0.0}, {"none": 0.9}]
    )
    found = read(log, touches)
    assert found.lifts == read(log, trial(who, chosen, chances)).lifts
    assert [(note.key, note.told["n"]) for note in found.notes] == [("experiment.left_unsound", 2)]


def test_rows_before_a_member_joined_or_after_it_was_gone_are_left_out_and_counted():
    """Members joined 100 days before START, and are gone when nothing was heard of them for 30 days."""
    who = ids(60)
    log = log_of(who, [False] * 60)
    when = [START - timedelta(days=101), START, START + timedelta(days=60)]
    at = [moment for moment in when for _ in range(20)]
    found = read(log, trial(who, ["none", "call"] * 30, [HALF] * 60, at))
    assert found.sources == Sources(0, 20)
    assert [(note.key, note.told["n"]) for note in found.notes] == [("experiment.left_absent", 40)]


def test_a_trial_in_which_nobody_could_be_left_alone_tells_nothing_against_nothing_and_says_so():
    who = ids(1000)
    chosen = np.random.default_rng(9).choice(["coupon", "call"], 1000).tolist()
    touches = trial(who, chosen, [{"coupon": 0.5, "call": 0.5}] * 1000)
    for name in ("coupon", "call"):
        found = read(log_of(who, [True] * 1000), touches, name)
        assert found.members == 0
        assert {lift.verdict for lift in found.lifts} == {"waiting"}
        (said,) = notes_of(found, "en")
        assert said.startswith("Of 1,000 assignments of the declared touches none could have been nothing: against doing nothing")


def test_an_arm_that_the_catalogue_does_not_have_takes_nothing_from_the_others():
    """Half were sent a letter, which is no intervention here: among the others the chances are .5 each."""
    rng, who = np.random.default_rng(10), ids(4000)
    chosen = rng.choice(["none", "call", "letter"], 4000, p=[0.25, 0.25, 0.5])
    stays = rng.random(4000) < 0.4 + 0.2 * (chosen == "call")
    found = read(log_of(who, stays), trial(who, chosen.tolist(), [{"none": 0.25, "call": 0.25, "letter": 0.5}] * 4000))
    assert found.members == found.sources.touches == (chosen != "letter").sum()
    assert found.lift("retention").lift.value == pytest.approx(stays[chosen == "call"].mean() - stays[chosen == "none"].mean())


def test_rows_of_which_the_days_are_not_over_wait():
    who, at = ids(2000), [START] * 1000 + [NOW - timedelta(days=1)] * 1000
    log = log_of(who, [True] * 1000 + [False] * 1000)
    late = pl.DataFrame({"member": np.arange(1000, 2000, dtype=np.uint32), "timestamp": [NOW - timedelta(days=2)] * 1000}).cast(
        {"timestamp": log.events["timestamp"].dtype}
    )
    posts = late.with_columns(type=pl.lit("post").cast(log.events["type"].dtype), value=pl.lit(None, pl.Float64))
    log = replace(log, events=pl.concat([log.events, posts], how="diagonal").sort("member", "timestamp"))
    chosen = np.random.default_rng(11).choice(["none", "call"], 2000).tolist()
    found = read(log, trial(who, chosen, [HALF] * 2000, at))
    assert found.members == 2000
    assert found.lift("retention").members + found.lift("retention").control_members == 1000


def branches(rng, n, *, effect=0.0):
    """Members of branches that are alike; each branch drew its arm."""
    branch = np.arange(12 * n) % 12
    arm = (rng.random(12) < 0.5)[branch]
    stays = rng.random(12 * n) < np.clip(rng.normal(0.5, 0.2, 12), 0.05, 0.95)[branch] + effect * arm
    log = log_of(ids(12 * n), stays, branch=[f"branch {one}" for one in branch])
    return log, trial(ids(12 * n), np.where(arm, "call", "none").tolist(), [HALF] * 12 * n), arm


SOURCE = {"path": "m.csv", "member": "m", "joined": "j", "groups": ["branch"]}
TOUCHES = {"path": "t.csv", "member": "m", "time": "t", "propensity_prefix": "p_"}


def test_whole_branches_that_drew_an_arm_are_read_by_branch():
    """40 trials of twelve branches without an effect; by chance one of a thousand is no draw. Read by member most would be.

    At 5 % more than 6 are called in 3 of 1,000 such rounds.
    """
    rng, world, verdicts = np.random.default_rng(12), declared(members=SOURCE, touches=TOUCHES | {"cluster": "branch"}), []
    for _ in range(40):
        log, touches, arm = branches(rng, 60)
        found = read(log, touches, world=world)
        assert sum(found.clusters.observed) == 12
        assert found.members == 720
        assert found.clusters.observed[1] == arm.sum() // 60
        verdicts.append(found.lift("retention").verdict)
    assert sum(verdict in {"raises", "lowers"} for verdict in verdicts) <= 6
    assert verdicts.count("not_readable") <= 1
    assert all(lift.days_needed is None for lift in found.lifts)


def test_branches_that_seem_to_be_in_one_arm_as_wholes_are_told_where_no_groups_are_declared():
    log, touches, _ = branches(np.random.default_rng(13), 20)
    found = read(log, touches, world=declared(members=SOURCE, touches=TOUCHES))
    assert found.whole_groups == "branch"
    assert told(found, declared(), "en")["sample_ratio"]["text"].endswith("declare `cluster: branch` under `touches`.")
    assert read(log, touches, world=declared(members=SOURCE, touches=TOUCHES | {"cluster": "branch"})).whole_groups is None


def test_what_was_read_is_kept_with_its_sources_and_notes():
    who, chosen, chances, log = drawn_trial(14, 500, 0.1)
    found = read(log, DeclaredAssignments(trial(who, chosen, chances).rows, {"call": 7}))
    assert found.notes
    assert KeptReadOuts.from_json(KeptReadOuts(NOW, "", "", (found,)).to_json(), microseconds(NOW)).read_outs == (found,)


def test_members_who_let_nobody_score_them_are_in_no_trial():
    who, chosen, chances, log = drawn_trial(15, 500, 0.1)
    without = replace(log, members=log.members[:400], events=log.events.filter(pl.col("member") < 400))
    assert read(without, trial(who, chosen, chances)).sources == Sources(0, 400)


def test_those_left_alone_who_were_given_it_soon_after_are_told():
    who, again = ids(200), ["none"] * 200 + ["call"] * 100 + ["none"] * 100
    at = [START] * 200 + [START + timedelta(days=3)] * 200
    found = read(log_of(who, [1, 0] * 100), trial(who * 2, again, [HALF] * 400, at))
    (told,) = (note for note in found.notes if note.key == "experiment.sent_after_all")
    assert told.told == {"share": pytest.approx(1 / 3), "waited": 3, "days": 30}
    assert "half of them within 3 days. The lift is then" in notes_of(found, "en")[1]
    assert "其中一半在3天之内" in notes_of(found, "zh")[1]
