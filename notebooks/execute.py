"""Run the notebooks on the sandbox, each in its own kernel, and save them with their outputs.

    python notebooks/execute.py                     # all notebooks that do not need Ray, in place: make notebooks
    python notebooks/execute.py --ray               # those that need Ray, in an environment that has it
    python notebooks/execute.py --output FOLDER     # write the results to FOLDER, and do not change the files

A run changes a file only if an output differs. Cells tagged `varies` measure time: if the new outputs have the same
kinds as the saved ones, the saved ones stay; --fresh saves the new ones. The exit status is 1 if a cell raises.
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

import matplotlib.font_manager  # noqa: F401 -- writes its cache now, so that no kernel prints a message about it
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).resolve().parent
SECONDS = 120
# A warning contains the path of the temporary file in which a kernel keeps a cell.
_CELL_FILE = re.compile(r"\S*ipykernel_\d+[/\\]\d+\.py:\d+")
# Ray warns of the number of its processes on a computer with few cores.
_FROM_RAY = re.compile(r"^\S*\(raylet\).*\n", re.MULTILINE)


def execute(path: Path) -> Any:
    """Run a notebook from top to bottom and return it, without values that differ from run to run."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        kernel_name="python3",
        coalesce_streams=True,
        record_timing=False,
        resources={"metadata": {"path": str(path.parent)}},
        # The kernel warns that its connection is not encrypted; the connection does not leave this computer. The
        # messages of Ray's core, which have process ids, go to the terminal.
        extra_arguments=["--log-level=ERROR", "--IPKernelApp.capture_fd_output=False"],
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
                output.text = _FROM_RAY.sub("", _CELL_FILE.sub("<this cell>", output.text))
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if output.get("text") != ""]
    return notebook


def kinds(cell: Any) -> list[Any]:
    """Return the kinds of a cell's outputs: the name of a stream, the formats of other outputs."""
    return [output.get("name") or sorted(output.get("data", ())) for output in cell.get("outputs", ())]


def keep_what_varies(new: Any, old: Any) -> None:
    """Restore the saved outputs of cells tagged `varies` if the new outputs have the same kinds."""
    saved = {cell.id: cell for cell in old.cells}
    for cell in new.cells:
        before = saved.get(cell.id)
        if "varies" in cell.metadata.get("tags", ()) and before is not None and kinds(before) == kinds(cell):
            cell.outputs = before.outputs


def needs_ray(path: Path) -> bool:
    """Return True if the installation that a notebook names includes Ray, which has an environment of its own."""
    return "[notebooks,ray]" in path.read_text(encoding="utf-8")


def isolate(folder: str) -> None:
    """Remove the user's account, list of models and IPython profile from the kernels' environment."""
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
    """Run the notebooks that the command line names, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "notebooks", nargs="*", type=Path, help="files; default: those in this folder that do not need Ray"
    )
    parser.add_argument("--output", type=Path, help="folder for the results; default: the files themselves")
    parser.add_argument("--ray", action="store_true", help="run the notebooks that need Ray, and not the others")
    parser.add_argument("--fresh", action="store_true", help="also save new outputs of cells that measure time")
    options = parser.parse_args()
    paths = options.notebooks or [path for path in sorted(FOLDER.glob("*.ipynb")) if needs_ray(path) is options.ray]

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
