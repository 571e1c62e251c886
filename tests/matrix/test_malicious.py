"""Test malicious answers: time and memory stay bounded, and both classes have the same outcome.

tests/matrix/README.md lists the outcomes.
"""

import json
import tracemalloc
from typing import Any

import pytest

from kilo_gateway import KiloError, KiloResponseError
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.server import DONE, HEAD, chunked, server
from tests.support.ways import WAYS, collect, messages, said

BROKEN = "not a JSON object"
pytestmark = pytest.mark.timeout(60)
DEEP = '{"a":' * 10_000 + "1" + "}" * 10_000
Whole = tuple[str, list[tuple[str, Any]]]
Outcome = Whole | type[KiloError]


def answer(arguments: str | None = None, *, text: str = "", name: str = "f", times: int = 1) -> bytes:
    calls = [{"index": i, "id": f"call_{i}", "function": {"name": name, "arguments": arguments}} for i in range(times)]
    delta = {"content": text} if arguments is None else {"tool_calls": calls}
    frames: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}]
    frames.append(
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop" if arguments is None else "tool_calls"}]}
    )
    return wire(*(json.dumps(frame).encode() for frame in frames))


def wire(*frames: bytes) -> bytes:
    return HEAD + chunked(*(b"data: " + frame + b"\n\n" for frame in frames), DONE) + b"0\r\n\r\n"


def outcome(way: str, account: dict[str, Any]) -> Whole:
    framework, method = way.split()
    if framework == "langchain":
        message = said(method, ChatKilo(**account), "hi")
        calls = [(call["name"], call["args"]) for call in message.tool_calls]
        return message.text, calls + [(call["name"], BROKEN) for call in message.invalid_tool_calls]
    llm = KiloLLM(**account)
    response = collect(getattr(llm, method)(messages()))[-1]
    selections = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    calls = [(c.tool_name, BROKEN if "invalid_arguments" in c.tool_kwargs else c.tool_kwargs) for c in selections]
    return response.message.content or "", calls


# Sync and async calls share the decoder, so the sync ways are enough.
SYNC = [way for way in WAYS if not way.split()[1].startswith("a")]
FINISH = b'{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}'
ATTACKS: dict[str, tuple[bytes, Outcome]] = {
    "arguments nested 10,000 deep": (answer(DEEP), ("", [("f", BROKEN)])),
    "a frame nested 100,000 deep": (wire(b'{"choices": ' + b"[" * 100_000), KiloResponseError),
    "duplicate keys": (answer('{"a": 1, "a": 2}'), ("", [("f", {"a": 2})])),
    "NaN in arguments": (answer('{"a": NaN}'), ("", [("f", BROKEN)])),
    "Infinity in arguments": (answer('{"a": -Infinity}'), ("", [("f", BROKEN)])),
    "a number too large for a float in arguments": (answer('{"a": 1e999}'), ("", [("f", BROKEN)])),
    "an integer of 4,000 digits in arguments": (
        answer('{"a": ' + "9" * 4_000 + "}"),
        ("", [("f", {"a": int("9" * 4_000)})]),
    ),
    "arguments of opening braces only": (answer("{" * 1_000), ("", [("f", BROKEN)])),
    "an index too large for a float": (wire(b'{"choices": [{"index": 1e400}]}'), KiloError),
    "NaN in the usage": (
        wire(FINISH, b'{"choices": [], "usage": {"prompt_tokens": NaN, "completion_tokens": Infinity, "cost": NaN}}'),
        ("", []),
    ),
    "an integer of 10,000 digits in arguments": (answer('{"a": ' + "9" * 10_000 + "}"), ("", [("f", BROKEN)])),
    "an integer of 10,000 digits in a frame": (wire(b'{"created": ' + b"9" * 10_000 + b"}"), KiloResponseError),
    "an integer of 4,000 digits as usage": (
        wire(FINISH, b'{"choices": [], "usage": {"prompt_tokens": ' + b"9" * 4_000 + b"}}"),
        ("", []),
    ),
    "an unknown tool": (answer("{}", name="rm -rf /"), ("", [("rm -rf /", {})])),
    "a thousand calls at once": (answer('{"a": 1}', times=1_000), ("", [("f", {"a": 1})] * 1_000)),
}


@pytest.mark.parametrize("way", SYNC)
@pytest.mark.parametrize("attack", ATTACKS)
def test_one_outcome_for_each(way: str, attack: str) -> None:
    body, expected = ATTACKS[attack]
    with server(body) as (url, _):
        account = {"base_url": url, "max_retries": 0}
        if isinstance(expected, tuple):
            assert outcome(way, account) == expected
        else:
            with pytest.raises(expected):
                outcome(way, account)


@pytest.mark.parametrize("way", SYNC)
def test_fifty_megabytes_of_text(way: str) -> None:
    size = 50_000_000
    with server(answer(text="x" * size)) as (url, _):  # one frame
        tracemalloc.start()
        try:
            text, calls = outcome(way, {"base_url": url, "max_retries": 0})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (len(text), calls) == (size, [])
    assert peak < 12 * size
