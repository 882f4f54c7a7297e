"""What every page has in headless Chromium: pictures at both widths, no complaint, no other host; the range and the light chosen."""

import json
import re
from contextlib import contextmanager
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import expect

from models.api_keys import create_key
from models.texts import text
from tests.browser import needs_chromium, new_context
from tests.patience import wait_until
from tests.serving_world import NOW, serving, world, write_home
from tests.shown_run import show_runs

ROOT = Path(__file__).parents[1]
SHOTS = ROOT / ".venv" / ".cache" / "screenshots"
AXE = ROOT / "tests" / "vendor" / "axe.min.js"
AXE_RELEASE, AXE_LICENCE, AXE_SHA256 = "4.14.1", "MPL-2.0", "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
PAPER = "getComputedStyle(document.body).backgroundColor"
PAPERS = {"light": "rgb(245, 243, 238)", "dark": "rgb(20, 23, 28)"}
UNTOLD = """[...document.querySelectorAll('.scroll')]
    .filter(at => at.checkVisibility() && at.scrollWidth > at.clientWidth + 1 && !at.dataset.wide).map(String)"""
"""Regions that are wider than their place, and do not say so; those of a closed part are not watched until it is opened."""
LEFT, OF_FAILED = "net::ERR_ABORTED", ("htmx:afterRequest", "htmx:sendError", "htmx:sendAbort")
"""Of a request that ends with the page that asked; and what htmx says of any that failed, which is counted by itself, or that gave way."""
SAY = """said => {
    const headline = document.querySelector('h1');
    headline.textContent = said;
    delete headline.dataset.words;
    document.dispatchEvent(new Event('htmx:afterSettle'));
}"""
"""As htmx puts a part of a page in its place."""
LINES = """headline => {
    const lines = [], range = document.createRange();
    let top = null;
    const texts = document.createTreeWalker(document.querySelector(headline), NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) for (let at = 0; at < texts.currentNode.length; at++) {
        range.setStart(texts.currentNode, at);
        range.setEnd(texts.currentNode, at + 1);
        const [box] = range.getClientRects();
        if (!box) continue;
        if (top === null || box.top > top + 4) lines.push('');
        top = box.top;
        lines[lines.length - 1] += range.toString();
    }
    return lines;
}"""
"""Of the first such headline."""
WORDS = ("模型", "找出", "即将", "沉默", "成员", "明显", "优于", "简单", "规则", "可能", "偶然", "证明", "未能", "类似", "未来", "通常")
CUTS = [f"{word[0]}|{word[1]}" for word in WORDS]
"""A line that ends within a word, and the next."""
OTHER_WIDTH = {390: 1440, 1440: 390}
LOOKS = [("en", "light", 1440), ("zh", "dark", 390)]
"""Both languages, both lights and both widths to walk at; `look_at` looks at every page in the other width too."""

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    with serving(write_home(tmp_path_factory.mktemp("browser") / "home"), world().log) as running:
        show_runs(running)
        yield running


def _is_complaint(message):
    return message.type in {"error", "warning"} and not message.text.startswith(OF_FAILED)


@contextmanager
def visit(chromium, running, language, theme, width):
    """A signed-in page; whatever the browser complains of, and whatever it asks of another host, fails the test."""
    locale = "zh-CN" if language == "zh" else "en-GB"
    context = new_context(chromium, viewport={"width": width, "height": 900}, locale=locale, color_scheme=theme)
    page, complaints, hosts = context.new_page(), [], set()
    page.on("console", lambda message: complaints.append(message.text) if _is_complaint(message) else None)
    page.on("requestfailed", lambda request: complaints.append(request.url) if request.failure != LEFT else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: hosts.add(re.match(r"\w+://([^/]+)", request.url)[1]))
    page.goto(f"{running.client.base_url}/")
    page.fill("#key", create_key(running.store, "browser", ["read", "plan"], now=NOW))
    page.click("main button")
    expect(page.locator(".bands")).to_be_visible()
    yield page
    assert complaints == []
    assert hosts == {str(running.client.base_url).partition("://")[2].rstrip("/")}
    context.close()


def look_at(page, name, language, theme, width):
    """Keeps a picture of both widths; nothing lies outside, what scrolls says so, and axe finds nothing that is more than minor."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    for at in (OTHER_WIDTH[width], width):
        page.set_viewport_size({"width": at, "height": 900})
        page.evaluate("new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        page.screenshot(path=SHOTS / f"{name}-{language}-{theme}-{at}.png", full_page=True)
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (name, at)
        wait_until(lambda: page.evaluate(UNTOLD) == [])
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    faults = [
        (one["id"], node["target"], node["failureSummary"])
        for one in found["violations"]
        if one["impact"] != "minor"
        for node in one["nodes"]
    ]
    assert faults == [], json.dumps(faults, indent=1)


def test_the_ends_of_the_range_never_cross(chromium, running):
    with visit(chromium, running, "en", "light", 1440) as page:
        page.goto(f"{running.client.base_url}/audience?from=40&to=50")
        page.focus("#from")
        for _ in range(3):
            page.keyboard.press("ArrowRight")
        assert (page.input_value("#from"), page.input_value("#to")) == ("55", "60")
        page.focus("#to")
        page.keyboard.press("Home")
        assert (page.input_value("#from"), page.input_value("#to")) == ("0", "5")


def test_a_chinese_headline_breaks_between_words(chromium, running):
    with visit(chromium, running, "zh", "light", 390) as page:
        for key in ("model_page.lead.A", "model_page.lead.B", "model_page.lead.C"):
            page.evaluate(SAY, text("zh", key))
            _lay_out(page, "h1", text("zh", key))
        page.goto(f"{str(running.client.base_url).rstrip('/')}/members/m0000003")
        _lay_out(page, ".lead", page.locator(".lead").first.text_content())


def _lay_out(page, headline, said):
    """No line ends within a word, whatever the width."""
    for width in range(220, 440, 10):
        page.set_viewport_size({"width": width, "height": 900})
        lines = page.evaluate(LINES, headline)
        assert "".join(lines) == said
        assert [pair for pair in pairwise(lines) if any(cut in "|".join(pair) for cut in CUTS)] == [], (said, width)


def test_the_light_that_was_chosen_stays(chromium, running):
    with visit(chromium, running, "en", "light", 1440) as page:
        page.click("button[value=dark]")
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.goto(f"{running.client.base_url}/audience")
        assert page.evaluate(PAPER) == PAPERS["dark"]


def test_the_checker_of_accessibility_is_the_one_that_was_published():
    assert sha256(AXE.read_bytes()).hexdigest() == AXE_SHA256
    assert f"axe v{AXE_RELEASE}" in AXE.read_text("utf-8")[:200]
    assert "Mozilla Public License" in (AXE.parent / "axe.LICENSE.txt").read_text("utf-8")
    assert AXE_LICENCE == "MPL-2.0"
