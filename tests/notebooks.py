"""Run notebooks from their folder: in place with `python -m tests.notebooks`, in memory with `run`."""

import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from tests.patience import PATIENCE_SECONDS

FOLDER = Path(__file__).parents[1] / "notebooks"


def run(notebook: nbformat.NotebookNode, folder: Path) -> nbformat.NotebookNode:
    """The notebook with fresh outputs and no times of execution; raises CellExecutionError with the failing cell."""
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
    place = {"metadata": {"path": str(folder)}}
    patience = {"timeout": PATIENCE_SECONDS, "startup_timeout": PATIENCE_SECONDS}
    return NotebookClient(notebook, **patience, kernel_name="python3", record_timing=False, resources=place).execute()


def smaller(notebook: nbformat.NotebookNode, members: int) -> nbformat.NotebookNode:
    """A copy whose simulated community has this many members."""
    copy = nbformat.from_dict(notebook)
    cells = [cell for cell in copy.cells if cell.cell_type == "code" and "members=" in cell.source and "SimulationConfig(" in cell.source]
    (cell,) = cells
    cell.source, replaced = re.subn(r"\bmembers=[\d_]+", f"members={members}", cell.source)
    assert replaced == 1
    return copy


def printed(notebook: nbformat.NotebookNode) -> str:
    """All text that its cells put out, tables as plain text."""
    outputs = (output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs)
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)


if __name__ == "__main__":
    for found in sorted(FOLDER.glob("*.ipynb")):
        sys.stdout.write(f"Running {found.name} ...\n")
        nbformat.write(run(nbformat.read(found, as_version=4), FOLDER), found)
