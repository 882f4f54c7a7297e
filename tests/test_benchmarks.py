"""Benchmarks run by name, and tell of themselves without running."""

import pytest

from tests.benchmarks.__main__ import run_all


def test_a_benchmark_without_options_says_what_it_measures_and_does_not_run(capsys):
    assert run_all(["allocation", "pages", "--help"]) == 0
    told = capsys.readouterr().out
    assert "beside HiGHS" in told
    assert told.count("no options") == 2


def test_a_benchmark_with_options_tells_them(capfd):
    assert run_all(["condensing", "--help"]) == 0
    assert "--spreads" in capfd.readouterr().out


@pytest.mark.parametrize(("asked", "said"), [(["allocation", "--members", "3"], "no options"), (["alocation"], "unknown alocation")])
def test_what_a_benchmark_does_not_have_is_refused(asked, said, capsys):
    assert run_all(asked) == 2
    assert said in capsys.readouterr().err
