"""Groups of the members table: chosen by on the page, in JSON, in CSV and by decision jobs, all telling of the same members."""

import csv
import io

import polars as pl
import pytest

from models.api_keys import create_key
from models.declaration import load_community
from models.errors import InputError
from models.events import EventLog
from models.groups import MOST_VALUES, check_groups
from models.intake import read_log
from models.sources import MembersSource
from serving.job_answers import JobResult
from tests.serving_world import DECLARED, NOW, serving, simulated_world, wait_until, world, write_home, write_logs
from tests.shown_run import reader, sign_in

GROUPED = DECLARED.model_copy(update={"members": DECLARED.members.model_copy(update={"groups": ("plan", "chat group")})})
PLANS = ("gold", "Gold", None)
CHATS = ('tea, "and" cake', "茶友群", "=1+1")


def grouped(members: pl.DataFrame) -> pl.DataFrame:
    n = members.height
    return members.with_columns(
        pl.Series("plan", [PLANS[i % 3] for i in range(n)]), pl.Series("chat group", [CHATS[i // 3 % 3] for i in range(n)])
    )


def members_in(column: str, *values: str) -> list[str]:
    return grouped(world().log.members).filter(pl.col(column).is_in(values))["member_id"].sort().to_list()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    log = world().log
    with serving(
        write_home(tmp_path_factory.mktemp("groups") / "home", GROUPED), EventLog(log.events, grouped(log.members), log.touches)
    ) as it:
        results(it)
        yield it


def results(running, **request) -> list[JobResult]:
    asked = running.client.post("/v1/decision-jobs", json=request)
    assert asked.status_code == 202, asked.text
    place = asked.headers["location"]
    wait_until(lambda: running.client.get(place).json()["status"] == "succeeded")
    return [JobResult.model_validate_json(line) for line in running.client.get(f"{place}/results").text.splitlines()]


@pytest.mark.parametrize(("language", "labels"), [("en", ["Plan", "Chat group"]), ("zh", ["套餐", "Chat group"])])
def test_a_group_goes_by_the_name_that_its_reader_knows(running, language, labels):
    """A column of a common name; another as it was declared."""
    with reader(running, language) as visitor:
        sign_in(visitor, create_key(running.store, "marketing", ["read"], now=NOW))
        page = visitor.get("/audience").text
    assert [label in page for label in (f">{one}</label>" for one in labels)] == [True, True]


@pytest.mark.parametrize(
    ("column", "values"), [("plan", ["gold"]), ("plan", ["Gold", "gold"]), ("chat group", ['tea, "and" cake']), ("plan", ["silver"])]
)
def test_a_job_decides_on_the_members_of_a_group(running, column, values):
    told = results(running, dry_run=True, audience={"groups": {column: values}})
    assert sorted(one.member_id for one in told) == members_in(column, *values)


def test_groups_and_risk_are_both_asked_for(running):
    told = results(running, dry_run=True, audience={"groups": {"plan": ["gold"], "chat group": ["茶友群"]}, "risk_bands": ["low"]})
    assert told
    assert {one.member_id for one in told} <= set(members_in("plan", "gold")) & set(members_in("chat group", "茶友群"))
    assert {one.risk_band for one in told} == {"low"}


QUERIES = [
    {"group": "plan:gold"},
    {"group": ["plan:Gold", 'chat group:tea, "and" cake'], "from": 10},
    {"group": ["", "chat group:=1+1"], "risk_band": "low"},
    {"group": "plan:silver"},
]


@pytest.mark.parametrize("query", QUERIES, ids=str)
def test_page_csv_and_json_tell_the_same_of_a_group(running, query):
    told = running.client.get("/v1/audience", params=query | {"limit": 200}).json()
    everyone = running.client.get("/v1/audience", params={"limit": 200}).json()["members"]
    groups = dict(one.split(":", 1) for one in ([query["group"]] if isinstance(query["group"], str) else query["group"]) if one)
    expected = {
        one["member_id"]
        for one in everyone
        if groups.items() <= one["groups"].items()
        and one["probability"] >= query.get("from", 0) / 100
        and query.get("risk_band") in (None, one["risk_band"])
    }
    assert {one["member_id"] for one in told["members"]} == expected
    assert told["total"]["members"] == len(expected)
    with reader(running) as visitor:
        sign_in(visitor, create_key(running.store, "marketing", ["read"], now=NOW))
        listed = list(csv.DictReader(io.StringIO(visitor.get("/audience.csv", params=query).content.decode("utf-8-sig"))))
        assert {row["member_id"] for row in listed} == expected
        for column, value in groups.items():
            assert {row[f"group:{column}"].removeprefix("'") for row in listed} <= {value}
            counted = told["choices"].get(f"group:{column}", {}).get(value, 0)
            shown = value.replace('"', "&#34;")
            assert f'<option value="{column}:{shown}" selected>{shown} ({counted})</option>' in visitor.get("/audience", params=query).text
            assert counted == len(expected)


def test_a_group_that_is_not_declared_is_refused_by_name(running):
    for wrong in ("town:Graz", "plan", ["plan:gold", "plan:Gold"]):
        answer = running.client.get("/v1/audience", params={"group": wrong})
        assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "query.group")
        assert "plan:VALUE, chat group:VALUE" in answer.json()["detail"]
    refused = running.client.post("/v1/decision-jobs", json={"audience": {"groups": {"town": ["Graz"]}}})
    assert (refused.status_code, 'no group is called "town"; declared are plan, chat group' in refused.json()["detail"]) == (422, True)


def test_a_column_with_too_many_values_is_an_error_that_names_it(tmp_path):
    declared = DECLARED.model_copy(update={"members": DECLARED.members.model_copy(update={"groups": ("town",)})})
    home = write_home(tmp_path / "home", declared)
    write_logs(home)
    members = simulated_world().members
    towns = pl.Series("town", [f"t{i % (MOST_VALUES + 1)}" for i in range(members.height)])
    members.with_columns(towns).write_parquet(home / "members.parquet")
    taken = read_log(load_community(home / "keepwell.yaml"), home, now=NOW)
    (found,) = [one for one in taken.findings if one.column == "town" and one.level == "error"]
    assert found.message == 'members.groups: column "town" has 51 values; a group has at most 50'
    with pytest.raises(InputError, match='column "town" has 51 values; a group has at most 50; name a coarser column'):
        check_groups(taken.log.members, declared)


@pytest.mark.parametrize("groups", [["member_id"], ["joined"], ["plan", "plan"]])
def test_a_group_is_another_column_than_the_id_and_named_once(groups):
    with pytest.raises(ValueError, match="name other columns, each once"):
        MembersSource(path="members.csv", member="member_id", joined="joined", groups=groups)
