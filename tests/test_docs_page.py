"""The documentation page in headless Chromium: every operation is on it, and nothing is asked of anybody else."""

import re

from playwright.sync_api import expect

from serving.app import create_app
from tests.browser import headless, needs_chromium, new_context
from tests.serving_world import listening, settings_of, write_home

pytestmark = needs_chromium


def test_the_page_lays_out_every_operation_from_the_process_itself(tmp_path):
    app = create_app(settings_of(write_home(tmp_path / "home"), first_model_seconds=0))
    operations = [(method.upper(), path) for path, item in app.openapi()["paths"].items() for method in item]
    with listening(app) as url, headless() as browser:
        page, complaints, hosts = new_context(browser).new_page(), [], set()
        page.on("console", lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: hosts.add(re.match(r"\w+://[^/]+", request.url)[0]))
        page.goto(f"{url}/docs")
        expect(page.locator("#problems")).to_be_visible()
        shown = page.locator("h2:has(.method)").all_inner_texts()
        retries = page.locator("#create_decision_job").inner_text()
        links = page.locator('a[href="#unknown-member"]').count()
    assert sorted(tuple(text.split()) for text in shown) == sorted(operations)
    assert "Answer 202" in retries
    assert "503 store-unavailable" in retries
    assert links > 4
    assert complaints == []
    assert hosts == {url}
