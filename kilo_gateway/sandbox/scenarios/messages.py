"""Register odd answers and errors of Messages. See docs/gateway.md, "Messages"."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.scenarios.answers import call_tools, halved, think
from kilo_gateway.sandbox.scenarios.base import Json, Registry, beginning

REGISTRY = Registry("messages")
_add = REGISTRY.add

Change = Callable[[list[Json]], list[Json]]

_START, _DELTA, _STOP = "content_block_start", "content_block_delta", "content_block_stop"


def _stream(name: str, description: str, change: Change, **fields: Any) -> None:
    """Register a scenario that changes the events only; the body is the usual one, if `fields` has no other."""
    _add(name, description, frames=lambda call, frames: change(frames), **fields)


def _is_delta(frame: Json, kind: str) -> bool:
    return frame["type"] == _DELTA and bool(frame["delta"]["type"] == kind)


# Token counts.
def _usage_at_end(frames: list[Json]) -> list[Json]:
    usage = frames[0]["message"]["usage"]
    frames[-2]["usage"] = {**usage, **frames[-2]["usage"]}
    frames[0]["message"]["usage"] = {"input_tokens": 0, "output_tokens": 0}
    return frames


def _usage_zero_at_end(frames: list[Json]) -> list[Json]:
    frames[-2]["usage"].update(input_tokens=0, cache_read_input_tokens=None, cache_creation_input_tokens=None)
    return frames


_stream("usage-at-end", "token counts of 0 at the beginning, the true ones at the end", _usage_at_end)
_stream("usage-zero-at-end", "input tokens at the beginning, 0 and null at the end", _usage_zero_at_end)


# Thinking.
def _unsigned_body(call: Call, payload: Json) -> Json:
    for block in payload["content"]:
        if block["type"] == "thinking":
            block["signature"] = ""
    return payload


def _signature_apart_body(call: Call, payload: Json) -> Json:
    thinking, *rest = payload["content"]
    lone = {"type": "thinking", "thinking": "", "signature": thinking["signature"]}
    payload["content"] = [{**thinking, "signature": ""}, lone, *rest]
    return payload


def _signature_apart(frames: list[Json]) -> list[Json]:
    at = next(position for position, frame in enumerate(frames) if _is_delta(frame, "signature_delta"))
    block = {"type": "thinking", "thinking": "", "signature": ""}
    lone = [
        {"type": _START, "index": 1, "content_block": block},
        {**frames[at], "index": 1},
        {"type": _STOP, "index": 1},
    ]
    rest = [{**frame, "index": frame["index"] + 1} if "index" in frame else frame for frame in frames[at + 2 :]]
    return [*frames[:at], frames[at + 1], *lone, *rest]


def _signature_late(frames: list[Json]) -> list[Json]:
    [signature] = [frame for frame in frames if _is_delta(frame, "signature_delta")]
    rest = [frame for frame in frames if frame is not signature]
    return [*rest[:-2], signature, *rest[-2:]]


def _signature_at_start(frames: list[Json]) -> list[Json]:
    [signature] = [frame for frame in frames if _is_delta(frame, "signature_delta")]
    for frame in frames:
        if frame["type"] == _START and frame["content_block"]["type"] == "thinking":
            frame["content_block"]["signature"] = signature["delta"]["signature"]
    return [frame for frame in frames if frame is not signature]


def _omitted(call: Call, reply: Reply) -> None:
    think(call, reply)
    reply.hidden_reasoning = True


_REDACTED = {"type": "redacted_thinking", "data": "cmVkYWN0ZWQtc2FuZGJveA=="}


def _redacted_body(call: Call, payload: Json) -> Json:
    payload["content"][0] = dict(_REDACTED)
    return payload


def _redacted(frames: list[Json]) -> list[Json]:
    block = {"type": _START, "index": 0, "content_block": dict(_REDACTED)}
    rest = [frame for frame in frames if frame.get("index") != 0 or frame["type"] == _STOP]
    return [*rest[:2], block, *rest[2:]]


_stream(
    "thinking-unsigned",
    "thinking without a signature, as models of other vendors have it",
    lambda frames: [frame for frame in frames if not _is_delta(frame, "signature_delta")],
    reply=think,
    body=_unsigned_body,
)
_stream(
    "signature-apart",
    "the signature in a block of its own, after the thinking",
    _signature_apart,
    reply=think,
    body=_signature_apart_body,
)
_stream("signature-late", "the signature after the text", _signature_late, reply=think)
_stream("signature-at-start", "the whole signature when the block starts", _signature_at_start, reply=think)
_add("thinking-omitted", "thinking of which only the signature is sent", reply=_omitted)
_stream("thinking-redacted", "thinking that is encrypted as a whole", _redacted, reply=think, body=_redacted_body)


# Endings.
_add(
    "context-window-exceeded",
    "half an answer, stop_reason model_context_window_exceeded",
    reply=halved("model_context_window_exceeded"),
)
_add("pause-turn", "half an answer, stop_reason pause_turn", reply=halved("pause_turn"))

_EXPLAINED = {"type": "refusal", "category": "sandbox", "explanation": "I can't help with that request."}


def _refuse(call: Call, reply: Reply) -> None:
    reply.text, reply.calls, reply.finish = "", [], "refusal"


def _explain(call: Call, payload: Json) -> Json:
    return {**payload, "stop_details": dict(_EXPLAINED)}


def _explain_at_end(frames: list[Json]) -> list[Json]:
    frames[-2]["delta"]["stop_details"] = dict(_EXPLAINED)
    return frames


_stream("refusal-explained", "a refusal that is explained beside it", _explain_at_end, reply=_refuse, body=_explain)
_add(
    "cut-at-limit",
    "the output limit ends the answer, and no closing event comes",
    kind="error",
    stream_only=True,
    reply=halved("length"),
    frames=lambda call, frames: [frame for frame in frames[:-2] if frame["type"] != _STOP],
    body=lambda call, payload: {**payload, "content": None},
)


# Tool calls.
def _input_at_start(frames: list[Json]) -> list[Json]:
    inputs: dict[int, str] = {}
    for frame in frames:
        if _is_delta(frame, "input_json_delta"):
            inputs[frame["index"]] = inputs.get(frame["index"], "") + frame["delta"]["partial_json"]
    for frame in frames:
        if frame["type"] == _START and frame["index"] in inputs:
            frame["content_block"]["input"] = json.loads(inputs[frame["index"]])
    return [frame for frame in frames if not _is_delta(frame, "input_json_delta")]


def _same_ids(call: Call, reply: Reply) -> None:
    call_tools(call, reply, several=True)
    for invocation in reply.calls:
        invocation.id = reply.calls[0].id


_stream(
    "tool-input-at-start",
    "the whole input of a tool call when its block starts",
    _input_at_start,
    reply=lambda call, reply: call_tools(call, reply),
)
_add("tool-ids-repeated", "several tool calls with the same id", reply=_same_ids)


# Errors.
def _error(name: str, description: str, kind: str, message: str) -> None:
    """Register a stream that an error of upstream ends; it has lost its status."""
    error = {"type": "error", "error": {"type": kind, "message": message}}
    _add(
        name,
        description,
        kind="error",
        stream_only=True,
        message=message,
        frames=lambda call, frames: [*beginning(call, frames, 3), dict(error)],
        body=lambda call, payload: dict(error),
    )


_error("stream-error-overloaded", "upstream's frame for an overloaded provider", "overloaded_error", "Overloaded")
_error("stream-error-invalid", "upstream's frame for a bad request", "invalid_request_error", "A block is not valid")
