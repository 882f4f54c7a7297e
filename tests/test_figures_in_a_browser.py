"""The pages Interventions and Model in headless Chromium: in both languages, light and dark, on a phone, on a desk and on paper."""

import pytest
from playwright.sync_api import expect

from models.moments import microseconds
from models.readings import MONITOR
from tests.browser import needs_chromium
from tests.serving_world import NOW, serving, world, write_home
from tests.shown_figures import show_figures
from tests.shown_run import show_runs
from tests.test_pages_in_a_browser import LOOKS, look_at, visit
from tests.test_service_monitor import monitored

WORDS = {"en": ("Interventions", "Model", "Monitor"), "zh": ("手段", "模型", "监测")}

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("figures") / "home"), world().log) as running:
        show_runs(running)
        show_figures(running)
        running.store.keep_figures(MONITOR, microseconds(NOW), monitored().after(None).to_json())
        yield running


@pytest.mark.parametrize(("language", "theme", "width"), LOOKS)
def test_a_look_at_what_interventions_bring_and_at_the_model_behind_them(chromium, running, language, theme, width):
    with visit(chromium, running, language, theme, width) as page:
        interventions, model, monitor = WORDS[language]
        page.click(f"nav >> text={interventions}")
        expect(page.locator("nav a[aria-current=page]")).to_have_text(interventions)
        told = running.client.get(f"/v1/interventions/figures?lang={language}").json()["interventions"]
        expect(page.locator("table.compare tbody tr")).to_have_count(len(told))
        expect(page.locator("svg.interval")).to_have_count(len(told))
        page.locator("summary").first.press("Enter")
        expect(page.locator("details[open] .sources").first).to_be_visible()
        look_at(page, "interventions", language, theme, width)
        page.click(f"nav >> text={model}")
        expect(page.locator("figure canvas")).to_have_count(2)
        for summary in page.locator("figure summary").all():
            summary.press("Enter")
        expect(page.locator("figure[data-chart=calibration] tbody tr")).to_have_count(5)
        look_at(page, "model", language, theme, width)
        page.click(f"nav >> text={monitor}")
        expect(page.locator(".alarms li")).to_have_count(1)
        look_at(page, "monitor", language, theme, width)


def test_what_is_printed_is_the_content_alone(chromium, running):
    with visit(chromium, running, "en", "dark", 1440) as page:
        for path in ("interventions", "model"):
            page.goto(f"{running.client.base_url}/{path}")
            page.emulate_media(media="print")
            expect(page.locator("h1")).to_be_visible()
            for hidden in (".frame nav", ".find", ".look"):
                expect(page.locator(hidden)).to_be_hidden()
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
            page.emulate_media(media="screen")
