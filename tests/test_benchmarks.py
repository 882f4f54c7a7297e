"""Benchmarks and faults run by name, and tell of themselves without running."""

import pytest

from tests.benchmarks.__main__ import PROGRAMS
from tests.chaos.__main__ import PROGRAMS as FAULTS


@pytest.mark.parametrize(("programs", "told"), [(PROGRAMS, "allocation"), (FAULTS, "kills")])
def test_asked_for_help_without_a_name_each_says_in_a_line_what_it_does(programs, told, capfd):
    assert programs.run(["--help"]) == 0
    lines = capfd.readouterr().out.splitlines()[: len(programs.names)]
    assert [line.split()[0] for line in lines] == programs.names
    assert told in programs.names
    assert all(len(line.split()) > 4 for line in lines)


def test_a_benchmark_without_options_says_what_it_measures_and_does_not_run(capsys):
    assert PROGRAMS.run(["allocation", "pages", "--help"]) == 0
    told = capsys.readouterr().out
    assert "beside HiGHS" in told
    assert told.count("no options") == 2


def test_a_benchmark_with_options_tells_them(capfd):
    assert PROGRAMS.run(["caution", "--help"]) == 0
    assert "--worlds" in capfd.readouterr().out


@pytest.mark.parametrize(("asked", "said"), [(["allocation", "--members", "3"], "no options"), (["alocation"], "unknown alocation")])
def test_what_a_benchmark_does_not_have_is_refused(asked, said, capsys):
    assert PROGRAMS.run(asked) == 2
    assert said in capsys.readouterr().err
