"""Register odd streams of events, which Responses and Messages have in common. See docs/gateway.md, "Interfaces"."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

from collections.abc import Iterator

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.scenarios.base import Json, Registry, beginning
from kilo_gateway.sandbox.wire.framing import DONE, Framing, Item

REGISTRY = Registry("responses", "messages")
_add = REGISTRY.add

_ENDS = ("response.completed", "response.incomplete", "message_delta", "message_stop")
_NOISE = ({"type": "keepalive"}, {"type": "sandbox.debug", "note": "a client ignores events that it does not know"})


def _without_usage(call: Call, payload: Json) -> Json:
    return {**payload, "usage": None}


def _null_usage(call: Call, frames: list[Json]) -> list[Json]:
    for frame in frames:
        for holder in (frame, frame.get("response"), frame.get("message")):
            if isinstance(holder, dict) and "usage" in holder:
                holder["usage"] = None
    return frames


def _no_last_event(call: Call, frames: list[Json]) -> list[Json]:
    return [frame for frame in frames if frame["type"] not in _ENDS]


def _no_end_in_body(call: Call, payload: Json) -> Json:
    ended = {"stop_reason": None} if call.api == "messages" else {}
    return {**_without_usage(call, payload), **ended}


def _done_before_end(call: Call, frames: list[Json]) -> Iterator[Item]:
    yield from frames[:-1]
    yield DONE
    yield frames[-1]


def _with_noise(call: Call, frames: list[Json]) -> Iterator[Item]:
    for frame in frames:
        yield from (dict(noise) for noise in _NOISE)
        yield frame


_add("no-event-lines", "no `event:` lines", framing=Framing(named=False))
_add("done-before-end", "[DONE] comes before the last event", frames=_done_before_end)
_add("unknown-events", "events of unknown types before each event", frames=_with_noise)
_add("usage-null", "`usage: null` everywhere", body=_without_usage, frames=_null_usage)
_add(
    "no-last-event",
    "each item or block is complete, but the events that end the answer are missing",
    frames=_no_last_event,
    body=_no_end_in_body,
)

_CHAT_ERROR = {"code": 502, "message": "The provider failed in words of Chat Completions"}


def _chat_chunk(call: Call, frames: list[Json]) -> list[Json]:
    return [*beginning(call, frames, 3), {"id": "gen-sandbox", "choices": [], "error": _CHAT_ERROR}]


_add(
    "stream-error-chat-chunk",
    "the error chunk of Chat Completions among the events",
    kind="error",
    stream_only=True,
    message=_CHAT_ERROR["message"],
    frames=_chat_chunk,
    body=lambda call, payload: {"error": _CHAT_ERROR},
)
