"""Install the wheel in dist/ with each extra into a fresh environment, and use it there. `make test-wheel` runs this.

The environments lie outside the checkout, so nothing but the wheel can be imported. The gateway is the sandbox of the
environment that has only the extra [sandbox].
"""

import os
import re
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
(WHEEL,) = (ROOT / "dist").glob("kilo_gateway-*.whl")
VERSION = WHEEL.name.split("-")[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
# No variable that reaches the checkout or a real account.
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("KILO_", "PYTHON", "VIRTUAL_ENV"))}


class Environment:
    """An environment with the wheel and an extra, in a folder of its own."""

    def __init__(self, wheels: Path, name: str, extra: str = "") -> None:
        self.wheels, self.folder = wheels, wheels.parent / name
        self.bin = self.folder / ("Scripts" if os.name == "nt" else "bin")
        venv.create(self.folder, with_pip=False)
        self.install(extra)

    def install(self, extra: str) -> None:
        options = ["--python", str(self.bin / "python"), "install", "-q", "--no-compile", "--no-index"]
        wanted = f"kilo-gateway{extra}=={VERSION}"
        subprocess.run([*PIP, *options, "--find-links", str(self.wheels), wanted], check=True)

    def run(self, *command: str, variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in its folder."""
        program = str(self.bin / command[0])
        environment = CLEAN | {"PYTHONIOENCODING": "utf-8", "KILO_CACHE_DIR": str(self.folder)} | (variables or {})
        return subprocess.run(
            [program, *command[1:]],
            cwd=self.folder,
            env=environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=120,
        )

    def prints(self, *command: str, variables: dict[str, str] | None = None) -> str:
        """Run a program that must succeed, and return its output."""
        done = self.run(*command, variables=variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def wheels() -> Iterator[Path]:
    """Return a folder with the wheel and all that its extras need, so that each package is downloaded once."""
    with tempfile.TemporaryDirectory() as folder:  # pytest would keep its own ones, of a gigabyte each
        wheels = Path(folder, "wheels")
        wanted = f"kilo-gateway[all,notebooks] @ {WHEEL.as_uri()}"
        options = ["-q", "-c", str(ROOT / "constraints.txt"), "-w", str(wheels)]
        subprocess.run([*PIP, "wheel", *options, wanted], check=True)
        yield wheels


@pytest.fixture(scope="session")
def sandbox(wheels: Path) -> Environment:
    return Environment(wheels, "sandbox", "[sandbox]")


@pytest.fixture(scope="session")
def account(sandbox: Environment) -> Iterator[dict[str, str]]:
    """Return the variables that lead to a running sandbox, which the wheel started."""
    command = [str(sandbox.bin / "python"), "-m", "kilo_gateway.sandbox", "--port", "0"]
    with subprocess.Popen(command, cwd=sandbox.folder, env=CLEAN, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        greeting = ""
        while "--list" not in greeting and (line := server.stdout.readline()):
            greeting += line
        key = re.search(r"key with balance +(\S+)", greeting)
        address = re.search(r"http://\S+", greeting)
        assert address is not None, greeting
        assert key is not None, greeting
        yield {"KILO_BASE_URL": address[0], "KILO_API_KEY": key[1], "NO_PROXY": "127.0.0.1"}
        server.terminate()


def test_without_an_extra_only_the_core_imports(wheels: Path) -> None:
    core = Environment(wheels, "core")
    code = "import kilo_gateway; print(kilo_gateway.__version__, kilo_gateway.__file__); kilo_gateway.chat.stream"
    version, path = core.prints("python", "-c", code).split()
    assert version == VERSION
    assert Path(path).is_relative_to(core.folder)
    for package, extra in (("langchain_kilo", "langchain"), ("llama_index_kilo", "llama-index")):
        refused = core.run("python", "-c", f"import {package}")
        assert f'pip install "kilo-gateway[{extra}]"' in refused.stderr.splitlines()[-1]
    assert 'pip install "kilo-gateway[cli]"' in core.run("kilo-gateway").stderr


@pytest.mark.parametrize(("extra", "package"), [("langchain", "langchain_kilo"), ("llama-index", "llama_index_kilo")])
def test_the_lines_of_the_readme(wheels: Path, account: dict[str, str], extra: str, package: str) -> None:
    environment = Environment(wheels, extra, f"[{extra}]")
    lines = [block for block in BLOCKS if package in block and "Sandbox" not in block]
    assert lines
    for block in lines:
        assert environment.prints("python", "-c", block, variables=account).strip()


def test_the_command_line(wheels: Path, account: dict[str, str]) -> None:
    cli = Environment(wheels, "cli", "[cli]")
    assert VERSION in cli.prints("kilo-gateway", "--version")
    assert cli.prints("kilo-gateway", "doctor", variables=account).strip()
    assert cli.prints("kilo-gateway", "chat", "Hi", variables=account).strip()


def test_all_runs_the_sandbox_of_the_readme_and_notebooks_the_demo(wheels: Path) -> None:
    everything = Environment(wheels, "all", "[all]")
    (block,) = (block for block in BLOCKS if "Sandbox" in block)
    assert "kilo-auto/frontier" in everything.prints("python", "-c", block)
    for package in ("langchain_kilo", "llama_index_kilo", "kilo_gateway.cli.app"):
        everything.prints("python", "-c", f"import {package}")
    assert "No module named 'IPython'" in everything.run("python", "-c", "import IPython").stderr
    everything.install("[notebooks]")  # into the same environment, because the rest of it is the same half gigabyte
    shown = everything.prints("python", str(ROOT / "notebooks/demo.py"))
    for part in ("chain", "agent", "query engine"):
        assert re.search(rf"^ {part} .*\d\.\d{{6}}", shown, re.MULTILINE), shown
    everything.prints("python", "-c", "import ipykernel, langgraph, matplotlib, pandas, tqdm")
