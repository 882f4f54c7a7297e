"""What is wrong with a model, for clients: without the places of this machine, which the log tells."""

from __future__ import annotations

import re
from pathlib import Path

IN_THE_LOG = "[see the log]"
_ANY_ADDRESS = r"\b[a-zA-Z][\w+.-]*:/{1,3}|(?<![\w/.~:])/(?=[\w.])"
_REST = r"[^\s;,)\"']*"
_NAMED = r"(?<=host=['\"])[^'\"]+|(?<=port=)\d+|(?<=resolve ')[^']+|\b\d{1,3}(?:\.\d{1,3}){3}\b"
"""A host and its port, as what could not be reached is told of, and addresses of machines."""


def without_places(text: str, registry: str, cache: Path) -> str:
    """`registry`: its URI, the path of which may hold blanks, as that of `cache` may; other paths and addresses end at one."""
    own = sorted({registry, registry.partition(":///")[2], str(cache)} - {""}, key=len, reverse=True)
    return re.sub(rf"(?:{'|'.join(map(re.escape, own))}|{_ANY_ADDRESS}|{_NAMED}){_REST}", IN_THE_LOG, text)
