"""Run the faults named on the command line, or all of them, each in a process of its own; exit code 1 where one did harm."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_") and "def main(" in path.read_text("utf-8"))


def run(name: str) -> int:
    print(f"\n== {name}", flush=True)
    command = [sys.executable, "-c", f"from tests.chaos.{name} import main; main()"]
    return subprocess.run(command, cwd=FOLDER.parents[1], check=False).returncode


if __name__ == "__main__":
    chosen = sys.argv[1:] or names()
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        sys.exit(f"chaos: unknown {', '.join(unknown)}; there are {', '.join(names())}")
    sys.exit(max(run(name) for name in chosen) != 0)
