"""JSON schemas in the words that generators of clients read, which is less than JSON Schema has; what they allow stays the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

NULL = {"type": "null"}


def in_plain_words(schema: object) -> None:
    """Changes it, at every depth.

    Lists of fixed length also have `items`, objects whose keys are of one pattern `additionalProperties`. No default is null, an object or
    an empty list: that is what is left out. A set may be sent with repetitions, which are read as one.
    """
    if isinstance(schema, dict):
        _with_items(schema)
        _with_named_keys(schema)
        if isinstance(schema.get("default", {}), dict) or schema["default"] in (None, []):
            schema.pop("default", None)
        schema.pop("uniqueItems", None)
    for part in _parts(schema):
        in_plain_words(part)


def _parts(schema: object) -> Iterable[object]:
    """Names of properties are no words of JSON Schema."""
    if isinstance(schema, dict):
        return [*schema.get("properties", {}).values(), *(part for key, part in schema.items() if key != "properties")]
    return schema if isinstance(schema, list) else ()


def _with_items(schema: dict[str, Any]) -> None:
    """The length is bounded, so that `items` allows none beyond `prefixItems`."""
    parts = schema.get("prefixItems")
    if isinstance(parts, list):
        schema["items"] = _either([kind for part in parts for kind in part.get("anyOf", [part])])


def without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Of a parameter: what an address says is a text, and left out it is absent."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != NULL]
    return {**{key: value for key, value in schema.items() if key != "anyOf"}, **_either(kinds)} if kinds else schema


def _either(kinds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One of them, each named once."""
    different = [kind for index, kind in enumerate(kinds) if kind not in kinds[:index]]
    return different[0] if len(different) == 1 else {"anyOf": different}


def _with_named_keys(schema: dict[str, Any]) -> None:
    patterns = schema.get("patternProperties")
    if isinstance(patterns, dict) and len(patterns) == 1:
        ((pattern, value),) = cast("dict[str, Any]", schema.pop("patternProperties")).items()
        schema["additionalProperties"] = value
        schema["propertyNames"] = {**schema.get("propertyNames", {}), "pattern": pattern}
