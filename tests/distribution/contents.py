"""Test the files in dist/: what they contain, and what a package index shows of them. `make build` runs this."""

import re
import tarfile
import zipfile
from email import message_from_string
from email.message import Message
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.version import Version
from readme_renderer import markdown

ROOT = Path(__file__).resolve().parents[2]
(WHEEL,), (SDIST,) = (list((ROOT / "dist").glob(f"kilo_gateway-*{end}")) for end in (".whl", ".tar.gz"))
PACKAGES = {"kilo_gateway", "langchain_kilo", "llama_index_kilo"}
ADDRESS = "https://code.example/kilo/kilo-gateway"


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode())


def test_the_wheel_contains_the_packages_their_types_and_the_tables() -> None:
    with zipfile.ZipFile(WHEEL) as archive:
        names = set(archive.namelist())
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES
    assert {f"kilo_gateway/data/{table}.json" for table in ("models", "models_dev", "tiers")} <= names
    page = {"index.html", "page.js", "style.css"}
    assert {name.rpartition("/")[2] for name in names if name.startswith("kilo_gateway/sandbox/page/")} > page
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_the_sdist_contains_what_a_packager_needs_and_nothing_else() -> None:
    with tarfile.open(SDIST) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    documents = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "RELEASING.md", "SECURITY.md"}
    pins = {f"constraints{part}.txt" for part in ("", "-ahead", "-bench", "-ecosystem", "-lowest")}
    project = {"Makefile", "hatch_build.py", "mkdocs.yml", "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert {name for name in names if "/" not in name} == documents | pins | project
    folders = PACKAGES | {"benchmarks", "docs", "notebooks", "tests"}
    assert {name.partition("/")[0] for name in names if "/" in name} == folders
    assert {"tests/conftest.py", "docs/gateway.md", "notebooks/demo.py", "docs/images/see-requests.png"} <= names
    assert "kilo_gateway/sandbox/page/page.js" in names


def test_a_release_is_in_the_changelog() -> None:
    version = str(metadata(WHEEL)["Version"])
    assert SDIST.name == f"kilo_gateway-{version}.tar.gz"
    if not Version(version).is_devrelease and version != "0.0":
        changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
        assert re.search(rf"^## {re.escape(version)} - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE)


class Targets(HTMLParser):
    """Collect the targets of the links and images of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.images: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        target = given.get("href" if tag == "a" else "src") or ""
        if tag == "a" and not target.startswith("#"):  # the renderer gives each heading an anchor
            self.links.append(target)
        elif tag == "img":
            self.images.append(target)


def shown(message: Message) -> Targets:
    """Render the description of a wheel as a package index does."""
    assert message["Description-Content-Type"] == "text/markdown"
    page = markdown.render(message.get_payload())
    assert page is not None
    assert "<table" in page
    return Targets(page)


def test_the_page_has_only_absolute_links() -> None:
    page = shown(metadata(WHEEL))
    assert page.links
    assert {urlsplit(target).scheme for target in page.links + page.images} == {"https"}


def test_the_page_leads_to_the_files_of_the_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT_URL", f"{ADDRESS}/")
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path))
    message = metadata(Path(wheel))
    page = shown(message)
    release = re.fullmatch(r"[\d.]+", message["Version"])
    ref = f"v{message['Version']}" if release and message["Version"] != "0.0" else "HEAD"
    files = [target.removeprefix(f"{ADDRESS}/blob/{ref}/") for target in page.links if "/blob/" in target]
    assert len(files) > 30
    assert [name for name in files if not (ROOT / name.partition("#")[0]).exists()] == []
    assert page.images == [
        f"{ADDRESS}/actions/workflows/tests.yml/badge.svg",
        f"{ADDRESS}/raw/{ref}/benchmarks/live-delay.png",
        f"{ADDRESS}/raw/{ref}/benchmarks/chunk-cost.png",
    ]
    urls = dict(line.split(", ") for line in message.get_all("Project-URL", []))
    assert urls.pop("Kilo AI Gateway") == "https://kilo.ai/docs/gateway"
    assert urls == {
        "Source": ADDRESS,
        "Issues": f"{ADDRESS}/issues",
        "Changelog": f"{ADDRESS}/blob/{ref}/CHANGELOG.md",
        "Documentation": f"{ADDRESS}/blob/{ref}/docs/index.md",
    }


def test_an_address_that_is_not_a_url_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROJECT_URL", "kilo/kilo-gateway")
    with pytest.raises(ValueError, match=r"PROJECT_URL='kilo/kilo-gateway'.*https://host/owner/name"):
        list(WheelBuilder(str(ROOT)).build(directory=str(tmp_path)))
