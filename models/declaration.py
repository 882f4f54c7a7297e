"""Reads keepwell.yaml; every fault names its key, the value, what was allowed and the line."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from models.community import Community
from models.declaration_faults import complaint, inside
from models.declaration_syntax import faults_of_yaml
from models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pydantic_core import ErrorDetails

NEWLINE = "\n"
Key = tuple[str | int, ...]
NO_LINES: Mapping[Key, int] = MappingProxyType({})


@dataclass(frozen=True)
class Declaration:
    """A community and the line of every key in the file that declared it, such as `("signals", 0, "name") -> 14`."""

    community: Community
    lines: Mapping[Key, int]


def load_community(path: Path) -> Community:
    """Raises InputError."""
    return load_declaration(path).community


def load_declaration(path: Path) -> Declaration:
    """Raises InputError with one sentence on the first fault in the file."""
    return parse_declaration(_read(path), path.name)


def parse_declaration(text: str, name: str) -> Declaration:
    """`name` is that of the file in messages; raises InputError."""
    if tab := re.search(r"^ *\t", text, re.MULTILINE):
        raise InputError(f"{name} line {text.count(NEWLINE, 0, tab.start()) + 1}: indented with a tab; YAML is indented with spaces")
    node = _compose(text, name)
    with faults_of_yaml(text, name):
        lines = dict(_key_lines(node, (), name))
        content = _content_of(node)
    try:
        return Declaration(Community.model_validate(content), MappingProxyType(lines))
    except ValidationError as fault:
        raise InputError(_sentence(fault, content, lines, name)) from None


def line_of(lines: Mapping[Key, int], key: Key) -> int | None:
    """Line of a key, else of the nearest key above it; None where nothing is known."""
    return next((lines[key[:depth]] for depth in range(len(key), -1, -1) if key[:depth] in lines), None)


class _PlainLoader(yaml.SafeLoader):
    """Scalars of YAML 1.2: `on`, `no`, `21:30` and `2026-01-01` are text, as people mean them. It knows no types but those of JSON."""


def _content_of(node: yaml.Node) -> Any:  # noqa: ANN401 - a YAML document may hold anything until it is validated
    return _PlainLoader("").construct_document(node)


_SCALARS = (
    ("tag:yaml.org,2002:null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("tag:yaml.org,2002:int", r"^[-+]?[0-9]+$", list("-+0123456789")),
    ("tag:yaml.org,2002:float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", list("-+.0123456789")),
)
_TYPES = ("null", "bool", "int", "float", "str", "seq", "map")
_PlainLoader.yaml_constructors = {
    tag: construct for tag, construct in yaml.SafeLoader.yaml_constructors.items() if tag is None or tag.rpartition(":")[2] in _TYPES
}
_PlainLoader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in _SCALARS:
    _PlainLoader.add_implicit_resolver(_tag, re.compile(_pattern), _first)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; `keepwell init LOG --member COL --time COL` writes one") from None
    except UnicodeDecodeError as fault:
        raise InputError(f"{path.name} is not UTF-8 (byte {fault.start}); save it as UTF-8") from None
    except OSError as fault:
        raise InputError(f"{path} cannot be read: {fault.strerror}") from None


def _compose(text: str, name: str) -> yaml.Node:
    with faults_of_yaml(text, name):
        node = yaml.compose(text, Loader=_PlainLoader)
    if node is None:
        raise InputError(f"{name} is empty; `keepwell init LOG --member COL --time COL` writes a complete one")
    if not isinstance(node, yaml.MappingNode):
        first = text.strip().splitlines()[0][:40]
        raise InputError(f"{name} line {node.start_mark.line + 1}: must hold keys such as `name:` and `log:`, not {first!r}")
    return node


def _key_lines(node: yaml.Node, key: Key, name: str) -> Iterator[tuple[Key, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for part, value in node.value:
            line = part.start_mark.line + 1
            if not isinstance(part, yaml.ScalarNode):
                raise InputError(f"{name} line {line}: a key must be a word, not a list or a mapping")
            if part.value in seen:
                raise InputError(f'{name} line {line}: "{part.value}" is given again; it stands in line {seen[part.value]} already')
            seen[part.value] = line
            yield (*key, part.value), line
            yield from _key_lines(value, (*key, part.value), name)
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield (*key, position), value.start_mark.line + 1
            yield from _key_lines(value, (*key, position), name)


def _sentence(fault: ValidationError, content: object, lines: Mapping[Key, int], name: str) -> str:
    """An unknown key explains what is missing, so it goes first; then the fault that stands first in the file; and how many more there are.

    A list whose entries are at fault is also called too short: that is left out.
    """
    errors = fault.errors()
    inner = [error for error in errors if not any(_is_above(error["loc"], other["loc"]) for other in errors)]
    faults = sorted(inner, key=lambda error: (error["type"] != "extra_forbidden", _line(error, content, lines)))
    more = f" ({len(faults) - 1} more after it)" if len(faults) > 1 else ""
    return f"{name} line {_line(faults[0], content, lines)}: {complaint(faults[0], content)}{more}"


def _is_above(key: Key, other: Key) -> bool:
    return len(key) < len(other) and other[: len(key)] == key


def _line(error: ErrorDetails, content: object, lines: Mapping[Key, int]) -> int:
    """Faults between keys are raised above both, and their message begins with the key to change, such as `signals.posts.label`."""
    key = list(error["loc"])
    for part in key:
        content = inside(content, part)
    for name in re.split(r"[ :]", str(error.get("ctx", {}).get("error", "")))[0].split("."):
        part = _part_named(name, content)
        content = inside(content, part)
        key.append(part)
    return line_of(lines, tuple(key)) or 1


def _part_named(name: str, content: object) -> str | int:
    """As `named_key` names the parts: an entry of a list by its name or id, else by its number from 1."""
    if not isinstance(content, list):
        return name
    names = [inside(entry, "name") or inside(entry, "id") or str(position) for position, entry in enumerate(content, start=1)]
    return names.index(name) if name in names else name
