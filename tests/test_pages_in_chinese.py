"""Whoever reads Chinese meets no English sentence: on no page, in no answer to a client who asks for Chinese, in no text of the product."""

import json
import re
from html import unescape

import pytest

from models.api_keys import create_key
from models.moments import microseconds
from models.readings import MONITOR, Monitored, Reading
from models.statements import Difference, Statement
from models.texts import messages
from pipelines.decide import decide_all
from pipelines.workspace import Workspace
from tests.serving_world import NOW, serving, world, write_home, write_logs
from tests.shown_figures import show_figures
from tests.shown_run import form_token, reader, sign_in

SENTENCE = re.compile(r"[A-Za-z]{2,}(?:[ ,;'’-]+[A-Za-z]{2,}){2,}")
"""Three words in a row."""
COMMAND = re.compile(r"`[^`]*`|“keepwell [^”]*”|<(code|pre)\b.*?</\1>|keepwell(?: [a-z-]+)+", re.DOTALL)
UNSEEN = re.compile(r"<(script|style)\b.*?</\1>|<[^>]+>", re.DOTALL)
SPOKEN = re.compile(r'(?:aria-label|title|alt|placeholder|data-[a-z]+)="([^"]*)"')
PAGES = (
    "/",
    "/audience?from=10",
    "/planner",
    "/interventions",
    "/experiments",
    "/experiments/coupon",
    "/model",
    "/monitor",
    "/members/m0000003",
)
UNREAD = (f"/members/{'m' * 257}", "/audience?from=x")
FAILURES = ("/members/", "/members/nobody", "/experiments/nobody", "/nowhere", "/planner/jobs/nobody", *UNREAD)
TWINS = (
    "/v1/overview",
    "/v1/interventions/figures?lang=zh",
    "/v1/experiments?lang=zh",
    "/v1/models/report?lang=zh",
    "/v1/monitor?lang=zh",
    "/v1/rollouts/current?lang=zh",
    "/v1/members/m0000003/explanation?lang=zh",
)
FIGURES = dict.fromkeys(("hours", "share", "weight", "largest", "psi", "chance", "before"), 0.5)
FIGURES |= dict.fromkeys(("auc", "expected", "loss", "error", "rate", "least", "declared", "spent", "planned"), 0.5)
FIGURES |= {f"{name}_{end}": 0.4 for name in ("auc", "expected", "loss", "error") for end in ("low", "high")}
FIGURES |= dict.fromkeys(("days", "members", "decisions", "below", "impossible", "control", "count", "decided"), 3)
FIGURES |= dict.fromkeys(("rejected", "rows", "features", "moved"), 3)
ARMS = {"arm": "coupon", "arms": [{"arm": name, "seen": 7, "expected": 6.0} for name in ("none", "call")], "currency": "CNY"}
NAMED = {
    "last": "2025-07-20T11:00+00:00",
    "from": "2025-06-20",
    "until": "2025-07-30",
    "version": "2",
    "keys": "policy",
    "said": {"en": "Harm.", "zh": "有害。"},
}


def english(told):
    """Sentences in a text that is no address, name of a command or mark."""
    return [found for found in SENTENCE.findall(COMMAND.sub(" ", told)) if found]


def shown(page):
    """All that is read, aloud too."""
    plain = COMMAND.sub(" ", page)
    return unescape(" · ".join([UNSEEN.sub(" · ", plain), *SPOKEN.findall(plain)]))


def readings():
    """One of every kind, each an alarm, so that everything is said of it."""
    codes = {key.split(".")[1] for key in messages("en") if re.fullmatch(r"monitor\.\w+\.said", key)}
    told = FIGURES | ARMS | NAMED | {"notes": ["seen_before", "under_limits", "impossible"]}
    return tuple(Reading(code, "model", "alarm", code, told, threshold=0.05) for code in sorted(codes))


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = write_home(tmp_path_factory.mktemp("chinese") / "home")
    write_logs(home)
    with serving(home, world().log) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        decide_all(Workspace.find(home), home / "all.parquet", as_of=NOW.isoformat(), language=None, now=NOW, progress=lambda _: None)
        show_figures(running)
        running.store.keep_figures(MONITOR, microseconds(NOW), Monitored(NOW, "1", readings()).to_json())
        yield running


@pytest.fixture
def client(running):
    with reader(running, "zh-CN") as client:
        sign_in(client, create_key(running.store, "marketing", ["read", "plan"], now=NOW))
        yield client


def test_no_page_says_anything_in_english(client):
    for path in (*PAGES, *FAILURES):
        answer = client.get(path, headers={"Accept": "text/html"})
        assert (answer.status_code < 500, english(shown(answer.text))) == (True, []), path
        assert 'lang="zh-CN"' in answer.text


def test_no_space_stands_between_chinese_sentences(client):
    apart = re.compile(r"[。：；，](?:</\w+>)? +[\u4e00-\u9fff]\w*")
    assert {path: found for path in PAGES if (found := apart.findall(client.get(path).text))} == {}


def test_a_campaign_is_told_in_chinese(client):
    page = client.get("/planner").text
    assert 'name="budget"' in page
    job = client.post("/planner/confirm", data={"form_token": form_token(page), "dry_run": "1"})
    assert (job.status_code, english(shown(job.text))) == (200, [])


def test_what_is_supposed_of_a_member_is_told_in_chinese_with_its_warnings(client):
    form = {"form_token": form_token(client.get("/members/m0000003").text), "without_service": "1", "more_comment": "2"}
    assert english(shown(client.post("/members/m0000003/what-if", data=form).text)) == []


def test_no_answer_to_who_asks_for_chinese_has_an_english_sentence(running):
    answers = [running.client.get(path, headers={"Accept": "application/json"}) for path in TWINS]
    answers.append(running.client.post("/v1/score", json={"member_id": "m0000003", "mode": "simulate", "language": "zh"}))
    gone = {"add": [{"type": "x y z", "timestamp": NOW.isoformat()}], "remove": {"event_ids": ["none"]}, "language": "zh"}
    answers.append(running.client.post("/v1/members/m0000003/what-if", json=gone))
    answers.append(running.client.post("/v1/plans", json={"language": "zh"}))
    for answer in answers:
        assert answer.status_code == 200, answer.text
        assert [found for text in strings(answer.json()) for found in english(text)] == [], answer.url


def strings(told):
    """All texts of a JSON value; a reading keeps what it is worded from beside the words."""
    if isinstance(told, dict):
        return [text for name, value in told.items() if name != "told" for text in strings(value)]
    if isinstance(told, list):
        return [text for value in told for text in strings(value)]
    return [told] if isinstance(told, str) else []


def test_every_chinese_text_is_chinese():
    names = re.compile(r"\{[^}]*\}|“[^”]*”")
    assert {key: found for key, told in messages("zh").items() if (found := english(names.sub(" ", told)))} == {}


def test_one_way_to_write_bounds_and_no_hyphen_for_a_minus():
    """Texts leave both ends of an interval to one formatter; a number that is formatted in a text has its minus from `Plain`."""
    pairs = re.compile(r"\{\w*(?:low|lower)\w*(?::[^}]*)?\}\s*(?:to|到|至|,|-|–)\s*\{")
    allowed = {"unit.span", *(key for key in messages("en") if key.startswith("proof."))}
    for language, word in (("en", " to "), ("zh", "至")):
        assert {key for key, told in messages(language).items() if pairs.search(told)} - allowed == set()
        assert all(word in told for key, told in messages(language).items() if pairs.search(told))
    gain = {name: Difference(amount, "CNY") for name, amount in (("gain", 1200.0), ("gain_low", -30.0), ("gain_high", 2430.0))}
    said = Statement("proof.policy_value", gain | {"per": 1000})
    assert said.text_in("zh") == "每1,000次决策比现用模型相差+\u2060¥1,200（−\u2060¥30至+\u2060¥2,430）"
    worse = Statement("proof.risk_worse", {"excess": 0.01, "excess_low": -0.002, "excess_high": 0.02})
    assert "−0.0020" in str(worse)
    assert json.loads(json.dumps(said.to_dict()))["told"]["gain"] == {"amount": 1200.0, "currency": "CNY"}
