"""Run `main()` of the benchmarks named on the command line, or of all; what follows from the first `-` on goes to them as options.

Each runs in a process of its own: peak memory is a figure of a whole process. With `--help` none runs: each tells what it measures and
which options it has.
"""

import ast
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_") and "def main(" in path.read_text("utf-8"))


def takes_options(name: str) -> bool:
    return "ArgumentParser(" in (FOLDER / f"{name}.py").read_text("utf-8")


def tell(name: str) -> int:
    """What a benchmark without options measures; one with options tells by itself."""
    if takes_options(name):
        return run(name, ["--help"])
    told = ast.get_docstring(ast.parse((FOLDER / f"{name}.py").read_text("utf-8"))) or ""
    print(f"\n== {name}\n{told}\n\nno options", flush=True)
    return 0


def run(name: str, options: list[str]) -> int:
    print(f"\n== {name}", flush=True)
    return subprocess.run(
        [sys.executable, "-c", f"from tests.benchmarks.{name} import main; main()", *options], cwd=FOLDER.parents[1], check=False
    ).returncode


def run_all(arguments: list[str]) -> int:
    first = next((position for position, argument in enumerate(arguments) if argument.startswith("-")), len(arguments))
    chosen, options = arguments[:first], arguments[first:]
    unknown = sorted(set(chosen) - set(names()))
    if unknown:
        print(f"benchmarks: unknown {', '.join(unknown)}; there are {', '.join(names()) or 'none yet'}", file=sys.stderr)
        return 2
    if {"-h", "--help"} & set(options):
        return max((tell(name) for name in chosen or names()), default=0)
    without = [name for name in chosen or names() if options and not takes_options(name)]
    if without:
        print(f"benchmarks: {', '.join(without)} has no options; {options[0]} was given", file=sys.stderr)
        return 2
    return max((run(name, options) for name in chosen or names()), default=0)


if __name__ == "__main__":
    sys.exit(run_all(sys.argv[1:]))
