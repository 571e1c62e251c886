"""Test that the notebooks run from top to bottom on the sandbox, and that the committed files have its outputs."""

import json
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import nbformat
import pytest

from tests.support.notebooks import COMMITTED, ON_RAY, RUNNER, assert_same_outputs, code_cells, read, run
from tests.support.pages import ROOT

NAMES = [path.name for path in COMMITTED]
# Absolute paths, temporary files of kernels, ports, keys.
PRIVATE = re.compile(
    r"(?<![\w.:/<])/(?:tmp|home|root|Users|work|opt|usr|var|private)/|[A-Z]:\\\\|ipykernel_\d|\.py:\d"
    r"|(?:127\.0\.0\.1|localhost):\d|sandbox-key|Bearer |eyJ[\w-]{8}"
)

pytestmark = pytest.mark.timeout(300)  # the first test runs all notebooks


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """All notebooks that do not need Ray after a run in fresh kernels, by name."""
    folder = tmp_path_factory.mktemp("notebooks")
    result = run(folder)
    assert result.returncode == 0, result.stderr
    return {path.name: read(path) for path in folder.glob("*.ipynb")}


def test_the_site_shows_them_under_their_titles() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for path in COMMITTED:
        title = read(path).cells[0].source.splitlines()[0].removeprefix("# ")
        assert f"- {title}: notebooks/{path.stem}.md\n" in navigation


def test_there_are_nine() -> None:
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04", "05", "06", "07", "08", "09"]


@pytest.mark.parametrize("path", [path for path in COMMITTED if path not in ON_RAY], ids=lambda path: path.name)
def test_a_run_has_the_committed_outputs(executed: dict[str, Any], path: Path) -> None:
    assert_same_outputs(executed[path.name], read(path))


@pytest.mark.parametrize("path", COMMITTED, ids=NAMES)
class TestCommitted:
    """The committed notebooks, as a code host shows them."""

    def test_it_is_plain_and_valid(self, path: Path) -> None:
        notebook = read(path)
        nbformat.validate(notebook)
        assert notebook.nbformat == 4
        assert set(notebook.metadata) == {"kernelspec", "language_info"}
        assert all(set(cell.metadata) <= {"tags"} for cell in notebook.cells)
        assert "widget" not in path.read_text(encoding="utf-8")

    def test_one_variable_in_the_first_cell_selects_the_gateway(self, path: Path) -> None:
        first, *others = code_cells(read(path))
        assert first.source.startswith("USE_SANDBOX = True  # False: the live gateway")
        assert not any(re.search(r"USE_SANDBOX\s*=[^=]", cell.source) for cell in others)

    def test_its_first_cell_explains_the_outputs(self, path: Path) -> None:
        first = read(path).cells[0]
        assert first.cell_type == "markdown"
        assert "Rendered from the sandbox" in first.source
        assert "Nothing here was run against the live gateway" in first.source

    def test_its_answers_were_written_for_it(self, path: Path) -> None:
        assert "Canned sandbox answer" not in path.read_text(encoding="utf-8")

    def test_its_outputs_are_there_and_in_order(self, path: Path) -> None:
        cells = code_cells(read(path))
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
        assert all(cell.outputs for cell in cells if cell.source.splitlines()[-1].startswith(("print(", "    print(")))
        assert not any(output.output_type == "error" for cell in cells for output in cell.outputs)

    def test_it_contains_no_key_and_nothing_of_the_machine(self, path: Path) -> None:
        notebook = read(path)
        for output in (output for cell in code_cells(notebook) for output in cell.outputs):
            output.get("data", {}).pop("image/png", None)  # base64 can contain any word by chance
        private = PRIVATE.search(json.dumps(notebook))
        assert private is None, private

    def test_every_picture_has_a_text(self, path: Path) -> None:
        for cell in code_cells(read(path)):
            for output in cell.outputs:
                if "image/png" in output.get("data", {}):
                    text = output.metadata["image/png"]["alt"]
                    assert text == output.data["text/plain"]
                    assert len(text) > 40

    def test_every_picture_is_also_described_in_words(self, path: Path) -> None:
        # Code hosts do not show the alt text of an output.
        cells = read(path).cells
        for cell, following in pairwise(cells):
            if any("image/png" in output.get("data", {}) for output in cell.get("outputs", ())):
                assert following.source.startswith("*The picture in words:*"), cell.source

    def test_the_notice_is_shown_once_and_nothing_else_is_reported(self, path: Path) -> None:
        outputs = [output for cell in code_cells(read(path)) for output in cell.outputs]
        reported = [output.text for output in outputs if output.get("name") == "stderr"]
        assert len(reported) == path.name.startswith("01")
        assert all(text.startswith("<this cell>: KiloDataPolicyWarning: kilo-auto/free") for text in reported)


def test_a_cell_that_raises_fails_the_run(tmp_path: Path) -> None:
    broken = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0", id="one")])
    nbformat.write(broken, tmp_path / "broken.ipynb")
    result = run(tmp_path, tmp_path / "broken.ipynb")
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr


def test_a_second_run_keeps_outputs_that_measure_time(tmp_path: Path) -> None:
    cell = nbformat.v4.new_code_cell("import time; print(time.time_ns())", id="one", metadata={"tags": ["varies"]})
    path = tmp_path / "clock.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    command = [sys.executable, str(RUNNER), str(path)]
    subprocess.run(command, capture_output=True, check=True)
    first = path.read_bytes()
    assert b"output_type" in first
    subprocess.run(command, capture_output=True, check=True)
    assert path.read_bytes() == first
