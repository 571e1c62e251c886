"""Events of the Messages interface, and the answer that they add up to; shared by the tests of its decoder."""

from __future__ import annotations

import json
from typing import Any

from kilo_gateway import Reply
from kilo_gateway.interfaces.messages import Messages
from kilo_gateway.interfaces.reasoning import ANTHROPIC
from kilo_gateway.reply import Delta

Event = dict[str, Any]

STARTED: Event = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "anthropic/claude-sonnet-4.6",
        "provider": "Anthropic",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 10, "cache_read_input_tokens": 0, "output_tokens": 1},
    },
}
STOPPED: Event = {"type": "message_stop"}
SIGNED = {"type": "reasoning.text", "text": "because", "signature": "sig", "format": ANTHROPIC}
HIDDEN = {"type": "reasoning.encrypted", "data": "xx", "format": ANTHROPIC}
SEARCH = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "kilo"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": [{"url": "https://example.com"}]}
CITATION = {
    "type": "web_search_result_location",
    "url": "https://example.com",
    "title": "Example",
    "cited_text": "One",
    "encrypted_index": "e",
}
INPUT = {"input_tokens": 10, "cache_read_input_tokens": 3, "cache_creation_input_tokens": 2}


def starts(index: int | None, **block: Any) -> Event:
    return {"type": "content_block_start", "index": index, "content_block": block}


def grows(index: int | None, kind: str, **change: Any) -> Event:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **change}}


def stops(index: int | None) -> Event:
    return {"type": "content_block_stop", "index": index}


def ends(reason: str | None = "end_turn", usage: Any = None, **more: Any) -> Event:
    counts = {"output_tokens": 5} if usage is None else usage
    return {"type": "message_delta", "delta": {"stop_reason": reason, **more}, "usage": counts}


def text(index: int, *pieces: str) -> list[Event]:
    return [starts(index, type="text", text=""), *(grows(index, "text_delta", text=p) for p in pieces), stops(index)]


def thought(index: int, *pieces: str, signature: str = "") -> list[Event]:
    signed = [grows(index, "signature_delta", signature=signature)] if signature else []
    pieced = [grows(index, "thinking_delta", thinking=piece) for piece in pieces]
    return [starts(index, type="thinking", thinking="", signature=""), *pieced, *signed, stops(index)]


def call(index: int, call_id: str | None, name: str | None, *pieces: str) -> list[Event]:
    pieced = [grows(index, "input_json_delta", partial_json=piece) for piece in pieces]
    return [starts(index, type="tool_use", id=call_id, name=name, input={}), *pieced, stops(index)]


def wire(*events: Event, named: bool = True) -> bytes:
    """Return the bytes of a stream; without names as proxies send it that drop the `event:` lines."""
    names = [f"event: {event.get('type', 'data')}\n" if named else "" for event in events]
    return "".join(f"{name}data: {json.dumps(event)}\n\n" for name, event in zip(names, events, strict=True)).encode()


def deltas_of(stream: bytes, size: int | None = None) -> list[Delta]:
    """Return the deltas of a stream that arrives in pieces of `size` bytes."""
    decoder = Messages().decoder()
    size = size or len(stream) or 1
    pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
    return [*(delta for piece in pieces for delta in decoder.feed(piece)), *decoder.finish()]


def decoded(*events: Event) -> Reply:
    """Return the answer of events."""
    return Reply.of(deltas_of(wire(*events)))


def whole(*content: list[Event] | Event) -> list[Event]:
    """Return the events of a whole answer with this content."""
    events = [event for part in content for event in (part if isinstance(part, list) else [part])]
    reason = "tool_use" if any(e.get("content_block", {}).get("type") == "tool_use" for e in events) else "end_turn"
    return [STARTED, *events, ends(reason), STOPPED]


def as_body(*content: Event, **more: Any) -> bytes:
    """Return the body of an answer that is not streamed."""
    body = {**STARTED["message"], "content": list(content), "stop_reason": "end_turn", **more}
    return json.dumps(body).encode()


def calls_of(reply: Reply) -> list[tuple[str, str, str]]:
    assert reply.tool_calls == reply.ending.tool_calls
    return [(call.id, call.name, call.arguments) for call in reply.tool_calls]
