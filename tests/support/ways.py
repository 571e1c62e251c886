"""The eight ways to ask: two classes, sync and async, streamed and not; and what may be left open afterwards."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM

Ask = Callable[..., Awaitable[str]]
TEXT = "hi"
ESTABLISHED, CLOSE_WAIT = "01", "08"


def messages(text: str = TEXT) -> list[ChatMessage]:
    return [ChatMessage(role="user", content=text)]


async def _invoke(llm: ChatKilo, **call: Any) -> str:
    return llm.invoke(TEXT, **call).text


async def _ainvoke(llm: ChatKilo, **call: Any) -> str:
    return (await llm.ainvoke(TEXT, **call)).text


async def _stream(llm: ChatKilo, **call: Any) -> str:
    return "".join(chunk.text for chunk in llm.stream(TEXT, **call))


async def _astream(llm: ChatKilo, **call: Any) -> str:
    return "".join([chunk.text async for chunk in llm.astream(TEXT, **call)])


async def _chat(llm: KiloLLM, **call: Any) -> str:
    return llm.chat(messages(), **call).message.content or ""


async def _achat(llm: KiloLLM, **call: Any) -> str:
    return (await llm.achat(messages(), **call)).message.content or ""


async def _stream_chat(llm: KiloLLM, **call: Any) -> str:
    return "".join(response.delta or "" for response in llm.stream_chat(messages(), **call))


async def _astream_chat(llm: KiloLLM, **call: Any) -> str:
    return "".join([response.delta or "" async for response in await llm.astream_chat(messages(), **call)])


WAYS: dict[str, tuple[type[ChatKilo | KiloLLM], Ask]] = {
    "langchain invoke": (ChatKilo, _invoke),
    "langchain ainvoke": (ChatKilo, _ainvoke),
    "langchain stream": (ChatKilo, _stream),
    "langchain astream": (ChatKilo, _astream),
    "llama_index chat": (KiloLLM, _chat),
    "llama_index achat": (KiloLLM, _achat),
    "llama_index stream_chat": (KiloLLM, _stream_chat),
    "llama_index astream_chat": (KiloLLM, _astream_chat),
}
STREAMED = [name for name in WAYS if "stream" in name]
every_way = pytest.mark.parametrize("way", WAYS)
every_stream = pytest.mark.parametrize("way", STREAMED)
both = pytest.mark.parametrize("cls", [ChatKilo, KiloLLM])


def open_to(url: str) -> int:
    """Return how many sockets of this machine are open towards the port of `url`, whatever the other end does."""
    port = int(url.partition("//")[2].partition("/")[0].rpartition(":")[2])
    found = 0
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        _, _, remote, state, *rest = line.split()
        # A socket that its process has closed has no inode any more.
        found += int(remote.rpartition(":")[2], 16) == port and state in (ESTABLISHED, CLOSE_WAIT) and rest[5] != "0"
    return found


def threads() -> set[str]:
    """Return the threads that are neither the sandbox's nor the executor's of a running loop."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith(("asyncio_", "kilo-sandbox"))}


def other_tasks() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}
