"""How many calls our code makes for one chunk of a stream: a guard of its cost that no busy machine can upset.

Times are measured by `make bench`. Counted are the calls of our functions and the calls of C functions in them.
"""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.server import stream
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.ways import messages

ROOT = Path(__file__).resolve().parents[2]
OURS = tuple(str(ROOT / package) for package in ("kilo_gateway", "langchain_kilo", "llama_index_kilo"))
FEW, MANY = 100, 300
SLACK = 1.2

WAYS: dict[str, Callable[[dict[str, Any]], Iterator[Any]]] = {
    "ChatKilo": lambda account: ChatKilo(**account).stream("hi"),
    "KiloLLM": lambda account: iter(KiloLLM(**account).stream_chat(messages())),
}

# The counts of today; a change that lowers one lowers it here.
CALLS = {
    ("ChatKilo", "text"): 43,
    ("ChatKilo", "reasoning"): 70,
    ("ChatKilo", "tools"): 69,
    ("KiloLLM", "text"): 53,
    ("KiloLLM", "reasoning"): 82,
    ("KiloLLM", "tools"): 83,
}


def counted(way: str, kind: str, chunks: int) -> int:
    """Return the calls of one whole stream; the transport hands over one event at a time."""
    events = [event + b"\n\n" for event in stream(kind, chunks).split(b"\n\n") if event]

    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, content=iter(events))

    count = 0

    def profile(frame: Any, event: str, argument: Any) -> None:
        nonlocal count
        if event in ("call", "c_call") and frame.f_code.co_filename.startswith(OURS):
            count += 1

    with httpx.Client(transport=httpx.MockTransport(answer)) as http:
        chunked = WAYS[way]({"model": "openai/gpt-5.4", "base_url": "http://127.0.0.1:9", "http_client": http})
        sys.setprofile(profile)
        try:
            for _ in chunked:
                pass
        finally:
            sys.setprofile(None)
    return count


@pytest.mark.parametrize(("way", "kind"), CALLS)
def test_a_chunk_costs_no_more_calls_than_it_did(way: str, kind: str) -> None:
    counted(way, kind, 5)
    per_chunk = (counted(way, kind, MANY) - counted(way, kind, FEW)) / (MANY - FEW)
    expected = CALLS[way, kind]
    assert per_chunk < expected * SLACK, f"{per_chunk:.1f} calls a chunk"
