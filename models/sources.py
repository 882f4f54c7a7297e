"""The tables of a community: where they are and what their columns mean."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator

from models.declared import Declared, Identifier, Name

MOST_GROUPS = 4
ROUNDING = 0.01
"""The probabilities of all arms may miss a sum of 1 by so much."""
SAME_SECONDS, MOST_APART = 1.0, 3600.0
"""By how much two systems may tell the time of one touch apart; exports may have rounded it."""
RESPONSES = ("accepted", "refused", "redeemed")


class LogSource(Declared):
    """Where the behaviour log is and which of its columns mean what.

    Either `type` names a column or `type_is` names the one type that every row has.
    """

    path: str
    member: str
    time: str
    type: str | None = None
    type_is: str | None = None
    value: str | None = None
    event_id: str | None = None
    channel: str | None = None

    @model_validator(mode="after")
    def _one_source_of_type(self) -> Self:
        if (self.type is None) == (self.type_is is None):
            message = "give exactly one of `type` (a column) and `type_is` (one name for every row)"
            raise ValueError(message)
        return self


class MembersSource(Declared):
    """A table of members. `attributes` are fixed at joining; a column measured later leaks the future and must not be named.

    The other columns are read by rules and never by a model, so they may change: `timezone` an IANA name; `reachable` maps a channel to
    the column that says whether the member can be reached on it, `consents` a name to the column that says whether it was given.
    `groups` are columns by which people choose members, each with few values.
    """

    path: str
    member: str
    joined: str
    attributes: tuple[str, ...] = ()
    timezone: str | None = None
    reachable: dict[str, str] = {}  # noqa: RUF012 - pydantic copies a default
    consents: dict[str, str] = {}  # noqa: RUF012 - as above
    groups: Annotated[tuple[Name, ...], Field(max_length=MOST_GROUPS)] = ()

    @model_validator(mode="after")
    def _groups_are_columns_of_their_own(self) -> Self:
        wrong = [name for name in self.groups if name in {self.member, self.joined} or self.groups.count(name) > 1]
        if wrong:
            message = f'groups: "{wrong[0]}" is the id, the date of joining, or given twice; name other columns, each once'
            raise ValueError(message)
        return self


class TouchesSource(Declared):
    """A table of earlier assignments: one row for each (member, time), `none` included.

    `arms` tells of texts of the column `intervention` that are not an id themselves which id, or `none`, they stand for; they stand so in
    the names of the columns of propensities too. `propensity_prefix` begins the names of the columns that hold the probability of each arm;
    `propensities` tells it where it was the same for every row, as in a trial drawn by lot. `response` names the column with the member's
    answer: one of `RESPONSES`, empty where there was none. `decision_id` and `touch_id` name columns with the ids of the service: which
    decision of its a row carries out, and under which id it was reported there; without one that is known there, a row within
    `same_within_seconds` of a touch of the service is that touch. `cluster` is a column of the members table: those with one text there
    were given the same together.
    """

    path: str
    member: str
    time: str
    intervention: str = "intervention"
    arms: dict[str, Identifier] = {}  # noqa: RUF012 - pydantic copies a default
    channel: str | None = None
    delivered: str | None = None
    response: str | None = None
    decision_id: str | None = None
    touch_id: str | None = None
    same_within_seconds: Annotated[float, Field(ge=0, le=MOST_APART)] = SAME_SECONDS
    propensity_prefix: str | None = None
    propensities: dict[Identifier, Annotated[float, Field(gt=0, le=1)]] = {}  # noqa: RUF012 - as above
    cluster: str | None = None

    @model_validator(mode="after")
    def _propensities_are_those_of_all_arms(self) -> Self:
        total = sum(self.propensities.values())
        if self.propensities and abs(total - 1) > ROUNDING:
            message = f"propensities: they add up to {total:g}; give the probability of every arm, none included, so that they add up to 1"
            raise ValueError(message)
        if self.propensities and self.propensity_prefix is not None:
            message = "give either propensities, the same for all rows, or propensity_prefix, the columns that hold them"
            raise ValueError(message)
        return self
