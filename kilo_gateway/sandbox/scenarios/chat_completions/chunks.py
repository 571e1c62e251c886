"""Scenarios of the chunk objects and of the message: what is set where, or missing."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that the registry asks for

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.model.words import pieces
from kilo_gateway.sandbox.scenarios.base import Json, Registry, deltas, is_finish, is_text
from kilo_gateway.sandbox.wire import chat_completions as wire

REGISTRY = Registry()
_add = REGISTRY.add

Frames = Callable[[Call, list[Json]], list[Json]]


def _each_delta(change: Callable[[Json, int], Any]) -> Frames:
    def frames(call: Call, made: list[Json]) -> list[Json]:
        for position, delta in enumerate(deltas(made)):
            change(delta, position)
        return made

    return frames


def _each_frame(change: Callable[[Json], Any]) -> Frames:
    def frames(call: Call, made: list[Json]) -> list[Json]:
        for frame in made:
            change(frame)
        return made

    return frames


_add("echo", "the usual answer")
_add("vercel", "the other upstream: its ids, no cost but provider_metadata", upstream="vercel")

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
_add("no-role", "no role at all", frames=_each_delta(lambda delta, _: delta.pop("role", None)))
_add("role-null", "role null after the first delta", frames=_each_delta(lambda d, n: n and d.update(role=None)))


# Usage.
def _usage_body(change: Callable[[Json], Any]) -> Callable[[Call, Json], Json]:
    def body(call: Call, made: Json) -> Json:
        change(made["usage"])
        return made

    return body


def _usage_frames(change: Callable[[Json], Any]) -> Frames:
    return _each_frame(lambda frame: "usage" in frame and change(frame["usage"]))


def _usage_everywhere(name: str, description: str, change: Callable[[Json], Any]) -> None:
    _add(name, description, body=_usage_body(change), frames=_usage_frames(change))


def _usage_on_finish(call: Call, made: list[Json]) -> list[Json]:
    *rest, last = made
    next(frame for frame in reversed(rest) if is_finish(frame))["usage"] = last["usage"]
    return rest


def _usage_twice(call: Call, made: list[Json]) -> list[Json]:
    """Counts grow: the first chunk is a snapshot of the same counts, not an addend."""
    early = copy.deepcopy(made[-1])
    early["choices"] = []
    counts = early["usage"]
    counts["completion_tokens"] = max(1, counts["completion_tokens"] // 2)
    counts["total_tokens"] = counts["prompt_tokens"] + counts["completion_tokens"]
    if "cost" in counts:
        counts["cost"] = round(counts["cost"] / 2, 10)
    return [made[0], early, *made[1:]]


def _drop_usage_body(call: Call, made: Json) -> Json:
    del made["usage"]
    return made


_add(
    "usage-empty-choices",
    "usage chunk with `choices: []`",
    frames=_each_frame(lambda frame: "usage" in frame and frame.update(choices=[])),
)
_add("usage-on-finish", "usage on the chunk with the finish reason", frames=_usage_on_finish)
_add("usage-missing", "no usage", body=_drop_usage_body, frames=lambda call, made: made[:-1])
_add("usage-twice", "two usage chunks, the later one cumulative", frames=_usage_twice)
_usage_everywhere(
    "cached-tokens",
    "half the prompt was read from a cache, a quarter written to it",
    lambda usage: usage["prompt_tokens_details"].update(
        cached_tokens=usage["prompt_tokens"] // 2, cache_write_tokens=usage["prompt_tokens"] // 4
    ),
)
_usage_everywhere(
    "cost-string",
    "the cost is a string",
    lambda usage: "cost" in usage and usage.update(cost=f"{usage['cost']:.10f}"),
)


def _byok(usage: Json) -> None:
    if "cost" in usage:
        usage["cost_details"]["upstream_inference_cost"] = usage["cost"]
        usage.update(cost=0, is_byok=True)


_usage_everywhere("byok", "the caller's own key: cost 0, the real amount in cost_details", _byok)


def _top_level_body(call: Call, made: Json) -> Json:
    made["provider_metadata"] = {"gateway": {"cost": f"{made['usage']['cost']:.10f}"}} if _priced(made) else {}
    _strip_cost(made["usage"])
    return made


def _top_level_frames(call: Call, made: list[Json]) -> list[Json]:
    _top_level_body(call, made[-1])
    return made


def _priced(made: Json) -> bool:
    return "cost" in made["usage"]


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
def _finish_twice(call: Call, made: list[Json]) -> list[Json]:
    at = next(index for index, frame in enumerate(made) if is_finish(frame))
    return [*made[: at + 1], copy.deepcopy(made[at]), *made[at + 1 :]]


def _finish_reset(call: Call, made: list[Json]) -> list[Json]:
    return [*made[:-1], wire.chunk(call, {"content": ""}), wire.chunk(call, {}), made[-1]]


def _null_finish(call: Call, made: Json) -> Json:
    for choice in made["choices"]:
        choice["finish_reason"] = None
        choice.pop("native_finish_reason", None)
    return made


def _halved(finish: str) -> Callable[[Call, Reply], None]:
    def reply(call: Call, said: Reply) -> None:
        found = pieces(said.text)
        said.text = "".join(found[: max(1, len(found) // 2)])
        said.finish = finish
        said.calls = []

    return reply


_add("finish-twice", "two chunks carry the finish reason", frames=_finish_twice)
_add("finish-reset", "later chunks have finish_reason null", frames=_finish_reset)
_add("null-finish", "not streamed: finish_reason null", body=_null_finish)
_add("length", "the answer is cut at half its length, finish reason length", reply=_halved("length"))
_add("content-filter", "half an answer, finish reason content_filter", reply=_halved("content_filter"))


# Holes in chunks.
def _first_chunk_empty(call: Call, made: list[Json]) -> list[Json]:
    first = wire.chunk(call, {})
    first["choices"] = []
    first["prompt_filter_results"] = [{"prompt_index": 0, "content_filter_results": {}}]
    return [first, *made]


def _hole(call: Call, made: list[Json], change: Callable[[Json], Any]) -> list[Json]:
    """Put an empty chunk with a hole after every text chunk."""
    found = []
    for frame in made:
        found.append(frame)
        if is_text(frame):
            hollow = wire.chunk(call, {})
            change(hollow["choices"][0])
            found.append(hollow)
    return found


def _empty(call: Call, said: Reply) -> None:
    said.text, said.calls, said.reasoning, said.finish = "", [], "", "stop"


_add(
    "no-choices-chunk",
    "the usage chunk has no `choices`",
    frames=_each_frame(lambda frame: "usage" in frame and frame.pop("choices", None)),
)
_add("first-chunk-empty-choices", "the first chunk has `choices: []`", frames=_first_chunk_empty)
_add(
    "delta-null",
    "some chunks have `delta: null`",
    frames=lambda call, made: _hole(call, made, lambda choice: choice.update(delta=None)),
)
_add(
    "choice-without-delta",
    "some choices have no `delta`",
    frames=lambda call, made: _hole(call, made, lambda choice: choice.pop("delta")),
)
_add("empty-answer", "an answer without any content", reply=_empty)
_add(
    "error-null",
    "`error: null` beside a good answer",
    body=lambda call, made: {**made, "error": None},
    frames=_each_frame(lambda frame: frame.update(error=None)),
)


# Content of other kinds.
def _as_parts(message: Json) -> None:
    if message.get("content"):
        message["content"] = [{"type": "text", "text": message["content"]}]


def _list_body(call: Call, made: Json) -> Json:
    for choice in made["choices"]:
        _as_parts(choice["message"])
    return made


# A family of joined emoji, combining marks, CJK, three line separators, right-to-left, a flag, beyond the BMP.
UNICODE = (
    " \U0001f469\u200d\U0001f469\u200d\U0001f467"
    " nai\u0308ve"
    " e\u0301"
    " \u65e5\u672c\u8a9e"
    " \u2028"
    " \u2029"
    " \x85"
    " \u05e2\u05d1\u05e8\u05d9\u05ea"
    " \U0001f3f3\ufe0f\u200d\U0001f308"
    " \U0001d518\U0001d52b\U0001d526"
)


def _unicode(call: Call, said: Reply) -> None:
    if said.text:
        said.text += UNICODE


def _refuse(call: Call, said: Reply) -> None:
    said.text, said.calls, said.refusal, said.finish = "", [], "I can't help with that request.", "stop"


def _extra(**fields: Any) -> Callable[[Call, Reply], None]:
    return lambda call, said: said.extra.update(copy.deepcopy(fields))


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_CITATION = {
    "type": "url_citation",
    "url_citation": {
        "url": "https://example.com/sandbox",
        "title": "Sandbox",
        "content": "An example page.",
        "start_index": 0,
        "end_index": 7,
    },
}
_IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}, "index": 0}
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
_add("unicode", "emoji, combining marks, line separators, right-to-left and CJK text", reply=_unicode)
_add("refusal", "the model refuses in `refusal`, content is null", reply=_refuse)
_add("images", "the message carries an image", reply=_extra(images=[_IMAGE]))
_add("annotations", "the message carries a citation", reply=_extra(annotations=[_CITATION]))
_add("audio", "the message carries speech", reply=_extra(audio=_AUDIO))
