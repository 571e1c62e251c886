"""Test that each interpreter has its own environment, and that the newest one besides the default is found."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HERE = sys.version_info[:2]


def interpreter(path: Path, answer: str) -> Path:
    """Write a program that answers like an interpreter of some version; without an answer, it fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {answer}\n" if answer else "#!/bin/sh\nexit 127\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Return an environment in which only the interpreters of `tmp_path` are found."""
    here = f"{HERE[0]} {HERE[1]} 0 final"
    interpreter(tmp_path / f"bin/python{HERE[0]}.{HERE[1]}", here)
    return {"PATH": str(tmp_path / "bin"), "PYENV_ROOT": str(tmp_path / "pyenv")}


def find(environment: dict[str, str], *name: str) -> str:
    command = [sys.executable, str(ROOT / "tests/tools/find_python.py"), *name]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def test_the_newest_one_besides_the_default_is_found(tmp_path: Path, environment: dict[str, str]) -> None:
    assert find(environment) == ""
    interpreter(tmp_path / "bin/python3.10", "3 10 4 final")
    interpreter(tmp_path / "bin/python3.99", "3 99 0 alpha")
    interpreter(tmp_path / "bin/python3.98", "")
    assert find(environment) == ""
    interpreter(tmp_path / "bin/python3.80", "3 80 4 final")
    newest = interpreter(tmp_path / "bin/python3.81", "3 81 0 final")
    assert find(environment) == f"3.81 {newest}"


def test_an_interpreter_not_selected_in_pyenv_is_found(tmp_path: Path, environment: dict[str, str]) -> None:
    interpreter(tmp_path / "bin/python3.80", "")
    interpreter(tmp_path / "pyenv/versions/3.80.1/bin/python3.80", "3 80 1 final")
    newest = interpreter(tmp_path / "pyenv/versions/3.80.10/bin/python3.80", "3 80 10 final")
    assert find(environment) == find(environment, "python3.80") == f"3.80 {newest}"
    assert find(environment, str(newest)) == f"3.80 {newest}"
    assert find(environment, "python3.79") == ""


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def make(*arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MAKEFLAGS": ""} | ({"PYENV_ROOT": str(path)} if path else {})
    command = ["make", "-n", *arguments]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)


@needs_make
def test_make_test_has_an_environment_for_each_interpreter(tmp_path: Path) -> None:
    assert ".venv/bin/python -m pytest" in make("test").stdout
    other = interpreter(tmp_path / "python3.80", "3 80 1 final")
    planned = make("test", "test-lowest", f"PYTHON={other}").stdout
    assert f"{other} -m venv .venv-3.80\n" in planned
    assert ".venv-3.80/bin/python -m pytest" in planned
    assert ".venv-3.80-lowest/bin/python -m pytest" in planned
    assert ".venv/bin" not in planned


@needs_make
def test_make_refuses_an_interpreter_that_does_not_run(tmp_path: Path) -> None:
    refused = make("test", "PYTHON=python3.79", path=tmp_path)
    assert refused.returncode != 0
    assert "python3.79" in refused.stderr
