"""Days that were put into arms as wholes: what a switchback tells of members is told to be nothing."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from models.assignments import assignments_of
from models.balance import Draw
from models.events import event_arrays
from models.experiment_wording import notes_of, told
from models.moments import microseconds
from models.snapshots import Snapshots
from models.switched_days import switched_days
from tests.test_declared_trials import HALF, read, trial
from tests.test_experiments import NOW, START, declared, ids, log_of

DAYS, MEMBERS = 10, 60


def found(day, unit, treated, chance=0.5):
    """Arguments of shape (n,), or one for all."""
    n = len(day)
    at = microseconds(START) + np.asarray(day) * 86_400_000_000
    draw = Draw(np.broadcast_to(treated, n), np.broadcast_to(chance, n), np.asarray(unit))
    return switched_days(draw, Snapshots(np.asarray(unit), at, np.zeros(n, dtype=np.int64)), declared().zone)


def every_day(days=DAYS, members=MEMBERS):
    return np.repeat(np.arange(days), members), np.tile(np.arange(members), days)


def test_days_on_which_everybody_was_given_the_same_are_found_but_for_a_few_who_were_not():
    day, unit = every_day()
    treated = day % 2 == 0
    assert found(day, unit, treated) == DAYS
    treated[::97] ^= True
    assert found(day, unit, treated) == DAYS


def test_two_days_and_days_of_few_are_not_looked_at():
    day, unit = every_day(days=2)
    assert found(day, unit, day == 0) == 0
    day, unit = every_day(members=19)
    assert found(day, unit, day % 2 == 0) == 0


def test_days_for_which_the_logged_chances_foresaw_nearly_one_arm_are_none():
    """As where a policy that explores finds another action best from day to day."""
    day, unit = every_day()
    assert found(day, unit, day % 2 == 0, np.where(day % 2 == 0, 0.99, 0.01)) == 0


@pytest.mark.parametrize("kept", [False, True], ids=["drawn each day anew", "drawn once for all days"])
def test_members_who_were_drawn_one_by_one_never_pass_for_days(rng, kept):
    day, unit = every_day(members=20)
    for chance in (0.5, 0.05):
        for _ in range(100):
            treated = rng.random(20)[unit] < chance if kept else rng.random(len(day)) < chance
            assert found(day, unit, treated, chance) == 0


@pytest.fixture
def switched():
    """A call for everybody on every other day, for members who come in from day to day, so that of their first rows half are treated."""
    rng, who = np.random.default_rng(8), ids(400)
    day, unit = every_day(8, 400)
    there = day >= (np.arange(400) % 8)[unit]
    day, unit = day[there], unit[there]
    arms = np.where(day % 2 == 0, "call", "none").tolist()
    touches = trial([who[at] for at in unit], arms, [HALF] * len(arms), [START + timedelta(days=int(at)) for at in day])
    return log_of(who, rng.random(400) < 0.5), touches


def test_an_experiment_of_days_is_not_judged_and_says_why(switched):
    log, touches = switched
    shown = read(log, touches)
    assert not shown.sizes.mismatch
    assert not shown.unlike_before
    assert shown.doubtful
    assert {lift.verdict for lift in shown.lifts} == {"not_readable"}
    assert notes_of(shown, "en")[-1].startswith("On 8 days everybody was given the same: days were drawn and not members")
    assert notes_of(shown, "zh")[-1].startswith("有8天当天所有人得到同样的动作")
    (said, *_) = told(shown, declared(), "en")["lifts"]
    assert said["text"].endswith("not judged, because as named and nothing are of different days.")


def test_what_is_learned_from_an_experiment_of_days_is_told_not_to_be_believed(switched):
    log, touches = switched
    codes = {name: code for code, name in enumerate(log.members["member_id"])}
    rows = touches.rows.select(
        pl.col("member_id").replace_strict(codes, return_dtype=pl.UInt32).alias("member"),
        "timestamp",
        pl.col("intervention").cast(pl.Categorical),
        propensity_none=pl.lit(0.5),
        propensity_call=pl.lit(0.5),
    )
    world = declared()
    made = assignments_of(rows, event_arrays(replace(log, touches=rows), world), world, until_us=microseconds(NOW))
    assert str(made.warnings[-1]).startswith("believe no figure of call: on 8 days everybody was given the same, so days were drawn")
