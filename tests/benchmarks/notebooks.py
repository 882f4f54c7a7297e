"""The notebooks run as they stand: seconds each, and every line that they now print otherwise than what is stored with them."""

from __future__ import annotations

import difflib
import time

import nbformat

from tests.notebooks import FOLDER, printed, run


def main() -> None:
    for path in sorted(FOLDER.glob("*.ipynb")):
        stored, began = nbformat.read(path, as_version=4), time.perf_counter()
        before, now = printed(stored).splitlines(), printed(run(stored, FOLDER)).splitlines()
        told = [line for line in difflib.unified_diff(before, now, "stored", "now", lineterm="", n=0) if not line.startswith("@@")]
        print(f"{path.name}: {time.perf_counter() - began:.0f} s; " + ("prints what is stored" if not told else "prints otherwise:"))
        print("\n".join(told))
