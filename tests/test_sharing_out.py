"""The files that are shared out by name between the processes of a test run."""

from pathlib import Path

from tests.sharing_out import DEAR, IN_THE_TRAINED_WORLD, LONGEST


def test_every_file_that_is_named_is_there():
    named = {*IN_THE_TRAINED_WORLD, *LONGEST} - {DEAR}
    assert [name for name in sorted(named) if not Path(__file__).with_name(f"{name}.py").exists()] == []
