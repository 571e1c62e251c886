"""Test that the notebook on Ray runs from top to bottom on the sandbox, and that the committed file has its outputs."""

from pathlib import Path

import pytest

from tests.support.notebooks import ON_RAY, assert_same_outputs, read, run


@pytest.mark.timeout(300)
def test_a_run_has_the_committed_outputs(tmp_path: Path) -> None:
    result = run(tmp_path, "--ray")
    assert result.returncode == 0, result.stderr
    (path,) = ON_RAY
    assert_same_outputs(read(tmp_path / path.name), read(path))
