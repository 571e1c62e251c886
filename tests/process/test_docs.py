"""Test README and docs: each Python block and command runs on the sandbox, links resolve, pages are complete."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
import warnings
from functools import cache
from pathlib import Path

import pytest
from click.testing import CliRunner

import kilo_gateway
import langchain_kilo
import llama_index_kilo
from kilo_gateway import errors
from kilo_gateway.cli.app import cli
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.__main__ import _parser as sandbox_parser
from tests.support.pages import BLOCKS, FENCE, PAGES, ROOT, Block

LINKED = [*PAGES, *(ROOT / f"{name}.md" for name in ("CHANGELOG", "CONTRIBUTING", "RELEASING", "SECURITY"))]
LANGUAGES = {"python", "bash", "text"}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


# tests/ecosystem and tests/ray run the blocks that need packages of others.
HERE = [block for block in BLOCKS if block.language == "python" and not block.packages]
PYTHON = [block for block in HERE if "def test_" not in block.code]
TESTS = [block for block in HERE if "def test_" in block.code]
COMMANDS = sorted(
    {line.strip() for block in BLOCKS if block.language == "bash" for line in block.code.splitlines() if line.strip()}
)


def test_there_are_blocks_and_each_names_its_language() -> None:
    assert len(PYTHON) > 40
    assert {block.language for block in BLOCKS} <= LANGUAGES
    fences = sum(page.read_text(encoding="utf-8").count("```") for page in PAGES)
    assert fences == 2 * (len(BLOCKS) + sum(block.printed is not None for block in BLOCKS))


def test_blocks_that_need_packages_of_others_are_on_pages_that_other_tests_run() -> None:
    pages = {block.place.partition(":")[0] for block in BLOCKS if block.packages}
    assert pages == {"docs/observability.md", "docs/beyond-one-machine.md"}


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")  # LlamaIndex's own code warns
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211")  # LlamaIndex's own code warns
@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")  # of LangChain, and there is no other one
@pytest.mark.parametrize("block", PYTHON, ids=lambda block: block.place)
def test_python(
    block: Block,
    kilo_sandbox: Sandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("KILO_BASE_URL", kilo_sandbox.base_url)
    if block.needs_key:
        monkeypatch.setenv("KILO_API_KEY", kilo_sandbox.api_key)
    monkeypatch.chdir(tmp_path)
    canned: list[str] = []

    def note(call: object, text: str) -> str:
        canned.append(text)
        return text

    monkeypatch.setattr("kilo_gateway.sandbox.model.prose.canned", note)
    with warnings.catch_warnings():  # restores the filters that a block sets
        exec(compile(block.code, block.place, "exec"), {"__name__": "__main__"})  # noqa: S102 -- our own documentation
    printed = capsys.readouterr().out
    assert canned == [], "these prompts need an answer in kilo_gateway/sandbox/model/answers.toml"
    if block.printed is not None:
        assert printed.rstrip() == block.printed.rstrip()
    elif "print(" in block.code:
        assert printed.strip()
        assert "Traceback" not in printed


def test_blocks_that_are_tests_pass(tmp_path: Path) -> None:
    """They run as a reader runs them: as files of pytest, in another process."""
    for number, block in enumerate(TESTS):
        (tmp_path / f"test_block_{number}.py").write_text(block.code, encoding="utf-8")
    options = ["-q", "-p", "no:cacheprovider", "-p", "kilo_gateway.sandbox.pytest_plugin", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        # Other plugins are off, because their import takes longer than the tests.
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{sum(block.code.count('def test_') for block in TESTS)} passed" in done.stdout


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line: str, kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)  # a command may write a file
    words = shlex.split(line, comments=True)
    piped = bool({"|", "<"} & set(words))
    words = words[words.index("|") + 1 :] if "|" in words else words
    words = words[: words.index("<")] if "<" in words else words
    if not words or words[0] == "export":
        return
    if words[0] == "pip":
        extras = {extra for word in words for extra in re.findall(r"[\w-]+", word.partition("[")[2])}
        assert extras <= PROJECT["optional-dependencies"].keys(), line
    elif words[0] == "make":
        assert all(re.search(rf"^{target}:", MAKEFILE, re.MULTILINE) for target in words[1:]), line
    elif words[:3] == ["python", "-m", "kilo_gateway.sandbox"] or words[:2] == ["kilo-gateway", "sandbox"]:
        sandbox_parser().parse_args(words[3 if words[0] == "python" else 2 :])
    else:
        assert words[0] == "kilo-gateway", line
        environment = {"KILO_BASE_URL": kilo_sandbox.base_url, "KILO_API_KEY": kilo_sandbox.api_key}
        if "--continue" in words:
            CliRunner().invoke(cli, ["chat", "Hi"], env=environment)
        result = CliRunner().invoke(cli, words[1:], env=environment, input="Hi" if piped else "")
        assert result.exit_code == 0, result.output
        assert result.stdout.strip()
        assert piped or "Canned sandbox answer" not in result.stdout


# Links


def prose(text: str) -> str:
    """Return a page without its blocks and code, which contain no links or headings."""
    return re.sub(r"`[^`\n]*`", "code", FENCE.sub("", text))


def slugs(heading: str) -> tuple[str, str]:
    """Return a heading's anchor on a code host and its anchor on the mkdocs site."""
    plain = re.sub(r"[^\w\s-]", "", heading.replace("`", "")).strip().lower()
    return re.sub(r"\s", "-", plain), re.sub(r"[-\s]+", "-", plain)


@cache
def anchors(page: Path) -> frozenset[str]:
    """Return the anchors of a page's headings that are equal on a code host and on the built site."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    pairs = [slugs(heading) for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE)]
    return frozenset(host for host, site in pairs if host == site)


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.name)
def test_links_resolve(page: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text(encoding="utf-8")))
    for target in targets:
        if target.startswith("https://"):
            continue
        if workflow := re.fullmatch(r"\.\./\.\./actions/workflows/([\w.]+)(/badge\.svg)?", target):
            assert (ROOT / ".github/workflows" / workflow[1]).exists(), target  # beside the files on the code host
            continue
        path, _, anchor = target.partition("#")
        leads_to = (page.parent / path).resolve() if path else page
        assert leads_to.is_relative_to(ROOT), target
        assert leads_to.exists(), target
        if page.parent != ROOT:
            assert leads_to.is_relative_to(ROOT / "docs"), f"{target} is not on the built site"
        assert not anchor or anchor in anchors(leads_to), target


def test_every_page_is_in_the_navigation_and_linked_from_the_index() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"index.md"}
    assert {name for name in pages if f" {name}\n" not in navigation} == set()
    assert {name for name in pages if f"({name})" not in index} == set()


# Completeness


def test_every_exception_has_its_row() -> None:
    page = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    named = {name for name in vars(errors) if name.startswith("Kilo")} | {"KiloRefusalError", "UnknownModelError"}
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    first_cells = {name for row in rows for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named <= first_cells
    assert set(re.findall(r"`(Kilo\w+(?:Error|Exceeded))`", page)) <= named
    assert all(cell.strip() for row in rows for cell in row.strip("|").split("|"))


def test_every_public_name_is_in_the_reference() -> None:
    reference = set(re.findall(r"^::: ([\w.]+)$", (ROOT / "docs/api.md").read_text(encoding="utf-8"), re.MULTILINE))
    for package in (kilo_gateway, langchain_kilo, llama_index_kilo):
        public = {f"{package.__name__}.{name}" for name in package.__all__ if name != "__version__"}
        assert public <= reference, sorted(public - reference)


def test_every_field_is_described_on_a_page() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    fields = {*langchain_kilo.ChatKilo.__annotations__, *kilo_gateway.GatewaySettings.__annotations__}
    fields |= {*llama_index_kilo.KiloLLM.__annotations__, *kilo_gateway.EmbeddingSettings.__annotations__}
    public = {name for name in fields if not name.startswith("_") and name not in ("model_config", "call_keywords")}
    assert {name for name in public if not re.search(rf"`{name}\b|\b{name}=", text)} == set()
