"""Run the notebooks on the sandbox, each in a kernel of its own, and save them with their outputs.

    python notebooks/execute.py                     # all of them, in place: make notebooks
    python notebooks/execute.py --output FOLDER     # leave the files alone and write what came out there

A run changes a file only where an output differs. Cells tagged `varies` measure time: where the new outputs are of
the same kind as the saved ones, these stay; --fresh takes the new ones. Exits with 1 when a cell raises.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib.font_manager  # noqa: F401 -- writes its cache now, so that no kernel reports that it does
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parent
SECONDS = 60
# A warning names the temporary file that a kernel keeps a cell in.
_CELL_FILE = re.compile(r"\S*ipykernel_\d+[/\\]\d+\.py:\d+")


def execute(path: Path) -> Any:
    """Return the notebook after a run from top to bottom, without anything that differs from run to run."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
        # It warns that its connection is not encrypted, which does not leave this computer.
        extra_arguments=["--log-level=ERROR"],
    )
    client.execute()
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {}
        for output in cell.get("outputs", ()):
            if output.output_type == "stream":
                output.text = _CELL_FILE.sub("<this cell>", output.text)
    return notebook


def kinds(cell: Any) -> list[Any]:
    """Return of which kinds a cell's outputs are: streams by name, the others by their formats."""
    return [output.get("name") or sorted(output.get("data", ())) for output in cell.get("outputs", ())]


def keep_what_varies(new: Any, old: Any) -> None:
    """Put the saved outputs of cells tagged `varies` back where the new ones are of the same kind."""
    saved = {cell.id: cell for cell in old.cells}
    for cell in new.cells:
        before = saved.get(cell.id)
        if "varies" in cell.metadata.get("tags", ()) and before is not None and kinds(before) == kinds(cell):
            cell.outputs = before.outputs


def isolate(folder: str) -> None:
    """Give the kernels an environment without the user's account, list of models and IPython profile."""
    for name in list(os.environ):
        if name.startswith(("KILO", "OPENAI_", "LANGSMITH_", "LANGCHAIN_", "MPLBACKEND", "PYTHONWARNINGS")):
            del os.environ[name]
    os.environ |= {
        "KILO_CACHE_DIR": folder,
        "IPYTHONDIR": folder,
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "PYTHONHASHSEED": "0",
    }


def main() -> int:
    """Run what the command line names; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="files; by default all of this folder")
    parser.add_argument("--output", type=Path, help="folder for what came out; by default the files themselves")
    parser.add_argument("--fresh", action="store_true", help="take new outputs of cells that measure time too")
    options = parser.parse_args()
    paths = options.notebooks or sorted(FOLDER.glob("*.ipynb"))

    def run(path: Path) -> int:
        start = time.monotonic()
        try:
            notebook = execute(path)
        except CellExecutionError as error:
            print(f"FAILED {path.name}\n{error}", file=sys.stderr)
            return 1
        if not options.fresh:
            keep_what_varies(notebook, nbformat.read(path, as_version=4))
        nbformat.write(notebook, (options.output or path.parent) / path.name)
        print(f"ran {path.name} in {time.monotonic() - start:.0f} s")
        return 0

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, ThreadPoolExecutor(2) as pool:
        isolate(folder)
        return max(pool.map(run, paths))


if __name__ == "__main__":
    sys.exit(main())
