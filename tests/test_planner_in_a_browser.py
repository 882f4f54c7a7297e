"""A campaign planned in headless Chromium: from an audience over a slider and a dry run to decisions, in both languages and lights."""

import re

import pytest
from playwright.sync_api import expect

from models.api_keys import create_key
from pipelines.decide import decide_all
from pipelines.workspace import Workspace
from tests.browser import needs_chromium
from tests.serving_world import NOW, serving, world, write_home, write_logs
from tests.test_pages_in_a_browser import LOOKS, look_at, visit

WORDS = {"en": ("Plan a campaign for them", "no limit"), "zh": ("为他们规划活动", "不限")}

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = write_home(tmp_path_factory.mktemp("planner") / "home")
    write_logs(home)
    with serving(home, world().log) as running, pytest.MonkeyPatch.context() as patch:
        patch.setenv("KEEPWELL_MLFLOW_URI", world().mlflow_uri)
        decide_all(Workspace.find(home), home / "all.parquet", as_of=NOW.isoformat(), language=None, now=NOW, progress=lambda _: None)
        yield running


def contacted(page):
    return page.locator("#result .figures dd").nth(6)


def plan_as_well(page, running):
    """Signed in anew, with a key that may start campaigns."""
    page.click("button.leave")
    page.fill("#key", create_key(running.store, "planner", ["read", "plan"], now=NOW))
    page.click("main button")
    expect(page.locator("nav")).to_be_visible()


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_from_an_audience_over_a_slider_and_a_dry_run_to_decisions(chromium, running, language, theme, width):
    with visit(chromium, running, language, theme, width) as page:
        plan_as_well(page, running)
        link, unlimited = WORDS[language]
        page.goto(f"{running.client.base_url}/audience?from=0&to=80")
        page.click(f"text={link}")
        expect(page).to_have_url(re.compile(r"/planner\?from=0&to=80"))
        expect(page.locator("#frontier canvas")).to_be_visible()
        expect(page.locator("#budget")).to_have_attribute("placeholder", unlimited)
        everybody = contacted(page).inner_text()
        look_at(page, "planner", language, theme, width)
        page.focus("#budget-slider")
        for _ in range(70):
            page.keyboard.press("ArrowLeft")
        budget = float(page.input_value("#budget"))
        expect(page).to_have_url(re.compile(f"budget={re.escape(page.input_value('#budget'))}"))
        told = running.client.post("/v1/plans", json={"audience": {"risk_to": 80}, "budget": budget}).json()
        assert told["plan"]["spend"] <= budget * (1 + 1e-9)
        expect(contacted(page)).to_have_text(f"{told['plan']['members_contacted']:.0f}")
        assert contacted(page).inner_text() != everybody
        look_at(page, "planner-moved", language, theme, width)
        page.click("button[name=dry_run][value='1']")
        expect(page.locator("#decisions")).to_be_visible(timeout=60_000)
        assert page.locator("table.members tbody tr").count() > 0
        look_at(page, "campaign", language, theme, width)
        page.locator("table.members a").first.click()
        expect(page).to_have_url(re.compile("/members/m"))


def test_slider_and_number_say_the_same_and_the_end_of_the_slider_is_no_limit(chromium, running):
    with visit(chromium, running, "en", "light", 1440) as page:
        plan_as_well(page, running)
        page.goto(f"{running.client.base_url}/planner")
        page.fill("[id='most:coupon']", "7")
        assert page.input_value("[id='most:coupon-slider']") == "7"
        expect(contacted(page)).to_have_text("7")
        page.focus("[id='most:coupon-slider']")
        page.keyboard.press("End")
        assert page.input_value("[id='most:coupon']") == ""
        expect(page.locator("[id='most:coupon-slider']")).to_have_attribute("aria-valuetext", "no limit")
