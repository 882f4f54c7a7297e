"""What training will say of the probabilities that a log tells of its assignments is found by the check before."""

import pytest

from models.logged_chances import FOUND
from tests.written_logs import read, written

LOG, NAME = "member,time\nann,2025-03-01\nbob,2025-03-02\n", "touches.csv"
UNREAD = {"path": NAME, "member": "member", "time": "time"}
LOGGED = {**UNREAD, "propensity_prefix": "propensity_"}
BOTH = ",propensity_none,propensity_question"
FORGOTTEN = 'probabilities of the assignments are in columns that are not read: "propensity_none"'


def found(folder, source, columns, *rows):
    lines = "".join(f"{row}\n" for row in (f"member,time,intervention{columns}", *rows))
    written(folder, lines, NAME)
    intake = read(folder, LOG, touches=source)
    return [finding for finding in intake.findings if finding.column == "touches.propensity_prefix"]


@pytest.mark.parametrize(
    ("source", "columns", "cells", "level", "sentence"),
    [
        (UNREAD, ",propensity_none", ",1", "warning", FORGOTTEN),
        ({**LOGGED, "propensity_prefix": "p_"}, ",p", ",1", "warning", 'touches.csv has no column that begins with "p_"'),
        (UNREAD, ",note", ",x", "advice", "the probabilities of the assignments are not logged"),
        (LOGGED, ",propensity_none", ",1", "warning", "no probabilities are logged for question, which was assigned"),
        (LOGGED, BOTH, ",0.4,0.4", "warning", "2 assignments are left out: their logged probabilities do not add up"),
    ],
)
def test_what_is_amiss_with_logged_probabilities_is_found(tmp_path, source, columns, cells, level, sentence):
    (finding,) = found(tmp_path, source, columns, f"bob,2025-03-05,question{cells}", f"ann,2025-03-05,none{cells}")
    assert (finding.level, finding.step) == (level, "touches")
    assert finding.message.startswith(sentence)


def test_an_experiment_has_its_rows_alone_and_few_rows_are_none(tmp_path):
    silent = "bob,2025-03-05,question,,"
    (few,) = found(tmp_path, LOGGED, BOTH, silent, "ann,2025-03-05,none,0.4,0.6")
    (left,) = found(tmp_path, LOGGED, BOTH, silent, *["ann,2025-03-05,none,0.4,0.6"] * 500)
    assert few.message == "assignments with logged probabilities: 1, without: 1; so all are estimated"
    assert left.message == "1 assignment without logged probabilities is left out beside 500 with them"
    assert {few.code, left.code} < set(FOUND.values())


def test_of_sound_probabilities_and_of_what_the_catalogue_lacks_nothing_is_said(tmp_path):
    assert not found(tmp_path, LOGGED, BOTH, "bob,2025-03-05,question,0.4,0.6", "ann,2025-03-05,none,0.4,0.6")
    assert not found(tmp_path, UNREAD, ",note", "bob,2025-03-05,call,x")
