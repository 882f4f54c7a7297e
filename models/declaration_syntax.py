"""Where a declaration is no YAML: what is wrong, in words of this product, at which line and column, and what to look at there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import yaml

from models.errors import InputError


@dataclass(frozen=True)
class Slip:
    """`sign`: part of what PyYAML says, its context and its problem; `begun`: the place to look at is where the faulty thing begins."""

    sign: str
    sentence: str
    begun: bool = False


MISFIT = "a value does not fit the type that is written before it with `!!`; take the type out"
SLIPS = (
    Slip(
        "expected '<document start>'",
        "this stands outside of what is declared above; look for a bracket or brace too many, or a wrong indent",
    ),
    Slip("but found ']'", "this closes what was never opened; take it out, or put the text in quotes"),
    Slip("but found '}'", "this closes what was never opened; take it out, or put the text in quotes"),
    Slip(
        "mapping values are not allowed",
        "a colon stands where no key can be; put a value that holds a colon in quotes, and indent keys alike",
    ),
    Slip(
        "could not find expected ':'", "no colon follows this key; write `key: value`, or put a text of several lines in quotes", begun=True
    ),
    Slip("sequence entries are not allowed", "an item of a list begins behind something else; give it a line of its own, below its key"),
    Slip("mapping keys are not allowed", "a key cannot stand here; give it a line of its own, or put the text in quotes"),
    Slip("but found '<scalar>'", "a text goes on behind what is complete; put the whole of it in quotes, or indent it like its neighbours"),
    Slip(
        "expected <block end>",
        "this line is indented otherwise than its neighbours; give keys of one block, and items of one list, the same indent",
    ),
    Slip(
        "expected ',' or ']'",
        "the list that `[` begins here lacks a comma or its `]`; look at its end, and put texts with signs in quotes",
        begun=True,
    ),
    Slip(
        "expected ',' or '}'",
        "what `{` begins here lacks a comma or its `}`; look at its end, and put texts with colons in quotes",
        begun=True,
    ),
    Slip("expected the node content", "a value is missing here, or begins with a bracket, brace or comma; write it, or put it in quotes"),
    Slip("node, but found", MISFIT),
    Slip("character '\\t'", "a tab stands here; YAML is written with spaces"),
    Slip("that cannot start any token", "a text cannot begin with this character; put it in quotes"),
    Slip(
        "found unexpected end of stream",
        "the quotation mark that begins here is never closed; write it at the end of the text too",
        begun=True,
    ),
    Slip(
        "found unexpected document separator",
        "the quotation mark that begins here is never closed; write it at the end of the text too",
        begun=True,
    ),
    Slip("alias", "a text cannot begin with `*`; put it in quotes"),
    Slip("anchor", "a text cannot begin with `&`; put it in quotes"),
    Slip("tag", "a text cannot begin with `!`; put it in quotes"),
    Slip("escape", "a backslash in double quotes needs a second one; write both, or use single quotes"),
    Slip(
        "while scanning a block scalar",
        "nothing but a line break can follow `|` or `>`; begin the text on the next line, or put it in quotes",
    ),
    Slip("directive", "a line cannot begin with `%`; put the text in quotes"),
    Slip("single document", "a second document begins here; take the line `---` out, a declaration is one document"),
)
OTHERWISE = "this cannot be read; look here and in the line above for quotes or brackets left open, a missing colon, or another indent"
TOO_DEEP = "its lists and keys go too deep, or one holds itself by `&` and `*`; write them out, no deeper than docs/declaration.md tells"
TOO_LONG = "a number has more digits than can be read; write it shorter, or put it in quotes where it is a text"
UNPRINTABLE = "a character that cannot be written stands here; take it out"


@contextmanager
def faults_of_yaml(text: str, name: str) -> Iterator[None]:
    """Raises InputError, one sentence with line and column, where PyYAML refuses `text`, or a value that does not fit its tag."""
    try:
        yield
    except yaml.MarkedYAMLError as fault:
        slip = _slip(f"{fault.context} {fault.problem}")
        first, second = (fault.context_mark, fault.problem_mark) if slip.begun else (fault.problem_mark, fault.context_mark)
        mark = first or second
        at = len(text) if mark is None else mark.index
        raise InputError(f"{name} {_place(text, at)}: {slip.sentence}") from None
    except yaml.reader.ReaderError as fault:
        raise InputError(f"{name} {_place(text, fault.position)}: {UNPRINTABLE}") from None
    except RecursionError:
        raise InputError(f"{name}: {TOO_DEEP}") from None
    except (yaml.YAMLError, ValueError, LookupError):
        at = text.find("!!")
        raise InputError(f"{name}: {TOO_LONG}" if at < 0 else f"{name} {_place(text, at)}: {MISFIT}") from None


def _slip(said: str) -> Slip:
    return next((slip for slip in SLIPS if slip.sign in said), Slip("", OTHERWISE))


def _place(text: str, at: int) -> str:
    """Of the character at this index, both counted from 1; what lies behind the last one belongs to the last line with any."""
    before = text[: max(at, 0)] if text[at:].strip() else text.rstrip()
    return f"line {before.count(chr(10)) + 1}, column {len(before) - before.rfind(chr(10))}"
