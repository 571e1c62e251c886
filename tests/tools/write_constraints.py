"""Write the constraints files: the versions that pip chooses for the project, without installing anything.

`make constraints` runs this in .venv-build. Each file keeps its first line, a comment. It needs the oldest supported
Python, because a newer one would choose versions that do not install there.
"""

import json
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PRODUCT = ("langchain", "llama-index", "cli", "sandbox")


class Pins(NamedTuple):
    """What is installed with a constraints file, beside the project itself."""

    extras: tuple[str, ...]
    groups: tuple[str, ...]
    lowest: bool = False


FILES = {
    "constraints.txt": Pins(
        (*PRODUCT, "notebooks", "ray"), ("test", "lint", "docs", "models", "build", "browser", "ray")
    ),
    "constraints-lowest.txt": Pins((*PRODUCT, "notebooks"), ("test",), lowest=True),
    "constraints-bench.txt": Pins(("langchain", "llama-index"), ("bench",)),
}


def lower_bounds() -> list[str]:
    """Return the lowest versions that the product allows, as requirements."""
    extras = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + [line for extra in PRODUCT for line in extras[extra]]
    requirements = (Requirement(line) for line in lines)
    bounds = {r.name: next(s.version for s in r.specifier if s.operator == ">=") for r in requirements}
    return [f"{name}=={version}" for name, version in bounds.items()]


def resolved(pins: Pins) -> dict[str, str]:
    """Return the name and version of each package that pip would install into an empty environment."""
    groups = [option for group in pins.groups for option in ("--group", group)]
    bounds = lower_bounds() if pins.lowest else []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        wanted = ["-e", f".[{','.join(pins.extras)}]", "pip", "setuptools", *bounds, *groups]
        options = ["--dry-run", "--ignore-installed", "--quiet", "--report", str(report)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, *wanted], cwd=ROOT, check=True)
        rows = json.loads(report.read_text(encoding="utf-8"))["install"]
    chosen = {row["metadata"]["name"]: row["metadata"]["version"] for row in rows}
    del chosen[PROJECT["name"]]
    return chosen


def main() -> None:
    """Write all files, or none if one of them cannot be resolved."""
    (oldest,) = SpecifierSet(PROJECT["requires-python"])
    if oldest.version != f"{sys.version_info.major}.{sys.version_info.minor}":
        sys.exit(f"the pins are for Python {oldest.version}: make constraints PYTHON=python{oldest.version}")
    found = {name: resolved(pins) for name, pins in FILES.items()}
    for name, versions in found.items():
        path = ROOT / name
        comment = path.read_text(encoding="utf-8").splitlines()[0]
        lines = (f"{package}=={versions[package]}\n" for package in sorted(versions, key=str.lower))
        path.write_text(f"{comment}\n{''.join(lines)}", encoding="utf-8")


if __name__ == "__main__":
    main()
