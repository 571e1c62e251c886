"""Add the notebooks to the documentation site as pages: a hook of mkdocs, see `hooks` in mkdocs.yml."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

FOLDER = Path(__file__).resolve().parent


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Append a page for each notebook, and its pictures."""
    for path in sorted(FOLDER.glob("*.ipynb")):
        parts = []
        for number, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                parts.append(_with_links_of_the_site(source))
                continue
            parts.append(f"```python\n{source}\n```")
            for output in cell["outputs"]:
                data = output.get("data", {})
                if "image/png" in data:
                    picture = f"notebooks/{path.stem}-{number}.png"
                    content = base64.b64decode("".join(data["image/png"]))
                    files.append(File.generated(config, picture, content=content))
                    alt = "".join(data["text/plain"]).replace("[", "(").replace("]", ")")
                    parts.append(f"![{alt}]({Path(picture).name})")
                elif "text/html" in data:
                    parts.append("".join(data["text/html"]))
                else:
                    text = "".join(output.get("text") or data["text/plain"])
                    parts.append(f"```text\n{text.rstrip()}\n```")
        page = File.generated(config, f"notebooks/{path.stem}.md", content="\n\n".join(parts))
        files.append(page)
    return files


def _with_links_of_the_site(text: str) -> str:
    return re.sub(r"\]\((?:\.\./docs/)([\w-]+\.md)", r"](../\1", re.sub(r"\]\((\w+)\.ipynb\)", r"](\1.md)", text))
