"""Find a Python for the Makefile: print its version and its path, or nothing.

With a name or path (`python3.13`), find that interpreter; without, the newest supported one that is not of the version
that runs this script. pyenv puts programs on PATH that only run when their version is selected; where such a program
does not run, the interpreter itself is looked up in pyenv's folder.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
OLDEST = tuple(map(int, PROJECT["requires-python"].removeprefix(">=").split(".")))
ASK = "import sys; v = sys.version_info; print(v.major, v.minor, v.micro, v.releaselevel)"


def release(path: str) -> tuple[int, ...] | None:
    """Return the version of an interpreter, or None if it does not run or is not a final release."""
    try:
        answer = subprocess.run([path, "-c", ASK], capture_output=True, text=True, check=True).stdout.split()
    except (OSError, subprocess.CalledProcessError):
        return None
    return tuple(map(int, answer[:3])) if answer[3:] == ["final"] else None


def called(name: str) -> Iterator[str]:
    """Yield the paths that a name may stand for, those of PATH first."""
    if found := shutil.which(name):
        yield found
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv", "versions")
    yield from map(str, versions.glob(f"*/bin/{name}") if "/" not in name else ())


def names() -> set[str]:
    """Return the names of all interpreters: those on PATH, where pyenv has its own as well."""
    folders = map(Path, filter(None, os.environ.get("PATH", "").split(os.pathsep)))
    programs = (path.name for folder in folders if folder.is_dir() for path in folder.iterdir())
    return {name for name in programs if re.fullmatch(r"python3\.\d+", name)}


def main(wanted: list[str]) -> None:
    """Print the newest interpreter that fits."""
    found = [(version, path) for name in wanted or names() for path in called(name) if (version := release(path))]
    fitting = [one for one in found if wanted or (one[0] >= OLDEST and one[0][:2] != sys.version_info[:2])]
    if fitting:
        (major, minor, *_), path = max(fitting)
        sys.stdout.write(f"{major}.{minor} {path}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
