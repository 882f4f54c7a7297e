"""Run the faults named on the command line, or all of them, each in a process of its own; exit code 1 where one did harm.

What begins with the first option is for the faults that are named: `python -m tests.chaos soak --minutes 10`.
"""

import subprocess
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_") and "def main(" in path.read_text("utf-8"))


def run(name: str, options: Sequence[str]) -> int:
    print(f"\n== {name}", flush=True)
    command = [sys.executable, "-c", f"from tests.chaos.{name} import main; main()", *options]
    return subprocess.run(command, cwd=FOLDER.parents[1], check=False).returncode


if __name__ == "__main__":
    given = list(takewhile(lambda word: not word.startswith("-"), sys.argv[1:]))
    chosen, options = given or names(), sys.argv[1 + len(given) :]
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        sys.exit(f"chaos: unknown {', '.join(unknown)}; there are {', '.join(names())}")
    sys.exit(max(run(name, options) for name in chosen) != 0)
