"""A selection counted from cells is the selection counted member by member; the pages show a run whole or not at all."""

import json
from contextlib import closing
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from models.audience import BINS, STANDING_COLUMNS, Cells, Selection, standings_of
from models.events import event_arrays
from models.overview import Overview, overview_of
from models.store import LoggedEvent, Store
from models.store_overviews import StandingQuery
from tests.serving_world import DECLARED, NOW, world

STAGES, TIERS, TAGS = ("new", "silent"), ("base", "KOC"), ("", "high_value", "high_value,estrangement", "value")
SELECTIONS = [
    Selection(),
    Selection(low=8, high=15),
    Selection(low=11, risk_band="high", tag="value"),
    Selection(stage="silent"),
    Selection(low=3, stage="new", tier="KOC"),
    Selection(tag="high_value", cohort="2025-02"),
    Selection(tag="value"),
    Selection(low=19, high=20),
    Selection(groups=(("plan", "gold"),)),
    Selection(low=5, stage="new", groups=(("chat group", 'tea "and" cake'), ("plan", "Gold"))),
    Selection(groups=(("plan", "silver"),)),
    Selection(groups=(("channel", "email"),)),
]


@pytest.fixture(scope="module")
def standings():
    rng = np.random.default_rng(4)
    n = 600
    risk = np.where(rng.random(n) < 0.1, np.nan, rng.random(n))
    risk[:3] = [0.0, 1.0, 0.95]
    table = pl.DataFrame(
        {
            "member_id": [f"m{i:04d}" for i in range(n)],
            "churn_probability": risk,
            "risk_band": np.where(np.nan_to_num(risk) > 0.6, "high", "low"),
            "stage": rng.choice(STAGES, n),
            "tier": rng.choice(TIERS, n),
            "tags": rng.choice(TAGS, n),
            "value": rng.random(n) * 100,
            "chosen": "none",
        }
    ).with_columns(pl.col("churn_probability").fill_nan(None), value_at_risk=pl.col("value") * pl.col("churn_probability").fill_nan(None))
    joined = pl.Series([datetime(2025, 1 + i % 3, 1, tzinfo=UTC) for i in range(n)], dtype=pl.Datetime("us", "UTC"))
    groups = pl.DataFrame(
        {"plan": [("gold", "Gold", None)[i % 3] for i in range(n)], "chat group": [('tea "and" cake', "茶")[i % 2] for i in range(n)]}
    )
    return standings_of(table, joined, "UTC", groups)


def one_by_one(standings, selection):
    """The rows of the selection, by plain Python."""
    return [
        row
        for row in standings.iter_rows(named=True)
        if row["probability"] is not None
        and selection.low <= min(int(row["probability"] * BINS), BINS - 1) < selection.high
        and all(getattr(selection, name) in {None, row[name]} for name in ("risk_band", "stage", "tier", "cohort"))
        and all(json.loads(row["groups"] or "{}").get(name) == value for name, value in selection.groups)
        and (selection.tag is None or selection.tag in row["tags"].strip(",").split(","))
    ]


@pytest.mark.parametrize("selection", SELECTIONS, ids=str)
def test_a_selection_is_counted_as_member_by_member(standings, selection):
    rows = one_by_one(standings, selection)
    told = Cells.from_text(Cells.of(standings).to_text()).audience(selection)
    assert told.total.members == len(rows)
    assert told.total.expected.value == pytest.approx(sum(row["probability"] for row in rows))
    assert told.total.value_at_risk == pytest.approx(sum(row["value_at_risk"] for row in rows))
    assert told.total.expected.lower <= told.total.expected.value <= told.total.expected.upper
    assert told.everyone.members == len(one_by_one(standings, Selection()))
    assert sum(told.histogram[selection.low : selection.high]) == told.total.members


def test_what_else_can_be_chosen_is_counted_with_the_other_groups_as_selected(standings):
    choices = Cells.of(standings).audience(Selection(low=4, stage="new", tag="high_value")).choices
    assert choices["stage"] == {
        stage: len(one_by_one(standings, Selection(low=4, stage=stage, tag="high_value"))) for stage in sorted(STAGES)
    }
    assert choices["tag"] == {
        tag: len(one_by_one(standings, Selection(low=4, stage="new", tag=tag))) for tag in ("estrangement", "high_value", "value")
    }


def test_groups_are_choices_counted_as_all_others_are_selected(standings):
    choices = Cells.of(standings).audience(Selection(stage="new", groups=(("plan", "gold"),))).choices
    for column, values in {"plan": ("Gold", "gold"), "chat group": ('tea "and" cake', "茶")}.items():
        others = () if column == "plan" else (("plan", "gold"),)
        expected = {value: len(one_by_one(standings, Selection(stage="new", groups=(*others, (column, value))))) for value in values}
        assert choices[f"group:{column}"] == expected


def test_a_store_lists_those_whom_the_cells_count(standings, store_url):
    cells = Cells.of(standings)
    with closing(Store.open(store_url)) as store:
        store.publish(1, "{}", cells.to_text(), [cells.placed(standings)])
        key = store.overview_key()
        for selection in SELECTIONS:
            expected = one_by_one(standings, selection)
            first = sorted(expected, key=lambda row: (-row["value_at_risk"], row["member_id"]))[:5]
            for few in (cells.cells_of_few(selection), None):
                query = StandingQuery(key, selection, few)
                assert [row["member_id"] for part in store.all_standings(query) for row in part] == [row["member_id"] for row in expected]
                assert [row["member_id"] for row in store.standings(query, 5)] == [row["member_id"] for row in first]


def test_a_newer_run_takes_the_place_of_the_one_before(standings, store_url):
    with closing(Store.open(store_url)) as store:
        placed = Cells.of(standings).placed(standings)
        store.publish(1, '{"run": 1}', "{}", [placed])
        store.publish(2, '{"run": 2}', "{}", [placed.head(4), placed[4:10]])
        found = store.overview(store.overview_key())
        assert (found.body, found.before) == ('{"run": 2}', '{"run": 1}')
        assert store.overview(found.overview_key - 1) is None
        everyone = StandingQuery(found.overview_key, Selection())
        assert sum(len(part) for part in store.all_standings(everyone)) == standings.head(10)["probability"].count()


def test_members_who_were_erased_or_refuse_scores_stand_nowhere(standings, store_url):
    with closing(Store.open(store_url)) as store:
        refusing, erased, later = names = world().log.members["member_id"].head(3).to_list()
        store.add_events([LoggedEvent(name, 1, "post") for name in names])
        rows = standings.head(3).with_columns(member_id=pl.Series([refusing, erased, later]), probability=0.5, bin=10, cell=0)
        store.prefer(refusing, personalization=False)
        store.erase(erased, 1)
        store.publish(1, "{}", "{}", [rows])
        query = StandingQuery(store.overview_key(), Selection())
        assert [row["member_id"] for row in store.standings(query, 5)] == [later]
        store.prefer(later, personalization=False)
        assert store.standings(query, 5) == []


def lively(log, as_of):
    events = event_arrays(log, DECLARED)
    rows = standings_of_nobody()
    return overview_of(world().engine, DECLARED, rows, events, as_of)


def standings_of_nobody():
    kinds = {"bin": pl.Int64, "probability": pl.Float64, "value": pl.Float64, "value_at_risk": pl.Float64}
    return pl.DataFrame(schema={name: kinds.get(name, pl.String) for name in STANDING_COLUMNS})


def test_active_members_and_cohorts_are_counted_as_from_the_log_itself():
    log, as_of = world().log, NOW
    overview = lively(log, as_of)
    qualifying = [kind for signal in DECLARED.signals if signal.qualifying for kind in signal.event_types]
    own = log.events.filter(pl.col("type").cast(pl.String).is_in(qualifying) & (pl.col("timestamp") < as_of))
    last_day = own.filter(pl.col("timestamp") >= as_of - timedelta(days=1))
    month = own.filter(pl.col("timestamp") >= as_of - timedelta(days=30))
    assert overview.liveliness.daily[-1] == last_day["member"].n_unique()
    assert overview.liveliness.monthly == month["member"].n_unique()
    assert overview.liveliness.weekly_events == pytest.approx(month.height * 7 / 30 / month["member"].n_unique())
    assert overview.cohorts[0].month >= own["timestamp"].min().strftime("%Y-%m")
    cohort = overview.cohorts[0]
    joined = log.members.with_row_index("member").filter(pl.col("joined").dt.strftime("%Y-%m") == cohort.month)
    second = own.join(joined, on="member").filter((pl.col("timestamp") - pl.col("joined")).dt.total_days() // 30 == 1)
    assert cohort.members == joined.height
    assert cohort.kept[1] == pytest.approx(second["member"].n_unique() / joined.height)
    assert Overview.from_json(overview.to_json()) == overview
