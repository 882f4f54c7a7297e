"""A learning curve: halves of the members within halves, one test for all, and a sentence that says no more than it shows."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest

from models.intervals import Estimate
from models.learning_curve import CurvePoint, LearningCurve
from pipelines.workspace import Workspace
from tests.command_line import keepwell

AT = datetime(2025, 6, 1, tzinfo=UTC)


def curve(*gains: tuple[float, float, float]) -> LearningCurve:
    """From 1,000 snapshots on, each size twice the one before; the log loss is 0.4."""
    told = [None, *(Estimate(*gain) for gain in gains)]
    auc, log_loss = Estimate(0.7, 0.6, 0.8), Estimate(0.4, 0.3, 0.5)
    points = (CurvePoint(1000 * 2**n, 100 * 2**n, 1.0, auc, log_loss, gain) for n, gain in enumerate(told))
    return LearningCurve(30, AT, 5000, tuple(points))


CLEAR, SLIGHT, NOISE = (0.02, 0.01, 0.03), (0.0005, 0.0001, 0.0009), (0.001, -0.004, 0.006)


@pytest.mark.parametrize(
    ("gains", "enough"),
    [
        ((CLEAR, SLIGHT, SLIGHT), 2000),
        ((CLEAR, CLEAR, SLIGHT), 4000),
        ((SLIGHT, SLIGHT), 1000),
        ((CLEAR, SLIGHT, CLEAR), None),
        ((CLEAR, SLIGHT, NOISE), None),
        ((), None),
    ],
)
def test_enough_is_where_every_doubling_from_there_on_takes_little_even_at_its_upper_bound(gains, enough):
    """Little is 0.5 % of 0.4."""
    assert curve(*gains).enough == enough


def test_the_sentence_names_the_bound_that_was_shown():
    said = curve(CLEAR, SLIGHT, (0.001, 0.0, 0.0015)).sentence
    assert said == "2,000 snapshots are enough: doubling them takes at most 0.0015 off the log loss, 0.4% of it"


def test_the_sentence_says_when_more_would_help_and_when_the_test_is_too_small_to_tell():
    assert curve(SLIGHT, CLEAR).sentence.startswith("more snapshots help still: the last doubling, to 4,000 snapshots, took 0.0200 (0.0100")
    assert curve(SLIGHT, NOISE).sentence.startswith("5,000 members of the test cannot tell whether more snapshots help: ")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("community")
    keepwell("simulate", "-o", folder, "--members", 250, "--days", 200, "--seed", 3, "--force")
    columns = ("--member", "member_id", "--time", "timestamp", "--type", "type", "--value", "value")
    keepwell("init", folder / "events.parquet", *columns, "-o", folder / "keepwell.yaml")
    return Workspace.find(folder).root


@pytest.fixture(scope="module")
def told(folder):
    return keepwell("learning-curve", "-c", folder, "--json").json()


def test_sizes_are_halves_of_whole_members_up_to_all_that_there_is(told):
    sizes = [point["snapshots"] for point in told["points"]]
    assert len(sizes) >= 3
    assert [larger / smaller for smaller, larger in pairwise(sizes)] == pytest.approx([2] * (len(sizes) - 1), rel=0.05)
    members = [point["members"] for point in told["points"]]
    assert members == sorted(set(members))
    assert sizes[-1] / members[-1] == pytest.approx(sizes[0] / members[0], rel=0.3)


def test_each_size_has_its_figures_with_intervals_and_all_but_the_first_a_gain_on_the_same_members(told):
    assert told["points"][0]["gain"] is None
    for before, point in pairwise(told["points"]):
        assert point["gain"]["value"] == pytest.approx(before["log_loss"]["value"] - point["log_loss"]["value"])
        assert point["gain"]["lower"] <= point["gain"]["value"] <= point["gain"]["upper"]
    for point in told["points"]:
        assert point["auc"]["lower"] <= point["auc"]["value"] <= point["auc"]["upper"]
        assert point["seconds"] > 0
    assert told["tested"] > 100
    assert (told["horizon_days"], told["test_as_of"][:10]) == (30, "2025-06-19")


def test_the_largest_size_can_be_held_down(folder):
    said = keepwell("learning-curve", "-c", folder, "--most-snapshots", 1000)
    assert said.code == 0
    assert "snapshots" in said.out
    assert said.err.count("risk from") <= 4
