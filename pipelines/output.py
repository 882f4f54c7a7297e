"""Where a verb's result goes: a place that cannot be written to is refused before the work, not after it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from models.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES = (".html", ".htm")


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """What the operating system refuses within the block becomes an InputError that names `path`."""
    try:
        yield
    except OSError as fault:
        message = f"{path} cannot be written ({fault.strerror or fault}); name another place"
        raise InputError(message) from None


def check_page(path: Path) -> None:
    """Raises InputError for another ending than that of a page, or where it cannot be written."""
    if path.suffix not in PAGES:
        message = f'"{path.name}": the report is a page; give the file the ending {PAGES[0]}'
        raise InputError(message)
    check_writable(path)


def check_writable(path: Path) -> None:
    """Makes the folder, and no file. Raises InputError where a file could not be made or written over."""
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        there = path.exists()
        path.open("ab").close()
        if not there:
            path.unlink()
