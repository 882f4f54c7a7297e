"""Faults of a declaration in words: the key, the value, what is allowed; never a pattern, or the name of a type."""

from __future__ import annotations

import difflib
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from pydantic import BaseModel

from models.actions import CONTEXT
from models.community import CURRENCY, Community
from models.declared import IDENTIFIER, STAGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic_core import ErrorDetails

    from models.declaration import Key

SPELT = MappingProxyType(
    {
        CURRENCY: "a currency is three capital letters as in ISO 4217, like EUR",
        IDENTIFIER: "use small letters a to z, digits and _, beginning with a letter, 64 at most, like welcome_gift",
        CONTEXT: f"use a stage ({', '.join(STAGES)}) or a channel, like channel:email",
    }
)
WORDED = MappingProxyType(
    {
        "string_type": "write a text",
        "string_too_short": "write at least one letter",
        "string_too_long": "write {max_length} letters at most",
        "tuple_type": "write a list, like [a, b]",
        "dict_type": "write keys with values, like {{a: b}}",
        "too_short": "give {min_length} or more",
        "too_long": "give {max_length} at most",
        **dict.fromkeys(("int_type", "int_parsing", "int_parsing_size", "int_from_float"), "write a whole number"),
        **dict.fromkeys(("float_type", "float_parsing", "finite_number"), "write a number"),
        **dict.fromkeys(("bool_type", "bool_parsing"), "write true or false"),
        **dict.fromkeys(("time_type", "time_parsing"), "write a time of day, like 08:30"),
        **dict.fromkeys(("date_type", "date_parsing"), "write a date, like 2026-01-31"),
        **dict.fromkeys(("date_from_datetime_parsing", "date_from_datetime_inexact"), "write a date, like 2026-01-31"),
    }
)
"""By pydantic's type of error; others are told in its words."""
OF_A_KEY = "[key]"
"""Where pydantic finds fault with a key of a mapping and not with its value."""


def complaint(error: ErrorDetails, content: object) -> str:
    where, kind, value = named_key(error["loc"], content), error["type"], error["input"]
    if kind == "missing":
        return f"{where} is missing"
    if kind == "extra_forbidden":
        return f"{where}: unknown key; {_allowed_keys(error['loc'])}"
    if kind == "value_error":
        message = str(error["ctx"]["error"])
        return f"{where}: {message}" if where else message
    if kind == "string_type" and isinstance(value, int | float):
        return f'{where}: {_shown(value)} must be text; write it in quotes, "{_shown(value)}"'
    if value is None:
        return f"{where} is empty: {_allowed(error)}"
    return f"{where}: {_shown(value)} is refused: {_allowed(error)}"


def _allowed(error: ErrorDetails) -> str:
    kind, told = error["type"], error.get("ctx", {})
    if kind == "string_pattern_mismatch":
        return SPELT[told["pattern"]]
    if kind == "model_type":
        return f"write keys with values; allowed are {', '.join(_model_at(error['loc']).model_fields)}"
    if kind in WORDED:
        return WORDED[kind].format(**told)
    return f"{error['msg'][0].lower()}{error['msg'][1:]}"


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def named_key(key: Key, content: object) -> str:
    """`signals.posts.label` for ("signals", 0, "label"): an entry of a list is called by its name or id where it has one."""
    parts: list[str] = []
    for part in key:
        content = inside(content, part)
        if part == OF_A_KEY:
            continue
        if isinstance(part, str):
            parts.append(part)
        else:
            name = inside(content, "name") or inside(content, "id")
            parts.append(name if isinstance(name, str) else str(part + 1))
    return ".".join(parts)


def inside(content: object, part: str | int) -> object:
    """None where there is no such part."""
    if isinstance(content, dict):
        return content.get(part)
    if isinstance(content, list) and isinstance(part, int) and part < len(content):
        return content[part]
    return None


def _allowed_keys(key: Key) -> str:
    model = _model_at(key[:-1])
    near = difflib.get_close_matches(str(key[-1]), model.model_fields, n=1)
    return f"did you mean {near[0]}?" if near else f"allowed are {', '.join(model.model_fields)}"


def _model_at(key: Key) -> type[BaseModel]:
    model: type[BaseModel] = Community
    for part in key:
        model = _model_below(model, part)
    return model


def _model_below(model: type[BaseModel], part: str | int) -> type[BaseModel]:
    return model if isinstance(part, int) else next(_models_in(model.model_fields[part].annotation), model)


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:  # noqa: ANN401 - annotations have no common type
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)
