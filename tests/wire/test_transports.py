"""Async calls use aiohttp where it is installed, or the HTTP library that the user chooses."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.transport import event_loops
from langchain_kilo import ChatKilo
from tests.support.leftovers import open_to
from tests.support.server import DONE, FINISH, HEAD, TEXT, USAGE, chunked, server
from tests.support.ways import acollect
from tests.support.ways import both as both_classes

EITHER = pytest.mark.parametrize("transport", ["aiohttp", "httpx"])


@pytest.fixture(autouse=True)
def _installed_is_asked_again() -> Iterator[None]:
    event_loops.chosen_transport.cache_clear()
    yield
    event_loops.chosen_transport.cache_clear()


async def library_of(llm: Any) -> str:
    client = await event_loops.async_client(llm)
    return "aiohttp" if "aiohttp" in type(client._client._transport).__module__ else "httpx"


@both_classes
async def test_aiohttp_is_the_default(cls: Any) -> None:
    assert await library_of(cls()) == "aiohttp"
    assert await library_of(cls(transport="aiohttp")) == "aiohttp"
    assert await library_of(cls(transport="httpx")) == "httpx"


async def test_httpx_is_the_default_where_aiohttp_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "aiohttp" else real(name))
    assert await library_of(ChatKilo()) == "httpx"
    with pytest.raises(ValueError, match=r"transport='aiohttp' needs aiohttp, .*pip install 'openai\[aiohttp\]'"):
        await ChatKilo(transport="aiohttp").ainvoke("hi")


@both_classes
def test_another_transport_is_refused_by_name(cls: Any) -> None:
    with pytest.raises(ValueError, match="'aiohttp' or 'httpx'"):
        cls(transport="requests")


@EITHER
async def test_what_arrived_together_is_one_chunk(transport: Any) -> None:
    answer = HEAD + chunked(TEXT * 40 + FINISH + USAGE, DONE) + b"0\r\n\r\n"
    with server(answer) as (url, _):
        llm = ChatKilo(base_url=url, transport=transport)
        for ask in (llm.stream, llm.astream):
            texts = [chunk.text for chunk in await acollect(ask("hi"))]
            assert "".join(texts) == "whole" * 40
            assert len(texts) <= 4
            each = [chunk.text for chunk in await acollect(ask("hi", merge_ready=False))]
            assert [text for text in each if text] == ["whole"] * 40


@EITHER
def test_connections_are_shared_and_closed_with_their_loop(kilo_sandbox: Sandbox, transport: Any) -> None:
    llm = ChatKilo(base_url=kilo_sandbox.base_url, transport=transport)
    before = open_to(kilo_sandbox.base_url)

    async def run() -> None:
        for _ in range(3):
            await llm.ainvoke("hi")
        assert open_to(kilo_sandbox.base_url) == before + 1

    for _ in range(2):
        asyncio.run(run())
        assert open_to(kilo_sandbox.base_url) == before
    gc.collect()  # an unclosed session would warn here


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@EITHER
def test_a_child_leaves_the_connections_of_its_parent_alone(kilo_sandbox: Sandbox, transport: Any) -> None:
    llm = ChatKilo(base_url=kilo_sandbox.base_url, transport=transport, max_retries=0)

    def fork() -> int:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            gc.collect()  # the child has dropped the loop's connections
            os._exit(0)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

    async def run() -> None:
        await llm.ainvoke("hi")
        assert fork() == 0
        # The parent's loop would not hear of the answer if the child had closed the connection.
        assert (await asyncio.wait_for(llm.ainvoke("hi"), 10)).text

    asyncio.run(run())
