"""Register answers that fail after status 200: bodies without an answer, broken streams. See docs/gateway.md."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.error_bodies import render
from kilo_gateway.sandbox.gateway.parts import DROP
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.scenarios.base import Json, Page, Registry, beginning
from kilo_gateway.sandbox.scenarios.failures import page
from kilo_gateway.sandbox.wire import chat_completions as wire
from kilo_gateway.sandbox.wire import framing as sse
from kilo_gateway.sandbox.wire.framing import Framing, Item
from kilo_gateway.sandbox.wire.interface import Fault
from kilo_gateway.sandbox.wire.interfaces import wire_of

REGISTRY = Registry()

_HTML = "<!doctype html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_TEXTS = 3


# Whole answers, streamed or not.
def _page(name: str, description: str, refuse: Callable[[Call], Page], **fields: Any) -> None:
    REGISTRY.add(name, description, kind="error", refuse=refuse, **fields)


def _raw(status: int, data: bytes, kind: str | None) -> Callable[[Call], Page]:
    return lambda call: Page(status, (data,), {"content-type": kind} if kind else {})


def _credits(call: Call) -> Page:
    return page(200, render("no-balance", call.options)[1])


_page(
    "error-200-credits",
    "status 200 with the body of the credits error",
    _credits,
    error_type="usage_limit_exceeded",
    message="Add credits to continue, or switch to a free model",
)
_STRING = {
    "error": "Service Unavailable",
    "error_type": "temporarily_unavailable",
    "message": "The sandbox is resting.",
}
_page(
    "error-200-string",
    "status 200 with a string error",
    lambda call: page(200, _STRING),
    error_type="temporarily_unavailable",
    message="The sandbox is resting.",
)
_page("error-empty-405", "405 without a body", _raw(405, b"", None), status=405)
_page("error-html-502", "502 with an HTML page", _raw(502, _HTML.encode(), "text/html"), status=502)
_page("error-html-200", "200 with an HTML page", _raw(200, _HTML.encode(), "text/html"))
_page("error-empty-body-200", "200 without a body", _raw(200, b"", "application/json"))
_page(
    "error-not-json-200",
    "200 with half a JSON document",
    _raw(200, b'{"id": "gen-1790000000-half", "object": "chat.comp', "application/json"),
)


def without_answer(call: Call) -> Page:
    """Return a page with status 200 that has no field for the answer."""
    wire = wire_of(call)
    payload = wire.body(call, [Reply()])
    del payload[wire.ANSWER]
    return page(200, payload)


def _answers(value: list[Any] | None) -> Callable[[Call], Page]:
    return lambda call: page(200, {**wire_of(call).body(call, [Reply()]), wire_of(call).ANSWER: value})


_page("error-no-choices-200", "200 with an answer that has no `choices` (`output`, `content`)", without_answer)
_page(
    "error-null-choices-200",
    "200 with `choices: null` (`output`, `content`)",
    _answers(None),
)
_page(
    "error-choices-empty-200",
    "200 with `choices: []`",
    _answers([]),
    apis=("chat_completions",),
)


# Streams that fail before their end.
def _breaks(
    name: str,
    description: str,
    frames: Callable[[Call, list[Json]], Iterator[Item]],
    body: Callable[[Call, Json], Json | Page] | None = None,
    **fields: Any,
) -> None:
    fields = {"stream_only": body is None, "body": body or (lambda call, payload: without_answer(call)), **fields}
    REGISTRY.add(name, description, kind="error", frames=frames, framing=Framing(done=False), **fields)


def _start(call: Call, frames: list[Json]) -> list[Json]:
    return beginning(call, frames, _TEXTS)


def _then(last: Callable[[Call], Json], *, first: bool = False) -> Callable[[Call, list[Json]], Iterator[Item]]:
    def frames(call: Call, frames: list[Json]) -> Iterator[Item]:
        if not first:
            yield from _start(call, frames)
        yield last(call)

    return frames


def _fails(name: str, description: str, fault: Fault, *, first: bool = False) -> None:
    """Register a stream with an error frame, in the form of the interface."""
    _breaks(
        name,
        description,
        _then(lambda call: wire_of(call).fault_frame(call, fault), first=first),
        lambda call, payload: wire_of(call).fault_body(call, fault),
        stream_only=True,
        code=fault.status,
        message=fault.message,
    )


_RAW = {"metadata": {"provider_name": "Sandbox", "raw": "slow down"}}
_PROVIDER = Fault(429, "Provider returned error", "rate_limit_exceeded", by_gateway=False, more=_RAW)
_GONE = Fault(503, "The upstream provider closed the connection.", "upstream_disconnect")
_LATE = Fault(504, "The upstream provider did not answer in time.", "timeout")
_ODD = Fault(
    502,
    "The upstream response could not be read.",
    "invalid_response",
    more={"vercel_request_id": "fra1::sandbox"},
)

_fails("stream-error-upstream", "upstream's error frame", _PROVIDER)
_fails("stream-error-first", "the first frame is an error", _PROVIDER, first=True)
_fails("stream-error-disconnect", "the gateway's frame for a lost upstream", _GONE)
_fails("stream-error-timeout", "the gateway's frame for a timeout", _LATE)
_fails("stream-error-invalid-response", "the gateway's frame for an upstream response that it cannot read", _ODD)

_page(
    "error-upstream-disconnect-nested",
    "503 for a lost upstream, in the form of the interface",
    lambda call: page(503, wire_of(call).fault_body(call, _GONE)),
    status=503,
    error_type=_GONE.error_type,
    message=_GONE.message,
)

_STRING_ERROR = {"error": "Upstream error", "message": "The sandbox cut you off.", "error_type": "upstream_error"}
_breaks(
    "stream-error-string",
    "a string error with the siblings message and error_type",
    _then(lambda call: {"id": wire.generation_id(call), **_STRING_ERROR}),
    lambda call, payload: dict(_STRING_ERROR),
    error_type="upstream_error",
    message="The sandbox cut you off.",
)


# Errors inside a choice, which only Chat Completions has.
def _with_finish(error: Json | None) -> Callable[[Call], Json]:
    def last(call: Call) -> Json:
        chunk = wire.chunk(call, {"role": "assistant", "content": ""}, finish="error")
        return {**chunk, "error": error} if error else chunk

    return last


def _inside_choice(call: Call) -> Json:
    chunk = _with_finish(None)(call)
    chunk["choices"][0]["error"] = _CHOICE
    return chunk


def _finish_body(error: Json | None) -> Callable[[Call, Json], Json]:
    def body(call: Call, payload: Json) -> Json:
        payload["choices"][0] |= {"finish_reason": "error", **({"error": error} if error else {})}
        return payload

    return body


def _breaks_in_choice(
    name: str, description: str, last: Callable[[Call], Json], error: Json | None, **more: Any
) -> None:
    fields = {"code": error["code"], "message": error["message"]} if error else {}
    more = {"body": _finish_body(error), **more}
    _breaks(name, description, _then(last), apis=("chat_completions",), **fields, **more)


_LOST: Json = {"code": 502, "message": "Upstream connection lost"}
_CHOICE: Json = {"code": 502, "message": "The provider failed within a choice"}
_breaks_in_choice(
    "stream-error-finish",
    "an error object beside finish reason error",
    _with_finish(_LOST),
    _LOST,
    body=lambda call, payload: {"error": _LOST},
    stream_only=True,
)
_breaks_in_choice("error-choice-error", "status 200 with an error inside the choice", _inside_choice, _CHOICE)
_breaks_in_choice("finish-error", "finish reason error without an error object", _with_finish(None), None)


# Streams without their end.
def _cut(call: Call, frames: list[Json]) -> Iterator[Item]:
    yield from _start(call, frames)


def _half(call: Call, frames: list[Json]) -> bytes:
    """Return half of the frame that follows the beginning."""
    data = sse.event(frames[len(_start(call, frames))])
    return data[: len(data) // 2]


def _drop(call: Call, frames: list[Json]) -> Iterator[Item]:
    yield from _start(call, frames)
    yield _half(call, frames)
    yield DROP


def _cut_character(call: Call, frames: list[Json]) -> Iterator[Item]:
    start = _start(call, frames)
    yield from start
    text = sse.event(wire_of(call).with_text(start[-1], "caf\u00e9"))
    yield text[: text.index("\u00e9".encode()) + 1]


def _bad_json(call: Call, frames: list[Json]) -> Iterator[Item]:
    start = _start(call, frames)
    yield from start
    yield _half(call, frames) + b"\n\n"
    yield from frames[len(start) :]


def _dropped_body(call: Call, payload: Json) -> Page:
    data = json.dumps(payload).encode()
    return Page(200, (data[: len(data) // 2], DROP), {"content-type": "application/json"})


_breaks("cut-stream", "the stream ends cleanly, but without an end", _cut)
_breaks("drop-connection", "the socket closes in the middle of a frame", _drop, body=_dropped_body)
_breaks("cut-character", "the stream ends cleanly, in the middle of a character", _cut_character)
_breaks("empty-stream", "a stream without any event", lambda call, frames: iter(()))
_breaks("bad-json-frame", "a frame that is not JSON, in the middle", _bad_json)
