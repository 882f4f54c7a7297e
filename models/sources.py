"""The tables of a community: where they are and what their columns mean."""

from __future__ import annotations

from typing import Self

from pydantic import model_validator

from models.declared import Declared


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
    """A table of members. `attributes` are fixed at joining; a column measured later leaks the future and must not be named."""

    path: str
    member: str
    joined: str
    attributes: tuple[str, ...] = ()


class TouchesSource(Declared):
    """A table of earlier assignments: one row for each (member, time), `none` included."""

    path: str
    member: str
    time: str
    intervention: str = "intervention"
    channel: str | None = None
    delivered: str | None = None
    propensity_prefix: str | None = None
