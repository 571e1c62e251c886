"""Complete the metadata of a distribution with the addresses that it shows outside the repository.

A page on a package index shows README.md without the files beside it. So each relative link becomes the address of
that file in the repository, at the tag of the release. The environment variable PROJECT_URL names the repository,
`https://host/owner/name`, on a host with the paths of GitHub. Without it, the text of these links stays, the images go.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from hatchling.metadata.plugin.interface import MetadataHookInterface

FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
LINK = re.compile(r"\[((?:!\[[^\]]*\]\([^)\s]+\)|[^\[\]])*)\]\(([^)\s]+)\)")


class ProjectPage(MetadataHookInterface):
    """Fill in the fields `readme` and `urls`, which pyproject.toml declares as dynamic."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set both fields; raise ValueError if PROJECT_URL is not an https address."""
        address = os.environ.get("PROJECT_URL", "").rstrip("/")
        if address and not address.startswith("https://"):
            raise ValueError(
                f"PROJECT_URL={address!r} is not the address of a repository; give https://host/owner/name"
            )
        version = metadata["version"]
        ref = "HEAD" if version == "0.0" or re.search(r"dev|\+", version) else f"v{version}"  # only a release has a tag
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(readme, address, ref)}
        metadata["urls"] = dict(self.config["urls"])
        if address:
            metadata["urls"] |= {
                "Source": address,
                "Issues": f"{address}/issues",
                "Changelog": f"{address}/blob/{ref}/CHANGELOG.md",
                "Documentation": f"{address}/blob/{ref}/docs/index.md",
            }


def absolute(text: str, address: str, ref: str) -> str:
    """Return Markdown whose relative links and images point into the repository, or are plain text without address."""

    def image(match: re.Match[str]) -> str:
        alt, target = match.groups()
        if urlsplit(target).scheme:
            return match[0]
        return f"![{alt}]({urljoin(f'{address}/raw/{ref}/', target)})" if address else ""

    def link(match: re.Match[str]) -> str:
        label, target = match.groups()
        if urlsplit(target).scheme or target.startswith("#"):
            return match[0]
        return f"[{label}]({urljoin(f'{address}/blob/{ref}/', target)})" if address else label

    prose = FENCED.split(text)
    prose[::2] = [LINK.sub(link, IMAGE.sub(image, part)) for part in prose[::2]]
    return "".join(prose)
