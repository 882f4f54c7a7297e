"""The programs of a folder, run by name, each in a process of its own: peak memory is a figure of a whole process."""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HELP = {"-h", "--help"}


@dataclass(frozen=True)
class Programs:
    """The files in `folder`, a folder of `tests`, that have a `main()`."""

    folder: Path

    @property
    def names(self) -> list[str]:
        return [
            path.stem for path in sorted(self.folder.glob("*.py")) if not path.stem.startswith("_") and "def main(" in self._text(path.stem)
        ]

    def run(self, arguments: Sequence[str]) -> int:
        """Names, or none for all; from the first `-` on options of theirs. With --help none runs: each tells of itself.

        Returns the exit code: 0, 1 where a program failed, 2 where what was asked is not there.
        """
        chosen = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
        options = arguments[len(chosen) :]
        unknown = sorted(set(chosen) - set(self.names))
        if unknown:
            return self._refuse(f"unknown {', '.join(unknown)}; there are {', '.join(self.names) or 'none yet'}")
        if HELP & set(options):
            return self._tell(chosen)
        without = [name for name in chosen or self.names if options and not self._takes_options(name)]
        if without:
            return self._refuse(f"{', '.join(without)} has no options; {options[0]} was given")
        return self._run_each(chosen or self.names, options)

    def _tell(self, chosen: Sequence[str]) -> int:
        """Of all of them a line each; what is named tells more, and its options."""
        if not chosen:
            width = max(map(len, self.names), default=0)
            for name in self.names:
                say(f"{name:{width}}  {self._told(name).partition(chr(10))[0]}")
            say(f"\npython -m tests.{self.folder.name} NAME --help tells the options of one; without a name all are run.")
            return 0
        for name in chosen:
            if not self._takes_options(name):
                say(f"\n== {name}\n{self._told(name)}\n\nno options")
        return self._run_each([name for name in chosen if self._takes_options(name)], ["--help"])

    def _run_each(self, names: Sequence[str], options: Sequence[str]) -> int:
        return max((self._run_one(name, options) for name in names), default=0)

    def _run_one(self, name: str, options: Sequence[str]) -> int:
        say(f"\n== {name}")
        code = f"from tests.{self.folder.name}.{name} import main; main()"
        ended = subprocess.run([sys.executable, "-c", code, *options], cwd=self.folder.parents[1], check=False)
        return int(ended.returncode != 0)

    def _refuse(self, why: str) -> int:
        say(f"{self.folder.name}: {why}", sys.stderr)
        return 2

    def _text(self, name: str) -> str:
        return (self.folder / f"{name}.py").read_text("utf-8")

    def _told(self, name: str) -> str:
        return ast.get_docstring(ast.parse(self._text(name))) or ""

    def _takes_options(self, name: str) -> bool:
        return "ArgumentParser(" in self._text(name)


def say(text: str, to: TextIO | None = None) -> None:
    """At once, for the programs write to the same place."""
    out = to or sys.stdout
    out.write(f"{text}\n")
    out.flush()
