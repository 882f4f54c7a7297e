"""How far long work is, said now and then, and how long the rest will take by what was done so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

EVERY_SECONDS = 10.0


@dataclass
class Pace:
    """Called with what is done, how many parts of it are over, and how many there are; says nothing of what is soon done."""

    say: Callable[[str], None]
    what: str = ""
    began: float = 0.0
    told: float = 0.0

    def __call__(self, what: str, over: int, of: int) -> None:
        now = time.monotonic()
        if what != self.what or over == 0:
            self.what, self.began, self.told = what, now, now
        elif now - self.told > EVERY_SECONDS:
            left = round((now - self.began) / over * (of - over))
            self.say(f"{what}: {over} of {of} parts, about {left // 60} min {left % 60} s left")
            self.told = now
