"""Render replies as Responses: bodies and stream events. See docs/gateway.md, "Interfaces"."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Final

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.model.words import pieces
from kilo_gateway.sandbox.wire import chat_completions
from kilo_gateway.sandbox.wire.framing import Item
from kilo_gateway.sandbox.wire.interface import Fault

Json = dict[str, Any]

ANSWER: Final = "output"
DONE: Final = False
LAST: Final = ("response.completed", "response.incomplete", "response.failed", "error")
_TEXT: Final = "response.output_text.delta"

ENCRYPTED = "ZW5jcnlwdGVkLXNhbmRib3gtcmVhc29uaW5n"
_EMPTY: Final[Json] = {
    "reasoning": {"summary": []},
    "message": {"content": []},
    "function_call": {"arguments": ""},
    "image_generation_call": {"result": None},
}
FORMAT = "openai-responses-v1"
_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


def body(call: Call, replies: list[Reply]) -> Json:
    """Return the body of an answer that is not streamed."""
    return _response(call, replies[0], list(_items(call, replies[0])))


def frames(call: Call, replies: list[Reply]) -> list[Json]:
    """Return the events of a stream, in the order of the reference, without their numbers."""
    return list(_events(call, replies[0]))


def sent(items: Iterable[Item]) -> Iterator[Item]:
    """Yield the events of a stream with their numbers, and nothing after the event that ends it."""
    numbers = itertools.count()
    for item in items:
        if not isinstance(item, dict):
            yield item
            continue
        yield {**item, "sequence_number": next(numbers)}
        if item.get("type") in LAST:
            return


def text_of(frame: Json) -> str:
    """Return the text of the answer that an event adds."""
    return frame["delta"] if frame.get("type") == _TEXT else ""


def with_text(frame: Json, text: str) -> Json:
    """Return the event that adds a text in the place of `frame`."""
    return {**frame, "delta": text}


def fault_frame(call: Call, fault: Fault) -> Json:
    """Return the event that reports an error, in the form of the gateway or of upstream."""
    if not fault.by_gateway:
        return {"type": "response.failed", "response": fault_body(call, fault)}
    return {"type": "error", "error": {"type": fault.error_type, "code": str(fault.status), "message": fault.message}}


def fault_body(call: Call, fault: Fault) -> Json:
    """Return the body that reports an error with status 200."""
    if fault.by_gateway:
        return {"error": {"code": fault.error_type, "message": fault.message, "param": None, "type": fault.error_type}}
    failed = {"status": "failed", "usage": None, "error_type": fault.error_type}
    error = {"code": fault.error_type, "message": fault.message}
    return {**_response(call, Reply(), []), **failed, "error": error}


def _events(call: Call, reply: Reply) -> Iterator[Json]:
    started = {**_response(call, reply, []), "status": "in_progress", "usage": None}
    yield {"type": "response.created", "response": started}
    yield {"type": "response.in_progress", "response": started}
    items = list(_items(call, reply))
    for index, item in enumerate(items):
        place = {"output_index": index, "item_id": item["id"]}
        added = {**item, **_EMPTY[item["type"]], "status": "in_progress"}
        added.pop("encrypted_content", None)
        yield {"type": "response.output_item.added", "output_index": index, "item": added}
        match item["type"]:
            case "reasoning":
                yield from _summary(reply.reasoning, place)
            case "message":
                yield from _content(item["content"][0], place)
            case "function_call":
                for start in range(0, len(item["arguments"]), 8):
                    delta = item["arguments"][start : start + 8]
                    yield {"type": "response.function_call_arguments.delta", **place, "delta": delta}
                yield {"type": "response.function_call_arguments.done", **place, "arguments": item["arguments"]}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    ended = _response(call, reply, items)
    yield {"type": f"response.{ended['status']}", "response": ended}


def _summary(text: str, place: Json) -> Iterator[Json]:
    place = {**place, "summary_index": 0}
    yield {"type": "response.reasoning_summary_part.added", **place, "part": {"type": "summary_text", "text": ""}}
    for piece in pieces(text):
        yield {"type": "response.reasoning_summary_text.delta", **place, "delta": piece}
    yield {"type": "response.reasoning_summary_text.done", **place, "text": text}
    yield {"type": "response.reasoning_summary_part.done", **place, "part": {"type": "summary_text", "text": text}}


def _content(part: Json, place: Json) -> Iterator[Json]:
    place = {**place, "content_index": 0}
    field = "refusal" if part["type"] == "refusal" else "text"
    name = "refusal" if field == "refusal" else "output_text"
    empty = {**part, field: ""} if name == "refusal" else {**part, field: "", "annotations": []}
    yield {"type": "response.content_part.added", **place, "part": empty}
    for piece in pieces(part[field]):
        yield {"type": f"response.{name}.delta", **place, "delta": piece}
    for number, note in enumerate(part.get("annotations", ())):
        added = {"type": "response.output_text.annotation.added", **place, "annotation_index": number}
        yield {**added, "annotation": note}
    yield {"type": f"response.{name}.done", **place, field: part[field]}
    yield {"type": "response.content_part.done", **place, "part": part}


def _items(call: Call, reply: Reply) -> Iterator[Json]:
    digest = call.digest[:16]
    if reply.reasoning and not reply.hidden_reasoning:
        summary = [{"type": "summary_text", "text": reply.reasoning}]
        reasoning: Json = {"id": f"rs_{digest}", "type": "reasoning", "summary": summary, "format": FORMAT}
        if "reasoning.encrypted_content" in (call.received.get("include") or ()):
            reasoning["encrypted_content"] = ENCRYPTED
        yield reasoning
    if reply.refusal is not None or reply.text or not reply.calls:
        notes = [{"type": "url_citation", **cited} for cited in reply.citations]
        part: Json = {"type": "output_text", "text": reply.text, "annotations": notes, "logprobs": []}
        if reply.refusal is not None:
            part = {"type": "refusal", "refusal": reply.refusal}
        message = {"id": f"msg_{digest}", "type": "message", "role": "assistant", "status": "completed"}
        yield {**message, "content": [part]}
    for position, invocation in enumerate(reply.calls):
        item = {"id": f"fc_{digest}_{position}", "type": "function_call", "call_id": invocation.id}
        cut = reply.finish == "length" and invocation is reply.calls[-1]
        status = "incomplete" if cut else "completed"
        yield {**item, "name": invocation.name, "arguments": invocation.arguments, "status": status}
    for position, image in enumerate(reply.extra.get("images", ())):
        item = {"id": f"ig_{digest}_{position}", "type": "image_generation_call", "status": "completed"}
        yield {**item, "output_format": "png", "result": image["image_url"]["url"].partition(",")[2]}


def _response(call: Call, reply: Reply, items: list[Json]) -> Json:
    reason = _REASONS.get(reply.finish)
    response: Json = {
        "id": f"resp_{call.digest[:24]}",
        "object": "response",
        "created_at": 1_790_000_000 + call.number,
        "status": "incomplete" if reason else "completed",
        "model": call.served,
        "output": items,
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "usage": _usage(call, reply),
    }
    if call.upstream == "vercel":
        response["provider_metadata"] = {"gateway": chat_completions.gateway_metadata(call, [reply])}
    return response


def _usage(call: Call, reply: Reply) -> Json:
    usage = chat_completions.usage(call, [reply])
    prompt, output = usage.pop("prompt_tokens_details"), usage.pop("completion_tokens_details")
    return {
        "input_tokens": usage.pop("prompt_tokens"),
        "input_tokens_details": {"cached_tokens": prompt["cached_tokens"]},
        "output_tokens": usage.pop("completion_tokens"),
        "output_tokens_details": output,
        **usage,
    }
