"""Experiments read from a store whose members, arms and effects were planted."""

import json
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from models.community import DAY_US
from models.declaration import parse_declaration
from models.errors import InputError, UnknownExperiment
from models.events import EventLog
from models.experiment_arms import hashed_arms
from models.experiment_wording import kind_of, lift_sentence, metric_label, told
from models.experiments import Record, experiment_ids, read_experiments
from models.intervals import Estimate
from models.kept_read_outs import KeptReadOuts
from models.moments import microseconds
from models.policy import in_control
from models.store import DecisionRow, Store
from tests.planted import community, intervention, signal

START = datetime(2026, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 5, 1, tzinfo=UTC)
MOMENT = pl.Datetime("us", "UTC")
ARMS = [{"id": "none", "share": 0.5}, {"id": "letter", "share": 0.5}]
METRICS = [
    {"name": "retention", "kind": "retention"},
    {"name": "purchases", "kind": "count", "signal": "purchase"},
    {"name": "spent", "kind": "value", "days": 30},
    {"name": "basket", "kind": "ratio", "signal": "purchase", "per": "purchase"},
]


def declared(*experiments, **given):
    return community(
        intervention("coupon"),
        intervention("call"),
        signals=[signal("post"), signal("purchase", value="money", qualifying=False)],
        policy={"control_share": 0.2, **given.pop("policy", {})},
        experiments=experiments,
        **given,
    )


def letter(**given):
    return {"id": "letter_test", "arms": ARMS, "start": date(2026, 1, 1), "metrics": METRICS, **given}


def log_of(member_ids, stays, *, paid=0.0, joined=START - timedelta(days=100), **columns):
    """Each member posted five days before START; those who stay post ten days after it, and pay once where `paid` is above 0."""
    n, stays = len(member_ids), np.asarray(stays, dtype=bool)
    paid, code = np.broadcast_to(paid, n), np.arange(n, dtype=np.uint32)
    parts = [(code, -5, "post", np.nan), (code[stays], 10, "post", np.nan), (code[paid > 0], 12, "purchase", paid[paid > 0])]
    events = pl.concat(
        pl.DataFrame({"member": who, "days": days, "type": kind, "value": np.broadcast_to(value, len(who)).astype(float)}).with_columns(
            timestamp=pl.lit(START).cast(MOMENT) + pl.duration(days="days")
        )
        for who, days, kind, value in parts
        if len(who)
    )
    end = pl.DataFrame({"member": np.zeros(1, np.uint32), "timestamp": [NOW], "type": ["post"], "value": [np.nan]}).cast(
        {"timestamp": MOMENT}
    )
    table = pl.concat([events.select("member", "timestamp", "type", "value"), end]).with_columns(
        pl.col("type").cast(pl.Categorical),
        pl.col("value").fill_nan(None),
        channel=pl.lit(None, pl.String),
        event_id=pl.lit(None, pl.String),
    )
    members = pl.DataFrame(
        {"member_id": member_ids, "joined": np.broadcast_to(np.datetime64(joined.replace(tzinfo=None), "us"), n), **columns}
    )
    return EventLog(table.sort("member", "timestamp"), members.with_columns(pl.col("joined").dt.replace_time_zone("UTC")))


def ids(n):
    return [f"m{number:06d}" for number in range(n)]


NO_DECISIONS = pl.DataFrame(
    schema={"decision_id": pl.String, "member_id": pl.String, "timestamp": MOMENT, "intervention": pl.String, "propensities": pl.String}
)


def decisions(member_ids, chosen, chances, at=START):
    """chances: for each member the chance of each action."""
    when = at if isinstance(at, list) else [at] * len(member_ids)
    return pl.DataFrame(
        {
            "decision_id": [f"d{number}" for number in range(len(member_ids))],
            "member_id": member_ids,
            "timestamp": when,
            "intervention": chosen,
            "propensities": [json.dumps(one) for one in chances],
            **dict.fromkeys(("touched", "touch_ids", "named")),
        }
    ).cast({"timestamp": MOMENT, "touched": MOMENT, "touch_ids": pl.String, "named": pl.String})


def record(world, log, made=NO_DECISIONS):
    return Record(world, log, made, microseconds(NOW))


def test_a_declared_experiment_finds_the_planted_lift_and_leaves_the_global_control_out():
    rng, world, who = np.random.default_rng(0), declared(letter()), ids(6000)
    arm = hashed_arms(who, world.experiments[0])
    stays = rng.random(6000) < 0.4 + 0.1 * arm
    (told,) = read_experiments(
        record(world, log_of(who, stays, paid=np.where(rng.random(6000) < 0.5, 20 + 5 * arm + rng.normal(0, 1, 6000), 0))), "letter_test"
    )
    held_back = in_control(who, world.policy)
    assert told.members == (~held_back).sum()
    assert not told.check.mismatch
    lift = told.lift("retention")
    assert lift.lift.value == pytest.approx(stays[(arm == 1) & ~held_back].mean() - stays[(arm == 0) & ~held_back].mean())
    assert lift.lift.lower < 0.1 < lift.lift.upper
    assert lift.verdict == "raises"
    assert told.lift("basket").lift.value == pytest.approx(5, abs=0.1)
    assert told.lift("spent").lift.lower < 2.5 < told.lift("spent").lift.upper
    assert told.lift("purchases").lift.lower < 0 < told.lift("purchases").lift.upper


def test_a_metric_goes_by_its_label_and_without_one_in_chinese_by_what_it_counts():
    labelled = {"name": "x", "kind": "value", "label": {"en": "Spent", "zh": "消费"}}
    any_post = {"name": "posts_7d", "kind": "count", "signal": "any"}
    world = declared(letter(metrics=[*METRICS, any_post, labelled]))
    (read,) = read_experiments(record(world, log_of(ids(8), [1, 0] * 4)), "letter_test")
    told = {language: [metric_label(lift, read, world, language) for lift in read.lifts] for language in ("en", "zh")}
    assert told["en"] == ["Retention", "Purchases", "Spent", "Basket", "Posts 7d", "Spent"]
    assert told["zh"] == ["留存", "每位成员的如名次数", "金额", "每次如名的金额", "贡献", "消费"]


def test_a_ratio_of_payments_is_told_in_money():
    world = declared(letter())
    (read,) = read_experiments(record(world, log_of(ids(8), [1, 0] * 4)), "letter_test")
    assert [kind_of(lift, read, world) for lift in read.lifts] == ["retention", "count", "value", "value"]


@pytest.mark.parametrize(
    ("p", "adjusted", "told"),
    [(0.03, 0.06, "so far within chance, once all comparisons made together are counted."), (0.4, 0.8, "so far within chance.")],
)
def test_a_verdict_says_why_an_interval_without_0_is_within_chance(p, adjusted, told):
    world = declared(letter())
    (read,) = read_experiments(record(world, log_of(ids(8), [1, 0] * 4)), "letter_test")
    lift = replace(read.lifts[0], verdict="more_days", lift=Estimate(0.1, 0.01, 0.2), p=p, adjusted_p=adjusted, target=0.05, days_needed=9)
    assert told in lift_sentence(lift, read, world, "en")


def test_arms_of_another_system_are_read_from_their_column():
    world = declared(letter(column="mail_group"), members={"path": "m.csv", "member": "m", "joined": "j"})
    told = record(world, log_of(ids(8), [1, 1, 1, 0, 0, 1, 0, 1], mail_group=["letter", "none"] * 3 + ["other", None]))
    (read,) = read_experiments(told, "letter_test")
    assert read.check.observed == (3, 3)
    assert (read.lift("retention").mean, read.lift("retention").control_mean) == pytest.approx((2 / 3, 2 / 3))


@pytest.mark.parametrize("arms", [("0", "1"), ("0.0", "1.0"), ("00", "01")])
def test_arms_that_are_numbers_are_read_however_they_are_written(arms):
    """A column that models read too is a column of numbers."""
    shares = [{"id": arm, "share": 0.5} for arm in arms]
    source = {"path": "m.csv", "member": "m", "joined": "j", "attributes": ["treated"]}
    world = declared(letter(column="treated", arms=shares), members=source)
    told = record(world, log_of(ids(8), [1, 1, 1, 0, 0, 1, 0, 1], treated=[1.0, 0.0] * 3 + [7.0, None]))
    (read,) = read_experiments(told, "letter_test")
    assert read.check.observed == (3, 3)
    assert [str(note) for note in read.notes] == ['Left out: 1 member whose text in "treated" is no arm, such as "7.0".']


@pytest.mark.parametrize("column", [None, "mail_group"])
def test_whole_branches_in_one_arm_are_read_by_branch(column):
    """30 branches of 27 members, and 90 members without a branch, who take no part."""
    source = {"path": "m.csv", "member": "m", "joined": "j"}
    world, who = declared(letter(cluster="branch", column=column), members=source, policy={"control_share": 0.0}), ids(900)
    branch = [f"branch {number % 30}" if number < 810 else None for number in range(900)]
    written = ["letter" if number % 30 < 15 else "none" for number in range(900)]
    log = log_of(who, np.arange(900) % 7 > 1, branch=branch, mail_group=written)
    (told,) = read_experiments(record(world, log), "letter_test")
    assert (sum(told.clusters.observed), told.members) == (30, 810)
    assert KeptReadOuts.from_json(KeptReadOuts(NOW, "", "", (told,)).to_json(), microseconds(NOW)).read_outs == (told,)


@pytest.mark.parametrize("whole", [True, False])
def test_whole_branches_in_the_arms_of_another_system_are_told_where_no_groups_are_declared(whole):
    source = {"path": "m.csv", "member": "m", "joined": "j", "groups": ["branch"]}
    world, numbers = declared(letter(column="mail_group"), members=source), np.arange(600)
    drawn = numbers % 30 < 15 if whole else np.random.default_rng(1).random(600) < 0.5
    log = log_of(
        ids(600), numbers % 7 > 1, branch=[f"branch {number % 30}" for number in numbers], mail_group=np.where(drawn, "letter", "none")
    )
    (read,) = read_experiments(record(world, log), "letter_test")
    kept = KeptReadOuts.from_json(KeptReadOuts(NOW, "", "", (read,)).to_json(), microseconds(NOW)).read_outs[0]
    assert kept.whole_groups == ("branch" if whole else None)
    assert kept.doubtful == whole
    assert ("declare `cluster: branch`" in told(kept, world, "en")["sample_ratio"]["text"]) == whole
    assert ("请在该实验中声明 `cluster: branch`" in told(kept, world, "zh")["sample_ratio"]["text"]) == whole


def test_who_joins_while_it_runs_is_enrolled_on_joining_and_who_was_silent_before_is_not():
    world = declared(letter(end=date(2026, 2, 1)), policy={"control_share": 0})
    for joined, members in ((-100, 4), (0, 4), (20, 4), (31, 0)):
        log = log_of(ids(4), [True] * 4, joined=START + timedelta(days=joined))
        assert read_experiments(record(world, log), "letter_test")[0].members == members
    silent = declared(letter(start=date(2026, 2, 20)), policy={"control_share": 0})
    assert read_experiments(record(silent, log_of(ids(4), [True] * 4)), "letter_test")[0].members == 0


def test_the_global_control_is_set_against_all_others_from_their_first_decision_on():
    rng, world, who = np.random.default_rng(1), declared(), ids(5000)
    control = in_control(who, world.policy)
    stays = rng.random(5000) < np.where(control, 0.5, 0.6)
    made = pl.concat([decisions(who, ["none"] * 5000, [{"none": 1}] * 5000, at) for at in (START, START + timedelta(days=20))])
    (told,) = read_experiments(record(world, log_of(who, stays), made), "global_control")
    assert told.arms == ("control", "treated")
    assert told.check.observed == (control.sum(), 5000 - control.sum())
    assert told.lift("retention").lift.value == pytest.approx(stays[~control].mean() - stays[control].mean(), abs=1e-9)
    assert told.lift("retention").verdict == "raises"


def drawn(rng, who, effect):
    """Twice as likely to be called if likely to stay; the call changes retention by `effect`, the coupon nothing."""
    loyal = rng.random(len(who)) < 0.5
    chances = np.where(loyal[:, None], [0.3, 0.1, 0.6], [0.6, 0.1, 0.3])
    code = (rng.random(len(who))[:, None] >= chances.cumsum(axis=1)).sum(axis=1)
    stays = rng.random(len(who)) < 0.2 + 0.5 * loyal + effect * (code == 2)
    names = np.array(["none", "coupon", "call"])
    told = [dict(zip(names.tolist(), one, strict=True)) for one in chances.tolist()]
    return names[code].tolist(), told, stays


def test_an_intervention_is_read_by_the_chances_with_which_it_was_drawn():
    rng, world, who = np.random.default_rng(2), declared(), ids(6000)
    chosen, chances, stays = drawn(rng, who, 0.15)
    plain = stays[np.array(chosen) == "call"].mean() - stays[np.array(chosen) == "none"].mean()
    coupon, call = (
        read_experiments(record(world, log_of(who, stays), decisions(who, chosen, chances)), one)[0] for one in ("coupon", "call")
    )
    assert plain > 0.25
    assert call.lift("retention").lift.lower < 0.15 < call.lift("retention").lift.upper
    assert call.lift("retention").verdict == "raises"
    assert coupon.lift("retention").lift.lower < 0 < coupon.lift("retention").lift.upper
    assert not call.check.mismatch


def test_intervals_of_interventions_hold_what_was_planted_where_members_are_drawn_again_and_again():
    rng, world, held = np.random.default_rng(3), declared(), []
    for _ in range(60):
        who = ids(200) * 3
        chosen, chances, stays = drawn(rng, who[:200] * 3, 0.1)
        stays = np.tile(stays[:200], 3)
        made = pl.concat([decisions(who[:200], chosen[:200], chances[:200], START + timedelta(hours=hour)) for hour in range(3)])
        (told,) = read_experiments(record(world, log_of(who[:200], stays[:200]), made), "call")
        held.append(told.lift("retention").lift.lower < 0.1 < told.lift("retention").lift.upper)
    assert np.mean(held) >= 0.88


def test_six_who_were_left_alone_decide_nothing_where_nothing_has_an_effect():
    """Nearly all stay, and a few pay, much or little: often all six stay, and the error that they show is 0."""
    rng, world, who = np.random.default_rng(6), declared(), ids(846)
    chances, verdicts = [{"none": 6 / 846, "coupon": 840 / 846}] * 846, []
    for _ in range(40):
        chosen = np.where(rng.random(846) < 6 / 846, "none", "coupon").tolist()
        if min(chosen.count("none"), chosen.count("coupon")) < 2:
            continue
        paid = np.where(rng.random(846) < 0.2, np.exp(rng.normal(3, 1, 846)), 0)
        made = decisions(who, chosen, chances)
        (read,) = read_experiments(record(world, log_of(who, rng.random(846) < 0.97, paid=paid), made), "coupon")
        verdicts.append((read.lift("retention").verdict, read.lift("value").verdict))
    assert sum(verdict in {"raises", "lowers"} for verdict, _ in verdicts) <= 6
    assert {verdict for _, verdict in verdicts} == {"small_arm"}


def test_draws_that_do_not_follow_their_chances_are_not_read():
    rng, world, who = np.random.default_rng(4), declared(), ids(3000)
    chosen, chances, stays = drawn(rng, who, 0.0)
    kept = [(name, chance) for name, chance in zip(chosen, chances, strict=True)]
    cheated = ["call" if rng.random() < 0.2 else name for name, _ in kept]
    (told,) = read_experiments(record(world, log_of(who, stays), decisions(who, cheated, chances)), "call")
    assert told.check.mismatch
    assert {lift.verdict for lift in told.lifts} == {"not_readable"}


def test_before_anything_happened_every_experiment_waits():
    world = declared(letter(start=date(2026, 6, 1)))
    told = read_experiments(record(world, log_of(ids(3), [True] * 3)))
    assert [one.id for one in told] == list(experiment_ids(world)) == ["global_control", "letter_test", "coupon", "call"]
    assert {lift.verdict for one in told for lift in one.lifts} == {"waiting"}


def test_an_unknown_experiment_is_named_with_those_that_there_are():
    with pytest.raises(UnknownExperiment, match='no experiment "x"; there are global_control, coupon, call'):
        read_experiments(record(declared(), log_of(ids(2), [True] * 2)), "x")


def test_the_store_tells_of_everyone_what_was_loaded_and_what_came_since(store_url):
    world, who = declared(letter(), members={"path": "m.csv", "member": "m", "joined": "j", "attributes": ["plan"]}), ids(20)
    log = log_of(who, np.arange(20) % 2 == 0, paid=3.0, plan=["free"] * 20)
    rows = [
        DecisionRow(f"d{number}", member, microseconds(START), "1", "none", None, 0, "{}", propensities='{"none": 1.0}')
        for number, member in enumerate(who[:12])
    ]
    with closing(Store.open(store_url)) as store:
        store.load_log(log)
        store.record(rows)
        kept = Record.of(store, world, NOW)
        store.prefer(who[0], personalization=False)
        without = Record.of(store, world, NOW)
    assert kept.log.members.equals(log.members)
    assert kept.log.events.drop("event_id").equals(log.events.drop("event_id"))
    assert kept.until_us == microseconds(NOW)
    assert [read_experiments(one, "global_control")[0].members for one in (kept, without)] == [12, 11]


def test_nothing_is_known_after_the_midnight_that_follows_the_last_event(store_url):
    with closing(Store.open(store_url)) as store:
        store.load_log(log_of(ids(2), [True] * 2))
        later = Record.of(store, declared(), NOW + timedelta(days=40))
    assert later.until_us == microseconds(NOW) + DAY_US


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arms": [{"id": "a", "share": 0.5}, {"id": "b", "share": 0.4}]}, "the shares of the arms add up to 0.9, and must to 1"),
        ({"arms": [{"id": "a", "share": 0.5}, {"id": "a", "share": 0.5}]}, "arm is given more than once"),
        ({"end": "2026-01-01"}, "end 2026-01-01 must be after start 2026-01-01"),
        ({"metrics": [{"name": "m", "kind": "count"}]}, "a metric of kind count needs signal"),
        ({"metrics": [{"name": "m", "kind": "retention", "signal": "post"}]}, "needs neither signal nor per"),
        ({"metrics": [{"name": "m", "kind": "count", "signal": "pst"}]}, "unknown signal 'pst'"),
        ({"metrics": [{"name": "m", "kind": "ratio", "signal": "post", "per": "post"}]}, "unknown signal with a `value` 'post'"),
        ({"id": "coupon"}, "'coupon' is given more than once"),
        ({"column": "group"}, "there are no columns without a table of `members`"),
        ({"cluster": "group"}, "letter_test.cluster: there are no columns without a table of `members`"),
    ],
)
def test_an_experiment_that_cannot_be_read_is_refused_when_it_is_declared(change, message):
    content = declared().model_dump(mode="json") | {"experiments": [json.loads(json.dumps({**letter(), **change}, default=str))]}
    with pytest.raises(InputError, match=message.replace("(", r"\(")):
        parse_declaration(json.dumps(content), "keepwell.yaml")


def test_money_is_no_metric_where_no_signal_pays_any():
    """It would wait for ever."""
    with pytest.raises(ValueError, match=r"letter_test\.metrics\.spent: kind `value` adds up money, and no signal has `value: money`"):
        community(experiments=[letter(metrics=METRICS[2:3])])
