"""The main path on real logs: counts known of them, figures that have to be reached, and members scored as the service does."""

from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml

from models.declaration import load_community
from models.moments import microseconds
from models.snapshots import Snapshots
from models.store import Store
from pipelines.loading import engine_of
from pipelines.serve import prepare
from pipelines.workspace import Workspace
from tests.command_line import Said, keepwell
from tests.empty_registry import with_registry

LEAKING = "edit_count_at_query"


@dataclass(frozen=True)
class Learned:
    """Where a model was trained, and what its training and `keepwell init` told."""

    folder: Path
    told: dict[str, Any]
    init: Said

    @property
    def churn(self) -> dict[str, Any]:
        return self.told["churn"]


def learn(folder, test_as_of, log, *options):
    init = keepwell("init", log, *options, "-o", folder / "keepwell.yaml")
    assert init.code == 0, init
    assert keepwell("check", "-c", with_registry(folder)).code == 0
    return Learned(folder, keepwell("train", "-c", folder, "--test-as-of", test_as_of, "--json").json(), init)


@pytest.fixture(scope="module")
def cdnow(shared_data, tmp_path_factory):
    log = shared_data / "cdnow" / "cdnow_master.csv.gz"
    columns = ("--member", "customer_id", "--time", "date", "--type-is", "purchase", "--value", "amount")
    learned = learn(tmp_path_factory.mktemp("cdnow"), "1998-01-01", log, *columns, "--churn-days", "180", "--active-days", "180")
    assert keepwell("promote", "-c", learned.folder).code == 0
    return learned


def wikipedia_options(shared_data):
    folder = shared_data / "wikipedia_newcomers_es"
    columns = ("--member", "member_id", "--time", "time", "--type-is", "edit")
    return folder / "edits_es.csv.gz", *columns, "--members", folder / "members_es.csv.gz", "--joined", "registered"


@pytest.fixture(scope="module")
def wikipedia(shared_data, tmp_path_factory):
    days = ("--churn-days", "28", "--active-days", "28")
    return learn(tmp_path_factory.mktemp("wikipedia"), "2018-03-01", *wikipedia_options(shared_data), *days)


def assert_not_below_a_plain_rule(churn):
    """A blend is in use only where the rules are not clearly better; a rule in use is the better one."""
    best = max(figures["auc"] for figures in churn["baselines"].values())
    if churn["in_use"] == "blend":
        assert churn["grade"] in ("A", "B")
        assert churn["auc_gain_interval"][1] > 0
        assert churn["auc"] > best - 0.01
    else:
        assert churn["grade"] == "C"
        assert churn["auc"] == pytest.approx(best)


def test_the_test_on_cdnow_has_the_members_and_the_churn_that_are_known_of_it(cdnow):
    assert (cdnow.told["test_as_of"], cdnow.told["members"], cdnow.told["events_rejected"]) == ("1998-01-01T00:00:00+00:00", 6343, 0)
    assert cdnow.churn["base_rate"] == pytest.approx(0.461, abs=0.001)


def test_the_plain_rules_on_cdnow_reach_their_known_figures(cdnow):
    rules = cdnow.churn["baselines"]
    assert rules["recency"]["auc"] == pytest.approx(0.620, abs=0.003)
    assert rules["rfm_logistic"]["auc"] == pytest.approx(0.70, abs=0.006)


def test_what_is_in_use_on_cdnow_is_not_below_a_plain_rule(cdnow):
    assert_not_below_a_plain_rule(cdnow.churn)
    assert cdnow.churn["auc"] > 0.695


def test_calibration_on_cdnow_stands_a_churn_that_fell_by_a_third(cdnow):
    """One horizon earlier .727 of the members were lost; each rule as it was fitted there would be .27 off."""
    assert cdnow.churn["ece"] < 0.05
    assert cdnow.churn["brier"] < 0.23


def test_the_newcomers_tested_in_march_are_those_who_edited_in_february(wikipedia, shared_data):
    edits = pl.read_csv(shared_data / "wikipedia_newcomers_es" / "edits_es.csv.gz").select(
        "member_id", time=pl.col("time").str.slice(0, 10)
    )
    february = edits.filter(pl.col("time").is_between(pl.lit("2018-02-01"), pl.lit("2018-02-28")))
    march = edits.filter(pl.col("time").is_between(pl.lit("2018-03-01"), pl.lit("2018-03-28")))
    members = february["member_id"].unique()
    assert wikipedia.told["members"] == len(members) == 218
    assert wikipedia.churn["base_rate"] == pytest.approx(1 - members.is_in(march["member_id"].unique().implode()).mean())


def test_what_is_in_use_among_newcomers_is_not_below_a_plain_rule(wikipedia):
    """The benchmark `real_logs` asks the same at other horizons and dates."""
    assert_not_below_a_plain_rule(wikipedia.churn)


def test_newcomers_are_told_apart_clearly_better_than_by_their_last_edit(wikipedia):
    assert wikipedia.churn["auc"] > wikipedia.churn["baselines"]["recency"]["auc"] + 0.05
    assert wikipedia.churn["auc"] > 0.73


def test_a_column_that_was_measured_at_the_end_is_left_out_by_init(wikipedia):
    assert f'column "{LEAKING}" was measured at the end' in " ".join(wikipedia.init.out.split())
    assert load_community(wikipedia.folder / "keepwell.yaml").members.attributes == ()


def test_a_column_that_was_measured_at_the_end_is_an_error_where_it_is_declared(wikipedia, tmp_path):
    content = yaml.safe_load((wikipedia.folder / "keepwell.yaml").read_text(encoding="utf-8"))
    content["members"]["attributes"] = [LEAKING]
    for table in ("log", "members"):
        content[table]["path"] = str((wikipedia.folder / content[table]["path"]).resolve())
    (tmp_path / "keepwell.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    said = keepwell("check", "-c", tmp_path, "--json")
    assert LEAKING in said.out
    assert said.code == 1


def test_a_customer_scored_from_the_store_gets_the_risk_of_the_table(cdnow, tmp_path):
    table = tmp_path / "decisions.parquet"
    assert keepwell("decide", "-c", cdnow.folder, "-o", table, "--as-of", "1998-01-01").code == 0
    decided = pl.read_parquet(table)
    assert decided.height == 23570
    assert (decided["status"] == "scored").sum() == 6343
    customers = decided.filter(status="scored").sort("member_id").gather_every(500)
    workspace, as_of_us = Workspace.find(cdnow.folder), microseconds(datetime(1998, 1, 1, tzinfo=UTC))
    prepare(workspace, now=datetime(2026, 1, 1, tzinfo=UTC))
    engine = engine_of(workspace, None)
    with closing(Store.open(workspace.store_url)) as store:
        for customer in customers.iter_rows(named=True):
            past = store.past([customer["member_id"]], engine.community, as_of_us)
            scores = engine.score(past.events, Snapshots.at(past.events, as_of_us))
            assert scores.status.tolist() == ["scored"]
            np.testing.assert_allclose(scores.probability[0, -1], customer["churn_probability"], atol=1e-9)
            np.testing.assert_allclose(scores.value[0], customer["value"], rtol=1e-6)
