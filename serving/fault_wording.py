"""What is wrong with a request, said without the names of classes and patterns in the code that reads it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PREFIX = "Value error, "
"""Pydantic puts it before sentences of ours."""
TEXT = r"^[^\x00-\x1f\x7f]+$"
TEXT_OR_NOTHING = r"^[^\x00-\x1f\x7f]*$"
MONTH = r"^\d{4}-(0[1-9]|1[0-2])$"
AS_TIME = "RFC 3339 writes it, such as 2026-11-20T09:00:00+08:00"
CURSOR = r"^[0-9]{1,17}\.[0-9a-f]{32}$"
SPELT: Mapping[str, str] = MappingProxyType(
    {
        TEXT: "a text holds no control characters, such as line ends and tabs",
        TEXT_OR_NOTHING: "a text holds no control characters, such as line ends and tabs",
        MONTH: "write a month as 2026-01",
        CURSOR: "give `next_cursor` of the page before as it stands there",
    }
)
"""By the pattern that was not met; others are told in general."""
WORDED: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("model_type", "model_attributes_type", "dict_type"), "give an object, with its keys between braces"),
        **dict.fromkeys(("list_type", "tuple_type", "set_type", "frozen_set_type"), "give a list, between brackets"),
        **dict.fromkeys(("datetime_parsing", "datetime_from_date_parsing"), f"give a time that there is, as {AS_TIME}"),
        "timezone_aware": f"the offset is missing; give a time as {AS_TIME}",
        "none_required": "leave it out",
    }
)
"""By pydantic's type of error; others are told in its words."""


def worded(error: Mapping[str, object]) -> str:
    """Of one of pydantic's error details."""
    kind, said, told = str(error["type"]), str(error["msg"]), error.get("ctx")
    if kind == "string_pattern_mismatch":
        pattern = told.get("pattern") if isinstance(told, Mapping) else None
        return SPELT.get(str(pattern), "it is written in another form than the contract says")
    return WORDED.get(kind, said.removeprefix(PREFIX))
