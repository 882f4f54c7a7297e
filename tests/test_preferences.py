"""What a member refuses is respected from the next request on: no score, no contact, nothing learned."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest
from sqlalchemy import func, select

from models.events import event_arrays, without_members
from models.moments import microseconds
from models.preferences import Preferences
from models.store import Store
from models.store_schema import touches
from pipelines.everyone import weigh_everyone
from pipelines.loading import load, load_to_learn
from pipelines.printing import left_out_sentence
from pipelines.workspace import Workspace
from tests.patience import wait_until
from tests.serving_world import NOW, fill, serving, settings_of, world, write_home, write_logs


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("preferences") / "home"), world().log) as running:
        yield running


def prefer(running, member_id, **said):
    answer = running.client.put(f"/v1/members/{member_id}/preferences", json=said)
    assert answer.status_code == 200, answer.text
    return answer.json()


def decided(running, member_id, **asked):
    answer = running.score(member_id, mode="simulate", **asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def contacted(running, *, skip=0):
    """A member for whom something would be done now."""
    ids = iter(world().log.members["member_id"])
    found = (member_id for member_id in ids if decided(running, member_id)["actions"])
    return [next(found) for _ in range(skip + 1)][-1]


def test_without_personalisation_there_is_no_number_no_action_and_nothing_of_the_behaviour(running):
    member_id = contacted(running)
    before = decided(running, member_id)
    assert prefer(running, member_id, personalization=False)["personalization"] is False
    for mode in ("decide", "simulate", "score_only"):
        told = running.score(member_id, mode=mode, include=["reasons", "candidates"]).json()
        assert told["churn"]["status"] == "opted_out"
        assert {told["churn"][name] for name in ("probability", "percentile", "risk_band", "typical_probability")} == {None}
        assert (told["churn"]["horizons"], told["actions"], told["reasons"], told["suppressed"]) == ([], [], [], [])
        assert (told["member"], told["data"]["last_event_at"]) == (None, None)
        assert told["no_action_reason"] == (None if mode == "score_only" else "opted_out")
    assert decided(running, member_id, language="zh")["no_action_text"] == "该成员已关闭个性化。"
    assert decided(running, member_id, language="en")["churn"]["text"].startswith("This member has switched personalisation off")
    assert running.client.get(f"/v1/members/{member_id}/explanation").json()["member"] is None
    assert prefer(running, member_id, personalization=True)["personalization"] is True
    after = decided(running, member_id)
    assert (after["churn"], after["member"], after["actions"]) == (before["churn"], before["member"], before["actions"])


def test_a_refused_channel_is_passed_over_and_with_the_last_one_the_candidate_falls(running):
    member_id = contacted(running, skip=1)
    assert [action["channel"] for action in decided(running, member_id)["actions"]][:1] == ["wecom"]
    prefer(running, member_id, contact={"wecom": False})
    assert [action["channel"] for action in decided(running, member_id)["actions"]][:1] == ["email"]
    assert prefer(running, member_id, contact={"email": False})["contact"] == {"wecom": False, "email": False, "phone": True}
    for language, text in (("en", "The member does not want contact on this channel"), ("zh", "该成员不希望通过这个渠道被联系")):
        told = decided(running, member_id, language=language)
        coupon = next(one for one in told["suppressed"] if one["intervention_id"] == "coupon")
        assert coupon == {"intervention_id": "coupon", "stage": "contact_policy", "rule": "opted_out", "text": text}
        assert told["churn"]["status"] == "scored"


def test_who_wants_no_contact_at_all_gets_none_and_is_told_so(running):
    member_id = contacted(running, skip=2)
    assert set(prefer(running, member_id, contact={"any": False})["contact"].values()) == {False}
    told = decided(running, member_id, language="en")
    assert (told["actions"], told["no_action_reason"]) == ([], "contact_refused")
    assert told["no_action_text"] == "This member wants no contact on any channel."
    assert set(prefer(running, member_id, contact={"any": True})["contact"].values()) == {True}


def test_what_is_not_named_stays_as_it_was(running):
    member_id = world().log.members["member_id"][5]
    told = running.client.get(f"/v1/members/{member_id}/preferences").json()
    assert told == {"member_id": member_id, "personalization": True, "contact": {"wecom": True, "email": True, "phone": True}}
    prefer(running, member_id, contact={"phone": False})
    prefer(running, member_id, personalization=False)
    told = prefer(running, member_id, contact={"email": False})
    assert told == {"member_id": member_id, "personalization": False, "contact": {"wecom": True, "email": False, "phone": False}}
    assert running.client.get(f"/v1/members/{member_id}/preferences").json() == told


def test_a_wish_is_kept_with_the_time_at_which_it_was_first_said(running):
    member_id = world().log.members["member_id"][-1]
    for said in ({"email": False}, {"email": False, "phone": False}, {"phone": True}):
        prefer(running, member_id, contact=said)
    held = running.store.preferences(member_id)
    assert dict(held.since_us) == {"contact:email": microseconds(NOW)}
    later = Preferences(personalization=False, contact=held.contact).said_after(held, 5)
    assert later.since_us == {"personalization": 5, "contact:email": microseconds(NOW)}
    assert Preferences.from_json('{"personalization": false, "contact": {}}').since_us == {}


@pytest.mark.parametrize(
    ("said", "pointer", "code"),
    [
        ({"contact": {"pigeon": False}}, "/contact/pigeon", "unknown_channel"),
        ({"contact": {"email": "no"}}, "/contact/email", "bool_type"),
        ({"personalization": 0}, "/personalization", "bool_type"),
        ({"personalisation": False}, "/personalisation", "extra_forbidden"),
    ],
)
def test_what_cannot_be_meant_is_refused(running, said, pointer, code):
    answer = running.client.put("/v1/members/m0000001/preferences", json=said)
    assert answer.status_code == 422
    assert [(fault["pointer"], fault["code"]) for fault in answer.json()["errors"]] == [(pointer, code)]
    if code == "unknown_channel":
        assert "known are any, wecom, email, phone" in answer.json()["detail"]


def test_an_unknown_member_has_no_preferences(running):
    for answer in (running.client.get("/v1/members/nobody/preferences"), running.client.put("/v1/members/nobody/preferences", json={})):
        assert (answer.status_code, answer.json()["type"]) == (404, "/docs#unknown-member")


def test_no_decision_taken_after_the_refusal_contacts_however_many_are_under_way(tmp_path, store_url):
    members, refused = world().log.members["member_id"].to_list()[:40], Event()
    with serving(write_home(tmp_path / "home"), world().log, store_url=store_url) as running, ThreadPoolExecutor(4) as pool:

        def keep_asking(shift):
            while not refused.is_set():
                for member_id in members[shift:] + members[:shift]:
                    assert running.score(member_id).status_code == 200

        asking = [pool.submit(keep_asking, shift) for shift in (0, 10, 20, 30)]
        seen = {}
        try:
            wait_until(lambda: any(contacts_of(running.store, member_id) for member_id in members))
            for member_id in reversed(members):
                prefer(running, member_id, contact={"any": False})
                seen[member_id] = contacts_of(running.store, member_id)
        finally:
            refused.set()
        for each in asking:
            each.result()
        assert {member_id: contacts_of(running.store, member_id) for member_id in members} == seen


def contacts_of(store, member_id):
    reserved = select(func.count()).where(touches.c.member_id == member_id, touches.c.decision_id.is_not(None))
    with store.engine.begin() as connection:
        return connection.scalar(reserved)


def test_runs_over_all_members_respect_them_and_learning_leaves_members_out(tmp_path):
    home = write_home(tmp_path / "home")
    write_logs(home)
    impersonal, silent, erased, *_ = world().log.members["member_id"]
    fill(settings_of(home).store_url, world().log)
    store = Store.open(settings_of(home).store_url)
    store.prefer(impersonal, personalization=False)
    store.prefer(silent, contact={"any": False})
    store.erase(erased, 0)
    store.close()
    loaded, learned = (load_from(Workspace.find(home), now=NOW) for load_from in (load, load_to_learn))
    assert set(world().log.members["member_id"]) - set(loaded.log.members["member_id"]) == {erased}
    assert set(loaded.log.members["member_id"]) - set(learned.log.members["member_id"]) == {impersonal}
    assert learned.arrays.n_members == learned.log.members.height
    assert (loaded.left_out, learned.left_out) == (0, 1)
    assert left_out_sentence(learned.left_out) == "1 member has switched personalisation off: nothing was learned of them"
    (batch,) = weigh_everyone(world().engine, loaded, loaded.end)
    row_of = {member_id: row for row, member_id in enumerate(batch.member_ids)}
    assert batch.weighed.scores.status[row_of[impersonal]] == "opted_out"
    assert batch.weighed.chosen[[row_of[impersonal], row_of[silent]]].tolist() == [0, 0]
    assert batch.weighed.no_action_reason[row_of[silent]] in {"contact_refused", "global_control", "already_churned"}


def test_the_rows_of_the_others_are_what_they_were_without_a_member():
    log, declared = world().log, world().engine.community
    dropped = [3, 77, 200]
    rest = without_members(log, [log.members["member_id"][code] for code in dropped])
    kept = [code for code in range(log.members.height) if code not in dropped]
    alone, whole = event_arrays(rest, declared), event_arrays(log, declared).of_members(kept)
    for name in ("offsets", "timestamp_us", "signal", "joined_us"):
        assert (getattr(alone, name) == getattr(whole, name)).all(), name
