"""What tests of ChatKilo have in common: every way to get an answer as one message, two tools, raw answers."""

import asyncio
import json
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import pytest

from langchain_kilo import ChatKilo
from tests.support.server import DONE, HEAD, chunked

Scenario = Callable[..., ChatKilo]
Way = Callable[[Any, Any], Any]
TEXT = "Add 2 and 3 with add(2, 3), and greet 'Zoë' with greet."


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def greet(name: str) -> str:
    """Greet a person by name."""
    return f"Hello {name}"


def summed(chunks: list[Any]) -> Any:
    """Return what the chunks of a stream add up to."""
    return reduce(operator.add, chunks)


async def alist(stream: Any) -> list[Any]:
    return [item async for item in stream]


async def _await(coroutine: Any) -> Any:
    return await coroutine


WAYS: dict[str, Way] = {
    "invoke": lambda llm, asked: llm.invoke(asked),
    "ainvoke": lambda llm, asked: asyncio.run(_await(llm.ainvoke(asked))),
    "stream": lambda llm, asked: summed(list(llm.stream(asked))),
    "astream": lambda llm, asked: summed(asyncio.run(alist(llm.astream(asked)))),
}
every_way = pytest.mark.parametrize("way", WAYS)
streamed = pytest.mark.parametrize("way", ["stream", "astream"])


def json_body(value: Any, status: str = "200 OK") -> bytes:
    """Return an HTTP answer, for `tests.support.server.server`."""
    content = json.dumps(value).encode()
    head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(content)}\r\n\r\n"
    return head.encode() + content


def stream_of(*deltas: dict[str, Any]) -> bytes:
    """Return a stream of these deltas with as little else as the protocol allows."""
    choices = [{"index": 0, "delta": delta} for delta in deltas] + [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    return HEAD + chunked(*(b"data: " + json.dumps({"choices": [c]}).encode() + b"\n\n" for c in choices), DONE)
