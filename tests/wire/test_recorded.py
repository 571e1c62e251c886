"""A cassette that one transport recorded is replayed on the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import vcr

from kilo_gateway.sandbox import Sandbox
from tests.support.ways import ASYNC, WAYS


@pytest.mark.parametrize(("recorded", "replayed"), [("aiohttp", "httpx"), ("httpx", "aiohttp"), ("aiohttp", "aiohttp")])
@pytest.mark.parametrize("way", ASYNC)
async def test_a_cassette_suits_both_transports(
    kilo_sandbox: Sandbox, tmp_path: Path, way: str, recorded: Any, replayed: Any
) -> None:
    cls, ask = WAYS[way]
    llm = cls(base_url=kilo_sandbox.base_url, transport=recorded)
    with vcr.use_cassette(str(tmp_path / "cassette.yaml"), record_mode="once"):
        said = await ask(llm)
    asked = len(kilo_sandbox.requests)
    llm.transport = replayed
    with vcr.use_cassette(str(tmp_path / "cassette.yaml"), record_mode="none") as cassette:
        assert await ask(llm) == said
    assert cassette.play_count == 1
    assert len(kilo_sandbox.requests) == asked == 1
