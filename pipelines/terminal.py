"""Where commands speak: results on stdout, progress and refusals on stderr."""

from __future__ import annotations

import json
import time
from typing import Any

from rich.console import Console

OUT, ERR = Console(), Console(stderr=True)


class Steps:
    """Progress on stderr: each step with the seconds that the one before took."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._step: str | None = None

    def __call__(self, step: str) -> None:
        at = time.perf_counter()
        if self._step is not None:
            ERR.print(f"  {self._step}: {at - self._began:.1f} s", style="dim", highlight=False)
        self._began, self._step = at, step


def print_json(content: dict[str, Any]) -> None:
    OUT.out(json.dumps(content, ensure_ascii=False, indent=2), highlight=False)


def log_line(event: str, **told: Any) -> None:  # noqa: ANN401 - whatever JSON can hold
    """One JSON object on stderr, for whoever keeps the logs."""
    ERR.out(json.dumps({"event": event, **told}, ensure_ascii=False), highlight=False)


def show_key(secret: str | None) -> None:
    """Nothing for None: a key is shown when it is made and never again."""
    if secret is not None:
        OUT.print(f"API key, shown this once: {secret}", highlight=False, soft_wrap=True)
