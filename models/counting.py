"""How many there are of what, as English sentences that have no key say it: on the command line, in logs and in errors."""

from __future__ import annotations


def counted(number: int, one: str, many: str = "") -> str:
    """`1 member`, `2,000 members`; `many` where more than one is not written with an s at the end: `1 member has`, `2 members have`."""
    return f"1 {one}" if number == 1 else f"{number:,} {many or f'{one}s'}"
