"""Run the notebooks as `make notebooks` does, and read them."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat

from tests.support.pages import ROOT

RUNNER = ROOT / "notebooks/execute.py"
COMMITTED = sorted((ROOT / "notebooks").glob("*.ipynb"))
ON_RAY = [path for path in COMMITTED if "[notebooks,ray]" in path.read_text(encoding="utf-8")]
"""The notebooks that `make test-ray` runs; `make test` runs the others."""

Cell = Any


def run(folder: Path, *arguments: Path | str) -> subprocess.CompletedProcess[str]:
    """Run notebooks, by default all that do not need Ray, and write the results to a folder."""
    command = [sys.executable, str(RUNNER), *map(str, arguments), "--output", str(folder), "--fresh"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder, env=environment)


def read(path: Path) -> Any:
    """Return a notebook."""
    return nbformat.read(path, as_version=4)


def code_cells(notebook: Any) -> list[Cell]:
    """Return the cells that run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def assert_same_outputs(fresh: Any, committed: Any) -> None:
    """Compare a run with the committed file; cells tagged `varies` need only outputs of the same kinds."""
    assert len(fresh.cells) == len(committed.cells)
    for cell, saved in zip(code_cells(fresh), code_cells(committed), strict=True):
        assert cell.source == saved.source
        assert cell.execution_count == saved.execution_count
        assert _kinds(cell) == _kinds(saved), cell.source
        if "varies" not in cell.metadata.get("tags", ()):
            assert _texts(cell) == _texts(saved), cell.source


def _kinds(cell: Cell) -> list[Any]:
    return [output.get("name") or sorted(output.get("data", ())) for output in cell.outputs]


def _texts(cell: Cell) -> list[str]:
    return [output.text if output.output_type == "stream" else output.data["text/plain"] for output in cell.outputs]
