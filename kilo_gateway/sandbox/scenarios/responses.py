"""Register odd answers and errors of Responses. See docs/gateway.md, "Responses"."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.scenarios.answers import call_tools, think
from kilo_gateway.sandbox.scenarios.base import Json, Registry, beginning
from kilo_gateway.sandbox.scenarios.broken import without_answer
from kilo_gateway.sandbox.wire.responses import body as whole_body

REGISTRY = Registry("responses")
_add = REGISTRY.add

Change = Callable[[list[Json]], list[Json]]

_ADDED, _ITEM_DONE = "response.output_item.added", "response.output_item.done"
_PART_ADDED = "response.content_part.added"
_TEXT, _TEXT_DONE = "response.output_text.delta", "response.output_text.done"
_ARGUMENTS, _ARGUMENTS_DONE = "response.function_call_arguments.delta", "response.function_call_arguments.done"


def _stream(name: str, description: str, change: Change, **fields: Any) -> None:
    """Register a scenario that changes the events only; the body is the usual one, if `fields` has no other."""
    _add(name, description, frames=lambda call, frames: change(frames), **fields)


def _without(*kinds: str) -> Change:
    return lambda frames: [frame for frame in frames if frame["type"] not in kinds]


# The last event.
def _last(**fields: Any) -> Change:
    def change(frames: list[Json]) -> list[Json]:
        return [*frames[:-1], {**frames[-1], "response": {**frames[-1]["response"], **fields}}]

    return change


_stream("output-empty", "`output: []` in the last event", _last(output=[]))
_stream("output-null", "`output: null` in the last event", _last(output=None))


# Items and parts.
def _delta_before_item(frames: list[Json]) -> list[Json]:
    """Move the announcement of each item and part behind the first delta."""
    held: list[Json] = []
    changed: list[Json] = []
    for frame in frames:
        if frame["type"] in (_ADDED, _PART_ADDED):
            held.append(frame)
            continue
        changed.append(frame)
        if "delta" in frame or frame["type"] == _ITEM_DONE:
            changed += held
            held = []
    return changed


def _ids_vary(frames: list[Json]) -> list[Json]:
    return [
        {**frame, "item_id": f"{frame['item_id']}_{number}"} if "delta" in frame else frame
        for number, frame in enumerate(frames)
    ]


def _one_index(frames: list[Json]) -> list[Json]:
    return [{**frame, "output_index": 0} if "output_index" in frame else frame for frame in frames]


def _done_too_early(frames: list[Json]) -> list[Json]:
    first = next((position for position, frame in enumerate(frames) if frame["type"] == _TEXT), None)
    if first is None:
        return frames
    done = {**frames[first], "type": _TEXT_DONE, "text": frames[first]["delta"]}
    del done["delta"]
    return [*frames[: first + 1], done, *frames[first + 1 :]]


def _few(frames: list[Json]) -> list[Json]:
    kept = ("response.created", _TEXT, _TEXT_DONE, "response.completed", "response.incomplete")
    return [frame for frame in frames if frame["type"] in kept]


_stream("delta-before-item", "items and parts are announced after their first delta", _delta_before_item)
_stream("item-ids-vary", "each delta names another item", _ids_vary)
_stream("output-index-reused", "all items have the output_index 0", _one_index, reply=think)
_stream("done-too-early", "the text is said to be done after its first delta", _done_too_early)
_stream("no-item-done", "items are not said to be done", _without(_ITEM_DONE))
_stream("few-events", "only the events that Vercel documents: created, text, completed", _few)


# The names in OpenRouter's prose.
_NAMES = {
    _TEXT: "response.content_part.delta",
    "response.completed": "response.done",
}


def _prose(frames: list[Json]) -> list[Json]:
    return [{**frame, "type": _NAMES.get(frame["type"], frame["type"])} for frame in frames]


_stream("prose-events", "the names of events in OpenRouter's prose examples", _prose)


# Reasoning.
def _plain_summary(item: Json) -> None:
    if item["type"] == "reasoning":
        item["summary"] = [part["text"] if isinstance(part, dict) else part for part in item["summary"]]


def _plain_body(call: Call, payload: Json) -> Json:
    for item in payload["output"]:
        _plain_summary(item)
    return payload


def _plain(frames: list[Json]) -> list[Json]:
    for frame in frames:
        if "item" in frame:
            _plain_summary(frame["item"])  # the last event repeats the same item
    return frames


def _late(frames: list[Json]) -> list[Json]:
    """Move the events that end the reasoning behind the text."""
    late = [frame for frame in frames if frame.get("output_index") == 0 and frame["type"].endswith(".done")]
    early = [frame for frame in frames if frame not in late]
    return [*early[:-1], *late, early[-1]]


def _as_text(item: Json) -> None:
    """Turn the summary of an item into text."""
    if item["type"] == "reasoning":
        texts = [{"type": "reasoning_text", "text": part["text"]} for part in item["summary"]]
        item.update(summary=[], content=[*item.get("content", []), *texts])


def _text_body(call: Call, payload: Json) -> Json:
    for item in payload["output"]:
        _as_text(item)
    return payload


def _text_frames(call: Call, frames: list[Json]) -> list[Json]:
    changed = []
    for frame in frames:
        if "summary_part" in frame["type"]:
            continue
        if "item" in frame:
            _as_text(frame["item"])  # the last event repeats the same item
        if "summary_index" in frame:
            kind = frame["type"].replace("summary_text", "text")
            frame = {**frame, "type": kind, "content_index": frame["summary_index"]}
        changed.append(frame)
    return changed


_stream("summary-strings", "summaries are plain strings", _plain, reply=think, body=_plain_body)
_stream("reasoning-late", "the reasoning ends after the text", _late, reply=think)
_add(
    "reasoning-text",
    "reasoning in `content`, as models of other vendors have it, instead of a summary",
    reply=think,
    body=_text_body,
    frames=_text_frames,
)


# Tool calls.
def _tools(call: Call, reply: Reply) -> None:
    call_tools(call, reply)


_stream("tool-args-at-done", "arguments only when they are done", _without(_ARGUMENTS), reply=_tools)
_stream(
    "tool-args-at-item-done",
    "arguments only when their item is done",
    _without(_ARGUMENTS, _ARGUMENTS_DONE),
    reply=_tools,
)


def _unconfirmed(frames: list[Json]) -> list[Json]:
    announced = next(frame for frame in frames if frame["type"] == _ADDED and frame["item"]["type"] == "function_call")
    return [*frames[: frames.index(announced) + 1], _last(output=[])(frames)[-1]]


_stream(
    "tool-unconfirmed",
    "a tool call is announced, but its arguments never come",
    _unconfirmed,
    kind="error",
    stream_only=True,
    reply=_tools,
    body=lambda call, payload: without_answer(call),
)


# Errors.
def _failed(name: str, description: str, *, message: str | None = None, status: str = "failed", **fields: Any) -> None:
    """Register an answer that fails with status 200, streamed and not."""

    def body(call: Call, payload: Json | None = None) -> Json:
        return {**whole_body(call, [Reply()]), "output": [], "usage": None, "status": status, **fields}

    def frames(call: Call, frames: list[Json]) -> list[Json]:
        return [*beginning(call, frames, 3), {"type": f"response.{status}", "response": body(call)}]

    _add(name, description, kind="error", message=message, frames=frames, body=body)


_VAGUE = "The model could not answer"
_failed(
    "response-failed",
    "`status: failed` with a code of OpenAI",
    message=_VAGUE,
    error={"code": "server_error", "message": _VAGUE},
)
_failed(
    "response-failed-without-code",
    "`status: failed` with `error.type` in place of the code",
    message=_VAGUE,
    error={"type": "rate_limit_exceeded", "message": _VAGUE},
)
_failed(
    "response-failed-error-type",
    "`status: failed` with OpenRouter's error_type beside an error that only has a message",
    message=_VAGUE,
    error={"message": _VAGUE},
    error_type="rate_limit_exceeded",
)
_failed("response-failed-without-error", "`status: failed` with `error: null`", error=None)
_failed("response-cancelled", "`status: cancelled`", status="cancelled")

_FLAT = {"type": "error", "code": "timeout", "message": "The upstream provider did not answer in time.", "param": None}
_add(
    "stream-error-flat",
    "the gateway's frame for a timeout, in the flat form of mid-2026",
    kind="error",
    stream_only=True,
    message=_FLAT["message"],
    frames=lambda call, frames: [*beginning(call, frames, 3), dict(_FLAT)],
    body=lambda call, payload: {"error": {"code": "timeout", "message": _FLAT["message"]}},
)
