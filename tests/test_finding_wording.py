"""A finding of the data check: one code and its figures, worded in both languages; and what was kept before findings had codes."""

import json
import re
from dataclasses import asdict, replace

import pytest

from models.finding_wording import ROWS
from models.findings import Finding, finding_of
from models.input_figures import InputFigures, told_findings
from models.model_wording import told_input
from models.texts import messages
from tests.serving_world import DECLARED
from tests.shown_figures import FINDINGS, found

TOLD = {
    **dict.fromkeys(
        ("count", "total", "local", "members", "most", "days", "have", "need", "of", "year", "found", "snapshots", "rarer", "need_rarer"), 3
    ),
    **dict.fromkeys(("enough", "silent", "lost", "groups", "alike", "by_id", "by_time"), 3),
    **dict.fromkeys(("value", "timezone", "name", "path", "joined", "kind", "signal", "day", "message", "what_to_do", "last"), "x"),
    **dict.fromkeys(("prefix", "arm", "arms", "column", "experiment"), "x"),
    **dict.fromkeys(("seen", "declared"), 0.25),
    **dict.fromkeys(("columns", "names", "known", "has", "kinds"), ("a", "b")),
    "first": "2026-01-01",
    "correlation": 0.5,
    "usual": 4.4,
}
CODES = [
    *(f"{ROWS}{key.split('.')[1]}" for key in messages("en") if key.startswith("fault.") and key.endswith(".found")),
    *(key.split(".")[1] for key in messages("en") if key.startswith("finding.") and key.endswith(".found")),
]


@pytest.mark.parametrize("code", CODES)
def test_every_finding_is_a_whole_sentence_in_both_languages(code):
    one = Finding("warning", "column", 14, code, TOLD)
    for told in (one.message_in("zh"), one.what_to_do_in("zh")):
        assert "{" not in told
        assert code == "as_told" or re.search(r"[\u4e00-\u9fff]", told)
    assert one.message == one.message_in("en") != ""


def test_figures_are_what_is_kept_and_words_are_made_for_the_reader():
    one = Finding("error", "signals.posts", 14, "unknown_type", {"signal": "posts", "kind": "pst", "has": ['"post"', '"comment"']})
    assert one.message == 'signals.posts: unknown event type "pst"; the log has "post", "comment" (line 14)'
    assert one.message_in("zh") == 'signals.posts中的事件类型“pst”不存在；日志中有"post"、"comment"（第14行）'
    assert finding_of(json.loads(json.dumps(asdict(one)))).message == one.message


def test_the_page_reads_in_its_own_language():
    told = told_input(found(), DECLARED, "zh")["findings"]
    assert told[0]["message"] == "共900行，其中3行未被采用：时间“…”无法识别"
    assert told[1]["message"] == "统计窗口最长90天，但日志只有60天"
    assert [one["code"] for one in told] == ["rows.time_unread", "long_windows"]


def test_what_was_kept_before_findings_had_codes_is_told_as_it_was():
    old = {"level": "error", "column": "time", "line": 7, "message": "3 rows rejected", "what_to_do": "look", "step": "events"}
    assert (finding_of(old).message_in("zh"), finding_of(old).what_to_do) == ("3 rows rejected", "look")
    body = json.loads(found().to_json()) | {"findings": [old]}
    assert InputFigures.from_json(json.dumps(body)).findings[0].message == "3 rows rejected"


def test_a_cell_that_may_name_a_member_is_left_out_of_what_the_store_keeps():
    early = Finding("warning", "joined", None, "before_joining", {"count": 2, "value": "m0000009", "first": "a", "joined": "b"}, "members")
    kept = replace(found(), findings=told_findings([*FINDINGS, early])).to_json()
    assert "m00000" not in kept
    assert InputFigures.from_json(kept).findings[1].message.startswith('2 members have events before they joined, such as "…"')
