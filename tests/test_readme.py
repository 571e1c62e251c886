"""The README's Python runs as it stands, against the sandbox."""

import re
from pathlib import Path

import pytest

from kilo_gateway.sandbox import Sandbox

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_there_are_blocks() -> None:
    assert len(BLOCKS) >= 7


@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211")
@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.splitlines()[0])
def test_block(
    kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], block: str
) -> None:
    monkeypatch.setenv("KILO_BASE_URL", kilo_sandbox.base_url)
    if ('ChatKilo(tier="frontier"' in block or "KiloEmbedding" in block) and "Sandbox" not in block:
        monkeypatch.setenv("KILO_API_KEY", kilo_sandbox.api_key)
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102 -- it is our own README
    printed = capsys.readouterr().out
    if "print(" in block:
        assert printed.strip()
        assert "error" not in printed.lower()
    if "add(2, 3)" in block:
        assert "5" in printed
