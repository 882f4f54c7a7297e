"""The page of experiments says what its twin in JSON says, in both languages, and tells how to declare one where there is none."""

import io
import re
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from html import escape, unescape

import pytest
import yaml
from rich.console import Console

from models.api_keys import create_key
from models.community_figures import figures_of
from models.community_report import render_community_report
from models.experiment_declaration import Experiment
from models.experiment_wording import SLOW_DAYS
from models.experiment_wording import told as answer_of
from models.intervals import Estimate
from models.kept_read_outs import KeptReadOuts, kept_read_outs
from models.moments import microseconds
from models.overview import Overview
from models.read_out import Lift, RatioCheck, ReadOut, Sources
from models.rules import Eligibility
from models.statements import Statement
from models.texts import number
from pipelines.experiments import ExperimentsTold
from pipelines.printing_experiments import print_read_out
from pipelines.serve import prepare
from pipelines.workspace import Workspace
from serving.pages.experiment_cards import Cards
from tests.serving_world import DECLARED, NOW, serving, world, write_home, write_logs
from tests.shown_run import reader, show_runs, sign_in, what_budgets_bring

LETTER = Experiment.model_validate(
    {
        "id": "letter_test",
        "label": {"en": "Personal letter", "zh": "手写信"},
        "arms": [{"id": "none", "share": 0.4}, {"id": "letter", "share": 0.6, "label": {"en": "letter", "zh": "寄信"}}],
        "start": date(2025, 4, 1),
    }
)


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = write_home(tmp_path_factory.mktemp("home") / "home", DECLARED.model_copy(update={"experiments": (LETTER,)}))
    with serving(home, world().log) as service:
        service.clock.now = datetime(2025, 5, 20, tzinfo=UTC)
        ids = world().log.members["member_id"].to_list()
        assert service.client.post("/v1/score/batch", json={"requests": [{"member_id": one} for one in ids]}).status_code == 200
        service.clock.now = NOW
        yield service


@pytest.fixture(scope="module", params=["en", "zh"])
def visitor(request, running):
    with reader(running, request.param) as client:
        sign_in(client, create_key(running.store, request.param, ["read"], now=NOW))
        client.language = request.param
        yield client


def shown(page):
    """What a person reads, without the markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def told(running, visitor, path=""):
    return running.client.get(f"/v1/experiments{path}", params={"lang": visitor.language}).json()


def test_every_card_says_the_verdict_the_sizes_and_the_check_of_its_twin(running, visitor):
    page, experiments = visitor.get("/experiments").text, told(running, visitor)["experiments"]
    assert re.findall(r'aria-labelledby="x-([^"]+)"', page) == [one["id"] for one in experiments]
    cards = dict(zip([one["id"] for one in experiments], page.split("<article")[1:], strict=True))
    for one in experiments:
        card = cards[one["id"]]
        assert one["label"] in card
        for arm in one["arms"]:
            assert f"<dt>{escape(arm['label'])}</dt><dd>{number(visitor.language, arm['members'])}</dd>" in card
        if all(lift["verdict"] == "waiting" for lift in one["lifts"]):
            continue
        assert escape(one["lifts"][0]["text"]) in card
        assert escape(one["sample_ratio"]["text"]) in card
        assert card.count('role="img"') == sum(lift["lift"] is not None for lift in one["lifts"])


def test_the_global_control_leads_and_its_difference_is_the_headline(running, visitor):
    page, control = visitor.get("/experiments").text, told(running, visitor, "/global_control")
    assert page.index("x-global_control") < page.index("x-letter_test") < page.index("x-coupon")
    assert control["lifts"][0]["verdict"] == "too_few"
    undecided = {
        "en": "Whether all that is done keeps members is not decided yet",
        "zh": "所有运营动作合起来能否留住成员，目前还没有定论",
    }
    assert re.search(r"<h1>(.*?)</h1>", page)[1] == undecided[visitor.language]


def test_the_page_of_one_experiment_has_every_figure_of_its_twin(running, visitor):
    page, one = shown(visitor.get("/experiments/letter_test").text), told(running, visitor, "/letter_test")
    for lift in one["lifts"]:
        assert escape(lift["text"]) in page
        if lift["lift"] is not None:
            assert f"{lift['members']} : {lift['control_members']}" in page
            assert number(visitor.language, lift["members_needed"]) in page
    for arm in one["arms"]:
        assert f"{arm['label']} {arm['members']} {round(arm['expected'])}" in page
    assert ({"en": "too slow to decide", "zh": "进度太慢，难以定论"}[visitor.language] in page) == (
        one["lifts"][0]["days_needed"] > SLOW_DAYS
    )
    assert "Holm" in page
    assert "CUPED" in page


def test_an_experiment_that_there_is_not_is_told_on_a_page(visitor):
    answer = visitor.get("/experiments/none_such")
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("path", ["/experiments", "/experiments/letter_test"])
def test_a_page_of_experiments_has_nothing_inline(visitor, path):
    answer = visitor.get(path)
    assert "script-src 'self'; style-src 'self'" in answer.headers["content-security-policy"]
    assert not re.search(r"<[^>]+\s(style|on\w+)=|<style", answer.text)


def test_without_a_declared_experiment_the_page_shows_one_that_can_be_declared(tmp_path):
    with serving(write_home(tmp_path / "home"), world().log) as running, reader(running) as client:
        sign_in(client, create_key(running.store, "marketing", ["read"], now=NOW))
        page = client.get("/experiments").text
    assert "No experiment of your own is declared yet" in page
    example = yaml.safe_load(re.search(r"<pre.*?<code>(.*?)</code>", page, flags=re.DOTALL)[1])
    (experiment,) = [Experiment.model_validate(one) for one in example["experiments"]]
    asked = Eligibility.model_validate(example["interventions"][0]["eligibility"]).experiment
    assert {name: arms[0] for name, arms in asked.items()} == {experiment.id: experiment.arms[1].id}


@pytest.mark.parametrize(
    ("language", "chip", "sentence"),
    [
        ("en", "too few to say", "Money over 90 days: too few to say, with 6 members of “nothing” beside 840 of “Coupon”."),
        ("zh", "人数太少，无法下结论", "金额（90天）：人数太少，无法下结论：“不行动”只有6位成员，“优惠券”有840位。"),
    ],
)
def test_page_answer_and_command_line_say_the_same_of_too_few(language, chip, sentence):
    lift = Lift("value", "value", 90, "coupon", "none", 840, 6, 31.0, 4.0, "small_arm", arm_needed=900)
    read = ReadOut("coupon", "intervention", ("none", "coupon"), 0, None, 1, RatioCheck((6, 840), (6.0, 840.0), 1.0), (lift,), 1.0)
    card = Cards(DECLARED, KeptReadOuts(NOW, "", "", (read,)), language).card(read)
    answered = answer_of(read, DECLARED, language)["lifts"][0]
    printed = io.StringIO()
    print_read_out(read, ExperimentsTold(NOW, DECLARED, language, (read,), None), Console(file=printed, width=200))
    assert answered["text"].startswith(sentence)
    assert "900" in answered["text"]
    assert card.sentences == (answered["text"],)
    assert answered["text"] in printed.getvalue()
    assert (card.chip.text, card.measures[0].chip.text, card.measures[0].whisker) == (chip, chip, None)
    assert (answered["verdict"], answered["lift"], answered["lift_interval"], answered["p"]) == ("small_arm", None, None, None)
    assert KeptReadOuts.from_json(KeptReadOuts(NOW, "", "", (read,)).to_json(), 0).read_outs == (read,)


@pytest.mark.parametrize(
    ("language", "said"), [("en", "The first comparison can be made from 3 Aug 2025 on."), ("zh", "最早可从2025年8月3日起比较。")]
)
def test_what_waits_says_until_when(language, said):
    def waits(days_ago):
        lifts = tuple(Lift("retention", "retention", days, "coupon", "none", 0, 0, None, None, "waiting") for days in (30, 14))
        check = RatioCheck((600, 840), (600.0, 840.0), 1.0)
        started = microseconds(NOW - timedelta(days=days_ago))
        read = ReadOut("coupon", "intervention", ("none", "coupon"), started, None, microseconds(NOW), check, lifts, 1.0)
        return Cards(DECLARED, KeptReadOuts(NOW, "", "", (read,)), language).card(read).waits

    assert waits(0).endswith(said)
    assert said[:6] not in waits(14)


@pytest.mark.parametrize(("verdict", "side"), [("raises", "above"), ("more_days", "both"), ("not_readable", "both")])
def test_a_difference_is_drawn_beyond_zero_only_where_the_verdict_says_so(verdict, side):
    lift = Lift("value", "value", 90, "coupon", "none", 840, 600, 31.0, 4.0, verdict, Estimate(27.0, 20.0, 34.0), None, 0.03, 0.03)
    lift = replace(lift, members_needed=70_000, days_needed=90)
    check = RatioCheck((600, 840), (600.0, 840.0), 1.0)
    read = ReadOut("coupon", "intervention", ("none", "coupon"), 0, None, 1, check, (lift,), 1.0)
    (measure,) = Cards(DECLARED, KeptReadOuts(NOW, "", "", (read,)), "en").card(read).measures
    assert measure.whisker.side == side
    printed = io.StringIO()
    print_read_out(read, ExperimentsTold(NOW, DECLARED, "zh", (read,), None), Console(file=printed, width=60))
    assert printed.getvalue().count("…") == 1
    assert ("70,000" in dict(measure.figures).values()) == ("90 days" in dict(measure.figures).values()) == (verdict != "not_readable")


def test_the_static_report_draws_what_the_page_draws(running, visitor):
    """Each interval as the same drawing, with the sentence as its name."""
    declared = DECLARED.model_copy(update={"experiments": (LETTER,)})
    page = visitor.get("/experiments").text
    show_runs(running)
    overview = Overview.from_json(running.store.overview(running.store.overview_key()).body)
    read = tuple(kept_read_outs(running.store, declared).read_outs)
    figures = figures_of(declared, overview, what_budgets_bring(), read)
    report = render_community_report(figures, declared, generated_at=NOW, language=visitor.language)
    drawn = re.compile(r'<svg class="interval .*?</svg>', re.DOTALL)
    assert sum(lift.lift is not None for one in read for lift in one.lifts) == len(drawn.findall(report)) > 0
    assert set(drawn.findall(report)) <= set(drawn.findall(page))


SOURCES = {
    "en": (
        "Assignments of the declared touches that could have been this",
        "Source: 900 assignments of the declared touches",
        "Left out: 1 assignment ",
    ),
    "zh": ("声明的触达记录中，当时既可能用这种手段", "来源：声明的触达记录中的900次分配", "未计入：声明的触达记录中有1次分配"),
}


@pytest.mark.parametrize("language", ["en", "zh"])
def test_an_intervention_says_on_card_and_command_line_where_it_was_read_from(language):
    about, source, left = SOURCES[language]
    lift = Lift("retention", "retention", 30, "coupon", "none", 450, 450, None, None, "waiting")
    notes = (Statement("experiment.left_unlogged", {"n": 1}),)
    check = RatioCheck((450, 450), (450.0, 450.0), 1.0)
    read = ReadOut("coupon", "intervention", ("none", "coupon"), 0, None, 0, check, (lift,), 0.0, sources=Sources(0, 900), notes=notes)
    card = Cards(DECLARED, KeptReadOuts(NOW, "", "", (read,)), language).card(read)
    assert card.about.startswith(about)
    assert [said.startswith(begin) for said, begin in zip(card.sources, (source, left), strict=True)] == [True, True]
    printed = io.StringIO()
    print_read_out(read, ExperimentsTold(NOW, DECLARED, language, (read,), None), Console(file=printed, width=200))
    assert all(said in printed.getvalue() for said in card.sources)
    both = Cards(DECLARED, KeptReadOuts(NOW, "", "", (read,)), language).card(replace(read, sources=Sources(70, 900)))
    assert both.about != card.about
    assert "70" in both.sources[0]
    assert "900" in both.sources[0]


@pytest.fixture(scope="module")
def tried(tmp_path_factory):
    """The table names two of its arms otherwise than the catalogue, which has no others."""
    named = {"silence_benefit": "coupon", "personal_call": "call"}
    touches = DECLARED.touches.model_copy(update={"propensity_prefix": "propensity_", "arms": named})
    home = write_home(tmp_path_factory.mktemp("tried") / "home", DECLARED.model_copy(update={"touches": touches}))
    write_logs(home)
    prepare(Workspace.find(home), now=NOW)
    with serving(home) as service:
        yield service


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_of_an_intervention_shows_where_it_was_read_from(tried, language):
    answer = tried.client.get("/v1/experiments/coupon", params={"lang": language}).json()
    assert answer["sources"]["touches"] > 0
    assert len(answer["notes"]) > 1
    with reader(tried, language) as client:
        sign_in(client, create_key(tried.store, language, ["read"], now=NOW))
        for path in ("/experiments", "/experiments/coupon"):
            page = unescape(shown(client.get(path).text))
            assert all(said in page for said in answer["notes"])
