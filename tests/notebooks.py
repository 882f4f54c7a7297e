"""Run notebooks from their folder: in place with `python -m tests.notebooks`, in memory with `run`."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.patience import PATIENCE_SECONDS

FOLDER = Path(__file__).parents[1] / "notebooks"


def run(path: Path) -> nbformat.NotebookNode:
    """The notebook with fresh outputs and no times of execution; raises CellExecutionError with the failing cell."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    place = {"metadata": {"path": str(path.parent)}}
    patience = {"timeout": PATIENCE_SECONDS, "startup_timeout": PATIENCE_SECONDS}
    return NotebookClient(notebook, **patience, kernel_name="python3", record_timing=False, resources=place).execute()


if __name__ == "__main__":
    for found in sorted(FOLDER.glob("*.ipynb")):
        sys.stdout.write(f"Running {found.name} ...\n")
        nbformat.write(run(found), found)
