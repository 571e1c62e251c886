"""Test malicious answers: time and memory stay bounded, and both classes have the same outcome.

tests/matrix/README.md lists the outcomes.
"""

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from kilo_gateway import KiloError, KiloResponseError
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.frames import FRAMES, events, whole
from tests.support.server import DONE, server
from tests.support.ways import WAYS, collect, messages, said

BROKEN = "not a JSON object"
pytestmark = pytest.mark.timeout(60)
DEEP = '{"a":' * 10_000 + "1" + "}" * 10_000
Whole = tuple[str, list[tuple[str, Any]]]
Outcome = Whole | type[KiloError]
Call = tuple[str, str]
"""Name and arguments."""
Answer = Callable[[str], bytes]
"""The bytes of an answer, by interface."""
Event = dict[str, Any]


def chunks(calls: list[Call], text: str) -> list[Event]:
    """Return an answer on Chat Completions, which has all calls in one frame."""
    functions = [
        {"index": i, "id": f"call_{i}", "function": {"name": name, "arguments": arguments}}
        for i, (name, arguments) in enumerate(calls)
    ]
    delta = {"tool_calls": functions} if calls else {"content": text}
    return [
        {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls" if calls else "stop"}]},
    ]


def items(calls: list[Call], text: str) -> list[Event]:
    """Return an answer on Responses."""
    frames: list[Event] = []
    if text:
        frames.append({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": text})
    for i, (name, arguments) in enumerate(calls):
        item = {"type": "function_call", "id": f"fc_{i}", "call_id": f"call_{i}", "name": name, "arguments": ""}
        frames += [
            {"type": "response.output_item.added", "output_index": i, "item": item},
            {"type": "response.function_call_arguments.delta", "output_index": i, "delta": arguments},
            {"type": "response.output_item.done", "output_index": i, "item": {**item, "arguments": arguments}},
        ]
    return [*frames, {"type": "response.completed", "response": {"status": "completed", "output": []}}]


def blocks(calls: list[Call], text: str) -> list[Event]:
    """Return an answer on Messages."""
    parts = [
        (
            {"type": "tool_use", "id": f"call_{i}", "name": name, "input": {}},
            {"type": "input_json_delta", "partial_json": arguments},
        )
        for i, (name, arguments) in enumerate(calls)
    ] or [({"type": "text", "text": ""}, {"type": "text_delta", "text": text})]
    frames: list[Event] = []
    for i, (block, delta) in enumerate(parts):
        frames += [
            {"type": "content_block_start", "index": i, "content_block": block},
            {"type": "content_block_delta", "index": i, "delta": delta},
            {"type": "content_block_stop", "index": i},
        ]
    reason = "tool_use" if calls else "end_turn"
    return [*frames, {"type": "message_delta", "delta": {"stop_reason": reason}}, {"type": "message_stop"}]


EVENTS = {"completions": chunks, "responses": items, "messages": blocks}
INDEX = {
    "completions": b'{"choices": [{"index": 1e400}]}',
    "responses": b'{"type": "response.output_text.delta", "output_index": 1e400, "delta": "a"}',
    "messages": b'{"type": "content_block_delta", "index": 1e400, "delta": {"type": "text_delta", "text": "a"}}',
}
LAST = {
    "completions": b'{"choices": [], "usage": %s}',
    "responses": b'{"type": "response.completed", "response": {"status": "completed", "output": [], "usage": %s}}',
    "messages": b'{"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": %s}',
}


def called(arguments: str, *, name: str = "f", times: int = 1) -> Answer:
    return lambda api: whole(events(*EVENTS[api]([(name, arguments)] * times, "")), DONE)


def sent(frame: bytes | dict[str, bytes]) -> Answer:
    """Return an answer that is only this frame."""
    return lambda api: whole(b"data: " + (frame if isinstance(frame, bytes) else frame[api]) + b"\n\n", DONE)


def counted(usage: bytes) -> Answer:
    """Return an answer with text and this usage."""
    return lambda api: whole(FRAMES[api].text, FRAMES[api].finish, b"data: " + LAST[api] % usage + b"\n\n", DONE)


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


def check(way: str, account: dict[str, Any], expected: Outcome) -> None:
    if isinstance(expected, tuple):
        assert outcome(way, account) == expected
    else:
        with pytest.raises(expected):
            outcome(way, account)


# Sync and async calls share the decoder, so the sync ways are enough.
SYNC = [way for way in WAYS if not way.split()[1].startswith("a")]
ATTACKS: dict[str, tuple[Answer, Outcome]] = {
    "arguments nested 10,000 deep": (called(DEEP), ("", [("f", BROKEN)])),
    "a frame nested 100,000 deep": (sent(b'{"choices": ' + b"[" * 100_000), KiloResponseError),
    "duplicate keys": (called('{"a": 1, "a": 2}'), ("", [("f", {"a": 2})])),
    "NaN in arguments": (called('{"a": NaN}'), ("", [("f", BROKEN)])),
    "Infinity in arguments": (called('{"a": -Infinity}'), ("", [("f", BROKEN)])),
    "a number too large for a float in arguments": (called('{"a": 1e999}'), ("", [("f", BROKEN)])),
    "an integer of 4,000 digits in arguments": (
        called('{"a": ' + "9" * 4_000 + "}"),
        ("", [("f", {"a": int("9" * 4_000)})]),
    ),
    "arguments of opening braces only": (called("{" * 1_000), ("", [("f", BROKEN)])),
    "an index too large for a float": (sent(INDEX), KiloError),
    "NaN in the usage": (
        counted(b'{"prompt_tokens": NaN, "input_tokens": NaN, "output_tokens": Infinity, "cost": NaN}'),
        ("whole", []),
    ),
    "an integer of 10,000 digits in arguments": (called('{"a": ' + "9" * 10_000 + "}"), ("", [("f", BROKEN)])),
    "an integer of 10,000 digits in a frame": (sent(b'{"created": ' + b"9" * 10_000 + b"}"), KiloResponseError),
    "an integer of 4,000 digits as usage": (
        counted(b'{"prompt_tokens": %s, "input_tokens": %s}' % (b"9" * 4_000, b"9" * 4_000)),
        ("whole", []),
    ),
    "an unknown tool": (called("{}", name="rm -rf /"), ("", [("rm -rf /", {})])),
}


@pytest.mark.parametrize("way", SYNC)
@pytest.mark.parametrize("api", FRAMES)
@pytest.mark.parametrize("attack", ATTACKS)
def test_one_outcome_for_each(attack: str, api: str, way: str) -> None:
    answer, expected = ATTACKS[attack]
    with server(answer(api)) as (url, _):
        check(way, {"base_url": url, "max_retries": 0, "api": api}, expected)


# On Messages, arguments are an object: some upstreams announce all of it with the call (anomalyco/opencode#38733).
OBJECTS: dict[str, tuple[str, Outcome]] = {
    "nested 10,000 deep": (DEEP, KiloResponseError),
    "NaN": ('{"a": NaN}', ("", [("f", BROKEN)])),
    "a number too large for a float": ('{"a": 1e999}', ("", [("f", BROKEN)])),
    "an integer of 10,000 digits": ('{"a": ' + "9" * 10_000 + "}", KiloResponseError),
    "duplicate keys": ('{"a": 1, "a": 2}', ("", [("f", {"a": 2})])),
}


@pytest.mark.parametrize("way", SYNC)
@pytest.mark.parametrize("attack", OBJECTS)
def test_arguments_that_are_an_object(attack: str, way: str) -> None:
    arguments, expected = OBJECTS[attack]
    frames = events(*blocks([("f", "")], "")).replace(b'"input": {}', b'"input": ' + arguments.encode())
    with server(whole(frames)) as (url, _):
        check(way, {"base_url": url, "max_retries": 0, "api": "messages"}, expected)


@pytest.mark.parametrize("way", SYNC)
@pytest.mark.parametrize(("api", "times"), [("completions", 1_000), ("responses", 100), ("messages", 100)])
def test_many_calls_at_once(api: str, times: int, way: str) -> None:
    """Only Chat Completions can send them in one frame; with each frame, the frameworks copy all calls so far."""
    with server(called('{"a": 1}', times=times)(api)) as (url, _):
        check(way, {"base_url": url, "max_retries": 0, "api": api}, ("", [("f", {"a": 1})] * times))


@pytest.mark.parametrize(
    ("api", "way"),
    [
        *(("completions", way) for way in SYNC),
        ("responses", "langchain stream"),
        ("messages", "llama_index stream_chat"),
    ],
)
def test_fifty_megabytes_of_text(api: str, way: str) -> None:
    size = 50_000_000
    with server(whole(*(events(event) for event in EVENTS[api]([], "x" * size)), DONE)) as (url, _):  # in one frame
        tracemalloc.start()
        try:
            text, calls = outcome(way, {"base_url": url, "max_retries": 0, "api": api})
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert (len(text), calls) == (size, [])
    assert peak < 12 * size
