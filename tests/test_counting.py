"""One thing is told as one: no command says "1 members"."""

import re
from pathlib import Path

import pytest

from models.counting import counted
from pipelines.pruning import Pruned
from tests.command_line import keepwell
from tests.test_deliveries import community_in

ROOT = Path(__file__).parents[1]
WRITTEN_OUT = re.compile(r"\{[^{}\"]*:,\} (?:new |more )?[a-z]*[a-rt-z]s\b")
LARGE = {"demo.py", "serve.py"}
"""Told of thousands of members, and of more days than members are active for."""


@pytest.mark.parametrize(("number", "told"), [(0, "0 touches"), (1, "1 touch"), (2, "2 touches"), (12_345, "12,345 touches")])
def test_one_is_told_as_one_and_thousands_with_their_commas(number, told):
    assert counted(number, "touch", "touches") == told


def test_most_words_take_an_s():
    assert (counted(1, "member"), counted(2, "member")) == ("1 member", "2 members")


def test_no_command_writes_a_plural_behind_a_number_by_itself():
    files = [path for path in (ROOT / "pipelines").rglob("*.py") if path.name not in LARGE]
    found = [(path.name, said) for path in files for said in WRITTEN_OUT.findall(path.read_text(encoding="utf-8"))]
    assert found == []


def test_a_log_of_one_event_is_put_into_the_store_as_one(tmp_path):
    workspace = community_in(tmp_path, "event_id,member,time,type,value,channel\ne1,ann,2025-03-01,post,1.5,app\n")
    assert "new in the store: 1 event, 1 member, 0 touches" in keepwell("ingest", "-c", workspace.root).out
    assert Pruned(1, 2, 1).said == "1 answer is gone and 2 traces in the archive, 1 event too"
