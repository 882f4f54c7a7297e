"""A file that is no table, or a damaged one, is told in one sentence: which file, what is wrong with it, and what to do."""

import bz2
import gzip
import io
import re

import polars as pl
import pytest

from models.errors import InputError
from models.intake import read_log
from models.table_files import FREELY_UNPACKED, OTHERS, STEP
from tests.written_logs import NOW, declared, written

INNER_WORDS = re.compile(r"polars|parquet|arrow|pyo3|thrift|Result|Option|Errno|Error|zlib|codec")


def packed(**columns):
    content = io.BytesIO()
    pl.DataFrame(columns).write_parquet(content)
    return content.getvalue()


ROWS = packed(member=[f"m{number % 97}" for number in range(3000)], time=[str(1_740_000_000 + number) for number in range(3000)])


def flipped(*places):
    content = bytearray(ROWS)
    for place in places:
        content[place] ^= 255
    return bytes(content)


def refusal(folder, name):
    with pytest.raises(InputError) as fault:
        read_log(declared(name), folder, now=NOW)
    said = str(fault.value)
    assert "\n" not in said
    assert name in said
    assert not INNER_WORDS.search(said.replace(f"{folder}/{name}", "").replace(".parquet", ""))
    return said


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (ROWS[:4], "it breaks off"),
        (ROWS[: len(ROWS) // 2], "it breaks off"),
        (ROWS[:-4], "it breaks off"),
        (ROWS[:-8] + b"\xff\xff\xff\x7fPAR1", "its end, which tells what it holds, is damaged"),
        (flipped(-120, -60), "its end, which tells what it holds, is damaged"),
        (flipped(300, 301), "some of its rows are damaged"),
        (b"PAR1" + ROWS, "some of its rows are damaged"),
    ],
)
def test_damaged_parquet_says_where_it_is_damaged(tmp_path, content, why):
    written(tmp_path, content, "events.parquet")
    assert f"events.parquet cannot be read as Parquet: {why}" in refusal(tmp_path, "events.parquet")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        *((other.begins + b" and more", f"is {other.what}; {other.todo}") for other in OTHERS),
        (bz2.compress(b"member,time\n"), "is packed with bzip2"),
        (gzip.compress(ROWS, mtime=0), "is packed Parquet; unpack it"),
        (gzip.compress(gzip.compress(b"member,time\n", mtime=0), mtime=0), "is packed twice"),
        ("member,time\nann,2025-03-01\n".encode("utf-16-le"), "holds bytes that are no text"),
        (b"x" * 200_000, "line 1: a field has more than 131,072 characters"),
    ],
)
def test_what_is_no_table_is_called_what_it_is_whatever_its_name_says(tmp_path, content, what):
    written(tmp_path, content, "events.parquet")
    assert what in refusal(tmp_path, "events.parquet")


def test_in_a_folder_the_file_that_is_damaged_is_named(tmp_path):
    folder = tmp_path / "events.parquet"
    folder.mkdir()
    written(folder, ROWS, "a.parquet")
    written(folder, ROWS[:50], "b.parquet")
    assert "b.parquet cannot be read as Parquet: it breaks off" in refusal(tmp_path, "events.parquet")
    written(folder, b"member,time\n", "b.parquet")
    assert "b.parquet cannot be read as Parquet: it is of another kind" in refusal(tmp_path, "events.parquet")
    written(folder, packed(member=[["m1"]], time=["2025-03-01"]), "b.parquet")
    assert 'column "member" holds values of another kind in some files' in refusal(tmp_path, "events.parquet")


def test_what_claims_to_hold_far_more_than_a_log_packs_to_is_not_unpacked_to_its_end(tmp_path):
    member = gzip.compress(bytes(STEP), 9, mtime=0)
    written(tmp_path, member * (FREELY_UNPACKED // STEP + 1), "events.csv.gz")
    assert "unpacks to more than 250 times its" in refusal(tmp_path, "events.csv.gz")
