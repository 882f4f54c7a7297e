"""CloudEvents as behaviour events, in each mode of the HTTP binding."""

import json

import pytest

from tests.serving_world import NOW, serving, world, write_home

EVENT = {
    "specversion": "1.0",
    "id": "1",
    "source": "https://crm.example.org/wecom",
    "type": "purchase",
    "subject": "m0000001",
    "time": "2025-07-20T09:00:00+08:00",
    "datacontenttype": "application/json",
    "data": {"value": 19.5, "channel": "wecom", "basket": [1, 2]},
    "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
}
ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("service") / "home"), world().log) as running:
        yield running


def send(running, content, media_type, **headers):
    answer = running.client.post("/v1/events", content=json.dumps(content), headers={"Content-Type": media_type, **headers})
    assert answer.status_code == 200, answer.text
    return answer.json()


def stored(running, event_id):
    [row] = running.store.api_events().filter(event_id=event_id).rows(named=True)
    return row


def test_a_structured_event_is_kept_under_its_source_and_id(running):
    assert send(running, EVENT, f"{ONE}; charset=utf-8") == {"accepted": 1, "duplicate": 0, "rejected": []}
    row = stored(running, "https://crm.example.org/wecom#1")
    assert (row["member_id"], row["type"], row["value"], row["channel"]) == ("m0000001", "purchase", 19.5, "wecom")
    assert row["timestamp"].isoformat() == "2025-07-20T01:00:00+00:00"
    assert send(running, EVENT, ONE)["duplicate"] == 1
    assert send(running, {**EVENT, "source": "elsewhere"}, ONE)["accepted"] == 1


def test_events_are_told_apart_by_source_and_id_wherever_their_hashes_stand(running):
    alike = [{**EVENT, "source": "urn:a", "id": "b#c"}, {**EVENT, "source": "urn:a#b", "id": "c"}]
    assert send(running, alike, BATCH)["accepted"] == 2
    assert send(running, alike, BATCH)["duplicate"] == 2


def test_in_binary_mode_there_may_be_no_data(running):
    headers = {f"ce-{name}": EVENT[name] for name in ("specversion", "source", "type", "time", "subject")}
    answer = running.client.post("/v1/events", headers={**headers, "ce-id": "bare"})
    assert answer.json() == {"accepted": 1, "duplicate": 0, "rejected": []}
    assert running.client.post("/v1/events").status_code == 422


def test_bad_events_of_a_batch_are_refused_by_row_and_the_rest_accepted(running):
    without_subject = {key: value for key, value in EVENT.items() if key != "subject"}
    batch = [
        {**EVENT, "id": "2"},
        without_subject,
        {**EVENT, "id": "3", "specversion": "0.3"},
        {**EVENT, "id": "4", "time": 1752973200},
        {**EVENT, "id": "5", "data_base64": "AA=="},
        {**EVENT, "id": "6", "datacontenttype": "application/xml"},
        {**EVENT, "id": "7", "type": "org.example.purchase"},
        {**EVENT, "id": "8", "time": "2026-07-20T09:00:00Z"},
        {**EVENT, "id": "9" * 250},
        None,
        {**EVENT, "id": "10", "data": None},
    ]
    answer = send(running, batch, BATCH)
    assert (answer["accepted"], answer["duplicate"]) == (2, 0)
    told = {row["index"]: (row["code"], row["detail"].partition(":")[0]) for row in answer["rejected"]}
    assert told == {
        1: ("invalid_event", "/subject"),
        2: ("invalid_event", "/specversion"),
        3: ("invalid_event", "/time"),
        4: ("invalid_event", "/data_base64"),
        5: ("invalid_event", "/datacontenttype"),
        6: ("unknown_event_type", told[6][1]),
        7: ("future_timestamp", told[7][1]),
        8: ("invalid_event", "the row"),
        9: ("invalid_event", "the row"),
    }


def test_in_binary_mode_the_attributes_stand_in_headers(running):
    headers = {f"ce-{name}": EVENT[name] for name in ("specversion", "source", "type", "time")}
    answer = send(running, {"value": 7}, "application/json", **headers, **{"ce-id": "b%C3%A9", "ce-subject": "%E5%B0%8F%E6%98%8E"})
    assert answer["accepted"] == 1
    row = stored(running, "https://crm.example.org/wecom#bé")
    assert (row["member_id"], row["value"]) == ("小明", 7)


@pytest.mark.parametrize("subject", ["王芳".encode(), b'"%E7%8E%8B%E8%8A%B3"', '"\\王芳"'.encode()])
def test_a_header_means_the_same_percent_encoded_quoted_and_as_utf_8(running, subject):
    headers = {f"ce-{name}": EVENT[name] for name in ("specversion", "source", "type", "time")}
    send(running, None, "application/json", **headers, **{"ce-id": subject.hex(), "ce-subject": subject})
    assert stored(running, f"{EVENT['source']}#{subject.hex()}")["member_id"] == "王芳"


@pytest.mark.parametrize("subject", ["小明".encode("gbk"), b"%D0%A1%C3%F7"])
def test_a_header_in_another_encoding_is_refused_and_makes_no_member(running, subject):
    headers = {f"ce-{name}": EVENT[name] for name in ("specversion", "id", "source", "type", "time")}
    answer = running.client.post("/v1/events", json={}, headers={**headers, "ce-subject": subject})
    assert (answer.status_code, answer.json()["errors"][0]["parameter"]) == (422, "header.ce-subject")


@pytest.mark.parametrize("content", [EVENT, "text", None, [EVENT] * 1_001])
def test_a_batch_is_a_list_and_not_too_long(running, content):
    answer = running.client.post("/v1/events", content=json.dumps(content), headers={"Content-Type": BATCH})
    assert answer.status_code == 422
    assert answer.json()["type"] == "/docs#invalid-request"


def test_cloud_events_are_read_as_events_alone(running):
    answer = running.client.post("/v1/score", content=json.dumps(EVENT), headers={"Content-Type": ONE})
    assert (answer.status_code, answer.headers["accept"]) == (415, "application/json")
    answer = running.client.post("/v1/events", content=b"x", headers={"Content-Type": "text/plain"})
    assert answer.headers["accept"] == f"application/json, {ONE}, {BATCH}"


def test_a_member_of_a_cloud_event_can_be_scored(running):
    send(running, [{**EVENT, "id": "s", "subject": "cloud-1", "time": NOW.isoformat()}], BATCH)
    assert running.score("cloud-1", mode="score_only").json()["member"]["stage"] == "new"
