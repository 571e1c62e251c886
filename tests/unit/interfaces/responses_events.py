"""Events of Responses, for the tests of its decoder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kilo_gateway.conversation import ToolCall
from kilo_gateway.interfaces.responses import Responses
from kilo_gateway.reply import Delta, Reply

Event = dict[str, Any]
USAGE: Event = {
    "input_tokens": 10,
    "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 1},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 15,
    "cost": 0,
    "is_byok": False,
}
REASONING: Event = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "I think."}],
    "encrypted_content": "gAAAA",
}
MESSAGE: Event = {
    "type": "message",
    "id": "msg_1",
    "role": "assistant",
    "status": "completed",
    "content": [{"type": "output_text", "text": "Hello", "annotations": []}],
}
CALL: Event = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "add",
    "arguments": '{"a": 1}',
    "status": "completed",
}
ADD = ToolCall("call_1", "add", '{"a": 1}')


def created() -> Event:
    response = {"id": "resp_1", "status": "in_progress", "model": "vendor/model", "created_at": 7, "output": []}
    return {"type": "response.created", "response": response}


def added(item: Event, place: int = 0) -> Event:
    return {"type": "response.output_item.added", "output_index": place, "item": item}


def done(item: Event, place: int = 0) -> Event:
    return {"type": "response.output_item.done", "output_index": place, "item": item}


def text(piece: str, place: int = 0, **more: Any) -> Event:
    return {"type": "response.output_text.delta", "output_index": place, "content_index": 0, "delta": piece, **more}


def thought(piece: str, place: int = 0, part: int = 0) -> Event:
    kind = "response.reasoning_summary_text.delta"
    return {"type": kind, "output_index": place, "summary_index": part, "delta": piece}


def arguments(piece: str, place: int = 0, **more: Any) -> Event:
    return {"type": "response.function_call_arguments.delta", "output_index": place, "delta": piece, **more}


def completed(*output: Event, **more: Any) -> Event:
    response = {"id": "resp_1", "status": "completed", "output": list(output), "usage": USAGE, **more}
    return {"type": "response.completed", "response": response}


def announced(item: Event) -> Event:
    empty = {"content": [], "summary": [], "arguments": "", "encrypted_content": "short"}
    return {name: empty.get(name, value) for name, value in item.items() if name != "status"}


def deltas_of(events: Sequence[Event], *, end: bytes = b"") -> list[Delta]:
    decoder = Responses().decoder()
    deltas: list[Delta] = []
    for event in events:
        deltas += decoder.feed(b": KILO PROCESSING\n\ndata: " + json.dumps(event).encode() + b"\n\n")
    return deltas + list(decoder.feed(end)) + list(decoder.finish())


def reply_of(*events: Event) -> Reply:
    return Reply.of(deltas_of(events))


def kinds(reply: Reply) -> list[str]:
    return [piece["type"] for piece in reply.ending.layout]


USUAL = [
    created(),
    added(announced(REASONING), 0),
    thought("I th", 0),
    thought("ink.", 0),
    done(REASONING, 0),
    added(announced(MESSAGE), 1),
    text("Hel", 1),
    text("lo", 1),
    done(MESSAGE, 1),
    added(announced(CALL), 2),
    arguments('{"a"', 2),
    arguments(": 1}", 2),
    done(CALL, 2),
    completed(REASONING, MESSAGE, CALL),
]
