"""The programs of docs/logs.md make of each kind of file a log that is drafted and read."""

import io
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from models.declaration import load_community
from models.intake import read_log
from pipelines.init import InitOptions, initialise
from tests.written_logs import NOW

TEXT = (Path(__file__).parents[1] / "docs" / "logs.md").read_text(encoding="utf-8")
RECIPES = dict(re.findall(r"^## (.+?)\n.*?```python\n(.*?)```", TEXT, re.DOTALL | re.MULTILINE))
LINES = "Invoice,StockCode,Quantity,InvoiceDate,Price,Customer ID\n"
CHAT = '{"name": "Club", "messages": [\n'
SAID = '{"id": 1, "type": "message", "date_unixtime": "1740819600", "from_id": "user7", "text": ["hi ", {"type": "link"}]}'
SERVICE = '{"id": 2, "type": "service", "date_unixtime": "1740819601", "actor_id": "user8", "text": ""}]}'
FILES = {
    "JSON, a record on each line": (
        "events.json",
        '{"type": "PushEvent", "actor": {"id": 7, "login": "ann"}, "created_at": "2025-03-01T09:00:00Z"}\n',
        [("ann", "2025-03-01 09:00", "PushEvent", None)],
    ),
    "JSON of a chat": ("result.json", f"{CHAT}{SAID},\n{SERVICE}\n", [("user7", "2025-03-01 09:00", "message", None)]),
    "XML, a record in the attributes of each element": (
        "Posts.xml",
        '<?xml version="1.0"?><posts><row Id="1" PostTypeId="2" CreationDate="2025-03-01T09:00:00.123" OwnerUserId="8" /></posts>',
        [("8", "2025-03-01 09:00", "2", None)],
    ),
    "A file without names of columns": ("u.data", "196\t242\t3.5\t1740819600\n", [("196", "2025-03-01 09:00", "activity", 3.5)]),
    "Columns of a fixed width": (
        "CDNOW_master.txt",
        " 00001 20250301  2   11.77\n 00002 20250302  1    5.00\n",
        [("00001", "2025-03-01 00:00", "activity", 11.77), ("00002", "2025-03-02 00:00", "activity", 5.0)],
    ),
    "Days counted from a start": (
        "studentVle.csv",
        "member,date,value\n28400,-10,4\n28400,0,1\n",
        [("28400", "2013-09-21 00:00", "activity", 4.0), ("28400", "2013-10-01 00:00", "activity", 1.0)],
    ),
    "Lines of orders": (
        "lines.csv",
        (
            f"{LINES}1,A,2,2025-03-01 09:00:00,1.25,13085.0\n1,B,1,2025-03-01 09:00:00,4,13085.0\n"
            "C2,A,-1,2025-03-02 09:00:00,1.25,13085.0\n3,B,1,,4,\n"
        ),
        [("13085", "2025-03-01 09:00", "order", 6.5), ("13085", "2025-03-02 09:00", "refund", -1.25)],
    ),
}


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_makes_a_log_that_is_read(tmp_path, title):
    name, content, events = FILES[title]
    (tmp_path / name).write_text(content, encoding="utf-8")
    subprocess.run([sys.executable, "-c", RECIPES[title]], cwd=tmp_path, check=True)
    log, path = tmp_path / "events.csv", tmp_path / "keepwell.yaml"
    columns = log.read_text(encoding="utf-8").splitlines()[0].split(",")
    named = {"type": "type" if "type" in columns else None}
    named["value"] = next((column for column in ("amount", "value") if column in columns), None)
    initialise(InitOptions(log, "member", "time", output=path, **named), Console(file=io.StringIO()), now=NOW)
    read = read_log(load_community(path), tmp_path, now=NOW).log
    ids = read.members["member_id"]
    told = [(ids[row["member"]], f"{row['timestamp']:%Y-%m-%d %H:%M}", str(row["type"]), row["value"]) for row in read.events.to_dicts()]
    assert told == events


def test_every_recipe_is_tried():
    assert set(FILES) == set(RECIPES)
