"""`keepwell check` tells what is wrong and what to do, and its exit code says whether anything must be done."""

import io
import json
from datetime import UTC, datetime, timedelta

import pytest
import yaml
from rich.console import Console

from models.errors import InputError
from pipelines.check import check
from pipelines.workspace import Workspace
from tests.written_logs import NOW, declared, written

START = datetime(2025, 1, 1, tzinfo=UTC)
SOUND = "member,time\n" + "".join(
    f"m{member},{(START + timedelta(days=day, minutes=member)).isoformat()}\n"
    for member in range(260)
    for day in range(member // 2 % 20, 300 if member % 2 else 240, 20)
)


def checked(folder, text, *, as_json=False, **changes):
    written(folder, text)
    content = declared("events.csv", churn={"horizons_days": [30], "active_days": 60}, **changes).model_dump(mode="json", exclude_none=True)
    written(folder, yaml.safe_dump(content, allow_unicode=True), "keepwell.yaml")
    said = io.StringIO()
    code = check(Workspace.find(folder), Console(file=said, width=160), now=NOW, as_json=as_json)
    return code, said.getvalue()


def test_a_sound_log_leaves_nothing_to_do(tmp_path):
    code, said = checked(tmp_path, SOUND)
    assert code == 0
    assert said.splitlines() == ["3,510 events of 260 members, 2025-01-01 to 2025-10-27; 0 rows rejected", "nothing found"]


def test_findings_are_told_with_level_column_line_and_what_to_do(tmp_path):
    code, said = checked(tmp_path, SOUND + "ann,soon\n")
    assert code == 0
    assert "warning │ time" in said
    assert "3,512" in said
    assert "write times as 2024-01-31T18:30:00+08:00" in " ".join(said.split())
    assert "events.rejected.csv" in said


def test_errors_change_the_exit_code(tmp_path):
    assert checked(tmp_path, SOUND + ",2025-03-01\n" * 300)[0] == 1


def test_the_report_is_one_json_object_where_asked_for(tmp_path):
    code, said = checked(tmp_path, SOUND + "张三,soon [bold]\n", as_json=True)
    report = json.loads(said)
    assert (code, report["events"], report["members"], report["rejected"]) == (0, 3510, 260, 1)
    (finding,) = report["findings"]
    assert finding == {
        "level": "warning",
        "column": "time",
        "line": 3512,
        "code": "rows.time_unread",
        "told": {"count": 1, "total": 3511, "value": "soon [bold]"},
        "message": '1 of 3,511 rows rejected: time "soon [bold]" cannot be read',
        "what_to_do": "write times as 2024-01-31T18:30:00+08:00, 2024-01-31 18:30 or 2024-01-31, with four digits of the year, "
        "or as seconds or milliseconds since 1970, and not as the day numbers of a spreadsheet or as days since a start: "
        "add those to its date",
        "step": "events",
    }


def test_marks_in_the_data_do_not_change_how_the_report_looks(tmp_path):
    _, said = checked(tmp_path, SOUND + "ann,[/red]\n")
    assert 'time "[/red]" cannot be read' in said


def test_a_log_that_cannot_be_used_is_refused_with_one_sentence(tmp_path):
    with pytest.raises(InputError, match="is empty"):
        checked(tmp_path, "")
