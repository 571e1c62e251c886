"""`langgraph dev`, and others that use blockbuster, refuse to read the disk in an event loop."""

import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kilo_gateway.models import known, store
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.in_process import InProcess


@pytest.fixture
def gateway() -> InProcess:
    return InProcess()


@pytest.fixture
def readers(gateway: InProcess, monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """Return the threads that look for the gateway's kept list of models, which is too old after each look."""
    threads: list[threading.Thread] = []

    def newest(base_url: str) -> None:
        if base_url == gateway.base_url:  # streams of earlier tests that are collected now look for other lists
            threads.append(threading.current_thread())

    monkeypatch.setattr(known, "RECHECK_SECONDS", 0)
    monkeypatch.setattr(store, "newest", newest)
    return threads


async def read(answer: AsyncIterator[Any]) -> None:
    async for _ in answer:
        pass


@pytest.mark.parametrize("api", ["completions", "auto"])
async def test_a_graph_runs_in_langgraph_dev(gateway: InProcess, readers: list[threading.Thread], api: Any) -> None:
    fields: Any = {"base_url": gateway.base_url, "http_async_client": gateway.async_client, "api": api}
    chat, llm = ChatKilo(**fields), KiloLLM(**fields)
    for call in (
        lambda: chat.ainvoke("Hi"),
        lambda: read(chat.astream("Hi")),
        lambda: llm.acomplete("Hi"),
    ):
        before = len(readers)
        await call()
        assert len(readers) > before
    await read(await llm.astream_complete("Hi"))
    assert threading.current_thread() not in readers
