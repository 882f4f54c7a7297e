"""Spark reads the tables of a community row for row as one machine does: what is taken, what is refused, and in which order."""

import gzip
from contextlib import closing
from datetime import timedelta

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.declaration import load_community
from models.errors import InputError
from models.preferences import Preferences
from models.store import Store
from models.store_rows import LoggedEvent
from models.tables import open_table
from pipelines.deliveries import take_in_files
from pipelines.distributed_parts import whole_members
from pipelines.distributed_tables import open_on_spark
from pipelines.workspace import Workspace
from tests.planted import community, intervention, signal
from tests.serving_world import write_home
from tests.spark_logs import NOW, assert_alike, on_one_machine, on_spark, partitions

AT_US = int((NOW - timedelta(days=3)).timestamp()) * 1_000_000
EVENTS = '''
m1;13.04.2025 10:00;post;;e1;app
m1;13.04.2025 10:00;read;;e2;
m2;04.05.2025 09:30;purchase;12,50;e3;shop
m2;04.05.2025 09:30;purchase;7;e4;shop
m3;05.05.2025;post;;e1;app
m3;05.05.2025;post;;e5;"quoted; twice ""so"""
;05.05.2025;post;;e6;app
m3;;post;;e7;app
m3;soon;post;;e7;app
m4;01.01.2026;post;;e8;app
m4;06.05.2025;;;e9;app
m4;06.05.2025;post;much;e10;app
m4;06.05.2025;post;;e10;app
m5;06.05.2025;cancel;;e11;app;and more
NULL;06.05.2025;post;;e12;app
m5;06.05.2025;cancel
m6;20.06.2025 23:59;post;1,25;;app
m6;20.06.2025 23:59;post;1,25;;app
成员;20.06.2025;post;;;
'''
MEMBERS = """id,since,age,plan,zone
m1,2025-01-01,31,gold,Asia/Shanghai
m1,2024-01-01,99,silver,
m2,not yet,40,gold,
m3,2026-02-01,41,,
m4,,42,silver,nowhere
idle,2025-02-03,43.5,gold,Europe/Berlin
nobody,,44,gold,
,2025-01-01,1,gold,
"""
TOUCHES = """who,at,intervention,channel,delivered,response,p_digest
m1,2025-05-01T10:00:00+08:00,digest,email,yes,accepted,0.25
m1,2025-05-01T10:00:00+08:00,digest,email,no,Refused,0.125
stranger,2025-05-01,digest,email,yes,,0.5
idle,2025-05-02,No mail,,no,,0.3333333333333333
m2,2025-05-02,digest,email,perhaps,,0.5
m2,2025-05-02,,email,yes,,0.5
m2,2025-05-02,digest,email,yes,,1.5
nobody,2025-05-02,digest,email,yes,,0.5
m6,2025-05-02,digest,email,yes,odd,
"""
DECLARED = community(
    intervention("digest", eligibility={"attributes": {"plan": ["gold"]}}),
    log={"path": "events.csv", "member": "m", "time": "t", "type": "k", "value": "v", "event_id": "id", "channel": "c"},
    signals=[signal("post"), signal("read", qualifying=False), signal("purchase", value="money")],
    members={"path": "members.csv", "member": "id", "joined": "since", "attributes": ["age"], "timezone": "zone", "groups": ["plan"]},
    touches={
        "path": "touches.csv",
        "member": "who",
        "time": "at",
        "arms": {"No mail": "none"},
        "channel": "channel",
        "delivered": "delivered",
        "response": "response",
        "propensity_prefix": "p_",
    },
    churn={"horizons_days": [14, 30], "horizon_days": 30, "contract_event": "cancel"},
)


def home(folder, declared=DECLARED, **tables):
    write_home(folder, declared)
    for name, text in tables.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return Workspace.find(folder)


@pytest.fixture
def messy(tmp_path):
    return home(tmp_path / "home", events=f"m;t;k;v;id;c\n{EVENTS.lstrip()}", members=MEMBERS, touches=TOUCHES)


@pytest.fixture(scope="module", autouse=True)
def few_partitions(spark):
    with partitions(spark, 3):
        yield


def test_tables_full_of_faults_are_taken_and_refused_alike(spark, messy):
    one = on_one_machine(messy)
    assert one.refused == {"events": 10, "members": 6, "touches": 5}
    assert len(one.findings) > 20
    assert_alike(one, on_spark(spark, messy))


def test_probabilities_that_were_the_same_for_all_are_taken_alike(spark, tmp_path):
    touches = DECLARED.touches.model_copy(update={"propensity_prefix": None, "propensities": {"none": 0.9, "digest": 0.1}})
    drawn = home(
        tmp_path / "home",
        DECLARED.model_copy(update={"touches": touches}),
        events=f"m;t;k;v;id;c\n{EVENTS.lstrip()}",
        members=MEMBERS,
        touches=TOUCHES,
    )
    one = on_one_machine(drawn)
    assert one.log.touches["propensity_digest"].unique().to_list() == [0.1]
    assert_alike(one, on_spark(spark, drawn))


def test_files_of_days_and_what_came_through_the_service_are_put_together_alike(spark, messy):
    """A day's file repeats ids, of other members too; one member is erased, one known through the service alone, one has wishes."""
    day = "m;t;k;v;id;c\nm1;14.06.2025;post;;e1;\nm2;14.06.2025;post;;e20;\nm6;15.06.2025;read;;;\nm6;15.06.2025;read;;;\n"
    (messy.root / "day.csv").write_text(day, encoding="utf-8")
    (messy.root / "again.csv").write_text(day + "m9;16.06.2025;post;;e20;\nm6;15.06.2025;read;;;\n", encoding="utf-8")
    take_in_files(messy, load_community(messy.declaration), [messy.root / "day.csv", messy.root / "again.csv"], now=NOW)
    with closing(Store.open(messy.store_url)) as store:
        store.load_log(on_one_machine(messy).log, "messy")
        store.add_events(
            [LoggedEvent("m1", AT_US, "post", "e2"), LoggedEvent("m6", AT_US, "read", "p1"), LoggedEvent("new", AT_US, "post", "p2")]
        )
        store.prefer("m1", personalization=False, contact={"email": False})
        store.erase("m5", AT_US)
    one = on_one_machine(messy)
    assert set(one.log.members["member_id"]) == {"m1", "m2", "m3", "m6", "成员", "idle", "new"}
    assert one.preferences == {"m1": Preferences(personalization=False, contact={"email": False})}
    assert_alike(one, on_spark(spark, messy))


def test_a_folder_of_parquet_is_read_in_the_order_of_its_files(spark, tmp_path):
    """Two rows of the same moment keep their order, which is that of files and not of sizes; an attribute that knows the end is found."""
    rng = np.random.default_rng(7)
    rows = pl.DataFrame(
        {
            "m": rng.integers(0, 60, 6_000).astype(str),
            "t": [NOW - timedelta(days=int(day)) for day in rng.integers(1, 90, 6_000)],
            "k": rng.choice(["post", "read", "purchase"], 6_000),
            "v": rng.normal(size=6_000).round(3),
        }
    )
    log = {"path": "events", "member": "m", "time": "t", "type": "k", "value": "v"}
    totals = rows.group_by("m").len("total").select("m", pl.lit("2025-01-01").alias("since"), "total").write_csv()
    members = {"path": "members.csv", "member": "m", "joined": "since", "attributes": ["total"]}
    declared = community(log=log, members=members, signals=[signal("post"), signal("read"), signal("purchase", value="money")])
    workspace = home(tmp_path / "home", declared, members=totals)
    for name, (begin, rows_in_it) in {"a/1": (0, 500), "a-b": (500, 4_000), "c": (4_500, 1_500)}.items():
        file = workspace.root / "events" / f"{name}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        rows.slice(begin, rows_in_it).write_parquet(file)
    one = on_one_machine(workspace)
    assert "leak_declared" in {finding["code"] for finding in one.findings}
    assert_alike(one, on_spark(spark, workspace))


@pytest.mark.parametrize("name", ["torn.parquet", "torn.csv.gz", "workbook.csv"])
def test_a_file_that_cannot_be_read_is_told_as_on_one_machine(spark, tmp_path, name):
    packed = gzip.compress(b"m;t\nm1;2025-06-01\n" * 1000, mtime=0)
    content = {"torn.parquet": b"PAR1 and nothing more", "torn.csv.gz": packed[:-30], "workbook.csv": b"PK\x03\x04 and more"}[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as here:
        open_table(tmp_path / name)
    with pytest.raises(InputError) as there:
        open_on_spark(spark, tmp_path, name)
    assert str(there.value).removeprefix(f"{tmp_path}/") == str(here.value).removeprefix(f"{tmp_path}/")


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.integers(1, 20), st.integers(1, 7))
def test_no_cut_goes_through_a_member(lengths, rows_at_once, batch):
    rows = pl.DataFrame({"member": [f"m{at:02}" for at, length in enumerate(lengths) for _ in range(length)]})
    batches = [part.to_arrow().to_batches()[0] for part in rows.iter_slices(batch)]
    parts = list(whole_members(batches, rows_at_once))
    assert pl.concat(parts).equals(rows)
    held = [set(part["member"]) for part in parts]
    assert sum(map(len, held)) == len(lengths)
    assert all(part.height < rows_at_once + max(lengths) + batch for part in parts)
