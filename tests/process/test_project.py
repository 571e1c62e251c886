"""Test the promises of the project as a whole: imports of each extra, pins, version."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ("kilo_gateway", "langchain_kilo", "llama_index_kilo")

BLOCKER = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""
LANGCHAIN = {"langchain_core", "langchain", "langsmith", "langgraph"}
LLAMA_INDEX = {"llama_index", "workflows", "llama_index_instrumentation"}
SANDBOX = {"starlette", "uvicorn"}


def run(code: str, blocked: set[str]) -> subprocess.CompletedProcess[str]:
    script = BLOCKER.format(blocked=blocked) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.mark.parametrize(
    ("code", "blocked"),
    [
        ("from langchain_kilo import ChatKilo, KiloEmbeddings; ChatKilo(), KiloEmbeddings()", LLAMA_INDEX | SANDBOX),
        ("from llama_index_kilo import KiloLLM; KiloLLM()", LANGCHAIN | SANDBOX),
        ("from kilo_gateway import *; GatewaySettings(); chat.stream", LANGCHAIN | LLAMA_INDEX | SANDBOX),
        ("from kilo_gateway.sandbox import Sandbox\nwith Sandbox(): pass", LANGCHAIN | LLAMA_INDEX),
        ("import kilo_gateway.cli.app, sys; assert 'kilo_gateway.sandbox' not in sys.modules", LANGCHAIN | LLAMA_INDEX),
        ("import kilo_gateway.cli.app, sys; assert 'kilo_gateway.verify' not in sys.modules", LANGCHAIN | LLAMA_INDEX),
        ("import kilo_gateway.sandbox.pytest_plugin", LANGCHAIN | LLAMA_INDEX | SANDBOX),
    ],
)
def test_each_extra_alone_imports(code: str, blocked: set[str]) -> None:
    result = run(code, blocked)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(
    ("code", "blocked", "extra"),
    [
        ("import langchain_kilo", LANGCHAIN, "langchain"),
        ("import llama_index_kilo", LLAMA_INDEX, "llama-index"),
        ("from kilo_gateway.sandbox import Sandbox", SANDBOX, "sandbox"),
        ("import sys; sys.argv[1:] = ['sandbox']; import kilo_gateway.__main__ as m; m.main()", SANDBOX, "sandbox"),
        ("import kilo_gateway.__main__ as m; sys.exit(m.main())", {"click"}, "cli"),
        ("import kilo_gateway.__main__ as m; sys.exit(m.main())", {"rich"}, "cli"),
    ],
)
def test_an_absent_extra_is_named(code: str, blocked: set[str], extra: str) -> None:
    result = run(code, blocked)
    assert result.returncode == 1
    assert ("Traceback" in result.stderr) is ("__main__" not in code)
    assert f'pip install "kilo-gateway[{extra}]"' in result.stderr.splitlines()[-1]


def test_importing_and_building_needs_neither_openai_nor_a_network() -> None:
    code = "from langchain_kilo import ChatKilo, KiloEmbeddings; ChatKilo(), KiloEmbeddings();"
    code += "from llama_index_kilo import KiloEmbedding, KiloLLM; KiloEmbedding(), KiloLLM().metadata"
    result = run(code, {"openai", "httpx2"})
    assert result.returncode == 0, result.stderr


def test_an_openai_package_that_another_package_downgraded_is_named_with_the_remedy() -> None:
    result = run("import openai; openai.__version__ = '1.109.1'; from kilo_gateway import KiloError", set())
    assert result.returncode == 1
    assert "openai 1.109.1 is installed" in result.stderr.splitlines()[-1]
    assert result.stderr.endswith("pip install 'openai>=2.45,<4'\n")
    (bound,) = (line for line in PROJECT["dependencies"] if line.startswith("openai"))
    assert f"'{bound}'" in result.stderr


def pins(name: str) -> dict[str, str]:
    lines = (ROOT / name).read_text().splitlines()
    assert all(re.fullmatch(r"#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+", line) for line in lines)
    pairs = (line.split("==") for line in lines if not line.startswith("#"))
    return {canonicalize_name(name): version for name, version in pairs}


def product_requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    lines = PROJECT["dependencies"] + [r for e in ("langchain", "llama-index", "cli", "sandbox") for r in extras[e]]
    return [Requirement(line) for line in lines]


def test_the_lowest_pins_are_the_lower_bounds() -> None:
    lowest = pins("constraints-lowest.txt")
    for requirement in product_requirements():
        bound = next(s.version for s in requirement.specifier if s.operator == ">=")
        assert Version(lowest[canonicalize_name(requirement.name)]) == Version(bound), requirement


def test_both_pin_files_satisfy_the_requirements_with_both_majors_of_openai() -> None:
    newest, lowest = pins("constraints.txt"), pins("constraints-lowest.txt")
    for requirement in product_requirements():
        name = canonicalize_name(requirement.name)
        assert newest[name] in requirement.specifier
        assert lowest[name] in requirement.specifier
    assert (newest["openai"].partition(".")[0], lowest["openai"].partition(".")[0]) == ("3", "2")


def test_every_package_is_typed_and_has_one_version() -> None:
    import kilo_gateway
    import langchain_kilo
    import llama_index_kilo

    assert all((ROOT / package / "py.typed").exists() for package in PACKAGES)
    installed = version("kilo-gateway")
    assert kilo_gateway.__version__ == langchain_kilo.__version__ == llama_index_kilo.__version__ == installed


def test_sources_that_are_not_installed_have_a_version() -> None:
    code = (
        "import importlib.metadata as m; m.distribution = lambda name: (_ for _ in ()).throw(m.PackageNotFoundError);"
    )
    result = run(f"{code} import kilo_gateway; print(kilo_gateway.__version__)", set())
    assert (result.stdout, result.stderr) == ("0+unknown\n", "")


def test_every_public_name_of_the_core_is_there() -> None:
    import kilo_gateway

    assert all(getattr(kilo_gateway, name) is not None for name in kilo_gateway.__all__)
    assert set(kilo_gateway.__all__) <= set(dir(kilo_gateway))
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = kilo_gateway.nope
    errors = {name for name in vars(sys.modules["kilo_gateway.errors"]) if name.startswith("Kilo")}
    assert errors <= set(kilo_gateway.__all__)
