"""Every row of a log is accepted, or kept whole with its line and the reason; a log that cannot be read is one clear sentence."""

import gzip
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import InputError
from models.events import event_arrays
from models.intake import read_log
from models.logged_chances import chances_of
from models.member_columns import MemberColumns
from models.snapshots import Snapshots
from tests.written_logs import NOW, QUESTION, declared, read, written

DAY = datetime(2025, 3, 1, tzinfo=UTC)
TYPED = {"log": {"type": "type", "value": "value", "event_id": "id"}}
PLAIN = "member,time\nann,2025-03-01\nbob,2025-03-02\n"


def members(intake):
    return intake.log.members["member_id"].to_list()


def rows(intake):
    ids = intake.log.members["member_id"]
    return [(ids[member], at) for member, at in intake.log.events.select("member", "timestamp").iter_rows()]


def reasons(intake):
    return dict(intake.rejected.select("line", "reason").iter_rows())


def test_events_are_sorted_by_member_and_then_by_time(tmp_path):
    found = rows(read(tmp_path, "member,time\nbob,2025-03-02\nann,2025-03-03\nbob,2025-03-01\n"))
    assert found == [("ann", DAY.replace(day=3)), ("bob", DAY), ("bob", DAY.replace(day=2))]


def test_rows_that_cannot_be_used_are_kept_whole_with_their_line_and_reason(tmp_path):
    text = (
        "id,member,time,type,value,note\n"
        "1,ann,2025-03-01,post,,fine\n"
        "2,,2025-03-01,post,,lost\n"
        "3,bob,yesterday,post,,\n"
        "4,bob,,post,,\n"
        "5,bob,2027-01-01,post,,\n"
        "6,bob,2025-03-01,,,\n"
        "7,bob,2025-03-01,post,ten,\n"
        "1,bob,2025-03-01,post,10,again\n"
        "8,bob,2025-03-01,post,12.50,fine\n"
    )
    intake = read(tmp_path, text, **TYPED)
    assert reasons(intake) == {
        3: "no member",
        4: 'time "yesterday" cannot be read',
        5: "no time",
        6: 'time "2027-01-01" is in the future',
        7: "no event type",
        8: 'value "ten" is not a number',
        9: 'event id "1" was given before',
    }
    assert intake.rejected.row(0)[2:] == ("2", None, "2025-03-01", "post", None, "lost")
    assert intake.log.events["value"].to_list() == [None, 12.5]


@given(
    st.lists(
        st.tuples(st.sampled_from(["ann", "bob", "", "NULL"]), st.sampled_from(["2025-03-01", "1740787200", "?", "2031-01-01", ""])),
        max_size=30,
    )
)
def test_accepted_and_rejected_rows_are_all_rows(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("log")
    text = "member,time\nann,2025-01-01\n" + "".join(f"{member},{time}\n" for member, time in lines)
    intake = read(folder, text)
    assert intake.log.events.height + intake.rejected.height == 1 + len(lines)
    assert len({*intake.rejected["line"]}) == intake.rejected.height


def test_a_row_with_too_many_fields_is_rejected_whole_and_one_with_too_few_lacks_the_last(tmp_path):
    intake = read(tmp_path, "member,time,note\nann,2025-03-01\nbob,2025-03-02,a,b,c\ncid,2025-03-03,x\n")
    assert members(intake) == ["ann", "cid"]
    assert intake.rejected.row(0) == (3, "the row has more fields than the header", "bob", "2025-03-02", "a", "b,c")


def test_lines_are_those_of_the_file_also_after_quoted_line_ends_and_blank_lines(tmp_path):
    intake = read(tmp_path, 'member,time,note\nann,2025-03-01,"two\nlines"\n\nbob,never,\ncid,2025-03-03,\n')
    assert reasons(intake) == {5: 'time "never" cannot be read'}
    assert members(intake) == ["ann", "cid"]


@pytest.mark.parametrize("last", ['ann,2025-03-02,"two\nlines",x', 'ann,2025-03-02,x,"two\nlines"', "ann,2025-03-02,x,y"])
def test_the_last_row_may_go_over_several_lines(tmp_path, last):
    intake = read(tmp_path, f'member,time,note,more\nbob,2025-03-01,"a\nb",\n{last}\n')
    assert members(intake) == ["ann", "bob"]


def test_columns_of_the_log_may_be_called_line_and_reason(tmp_path):
    intake = read(tmp_path, "member,time,line,reason\nann,2025-03-01,1,x\nbob,never,2,y\n")
    assert intake.rejected.to_dicts() == [
        {"line_": 3, "reason_": 'time "never" cannot be read', "member": "bob", "time": "never", "line": "2", "reason": "y"}
    ]


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_other_separators_are_recognised(tmp_path, separator):
    assert members(read(tmp_path, PLAIN.replace(",", separator))) == ["ann", "bob"]


def test_a_semicolon_file_may_write_decimal_commas(tmp_path):
    intake = read(tmp_path, "member;time;value\nann;2025-03-01;12,50\n", log={"value": "value"})
    assert intake.log.events["value"].to_list() == [12.5]


@pytest.mark.parametrize(
    ("separator", "cells", "numbers"),
    [
        (";", ["1.234,50", "12,50", "-5,00", "7", "1.000"], [1234.5, 12.5, -5, 7, 1000]),
        (";", ["1.234", "2.5"], [1.234, 2.5]),
        (";", ["1,234", "5"], [1.234, 5]),
        ("|", ["1,234.50", "1,234", "$5", "-£5.25", "￥12", "3元"], [1234.5, 1234, 5, -5.25, 12, 3]),
        ("|", ["12,50 €", "1.234"], [12.5, 1234]),
        ("|", ["12,50 EUR", "EUR 1.234,00", "-USD5"], [12.5, 1234, -5]),
        ("|", ["1 234,50", "1\u202f234", "1'234"], [1234.5, 1234, 1234]),
        ("|", ["0,125", "1.234.567"], [0.125, 1_234_567]),
    ],
)
def test_amounts_are_read_by_what_their_column_shows_of_its_marks(tmp_path, separator, cells, numbers):
    rows = "".join(f"ann;2025-03-{day:02d};{cell}\n" for day, cell in enumerate(cells, 1)).replace(";", separator)
    intake = read(tmp_path, f"member;time;value\n{rows}".replace(";", separator), log={"value": "value"})
    assert intake.rejected.is_empty()
    assert intake.log.events["value"].to_list() == numbers


def test_an_amount_that_can_mean_two_numbers_is_refused(tmp_path):
    intake = read(tmp_path, "member|time|value\nann|2025-03-01|1,234\nann|2025-03-02|7\n", log={"value": "value"})
    assert reasons(intake) == {2: 'value "1,234" is not a number'}
    both = read(tmp_path, "member|time|value\nann|2025-03-01|12,50\nann|2025-03-02|12.5\n", log={"value": "value"})
    assert reasons(both) == {2: 'value "12,50" is not a number'}


def test_ids_that_a_program_made_numbers_of_are_those_of_the_other_tables_and_of_those_who_ask(tmp_path):
    written(tmp_path, "member,joined\n12346,2025-01-01\n007,2025-01-01\n1.5,2025-01-01\n", "members.csv")
    log = "member,time\n12346.0,2025-03-01\n12346,2025-03-02\n 007 ,2025-03-03\n,2025-03-04\n1.5,2025-03-04\n1.50,2025-03-04\n"
    intake = read(tmp_path, log, members={"path": "members.csv", "member": "member", "joined": "joined"})
    assert intake.members["member_id"].to_list() == ["007", "1.5", "1.50", "12346"]
    assert intake.log.events.group_by("member").len().sort("member")["len"].to_list() == [1, 1, 1, 2]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode("utf-8-sig"),
        PLAIN.encode("utf-16"),
        PLAIN.replace("\n", "\r\n").encode(),
        PLAIN.replace("\n", "\r").encode(),
        PLAIN.rstrip().encode(),
        (PLAIN + "\n\n").encode(),
        PLAIN.replace("member,time", " member , time").encode(),
    ],
    ids=["byte order mark", "utf-16", "crlf", "cr", "no last line end", "blank lines at the end", "spaces in the header"],
)
def test_the_ways_in_which_programs_write_csv_make_no_difference(tmp_path, content):
    assert members(read(tmp_path, content)) == ["ann", "bob"]


def test_what_a_file_holds_decides_and_not_its_name(tmp_path):
    assert members(read(tmp_path, gzip.compress(PLAIN.encode(), mtime=0), "packed.csv")) == ["ann", "bob"]
    assert members(read(tmp_path, PLAIN, "plain.csv.gz")) == ["ann", "bob"]
    two_parts = gzip.compress(PLAIN.encode(), mtime=0) + gzip.compress(b"cid,2025-03-03\n", mtime=0)
    assert members(read(tmp_path, two_parts, "parts.csv.gz")) == ["ann", "bob", "cid"]


def test_parquet_and_a_folder_of_parquet_give_the_same_log(tmp_path):
    table = pl.DataFrame({"member": ["bob", "ann", "ann"], "time": [datetime(2025, 3, day, tzinfo=UTC) for day in (3, 2, 1)]})
    table.write_parquet(tmp_path / "one.parquet")
    (tmp_path / "parts" / "day=1").mkdir(parents=True)
    table[:1].with_columns(pl.col("time").dt.cast_time_unit("ms")).write_parquet(tmp_path / "parts" / "day=1" / "a.parquet")
    table[1:].write_parquet(tmp_path / "parts" / "b.parquet")
    one, parts = (read_log(declared(name), tmp_path, now=NOW).log for name in ("one.parquet", "parts"))
    assert one.events.equals(parts.events)
    assert one.members.equals(parts.members)


def test_a_row_of_parquet_is_rejected_under_its_number(tmp_path):
    table = pl.DataFrame({"member": ["ann", None, "bob"], "time": [DAY, DAY, None], "tags": [["a"], ["b"], ["c"]]})
    table.write_parquet(tmp_path / "events.parquet")
    assert reasons(read_log(declared("events.parquet"), tmp_path, now=NOW)) == {2: "no member", 3: "no time"}


def test_a_column_of_lists_is_no_member_and_does_no_harm_elsewhere(tmp_path):
    pl.DataFrame({"member": [["ann"]], "time": [DAY]}).write_parquet(tmp_path / "events.parquet")
    with pytest.raises(InputError, match='column "member" holds lists or records'):
        read_log(declared("events.parquet"), tmp_path, now=NOW)
    pl.DataFrame({"member": ["ann"], "joined": [DAY], "tags": [["a"]]}).write_parquet(tmp_path / "members.parquet")
    source = {"path": "members.parquet", "member": "member", "joined": "joined"}
    assert members(read(tmp_path, PLAIN, members=source)) == ["ann", "bob"]


def test_a_reason_shows_the_beginning_of_a_long_value_on_one_line(tmp_path):
    intake = read(tmp_path, 'member,time\nann,2025-03-01\nbob,"' + "very\nlong " * 50 + '"\n')
    assert reasons(intake) == {3: f'time "{("very long " * 6)}" cannot be read'}


def test_member_ids_are_text_with_their_leading_zeros(tmp_path):
    assert members(read(tmp_path, "member,time\n007,2025-03-01\n7,2025-03-01\n")) == ["007", "7"]
    pl.DataFrame({"member": [7.0, 12.0], "time": [DAY, DAY]}).write_parquet(tmp_path / "numbers.parquet")
    assert members(read_log(declared("numbers.parquet"), tmp_path, now=NOW)) == ["12", "7"]


def test_chinese_columns_names_and_types_work(tmp_path):
    intake = read(
        tmp_path,
        "会员,时间,行为,金额\n张三,2025年3月1日 08:00,购买,12.5\n李四,2025-03-02,发帖,\n",
        "日志.csv",
        log={"member": "会员", "time": "时间", "type": "行为", "value": "金额"},
        timezone="Asia/Shanghai",
        signals=[{"name": "购买", "event_types": ["购买"], "value": "money", "label": {"en": "purchases", "zh": "购买"}}],
    )
    assert rows(intake) == [("张三", DAY), ("李四", datetime(2025, 3, 1, 16, tzinfo=UTC))]
    assert intake.log.events["type"].cast(pl.String).to_list() == ["购买", "发帖"]


def test_a_log_of_one_event_is_read(tmp_path):
    intake = read(tmp_path, "member,time\nann,2025-03-01\n")
    assert event_arrays(intake.log, declared("events.csv")).n_members == 1


def test_a_member_with_a_hundred_thousand_events_is_one_member(tmp_path):
    lines = "".join(f"ann,{1_740_000_000 + 60 * minute}\n" for minute in range(100_000))
    intake = read(tmp_path, f"member,time\n{lines}bob,1740000000\n")
    assert intake.log.events.height == 100_001
    assert event_arrays(intake.log, declared("events.csv")).offsets.tolist() == [0, 100_000, 100_001]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty; it needs a header and at least one row"),
        (b"\n\n", "is empty"),
        (b"member,time\n", "has a header but no rows"),
        (b"\nmember,time\nann,2025-03-01\n", "the first line is blank; it must hold the names of the columns"),
        (b"member,when\nann,2025-03-01\n", 'log.time: no column "time" in events.csv; it has "member", "when"'),
        (b"member,time,time\nann,2025-03-01,x\n", 'the header names column "time" more than once'),
        (
            "member,time\n张三,2025-03-01\n李莉,2025-03-01\n".encode("gb18030"),
            "most likely GB18030; save it as UTF-8, or convert it: iconv -f GB18030 ",
        ),
        (
            "member,time\nJürgen,2025-03-01\nKöhler,2025-03-02\n".encode("latin-1"),
            "most likely WINDOWS-1252; save .*: iconv -f WINDOWS-1252 ",
        ),
        (
            "member,time\n张三李莉王五赵六,2025-03-01\n".encode() + b"\xff,2025-03-02\n",
            "events.csv line 3: bytes that are not UTF-8, as most of",
        ),
        (gzip.compress(PLAIN.encode(), mtime=0)[:-10], "is damaged gzip"),
        (gzip.compress(PLAIN.encode(), mtime=0) + b"cid,2025-03-03\n", "is damaged gzip"),
        (PLAIN.encode("utf-16")[:-1], "begins as UTF-16 and breaks off"),
        (b"PK\x03\x04\x14\x00workbook", "is a zip or a workbook; unpack it, or save the sheet"),
        (b'{"member": "ann", "time": "2025-03-01"}\n', "holds JSON; convert it to CSV or Parquet"),
        (b'{\n "name": "Group",\n "messages": []\n}\n', "holds JSON; convert it to CSV or Parquet"),
        (b'\xef\xbb\xbf<?xml version="1.0"?>\n<posts>\n</posts>\n', "is XML; convert it to CSV or Parquet"),
        (b"PAR1 and then nothing", "cannot be read as Parquet"),
        (b'member,time\nann,2025-03-01\n"bob,2025-03-02\ncid,2025-03-03\n', "line 3: a quotation mark opens here and is never closed"),
        (
            b"member,time\nann,soon\nbob,later\n",
            r'none of its 2 rows can be used; 2 of 2 rows rejected: time "soon" cannot be read \(line 2\)',
        ),
        (b"member,time\nann,03.04.2025\n", "may be day-month-year or month-day-year"),
        (b"just some words\nand more of them\n", 'no column "member" .*; all of it is one column: separate fields by commas'),
        (b"7\t2025-03-01\tpost\n8\t2025-03-02\tpost\n", 'no column "member" .*; its first line looks like a row: put one with the names'),
        (b"7,1,1,2025-03-01\n", 'column "1" more than once; give each column its own name; its first line looks like a row'),
    ],
)
def test_a_log_that_cannot_be_read_is_one_clear_sentence(tmp_path, content, sentence):
    with pytest.raises(InputError, match=sentence) as fault:
        read(tmp_path, content)
    assert "\n" not in str(fault.value)


def test_a_path_that_leads_nowhere_or_to_an_empty_folder_says_so(tmp_path):
    with pytest.raises(InputError, match=r"missing.csv does not exist"):
        read_log(declared("missing.csv"), tmp_path, now=NOW)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"holds no .parquet file"):
        read_log(declared("empty"), tmp_path, now=NOW)


MEMBERS = {"path": "members.csv", "member": "member", "joined": "joined", "attributes": ["city"]}


def test_a_member_joins_when_the_table_says_so_and_else_at_the_first_event(tmp_path):
    written(tmp_path, "member,joined,city\nann,2025-01-05,Bern\nidle,2025-01-06,Rom\nann,2024-01-01,Ulm\nnobody,,\n", "members.csv")
    intake = read(tmp_path, PLAIN, members=MEMBERS)
    assert intake.log.members.rows() == [
        ("ann", datetime(2025, 1, 5, tzinfo=UTC), "Bern"),
        ("bob", DAY.replace(day=2), None),
        ("idle", datetime(2025, 1, 6, tzinfo=UTC), "Rom"),
    ]
    assert intake.rejected_members["reason"].to_list() == ['member "ann" has a row already', "neither a join time nor an event"]


def test_an_unreadable_join_time_falls_back_on_the_first_event_and_keeps_the_row(tmp_path):
    written(tmp_path, "member,joined,city\nann,long ago,Bern\nbob,2031-01-01,Rom\n", "members.csv")
    with pytest.raises(InputError, match=r'none of its 2 rows can be used; .* join time "long ago" cannot be read'):
        read(tmp_path, PLAIN, members=MEMBERS)
    written(tmp_path, "member,joined,city\nann,long ago,Bern\nbob,2025-01-01,Rom\n", "members.csv")
    intake = read(tmp_path, PLAIN, members=MEMBERS)
    assert intake.log.members["joined"].to_list() == [DAY, datetime(2025, 1, 1, tzinfo=UTC)]
    assert intake.rejected_members.row(0) == (2, 'join time "long ago" cannot be read', "ann", "long ago", "Bern")


TOUCHES = {"path": "touches.csv", "member": "member", "time": "time", "delivered": "delivered", "propensity_prefix": "p_"}


def test_touches_are_read_with_their_propensities(tmp_path):
    text = (
        "member,time,intervention,delivered,p_none,p_question\n"
        "bob,2025-03-05,question,yes,0.4,0.6\n"
        "ann,2025-03-04,none,,0.5,0.5\n"
        "eve,2025-03-04,none,no,0.5,0.5\n"
        "bob,2025-03-06,question,maybe,0.4,0.6\n"
        "bob,2025-03-06,question,,0.4,0.6\n"
        "bob,2025-03-06,question,1,40,60\n"
        "bob,2025-03-06,,1,0.4,0.6\n"
    )
    written(tmp_path, text, "touches.csv")
    intake = read(tmp_path, PLAIN, touches=TOUCHES)
    assert intake.log.touches.columns == [
        "member",
        "timestamp",
        "intervention",
        "channel",
        "delivered",
        "response",
        "propensity_none",
        "propensity_question",
    ]
    assert [(row[0], *row[2:]) for row in intake.log.touches.iter_rows()] == [
        (0, "none", None, False, None, 0.5, 0.5),
        (1, "question", None, True, None, 0.4, 0.6),
    ]
    assert intake.rejected_touches["reason"].to_list() == [
        'member "eve" is neither in the log nor among the members',
        'delivered "maybe" is neither yes nor no',
        'delivered "" is neither yes nor no',
        'propensity "40" is no probability',
        "no intervention",
    ]


def test_texts_of_arms_stand_for_ids_in_rows_and_in_columns_of_propensities(tmp_path):
    text = (
        "member,time,intervention,delivered,p_No mail,p_Ask A,p_Ask B\n"
        "ann,2025-03-04,No mail,,0.5,0.2,0.3\n"
        "bob,2025-03-05,Ask A,yes,0.5,0.2,0.3\n"
        "bob,2025-03-06,Ask B,yes,0.25,0.25,0.5\n"
        "bob,2025-03-07,question,yes,0.25,,0.5\n"
    )
    written(tmp_path, text, "touches.csv")
    arms = {"No mail": "none", "Ask A": "question", "Ask B": "question"}
    intake = read(tmp_path, PLAIN, touches={**TOUCHES, "arms": arms})
    read_as = intake.log.touches.select("intervention", "delivered", "propensity_none", "propensity_question").rows()
    assert read_as == [
        ("none", False, 0.5, 0.5),
        ("question", True, 0.5, 0.5),
        ("question", True, 0.25, 0.75),
        ("question", True, 0.25, None),
    ]
    assert not [finding for finding in intake.findings if "catalogue" in finding.message or "alone" in finding.message]


LOT = {"path": "touches.csv", "member": "member", "time": "time", "propensities": {"none": 0.75, "question": 0.25}}


def test_probabilities_that_were_the_same_for_all_are_those_of_every_row(tmp_path):
    written(tmp_path, "member,time,intervention\nann,2025-03-04,none\nbob,2025-03-05,question\n", "touches.csv")
    touches = read(tmp_path, PLAIN, touches=LOT).log.touches
    assert touches.select("intervention", "propensity_none", "propensity_question").rows() == [
        ("none", 0.75, 0.25),
        ("question", 0.75, 0.25),
    ]
    assert chances_of(touches, ["none", "question"], np.ones(2, dtype=np.int64)).logged


def drawn_touches(folder, seed, *, share, n_members=200, once):
    """Three rows of each member, each with a draw of its own or all with one."""
    rng = np.random.default_rng(seed)
    draws = rng.random((n_members, 1 if once else 3)) < share
    given = np.broadcast_to(draws, (n_members, 3))
    rows = [f"m{m},2025-03-0{k + 4},{'question' if given[m, k] else 'none'}" for m in range(n_members) for k in range(3)]
    written(folder, "\n".join(["member,time,intervention", *rows]) + "\n", "touches.csv")
    log = "member,time\n" + "".join(f"m{m},2025-03-01\n" for m in range(n_members))
    return [one.message for one in read(folder, log, touches=LOT).findings if one.column == "touches.propensities"]


@pytest.mark.parametrize("once", [True, False])
def test_shares_that_are_not_the_declared_ones_are_told_and_those_of_chance_are_not(tmp_path, once):
    assert not any(drawn_touches(tmp_path, seed, share=0.25, once=once) for seed in range(10))
    (told,) = drawn_touches(tmp_path, 1, share=0.5, once=once)
    assert "touches.propensities says" in told


def test_a_response_is_one_of_three_words_and_any_other_is_none(tmp_path):
    text = (
        "member,time,intervention,answer\nbob,2025-03-05,question,Refused\nbob,2025-03-06,question,\nbob,2025-03-07,question,maybe later\n"
    )
    written(tmp_path, text, "touches.csv")
    intake = read(tmp_path, PLAIN, touches={"path": "touches.csv", "member": "member", "time": "time", "response": "answer"})
    assert intake.log.touches["response"].to_list() == ["refused", None, None]
    (finding,) = [finding for finding in intake.findings if finding.column == "answer"]
    assert finding.message == '1 response is not known: "maybe later"; it is taken for none'
    assert finding.what_to_do == "write one of accepted, refused, redeemed, or leave the cell empty"


RULED = {
    "path": "members.csv",
    "member": "member",
    "joined": "joined",
    "timezone": "zone",
    "reachable": {"push": "has_email"},
    "consents": {"offers": "likes_offers"},
}


def test_texts_that_are_no_arm_of_an_experiment_are_told_and_empty_ones_are_not(tmp_path):
    written(tmp_path, "member,joined,mail_group\nann,2025-01-05,Treated\nbob,2025-01-05,treated\ncy,2025-01-05,\n", "members.csv")
    arms = [{"id": "control", "share": 0.5}, {"id": "treated", "share": 0.5}]
    trial = {"id": "letter_test", "arms": arms, "start": "2025-01-01", "column": "mail_group"}
    members = {"path": "members.csv", "member": "member", "joined": "joined"}
    intake = read(tmp_path, PLAIN, members=members, experiments=[trial])
    assert [finding.message for finding in intake.findings if finding.column == "mail_group"] == [
        '1 member is in no arm of an experiment: "Treated"'
    ]


def test_columns_that_rules_read_are_kept_as_they_are_written_and_no_model_sees_them(tmp_path):
    text = "member,joined,zone,has_email,likes_offers,city\nann,2025-01-05,Asia/Tokyo,1,yes,Bern\nbob,2025-01-05,Narnia,0,perhaps,Rom\n"
    written(tmp_path, text, "members.csv")
    intake = read(tmp_path, PLAIN, members=RULED)
    assert intake.log.members.drop("joined").rows() == [("ann", "Asia/Tokyo", "1", "yes"), ("bob", "Narnia", "0", "perhaps")]
    arrays = event_arrays(intake.log, declared("events.csv", members=RULED))
    assert arrays.attributes is None
    columns = MemberColumns.of(arrays, Snapshots.at(arrays, 0))
    assert [columns.says_yes(name).tolist() for name in ("has_email", "likes_offers", "unheard")] == [
        [True, False],
        [True, False],
        [False] * 2,
    ]
    assert [finding.message for finding in intake.findings if finding.column in ("zone", "likes_offers")] == [
        '1 member has no yes or no: "perhaps"',
        '1 member has no known time zone: "Narnia"',
    ]


@pytest.mark.parametrize(
    ("source", "rules", "sentence"),
    [
        ({**RULED, "timezone": "tz"}, {}, 'members.timezone: no column "tz" in members.csv; it has "member", "joined"'),
        ({**RULED, "consents": {"offers": "x"}}, {}, 'members.consents.offers: no column "x" in members.csv'),
        (RULED, {"attributes": {"regoin": ["n"]}}, 'interventions.question.eligibility.attributes: no column "regoin" in members.csv'),
    ],
)
def test_a_column_that_a_rule_names_in_vain_is_told_with_its_key(tmp_path, source, rules, sentence):
    written(tmp_path, "member,joined,zone,has_email,likes_offers\nann,2025-01-05,,,\n", "members.csv")
    with pytest.raises(InputError) as fault:
        read(tmp_path, PLAIN, members=source, interventions=[{**QUESTION, "eligibility": rules}])
    assert str(fault.value).startswith(sentence)


@pytest.mark.parametrize("key", ["column", "cluster"])
def test_a_column_that_an_experiment_names_in_vain_is_told_with_its_key(tmp_path, key):
    written(tmp_path, "member,joined,branch\nann,2025-01-05,north\n", "members.csv")
    arms = [{"id": "none", "share": 0.5}, {"id": "letter", "share": 0.5}]
    source = {"path": "members.csv", "member": "member", "joined": "joined"}
    with pytest.raises(InputError, match=rf'experiments.letter_test.{key}: no column "brnch" in members.csv; it has "member"'):
        read(tmp_path, PLAIN, members=source, experiments=[{"id": "letter_test", "arms": arms, "start": "2025-02-01", key: "brnch"}])


def test_dates_of_scenes_are_kept_as_days_however_they_are_written(tmp_path):
    written(tmp_path, "member,joined,born\nann,2025-01-05,05/12/1990\nbob,2025-01-05,29/02/2000\n", "members.csv")
    scenes = [{"name": "birthday", "label": {"en": "Birthday", "zh": "生日"}, "on_date": "born", "within_days": 2}]
    source = {"path": "members.csv", "member": "member", "joined": "joined"}
    log = read(tmp_path, PLAIN, members=source, scenes=scenes, timezone="Asia/Shanghai").log
    assert log.members["born"].to_list() == ["1990-12-05", "2000-02-29"]
    with pytest.raises(InputError, match=r'scenes.birthday.on_date: no column "bron" in members.csv'):
        read(tmp_path, PLAIN, members=source, scenes=[{**scenes[0], "on_date": "bron"}])
