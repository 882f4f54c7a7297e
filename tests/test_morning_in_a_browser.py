"""A marketer's morning in headless Chromium, on a log, an engine and a night of the real pipeline: from Today to a campaign's decisions."""

import re

import pytest
from playwright.sync_api import expect

from models.texts import text
from pipelines.decide import decide_all
from pipelines.workspace import Workspace
from tests.browser import needs_chromium
from tests.patience import wait_until
from tests.serving_world import NOW, serving, world, write_home, write_logs
from tests.shown_run import show_runs
from tests.test_pages_in_a_browser import LOOKS, PAPER, PAPERS, look_at, visit

pytestmark = needs_chromium
WORDS = {
    "en": ("Today", "Audience", "What would change it?", "no limit"),
    "zh": ("今日", "人群", "怎样会改变？", "不限"),
}
BUDGET = "0.05"
NUMBERED = """(({show, opacity}) => show && opacity === 1)(
    echarts.getInstanceByDom(document.querySelector('.slider .drawing')).getOption().series[0].label)"""
"""Whether the bars have their numbers above them, none of them faint; on a phone these would lie across other bars."""


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = write_home(tmp_path_factory.mktemp("morning") / "home")
    write_logs(home)
    with serving(home, world().log) as running, pytest.MonkeyPatch.context() as patch:
        show_runs(running)
        patch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        decide_all(Workspace.find(home), home / "all.parquet", as_of=NOW.isoformat(), language=None, now=NOW, progress=lambda _: None)
        yield running


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_a_morning_from_today_to_the_decisions_of_a_campaign(chromium, running, language, theme, width):
    look = (language, theme, width)
    with visit(chromium, running, *look) as page:
        _choose_an_audience(page, running, look)
        _ask_what_would_change_a_member(page, look)
        page.go_back()
        await_selected(page, running.client.get("/v1/audience?from=5&stage=active").json())
        _plan_for_them(page, running, look)
        _confirm(page, running, look)


def selected(page):
    return int(page.locator("#figures dd").first.inner_text().replace(",", ""))


def await_selected(page, answer):
    """The number of members that the page shows as soon as it is that of the answer."""
    number = answer["total"]["members"]
    expect(page.locator("#figures dd").first).to_have_text(f"{number:,}")
    return number


def _choose_an_audience(page, running, look):
    today, audience, *_ = WORDS[look[0]]
    expect(page.locator("nav a[aria-current=page]")).to_have_text(today)
    assert page.evaluate(PAPER) == PAPERS[look[1]]
    look_at(page, "today", *look)
    page.click(f"nav >> text={audience}")
    expect(page.locator("figure canvas").first).to_be_visible()
    everyone = selected(page)
    look_at(page, "audience", *look)
    wait_until(lambda: page.evaluate(NUMBERED) == (look[2] > 480))
    page.focus("#from")
    page.keyboard.press("ArrowRight")
    expect(page).to_have_url(re.compile("from=5"))
    assert await_selected(page, running.client.get("/v1/audience?from=5").json()) < everyone
    page.select_option("#stage", "active")
    expect(page).to_have_url(re.compile("stage=active"))
    await_selected(page, running.client.get("/v1/audience?from=5&stage=active").json())
    look_at(page, "audience-chosen", *look)


def _ask_what_would_change_a_member(page, look):
    page.locator("table.members a").first.click()
    expect(page.locator("#what-if")).to_have_text(WORDS[look[0]][2])
    assert re.search(r"\d+", page.locator(".report .lead").first.inner_text())
    page.fill("input[name=more_comment]", "5")
    page.click(".what-if button")
    expect(page.locator("#what-if-answer .lead")).to_contain_text("%")
    look_at(page, "member", *look)


def contacted(page):
    return page.locator("#result .figures dd").nth(6)


def _plan_for_them(page, running, look):
    """By the slider, whose answer is that of the interface, and then by a number."""
    page.locator("#list a.primary").click()
    expect(page).to_have_url(re.compile(r"/planner\?from=5&"))
    expect(page.locator("#frontier canvas")).to_be_visible()
    expect(page.locator("#budget")).to_have_attribute("placeholder", WORDS[look[0]][3])
    free, everybody = page.locator("#result .headline").inner_text(), contacted(page).inner_text()
    look_at(page, "planner", *look)
    page.focus("#budget-slider")
    expect(page.locator("#result .headline")).to_be_in_viewport()
    for _ in range(70):
        page.keyboard.press("ArrowLeft")
    budget = float(page.input_value("#budget"))
    expect(page).to_have_url(re.compile(f"budget={re.escape(page.input_value('#budget'))}"))
    told = running.client.post("/v1/plans", json={"audience": {"risk_from": 5, "stages": ["active"]}, "budget": budget}).json()
    assert told["plan"]["spend"] <= budget * (1 + 1e-9)
    expect(contacted(page)).to_have_text(f"{told['plan']['members_contacted']:.0f}")
    assert contacted(page).inner_text() != everybody
    look_at(page, "planner-moved", *look)
    page.fill("#budget", BUDGET)
    expect(page).to_have_url(re.compile(f"budget={BUDGET}"))
    expect(page.locator("#result .headline")).not_to_have_text(free)
    expect(page.locator("#frontier canvas")).to_be_visible()


def _confirm(page, running, look):
    """A dry run first, which keeps nothing; then the campaign, from whose list a link leads to a member."""
    planner = page.url
    page.click("button[name=dry_run][value='1']")
    expect(page.locator("#decisions")).to_be_visible()
    dry = page.locator("table.members tbody tr").count()
    look_at(page, "campaign", *look)
    page.goto(planner)
    page.locator(".confirm summary").press("Enter")
    page.click("button[name=dry_run][value='0']")
    expect(page.locator("#decisions")).to_be_visible()
    job = running.client.get(f"/v1/decision-jobs/{page.url.rpartition('/')[2]}").json()
    assert page.locator("table.members tbody tr").count() == job["counts"]["contacted"] > 0
    assert dry > 0
    look_at(page, "campaign-kept", *look)
    member = page.locator("table.members a").first.inner_text()
    page.locator("table.members a").first.click()
    expect(page.locator("h1")).to_have_text(member)
    expect(page.locator(".timeline .decision").first).to_be_visible()


def test_slider_and_number_say_the_same_and_the_end_of_the_slider_is_no_limit(chromium, running):
    with visit(chromium, running, "en", "light", 1440) as page:
        page.goto(f"{running.client.base_url}/planner")
        page.fill("[id='most:coupon']", "7")
        assert page.input_value("[id='most:coupon-slider']") == "7"
        expect(contacted(page)).to_have_text("7")
        page.focus("[id='most:coupon-slider']")
        page.keyboard.press("End")
        assert page.input_value("[id='most:coupon']") == ""
        expect(page.locator("[id='most:coupon-slider']")).to_have_attribute("aria-valuetext", "no limit")


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_what_is_not_there_is_told_on_a_page_too(chromium, running, language, theme, width):
    """Nobody in an audience, and nobody to plan for; and before anybody has signed in."""
    with visit(chromium, running, language, theme, width) as page:
        for name, advice in (("audience", "audience.lead_none_how"), ("planner", "planner.nobody_how")):
            page.goto(f"{running.client.base_url}/{name}?from=95&to=100&stage=growing")
            expect(page.locator(".headline + .under")).to_contain_text(text(language, advice))
            assert page.locator("a.primary, #plan").count() == 0
            look_at(page, f"{name}-nobody", language, theme, width)
        page.click("button.leave")
        expect(page.locator("#key")).to_be_visible()
        look_at(page, "sign-in", language, theme, width)
