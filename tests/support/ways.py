"""Define the eight ways to call a model: two classes, sync and async, streamed and not; and three interfaces."""

import asyncio
import operator
from collections.abc import AsyncIterable, Awaitable, Callable, Iterator
from functools import reduce
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse

from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM

Ask = Callable[..., Awaitable[str]]
TEXT = "hi"
TOOLS_TEXT = "Add 2 and 3 with add(2, 3), and greet 'Zoë' with greet."

LANGCHAIN = ("invoke", "ainvoke", "stream", "astream")
LLAMA_INDEX = ("chat", "achat", "stream_chat", "astream_chat")
COMPLETIONS = ("complete", "acomplete", "stream_complete", "astream_complete")
ENDPOINTS = (*LLAMA_INDEX, *COMPLETIONS)


def messages(text: str = TEXT) -> list[ChatMessage]:
    """Return a question as LlamaIndex's messages."""
    return [ChatMessage(role="user", content=text)]


async def acollect(answer: Any) -> list[Any]:
    """Return all results of a call: await it, iterate over it, or take it as it is."""
    if isinstance(answer, Awaitable):
        answer = await answer
    if isinstance(answer, AsyncIterable):
        return [item async for item in answer]
    return list(answer) if isinstance(answer, Iterator) else [answer]


def collect(answer: Any) -> list[Any]:
    """Do the same from sync code, in a new event loop if the call is async."""
    if isinstance(answer, Awaitable | AsyncIterable):
        return asyncio.run(acollect(answer))
    return list(answer) if isinstance(answer, Iterator) else [answer]


def summed(chunks: list[Any]) -> Any:
    """Return the sum of the chunks of a LangChain stream."""
    return reduce(operator.add, chunks)


def said(method: str, llm: Any, asked: Any, **call: Any) -> Any:
    """Return the answer as one LangChain message, streamed or not."""
    return summed(collect(getattr(llm, method)(asked, **call)))


def text_of(answers: list[Any]) -> str:
    """Return the text of a call's messages, chunks or responses."""
    return "".join(_text(answer) for answer in answers)


def _text(answer: Any) -> str:
    if not isinstance(answer, ChatResponse):
        return str(answer.text)
    return (answer.message.content if answer.delta is None else answer.delta) or ""


def _langchain(method: str) -> Ask:
    async def ask(llm: ChatKilo, **call: Any) -> str:
        return text_of(await acollect(getattr(llm, method)(TEXT, **call)))

    return ask


def _llama_index(method: str) -> Ask:
    async def ask(llm: KiloLLM, **call: Any) -> str:
        return text_of(await acollect(getattr(llm, method)(messages(), **call)))

    return ask


WAYS: dict[str, tuple[type[ChatKilo | KiloLLM], Ask]] = {
    **{f"langchain {method}": (ChatKilo, _langchain(method)) for method in LANGCHAIN},
    **{f"llama_index {method}": (KiloLLM, _llama_index(method)) for method in LLAMA_INDEX},
}
"""The class of each way, and a function that asks a question and returns the answer's text."""
ASYNC = [name for name in WAYS if name.split()[1].startswith("a")]
STREAMED = [name for name in WAYS if "stream" in name]
every_way = pytest.mark.parametrize("way", WAYS)
every_stream = pytest.mark.parametrize("way", STREAMED)
both = pytest.mark.parametrize("cls", [ChatKilo, KiloLLM])

_SHARED = {
    "completions": tuple(WAYS),
    "responses": ("langchain invoke", "langchain astream", "llama_index stream_chat", "llama_index achat"),
    "messages": ("langchain stream", "langchain ainvoke", "llama_index chat", "llama_index astream_chat"),
}
SHARED = [(api, way) for api, ways in _SHARED.items() for way in ways]
"""Interfaces and ways for a question whose code all interfaces share, or whose answer takes long.

Responses and Messages have both classes, sync and async; together, they have all eight ways.
"""
SHARED_STREAMS = [(api, way) for api, way in SHARED if way in STREAMED]
IN_THE_ANSWER = [(api, way) for api in _SHARED for way in WAYS]
"""Interfaces and ways for a question about the code of each interface."""
IN_A_STREAM = [(api, way) for api, way in IN_THE_ANSWER if way in STREAMED]

# The ways of one framework, by the names of its methods.
every_langchain_way = pytest.mark.parametrize("way", LANGCHAIN)
every_langchain_stream = pytest.mark.parametrize("way", ["stream", "astream"])
every_llama_index_way = pytest.mark.parametrize("way", LLAMA_INDEX)
