"""Access and erasure: everything that is held of a member is shown, and nothing is left of one who was erased."""

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest
from sqlalchemy import JSON, Float, Integer, Numeric, Text, cast, insert, select

from models.errors import UnknownMember
from models.job_rows import Selected
from models.moments import microseconds
from models.store import DecisionRow, LoggedEvent, Store
from models.store_jobs import select_members
from models.store_privacy import holders
from models.store_schema import metadata
from pipelines.archive import archive_events, archived_events
from pipelines.export import export
from pipelines.workspace import Workspace
from tests.databases import sqlite_url
from tests.serving_world import NOW, serving, world, write_home

MEMBER, OTHER = "m-某人/1's", "m-somebody-else"
PRIVACY = Path(__file__).parents[1] / "docs" / "privacy.md"
NOBODY_IN = {
    "announced": "names of models and jobs",
    "api_keys": "clients of the service",
    "erasures": "keyed hashes of ids, and counts",
    "figures": "what commands found out about all members together",
    "grounds": "strata of members who are alike",
    "jobs": "what was asked for and how far it came",
    "loads": "hashes of whole logs",
    "overviews": "figures of all members together",
    "plans": "prices",
    "rollout_processes": "processes of the service",
    "rollout_stages": "shares of members",
    "rollouts": "versions of models, and the salt of a hash",
    "sessions": "people who read the pages, by a hash",
    "settings": "the key of the hashes",
    "uses": "sums over members",
    "webhooks": "clients of the service",
}
"""Tables without a word on any member. Every other one has a column `member_id`, by which its rows are shown and erased."""


@pytest.fixture
def store(store_url):
    with closing(Store.open(store_url)) as store:
        yield store


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("privacy") / "home"), world().log) as running:
        yield running


def fill(store, member_id):
    """A row in every table that has rows of members, with the id in all of its texts."""
    with store.engine.begin() as connection:
        for number, table in enumerate(holders()):
            connection.execute(insert(table), {column.name: invented(column, member_id, number) for column in table.columns})


def invented(column, member_id, number):
    if column.name == "member_id":
        return member_id
    if isinstance(column.type, JSON):
        return {"of": member_id}
    if isinstance(column.type, Text):
        return json.dumps({"of": member_id}, ensure_ascii=False)
    assert isinstance(column.type, Integer | Float | Numeric), column
    return number + sum(member_id.encode())


def places_of(store, member_id):
    """Columns of texts that hold the id, or its JSON, anywhere."""
    forms = (member_id, json.dumps(member_id)[1:-1])
    with store.engine.begin() as connection:
        return sorted(
            f"{table.name}.{column.name}"
            for table in metadata.sorted_tables
            for column in table.columns
            if isinstance(column.type, Text | JSON)
            and any(form in text for text in connection.scalars(select(cast(column, Text)).where(column.is_not(None))) for form in forms)
        )


def test_every_table_has_the_member_of_its_rows_or_nobody():
    assert {table.name for table in metadata.sorted_tables} - {table.name for table in holders()} == NOBODY_IN.keys()


def test_an_erased_member_is_in_no_text_of_any_table_and_the_others_are(store):
    fill(store, MEMBER)
    fill(store, OTHER)
    before, tables = places_of(store, OTHER), {table.name for table in holders()}
    assert {place.split(".")[0] for place in places_of(store, MEMBER)} == tables
    receipt = store.erase(MEMBER, 7)
    assert places_of(store, MEMBER) == []
    assert places_of(store, OTHER) == before
    assert (dict(receipt.counts), receipt.erased_us) == (dict.fromkeys(tables, 1), 7)
    assert MEMBER not in f"{receipt}"


def test_a_member_is_erased_once(store):
    fill(store, MEMBER)
    store.erase(MEMBER, 7)
    for asked in (store.erase, lambda member_id, _: store.traces(member_id), lambda member_id, _: store.preferences(member_id)):
        with pytest.raises(UnknownMember):
            asked(MEMBER, 8)
    with pytest.raises(UnknownMember):
        store.erase("never seen", 8)


def test_what_comes_of_an_erased_member_later_is_not_kept(store):
    event = LoggedEvent(MEMBER, 5, "post", "e1")
    assert store.add_events([event]) == ["accepted"]
    store.erase(MEMBER, 7)
    rows = [event, LoggedEvent(OTHER, 5, "post", "e2"), LoggedEvent(MEMBER, 9, "post"), LoggedEvent(OTHER, 5, "post", "e2")]
    assert store.add_events(rows) == ["erased", "accepted", "erased", "duplicate"]
    assert (store.known([MEMBER, OTHER]), store.erased([MEMBER, OTHER])) == ({OTHER}, {MEMBER})
    assert places_of(store, MEMBER) == []


def test_a_log_that_still_holds_an_erased_member_is_loaded_without(store):
    log = world().log
    gone = log.members["member_id"][4]
    first = store.load_log(log)
    counted = len(log.events.filter(log.events["member"] == 4))
    store.erase(gone, 7)
    again = store.load_log(log, "another log")
    assert (again.members, again.events, again.touches) == (0, 0, 0)
    assert first.members == log.members.height
    assert (places_of(store, gone), counted > 0) == ([], True)


def test_a_decision_under_way_is_not_kept_for_a_member_who_was_erased_meanwhile(store):
    store.add_events([LoggedEvent(MEMBER, 5, "post", "e1"), LoggedEvent(OTHER, 5, "post", "e2")])
    store.erase(MEMBER, 7)
    rows = [DecisionRow(f"d{member_id}", member_id, 8, "1", "none", None, 0, "{}") for member_id in (MEMBER, OTHER)]
    assert store.record(rows) == {MEMBER}
    assert store.kept(f"d{OTHER}") is None
    assert store.record(rows[1:]) == set()


def test_events_that_arrive_while_a_member_is_erased_leave_nothing_behind(store):
    ids = [f"{MEMBER}{number}" for number in range(12)]
    store.add_events([LoggedEvent(member_id, 5, "post") for member_id in ids])

    def send(shift):
        for at in range(20):
            store.add_events([LoggedEvent(member_id, 10 + at * 4 + shift, "post") for member_id in ids])

    with ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(send, shift) for shift in range(3)]
        for member_id in ids:
            store.erase(member_id, 7)
        for each in sending:
            each.result()
    assert (store.known(ids), places_of(store, MEMBER)) == (set(), [])


def test_the_file_of_a_sqlite_store_holds_no_sign_of_an_erased_member(tmp_path):
    with closing(Store.open(sqlite_url(tmp_path))) as store:
        for number in range(40):
            store.add_events([LoggedEvent(member_id, number, "post", f"{member_id}{number}") for member_id in (MEMBER, OTHER)])
        fill_others = [DecisionRow(f"d{n}", MEMBER, n, "1", "none", None, 0, f"{MEMBER}" * 3_000) for n in range(3)]
        store.record(fill_others)
        assert MEMBER.encode() in written(tmp_path)
        store.erase(MEMBER, 99)
        assert MEMBER.encode() not in written(tmp_path)
        assert OTHER.encode() in written(tmp_path)


def written(folder):
    return b"".join(path.read_bytes() for path in folder.glob("keepwell.db*"))


def test_an_erasure_while_somebody_reads_is_done_all_the_same(tmp_path):
    with closing(Store.open(sqlite_url(tmp_path))) as store, closing(sqlite3.connect(tmp_path / "keepwell.db")) as reader:
        store.add_events([LoggedEvent(MEMBER, 5, "post", "e1")])
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM events").fetchall()
        store.erase(MEMBER, 7)
        assert store.known([MEMBER]) == set()


def act_upon(running, member_id):
    """Everything that clients do with a member leaves its trace."""
    client = running.client
    decision = running.score(member_id, request_id=f"crm-{member_id}").json()
    event = {"event_id": f"e-{member_id}", "member_id": member_id, "type": "post", "timestamp": NOW.isoformat()}
    touch = {"touch_id": f"t-{member_id}", "member_id": member_id, "intervention_id": "call", "at": NOW.isoformat(), "state": "delivered"}
    outcome = {"outcome_id": f"o-{member_id}", "member_id": member_id, "type": "renewed", "at": NOW.isoformat()}
    sent = [
        client.post("/v1/events", json={"events": [event]}),
        client.post("/v1/touches", json={"touches": [touch]}),
        client.post("/v1/outcomes", json={"outcomes": [outcome]}),
        client.put(f"/v1/members/{member_id}/preferences", json={"contact": {"phone": False}}),
    ]
    assert [answer.status_code for answer in sent] == [200] * 4
    assert [answer.json()["accepted"] for answer in sent[:3]] == [1] * 3
    return decision, [event, touch, outcome]


def test_the_export_shows_all_that_the_service_holds_of_a_member(running):
    member_id, other = world().log.members["member_id"][[10, 11]]
    decision, _ = act_upon(running, member_id)
    act_upon(running, other)
    answer = running.client.get(f"/v1/members/{member_id}/data")
    told = answer.json()
    assert (told["member_id"], told["tables"].keys()) == (member_id, {table.name for table in holders()})
    rows = told["tables"]
    assert all(row["member_id"] == member_id for table in rows.values() for row in table)
    (member,), (request,) = rows["members"], rows["requests"]
    assert member["preferences"] == {"personalization": True, "contact": {"phone": False}, "since_us": {"contact:phone": microseconds(NOW)}}
    assert request["answer"] == decision
    assert [row["body"]["decision_id"] for row in rows["decisions"]] == [decision["decision_id"]]
    assert {"timestamp": NOW.isoformat().replace("+00:00", "Z"), "type": "post"}.items() <= rows["events"][-1].items()
    assert len(rows["events"]) == world().log.events.filter(world().log.events["member"] == 10).height + 1
    assert (rows["outcomes"][0]["type"], other in answer.text) == ("renewed", False)


def test_an_erased_member_answers_like_an_unknown_one_whatever_is_sent(running):
    member_id = world().log.members["member_id"][20]
    client, (decision, (event, touch, outcome)) = running.client, act_upon(running, member_id)
    assert places_of(running.store, member_id) != []
    receipt = client.delete(f"/v1/members/{member_id}")
    assert receipt.status_code == 200
    assert member_id not in receipt.text
    told = receipt.json()
    assert told.keys() == {"receipt_id", "erased_at", "token", "rows"}
    assert {"members": 1, "decisions": 1, "requests": 1, "outcomes": 1}.items() <= told["rows"].items()
    assert places_of(running.store, member_id) == []
    unknown = [
        running.score(member_id),
        running.score(member_id, request_id=f"crm-{member_id}"),
        running.score(member_id, events=[{key: event[key] for key in ("type", "timestamp")}], persist_events=True),
        client.get(f"/v1/members/{member_id}/explanation"),
        client.post(f"/v1/members/{member_id}/what-if", json={"add": []}),
        client.get(f"/v1/members/{member_id}/preferences"),
        client.put(f"/v1/members/{member_id}/preferences", json={}),
        client.get(f"/v1/members/{member_id}/data"),
        client.delete(f"/v1/members/{member_id}"),
    ]
    assert [(answer.status_code, answer.json()["type"]) for answer in unknown] == [(404, "/docs#unknown-member")] * len(unknown)
    assert client.get(f"/v1/decisions/{decision['decision_id']}").status_code == 404
    late = [
        client.post("/v1/events", json={"events": [event, {**event, "event_id": None}]}),
        client.post("/v1/touches", json={"touches": [touch, {**touch, "decision_id": decision["decision_id"]}]}),
        client.post("/v1/outcomes", json={"outcomes": [outcome]}),
    ]
    for answer in late:
        assert (answer.json()["accepted"], answer.json()["duplicate"]) == (0, 0), answer.text
    assert {row["code"] for row in late[0].json()["rejected"]} == {"erased_member"}
    assert places_of(running.store, member_id) == []


def test_an_id_with_a_slash_can_be_asked_about_and_erased_too(running):
    event = {"member_id": "org/7?", "type": "post", "timestamp": NOW.isoformat()}
    assert running.client.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1
    assert running.client.get("/v1/members/org%2F7%3F/data").json()["member_id"] == "org/7?"
    assert running.client.get("/v1/members/org%2F7%3F/explanation").json()["member_id"] == "org/7?"
    assert running.client.post("/v1/members/org%2F7%3F/what-if", json={}).json()["member_id"] == "org/7?"
    assert running.client.delete("/v1/members/org%2F7%3F").status_code == 200
    assert running.store.known(["org/7?"]) == set()


def test_members_who_are_asked_about_together_do_not_suffer_from_one_who_is_erased(running):
    members = world().log.members["member_id"].to_list()[100:140]

    def ask(member_id):
        return {running.score(member_id).status_code for _ in range(6)}

    with ThreadPoolExecutor(8) as pool:
        asked = {member_id: pool.submit(ask, member_id) for member_id in members}
        for member_id in members[::4]:
            assert running.client.delete(f"/v1/members/{member_id}").status_code == 200
        told = {member_id: each.result() for member_id, each in asked.items()}
    assert all(told[member_id] == {200} for member_id in set(members) - set(members[::4]))
    assert all(told[member_id] <= {200, 404} for member_id in members[::4])
    assert [place for member_id in members[::4] for place in places_of(running.store, member_id)] == []


def test_the_document_names_every_table_that_the_export_shows():
    text = PRIVACY.read_text("utf-8")
    assert [table.name for table in holders() if f"| `{table.name}` |" not in text] == []


def test_a_member_erased_while_a_job_selects_is_not_selected(store):
    store.add_events([LoggedEvent(MEMBER, 5, "post", "e1"), LoggedEvent(OTHER, 5, "post", "e2")])
    store.erase(MEMBER, 7)
    with store.engine.begin() as connection:
        select_members(connection, "job", [Selected(0, MEMBER), Selected(1, OTHER)])
    assert [member.member_id for member in store.job_members("job", -1, 10)] == [OTHER]


def test_an_export_after_an_erasure_holds_nothing_of_the_member_and_neither_does_the_archive(tmp_path):
    workspace = Workspace.find(write_home(tmp_path / "home"))
    with closing(Store.open(workspace.store_url)) as store:
        store.add_events([LoggedEvent(MEMBER, 5, "post", "e1"), LoggedEvent(OTHER, 5, "post", "e2")])
        archive_events(workspace, store.api_events())
        store.erase(MEMBER, 7)
    export(workspace, tmp_path / "out", older_than_days=None, now=NOW)
    assert pl.read_parquet(tmp_path / "out" / "events.parquet")["member_id"].to_list() == [OTHER]
    assert archived_events(workspace)["member_id"].to_list() == [OTHER]
