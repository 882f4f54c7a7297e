"""Experiments and goals in headless Chromium: by keyboard, in both languages, light and dark, on a phone, on a desk and on paper."""

from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect

from tests.browser import needs_chromium
from tests.serving_world import DECLARED, NOW, serving, world, write_home
from tests.shown_run import show_runs
from tests.test_experiments_page import LETTER
from tests.test_pages_in_a_browser import LOOKS, look_at, visit

NARROW = "[...document.querySelectorAll('.sources dd')].filter(at => at.offsetWidth < 100).map(at => at.innerText)"
"""Figures that long names leave no room for."""

pytestmark = needs_chromium
WORDS = {"en": ("Experiments", "For 97% to stay"), "zh": ("实验", "想让97%的成员留下")}


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    home = write_home(tmp_path_factory.mktemp("experiments") / "home", DECLARED.model_copy(update={"experiments": (LETTER,)}))
    with serving(home, world().log) as running:
        show_runs(running)
        running.clock.now = datetime(2025, 5, 20, tzinfo=UTC)
        ids = world().log.members["member_id"].to_list()
        assert running.client.post("/v1/score/batch", json={"requests": [{"member_id": one} for one in ids]}).status_code == 200
        running.clock.now = NOW
        yield running


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_from_today_to_what_a_target_takes_and_to_the_figures_of_one_experiment(chromium, running, language, theme, width):
    with visit(chromium, running, language, theme, width) as page:
        name, sentence = WORDS[language]
        page.fill("#target", "97")
        page.press("#target", "Enter")
        expect(page.locator("#target-card .lead")).to_contain_text(sentence)
        expect(page.locator("svg.paths:visible")).to_be_visible()
        page.click(f"nav >> text={name}")
        expect(page.locator("article")).to_have_count(4)
        look_at(page, "experiments", language, theme, width)
        page.locator("#x-letter_test a").focus()
        page.keyboard.press("Enter")
        expect(page.locator("main h1")).to_have_text(LETTER.label.of(language))
        assert page.locator("svg.interval").first.get_attribute("aria-label") == page.locator("main .lead").first.inner_text()
        look_at(page, "experiment", language, theme, width)
        page.goto(f"{running.client.base_url}/experiments/global_control")
        assert page.evaluate(NARROW) == []


def test_the_page_of_experiments_prints_with_its_drawings_and_without_its_navigation(chromium, running):
    with visit(chromium, running, "en", "dark", 1440) as page:
        page.click("nav >> text=Experiments")
        expect(page.locator("article")).to_have_count(4)
        page.emulate_media(media="print")
        expect(page.locator("nav")).to_be_hidden()
        expect(page.locator("svg.interval").first).to_be_visible()
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
