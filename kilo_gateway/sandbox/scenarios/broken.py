"""Register answers that fail after status 200: bodies without an answer, broken streams. See docs/gateway.md."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.error_bodies import render
from kilo_gateway.sandbox.gateway.parts import DROP
from kilo_gateway.sandbox.scenarios.base import Json, Page, Registry, is_finish, is_text
from kilo_gateway.sandbox.scenarios.failures import page
from kilo_gateway.sandbox.wire import chat_completions as wire
from kilo_gateway.sandbox.wire.framing import Framing, Item

REGISTRY = Registry()

_HTML = "<!doctype html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
_TEXT_CHUNKS = 3


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


def _without_choices(call: Call, **choices: Any) -> Page:
    payload = wire.completion(call, [])
    del payload["choices"]
    return page(200, {**payload, **choices})


_page("error-no-choices-200", "200 with an answer that has no `choices`", _without_choices)
_page("error-null-choices-200", "200 with `choices: null`", lambda call: _without_choices(call, choices=None))
_page("error-choices-empty-200", "200 with `choices: []`", lambda call: _without_choices(call, choices=[]))


# Streams that fail before their end; `error` is None if the stream contains no error object.
def _breaks(
    name: str,
    description: str,
    frames: Callable[[Call, list[Json]], Iterator[Item]],
    error: Json | str | None = None,
    body: Callable[[Call, Json], Json | Page] | None = None,
    **fields: Any,
) -> None:
    def equivalent(call: Call, payload: Json) -> Json | Page:
        return {"error": error} if error is not None else _without_choices(call)

    if isinstance(error, dict):
        fields = {"code": error["code"], "message": error["message"], **fields}
    REGISTRY.add(
        name,
        description,
        kind="error",
        stream_only=body is None,
        frames=frames,
        body=body or equivalent,
        framing=Framing(done=False),
        **fields,
    )


def _start(chunks: list[Json]) -> list[Json]:
    """Return the first chunks, up to some text and without the finish reason."""
    texts = [chunk for chunk in chunks if is_text(chunk)][:_TEXT_CHUNKS]
    return chunks[: chunks.index(texts[-1]) + 1] if texts else chunks[:1] if not is_finish(chunks[0]) else []


def _then(last: Callable[[Call], Json], *, first: bool = False) -> Callable[[Call, list[Json]], Iterator[Item]]:
    def frames(call: Call, chunks: list[Json]) -> Iterator[Item]:
        if not first:
            yield from _start(chunks)
        yield last(call)

    return frames


def _error_frame(error: Json | str, **siblings: Any) -> Callable[[Call], Json]:
    return lambda call: {"id": wire.generation_id(call), "error": error, **siblings}


def _upstream_frame(error: Json) -> Callable[[Call], Json]:
    return lambda call: {"error": error, "choices": [], "user_id": "user_sandbox"}


def _with_finish(error: Json | None) -> Callable[[Call], Json]:
    def last(call: Call) -> Json:
        chunk = wire.chunk(call, {"role": "assistant", "content": ""}, finish="error")
        return {**chunk, "error": error} if error else chunk

    return last


def _inside_choice(error: Json) -> Callable[[Call], Json]:
    def last(call: Call) -> Json:
        chunk = _with_finish(None)(call)
        chunk["choices"][0]["error"] = error
        return chunk

    return last


def _finish_body(error: Json | None) -> Callable[[Call, Json], Json]:
    def body(call: Call, payload: Json) -> Json:
        payload["choices"][0] |= {"finish_reason": "error", **({"error": error} if error else {})}
        return payload

    return body


def _fault(code: int, message: str, **more: Any) -> Json:
    return {"code": code, "message": message, **more}


_PROVIDER = _fault(429, "Provider returned error", metadata={"provider_name": "Sandbox", "raw": "slow down"})
_LOST = _fault(502, "Upstream connection lost")
_GONE = _fault(503, "The upstream provider closed the connection.", type="upstream_disconnect")
_LATE = _fault(504, "The upstream provider did not answer in time.", type="timeout")
_ODD = _fault(
    502,
    "The upstream response could not be read.",
    type="invalid_response",
    vercel_request_id="fra1::sandbox",
)

_breaks("stream-error-upstream", "upstream's error frame", _then(_upstream_frame(_PROVIDER)), _PROVIDER)
_breaks("stream-error-finish", "an error object beside finish reason error", _then(_with_finish(_LOST)), _LOST)
_breaks(
    "stream-error-disconnect",
    "the gateway's frame for a lost upstream, without `choices`",
    _then(_error_frame(_GONE)),
    _GONE,
)
_breaks("stream-error-timeout", "the gateway's frame for a timeout", _then(_error_frame(_LATE)), _LATE)
_breaks(
    "stream-error-invalid-response",
    "the gateway's frame for an upstream response that it cannot read",
    _then(_error_frame(_ODD)),
    _ODD,
)
_breaks(
    "stream-error-string",
    "a string error with the siblings message and error_type",
    _then(_error_frame("Upstream error", message="The sandbox cut you off.", error_type="upstream_error")),
    body=lambda call, payload: {
        "error": "Upstream error",
        "message": "The sandbox cut you off.",
        "error_type": "upstream_error",
    },
    error_type="upstream_error",
    message="The sandbox cut you off.",
)
_breaks(
    "stream-error-first",
    "the first frame is an error",
    _then(_upstream_frame(_PROVIDER), first=True),
    _PROVIDER,
)
_CHOICE = _fault(502, "The provider failed within a choice")
_breaks(
    "error-choice-error",
    "status 200 with an error inside the choice",
    _then(_inside_choice(_CHOICE)),
    _CHOICE,
    body=_finish_body(_CHOICE),
)
_breaks(
    "finish-error",
    "finish reason error without an error object",
    _then(_with_finish(None)),
    body=_finish_body(None),
)


def _cut(call: Call, chunks: list[Json]) -> Iterator[Item]:
    yield from _start(chunks)


def _drop(call: Call, chunks: list[Json]) -> Iterator[Item]:
    yield from _start(chunks)
    yield b'data: {"id":"gen-1790000000-cut","choices":[{"ind'
    yield DROP


def _cut_character(call: Call, chunks: list[Json]) -> Iterator[Item]:
    yield from _start(chunks)
    yield 'data: {"choices":[{"delta":{"content":"caf\u00e9'.encode()[:-1]


def _bad_json(call: Call, chunks: list[Json]) -> Iterator[Item]:
    yield from _start(chunks)
    yield b'data: {"id": "gen-1790000000-bad", "choices": [{\n\n'
    yield from (chunk for chunk in chunks if is_finish(chunk))


def _dropped_body(call: Call, payload: Json) -> Page:
    data = json.dumps(payload).encode()
    return Page(200, (data[: len(data) // 2], DROP), {"content-type": "application/json"})


_breaks("cut-stream", "the stream ends cleanly, but without a finish reason", _cut)
_breaks("drop-connection", "the socket closes in the middle of a frame", _drop, body=_dropped_body)
_breaks("cut-character", "the stream ends cleanly, in the middle of a character", _cut_character)
_breaks("empty-stream", "a stream without any chunk", lambda call, chunks: iter(()))
_breaks("bad-json-frame", "a frame that is not JSON, in the middle", _bad_json)
