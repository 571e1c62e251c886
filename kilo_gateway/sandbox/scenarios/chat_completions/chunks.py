"""Register unusual chunks and messages: fields that move, repeat or are missing. See docs/gateway.md, "Streams"."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.scenarios.answers import extra
from kilo_gateway.sandbox.scenarios.base import Json, Registry, deltas, is_finish, is_text
from kilo_gateway.sandbox.wire import chat_completions as wire

REGISTRY = Registry("chat_completions")
_add = REGISTRY.add

Frames = Callable[[Call, list[Json]], list[Json]]


def _each_delta(change: Callable[[Json, int], Any]) -> Frames:
    def frames(call: Call, chunks: list[Json]) -> list[Json]:
        for position, delta in enumerate(deltas(chunks)):
            change(delta, position)
        return chunks

    return frames


def _each_frame(change: Callable[[Json], Any]) -> Frames:
    def frames(call: Call, chunks: list[Json]) -> list[Json]:
        for chunk in chunks:
            change(chunk)
        return chunks

    return frames


# Roles.
_add(
    "role-every-delta",
    "role in every delta",
    frames=_each_delta(lambda delta, _: delta.update(role="assistant")),
)
_add(
    "role-first-only",
    "role in the first delta only",
    frames=_each_delta(lambda delta, position: position and delta.pop("role", None)),
)
_add("no-role", "no delta has a role", frames=_each_delta(lambda delta, _: delta.pop("role", None)))
_add("role-null", "role null after the first delta", frames=_each_delta(lambda d, n: n and d.update(role=None)))


# Usage.
def _usage_on_finish(call: Call, chunks: list[Json]) -> list[Json]:
    *rest, last = chunks
    next(chunk for chunk in reversed(rest) if is_finish(chunk))["usage"] = last["usage"]
    return rest


def _usage_twice(call: Call, chunks: list[Json]) -> list[Json]:
    """Send usage twice; the counts are cumulative, so the first ones are part of the last ones."""
    early = copy.deepcopy(chunks[-1])
    early["choices"] = []
    counts = early["usage"]
    counts["completion_tokens"] = max(1, counts["completion_tokens"] // 2)
    counts["total_tokens"] = counts["prompt_tokens"] + counts["completion_tokens"]
    if "cost" in counts:
        counts["cost"] = round(counts["cost"] / 2, 10)
    return [chunks[0], early, *chunks[1:]]


def _drop_usage_body(call: Call, payload: Json) -> Json:
    del payload["usage"]
    return payload


_add(
    "usage-empty-choices",
    "usage chunk with `choices: []`",
    frames=_each_frame(lambda chunk: "usage" in chunk and chunk.update(choices=[])),
)
_add("usage-on-finish", "usage on the chunk with the finish reason", frames=_usage_on_finish)
_add("usage-missing", "no usage", body=_drop_usage_body, frames=lambda call, chunks: chunks[:-1])
_add("usage-twice", "two usage chunks, the later one cumulative", frames=_usage_twice)


def _top_level_body(call: Call, payload: Json) -> Json:
    payload["provider_metadata"] = {"gateway": {"cost": f"{payload['usage']['cost']:.10f}"}} if _priced(payload) else {}
    _strip_cost(payload["usage"])
    return payload


def _top_level_frames(call: Call, chunks: list[Json]) -> list[Json]:
    _top_level_body(call, chunks[-1])
    return chunks


def _priced(payload: Json) -> bool:
    return "cost" in payload["usage"]


def _strip_cost(usage: Json) -> None:
    for key in ("cost", "cost_details", "is_byok"):
        usage.pop(key, None)


_add(
    "cost-top-level",
    "the cost in a provider_metadata block at the top level",
    body=_top_level_body,
    frames=_top_level_frames,
)


# Finish reasons.
def _finish_twice(call: Call, chunks: list[Json]) -> list[Json]:
    at = next(index for index, chunk in enumerate(chunks) if is_finish(chunk))
    return [*chunks[: at + 1], copy.deepcopy(chunks[at]), *chunks[at + 1 :]]


def _finish_reset(call: Call, chunks: list[Json]) -> list[Json]:
    return [*chunks[:-1], wire.chunk(call, {"content": ""}), wire.chunk(call, {}), chunks[-1]]


def _null_finish(call: Call, payload: Json) -> Json:
    for choice in payload["choices"]:
        choice["finish_reason"] = None
        choice.pop("native_finish_reason", None)
    return payload


_add("finish-twice", "two chunks contain the finish reason", frames=_finish_twice)
_add("finish-reset", "later chunks have finish_reason null", frames=_finish_reset)
_add("null-finish", "finish_reason null in an answer that is not streamed", body=_null_finish)


# Holes in chunks.
def _first_chunk_empty(call: Call, chunks: list[Json]) -> list[Json]:
    first = wire.chunk(call, {})
    first["choices"] = []
    first["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": {}}]
    return [first, *chunks]


def _hole(call: Call, chunks: list[Json], change: Callable[[Json], Any]) -> list[Json]:
    """Insert a chunk with a missing field after each text chunk."""
    result = []
    for chunk in chunks:
        result.append(chunk)
        if is_text(chunk):
            hollow = wire.chunk(call, {})
            change(hollow["choices"][0])
            result.append(hollow)
    return result


_add(
    "no-choices-chunk",
    "the usage chunk has no `choices`",
    frames=_each_frame(lambda chunk: "usage" in chunk and chunk.pop("choices", None)),
)
_add("first-chunk-empty-choices", "the first chunk has `choices: []`", frames=_first_chunk_empty)
_add(
    "delta-null",
    "some chunks have `delta: null`",
    frames=lambda call, chunks: _hole(call, chunks, lambda choice: choice.update(delta=None)),
)
_add(
    "choice-without-delta",
    "some choices have no `delta`",
    frames=lambda call, chunks: _hole(call, chunks, lambda choice: choice.pop("delta")),
)
_add(
    "error-null",
    "`error: null` beside a valid answer",
    body=lambda call, payload: {**payload, "error": None},
    frames=_each_frame(lambda chunk: chunk.update(error=None)),
)


# Content of other kinds.
def _as_parts(message: Json) -> None:
    if message.get("content"):
        message["content"] = [{"type": "text", "text": message["content"]}]


def _list_body(call: Call, payload: Json) -> Json:
    for choice in payload["choices"]:
        _as_parts(choice["message"])
    return payload


_AUDIO = {
    "id": "audio_sandbox",
    "data": "c2FuZGJveA==",
    "transcript": "sandbox",
    "expires_at": 1_790_003_600,
}

_add(
    "content-list",
    "content is a list of parts",
    body=_list_body,
    frames=_each_delta(lambda delta, _: _as_parts(delta)),
)
_add("audio", "the message contains speech", reply=extra(audio=_AUDIO))
