"""Published trials declared as touches: the read-outs say of them what their authors and everybody since have said."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest

from models.experiments import Record, read_experiments
from models.moments import microseconds
from tests.command_line import keepwell
from tests.experiment_logs import wikipedia_welcome
from tests.planted import community, intervention, signal
from tests.serving_world import write_home
from tests.test_declared_trials import trial
from tests.test_experiments import NO_DECISIONS, NOW, ids, log_of

YEAR, FORTNIGHT = 365, 14
MAILS = community(
    intervention("mens"),
    intervention("womens"),
    signals=[signal("visit"), signal("purchase", value="money", qualifying=False)],
    log={"path": "events.csv", "member": "member", "time": "time", "type": "type", "value": "value"},
    members={"path": "members.csv", "member": "member", "joined": "joined"},
    touches={
        "path": "mails.csv",
        "member": "member",
        "time": "time",
        "intervention": "segment",
        "arms": {"No E-Mail": "none", "Womens E-Mail": "womens", "Mens E-Mail": "mens"},
        "propensities": {"none": 1 / 3, "womens": 1 / 3, "mens": 1 / 3},
    },
    churn={"horizons_days": [FORTNIGHT], "horizon_days": FORTNIGHT, "active_days": YEAR},
    value={"value_days": FORTNIGHT, "margin": 1.0},
    lookback_days=2 * YEAR,
)


@pytest.fixture(scope="module")
def mails(shared_data, tmp_path_factory):
    """Read-outs by intervention and metric; each customer bought once in the months before, some came in the fortnight after the mail."""
    home = write_home(tmp_path_factory.mktemp("mails") / "home", MAILS)
    table = pd.read_csv(shared_data / "hillstrom" / "hillstrom.csv.gz")
    member = pd.Series([f"c{number:05d}" for number in range(len(table))])
    sent, joined = pd.Timestamp("2025-06-01"), pd.Timestamp("2023-06-01")
    came, paid = table["visit"] == 1, table["spend"] > 0
    parts = [
        pd.DataFrame({"member": member, "time": sent - pd.to_timedelta(30 * table["recency"] - 15, unit="D"), "type": "visit"}),
        pd.DataFrame({"member": member[came], "time": sent + timedelta(days=3), "type": "visit"}),
        pd.DataFrame({"member": member[paid], "time": sent + timedelta(days=4), "type": "purchase", "value": table["spend"][paid]}),
        pd.DataFrame({"member": member[:1], "time": [sent + timedelta(days=FORTNIGHT + 1)], "type": "visit"}),
    ]
    pd.concat(parts).to_csv(home / "events.csv", index=False)
    pd.DataFrame({"member": member, "joined": joined}).to_csv(home / "members.csv", index=False)
    pd.DataFrame({"member": member, "time": sent, "segment": table["segment"]}).to_csv(home / "mails.csv", index=False)
    read = keepwell("experiments", "--json", "-c", home).json()["experiments"]
    return {one["id"]: one | {lift["metric"]: lift for lift in one["lifts"]} for one in read}


def test_both_mails_bring_as_many_more_visitors_as_published(mails):
    """10.617 % of those without, 15.140 % and 18.276 % of those with a mail."""
    for arm, share in (("womens", 0.15140), ("mens", 0.18276)):
        lift = mails[arm]["retention"]
        assert mails[arm]["sources"] == {"decisions": 0, "touches": 64_000}
        assert (lift["control_mean"], lift["mean"]) == pytest.approx((0.10617, share), abs=0.00001)
        assert lift["lift"] == pytest.approx(share - 0.10617, abs=0.00001)
        assert lift["verdict"] == "raises"
        assert mails[arm]["sample_ratio"]["p"] > 0.05


def test_the_lift_in_spending_has_the_known_intervals(mails):
    assert mails["mens"]["value"]["lift"] == pytest.approx(0.770, abs=0.0005)
    assert mails["mens"]["value"]["lift_interval"] == pytest.approx([0.485, 1.055], abs=0.03)
    assert mails["womens"]["value"]["lift_interval"] == pytest.approx([0.169, 0.680], abs=0.03)


def welcomes(shared_data, name):
    """Read-outs of an experiment of which counts alone are known, by arm; who was counted is the member who stayed."""
    experiment = wikipedia_welcome(shared_data)[name]
    (outcome,) = experiment.outcomes.values()
    who = ids(len(experiment))
    declared = community(*(intervention(arm) for arm in experiment.arms[1:]))
    log = log_of(who, outcome == 1)
    record = Record(
        declared, log, NO_DECISIONS, microseconds(NOW), trial(who, experiment.assignment.tolist(), [experiment.share] * len(experiment))
    )
    return {read.id: read for read in read_experiments(record) if read.kind == "intervention"}


@pytest.mark.parametrize("name", ["fr_2020 retained_4w", "fr_2020 active_7d", "de_welcome active_56d"])
def test_no_effect_of_a_welcome_is_called_one(shared_data, name):
    for read in welcomes(shared_data, name).values():
        lift = read.lift("retention")
        assert lift.verdict in {"more_days", "too_few", "no_larger_effect"}
        assert lift.lift.lower < 0 < lift.lift.upper


def test_an_invitation_to_the_teahouse_is_called_an_effect(shared_data):
    """9.149 % of 11,674 against 7.988 % of 3,092: p .0439 by the usual test of two shares, and their interval but for its skewness."""
    (read,) = welcomes(shared_data, "en_teahouse active_week3_4").values()
    shares, sizes = np.array([1068 / 11674, 247 / 3092]), np.array([11674, 3092])
    error = np.sqrt((shares * (1 - shares) / sizes).sum())
    lift = read.lift("retention")
    assert lift.lift.value == pytest.approx(shares[0] - shares[1], abs=1e-6)
    assert lift.lift.interval == pytest.approx([0.01161 - 1.96 * error, 0.01161 + 1.96 * error], abs=0.0005)
    assert lift.p == pytest.approx(0.0439, abs=0.002)
