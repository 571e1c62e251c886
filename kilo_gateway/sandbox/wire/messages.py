"""Render replies as Messages: bodies and stream events. See docs/gateway.md, "Interfaces"."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.error_bodies import ANTHROPIC_TYPES
from kilo_gateway.sandbox.gateway.signatures import sign
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.model.words import pieces
from kilo_gateway.sandbox.wire import chat_completions
from kilo_gateway.sandbox.wire.framing import Item
from kilo_gateway.sandbox.wire.interface import Fault

Json = dict[str, Any]

ANSWER: Final = "content"
DONE: Final = False
LAST: Final = ("message_stop", "error")

_REASONS = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "content_filter": "refusal"}


def body(call: Call, replies: list[Reply]) -> Json:
    """Return the body of an answer that is not streamed."""
    reply = replies[0]
    message = {
        **_message(call, reply),
        "content": [block for block, _ in _blocks(reply)],
        "stop_reason": _reason(reply),
    }
    message["usage"] = {**message["usage"], **_output(call, reply)}
    if call.upstream == "vercel":
        message["provider_metadata"] = {"gateway": chat_completions.gateway_metadata(call, [reply])}
    return message


def frames(call: Call, replies: list[Reply]) -> list[Json]:
    """Return the events of a stream, in the order of the reference."""
    return list(_events(call, replies[0]))


def sent(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the events of a stream, and nothing after the event that ends it."""
    for item in items:
        yield item
        if isinstance(item, dict) and item.get("type") in LAST:
            return


def text_of(frame: Json) -> str:
    """Return the text of the answer that an event adds."""
    delta = frame.get("delta", {})
    return delta["text"] if delta.get("type") == "text_delta" else ""


def with_text(frame: Json, text: str) -> Json:
    """Return the event that adds a text in the place of `frame`."""
    return {**frame, "delta": {**frame["delta"], "text": text}}


def fault_frame(call: Call, fault: Fault) -> Json:
    """Return the event that reports an error; upstream and the gateway give it the same form."""
    return fault_body(call, fault)


def fault_body(call: Call, fault: Fault) -> Json:
    """Return the body that reports an error with status 200."""
    error = {"message": fault.message, "error_type": fault.error_type}
    if fault.by_gateway:
        return {"type": "error", "error": {"type": "api_error", **error}}
    kind = ANTHROPIC_TYPES.get(fault.status, "api_error")
    return {"type": "error", "error": {"type": kind, **error}, "request_id": f"req_{call.digest[:24]}"}


def _events(call: Call, reply: Reply) -> Iterator[Json]:
    yield {"type": "message_start", "message": _message(call, reply)}
    yield {"type": "ping"}
    for index, (block, text) in enumerate(_blocks(reply)):
        start, deltas = _parts(block, text)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    last: Json = {"type": "message_delta", "delta": {"stop_reason": _reason(reply), "stop_sequence": None}}
    last["usage"] = _output(call, reply)
    if call.upstream == "vercel":
        last["provider_metadata"] = {"gateway": chat_completions.gateway_metadata(call, [reply])}
    yield last
    yield {"type": "message_stop"}


def _parts(block: Json, text: str) -> tuple[Json, list[Json]]:
    """Return a content block as it starts, and the deltas that complete it with its text."""
    match block["type"]:
        case "thinking":
            texts = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(text)]
            signed = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*texts, signed]
        case "tool_use":
            steps = range(0, len(text), 8)
            return {**block, "input": {}}, [
                {"type": "input_json_delta", "partial_json": text[start : start + 8]} for start in steps
            ]
        case _:
            cited = [{"type": "citations_delta", "citation": citation} for citation in block.get("citations", ())]
            return {"type": "text", "text": ""}, [
                *({"type": "text_delta", "text": piece} for piece in pieces(text)),
                *cited,
            ]


def _blocks(reply: Reply) -> Iterator[tuple[Json, str]]:
    """Yield each content block, and its text, which a stream sends in pieces."""
    if reply.reasoning:
        thinking = "" if reply.hidden_reasoning else reply.reasoning
        yield {"type": "thinking", "thinking": thinking, "signature": sign(thinking)}, thinking
    text = reply.text if reply.refusal is None else reply.refusal
    if text or not reply.calls:
        cited = {"citations": [_citation(cited) for cited in reply.citations]} if reply.citations else {}
        yield {"type": "text", "text": text, **cited}, text
    for invocation in reply.calls:
        call: Json = {"type": "tool_use", "id": invocation.id, "name": invocation.name}
        yield {**call, "input": _input(invocation.arguments)}, invocation.arguments


def _input(arguments: str) -> Json:
    """Return the input of a tool call; {} for arguments that are cut, which a body cannot contain."""
    try:
        return dict(json.loads(arguments))
    except ValueError:
        return {}


def _citation(cited: Json) -> Json:
    location = {"type": "web_search_result_location", "url": cited["url"], "title": cited["title"]}
    return {**location, "cited_text": cited.get("content", ""), "encrypted_index": "c2FuZGJveA=="}


def _message(call: Call, reply: Reply) -> Json:
    prompt = chat_completions.usage(call, [reply])["prompt_tokens"]
    usage = {"input_tokens": prompt, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0, "output_tokens": 0}
    return {
        "id": f"msg_{call.digest[:24]}",
        "type": "message",
        "role": "assistant",
        "model": call.served,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }


def _reason(reply: Reply) -> str:
    return "refusal" if reply.refusal is not None else _REASONS.get(reply.finish, reply.finish)


def _output(call: Call, reply: Reply) -> Json:
    usage = chat_completions.usage(call, [reply])
    prices: Json = {name: usage[name] for name in ("cost", "is_byok", "cost_details") if name in usage}
    return {"output_tokens": usage["completion_tokens"], **prices}
