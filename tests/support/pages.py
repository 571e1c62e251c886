"""The pages of the documentation, and their blocks."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```\n(?:\n```text\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
_PACKAGES = re.compile(r"^# needs pip install (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """A fenced block; `printed` is the text block after it, which shows its output on the sandbox."""

    place: str
    language: str
    code: str
    printed: str | None

    @property
    def packages(self) -> list[str]:
        """The packages that the block needs besides those of the tests' environment."""
        return " ".join(_PACKAGES.findall(self.code)).split()

    @property
    def needs_key(self) -> bool:
        """True if the block needs an account."""
        return "# needs KILO_API_KEY" in self.code


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page."""
    text = page.read_text(encoding="utf-8")
    fenced = []
    for match in FENCE.finditer(text):
        place = f"{page.relative_to(ROOT)}:{text.count(chr(10), 0, match.start()) + 1}"
        fenced.append(Block(place, match[1], match[2], match[3]))
    return fenced


BLOCKS = [block for page in PAGES for block in blocks(page)]
