"""Rows are worked on by all cores at once, each row once, and what fails is told."""

import numpy as np
import pytest

from models.cores import begun, cores, in_parts


@pytest.mark.parametrize("rows", [1, 9, 10, 11, 1_000])
def test_every_row_is_worked_on_once(rows):
    times, parts = np.zeros(rows), []

    def work(part):
        times[part] += 1
        parts.append(part)

    in_parts(rows, 5, work)
    assert (times == 1).all()
    assert len(parts) == max(1, min(cores(), rows // 5))


@pytest.mark.parametrize("rows", [1, 1_000])
def test_what_a_part_raises_is_raised(rows):
    def fail_at_the_end(part):
        if part.stop == rows:
            raise ValueError("the last row")

    with pytest.raises(ValueError, match="the last row"):
        in_parts(rows, 5, fail_at_the_end)


def test_what_was_begun_gives_its_result_or_its_error():
    result, failure = begun(lambda: 3), begun(lambda: int("three"))
    assert result() == 3
    with pytest.raises(ValueError, match="three"):
        failure()
