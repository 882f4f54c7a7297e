"""Whole members are decided on alike in whatever part of the log they lie."""

from functools import cache
from itertools import pairwise

import polars as pl
import pytest

from models.preferences import Preferences
from pipelines.parts import Part, decide_part
from tests.serving_world import DECLARED, NOW, world

WISHES = {"m0000003": Preferences(personalization=False), "m0000200": Preferences(contact={"any": False})}


@cache
def decided(*bounds: int) -> pl.DataFrame:
    """The tables of the parts `[bounds[0], bounds[1])`, `[bounds[1], bounds[2])` and so on, one after the other."""
    parts = [Part.of(DECLARED, world().log.of_range(*pair), WISHES) for pair in pairwise(bounds)]
    return pl.concat([decide_part(world().engine, part, NOW, "en").table for part in parts])


@pytest.mark.parametrize("cuts", [(0, 1, 17, 259, 260), (0, 130, 130, 260)])
def test_a_log_cut_into_parts_is_decided_on_as_if_it_had_not_been_cut(cuts):
    assert decided(*cuts).equals(decided(0, 260))


def test_a_part_without_members_has_the_columns_and_no_row():
    nobody = decided(50, 50)
    assert (nobody.height, nobody.schema) == (0, decided(0, 260).schema)


def test_a_part_holds_its_members_events_and_touches_and_no_others():
    log = world().log
    part = log.of_range(40, 90)
    assert part.members.equals(log.members.slice(40, 50))
    for mine, everybodys in ((part.events, log.events), (part.touches, log.touches)):
        chosen = everybodys.filter(pl.col("member").is_between(40, 90, closed="left"))
        assert mine.drop("member").equals(chosen.drop("member"))
        assert (mine["member"] + 40 == chosen["member"]).all()
