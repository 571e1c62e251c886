"""Register unusual bytes: all legal forms of events, compression, wrong labels, large or slow answers."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

from collections.abc import Iterator

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.parts import Part, Pause
from kilo_gateway.sandbox.scenarios.base import Json, Page, Registry, is_finish
from kilo_gateway.sandbox.scenarios.failures import page
from kilo_gateway.sandbox.wire import chat_completions as wire
from kilo_gateway.sandbox.wire import framing as sse
from kilo_gateway.sandbox.wire.framing import Framing, Item

REGISTRY = Registry()
_add = REGISTRY.add

_add("crlf", "lines end in CR LF", framing=Framing(newline="\r\n"))
_add("cr-only", "lines end in CR", framing=Framing(newline="\r"))
_add("no-space", "no space after `data:`", framing=Framing(space=False))
_add("bom", "the stream starts with a byte order mark", framing=Framing(bom=True))
_add("multi-line-data", "each chunk is spread over several `data:` lines", framing=Framing(indented=True))
_add("no-done", "the stream ends without [DONE]", framing=Framing(done=False))
_add("last-event-unterminated", "no blank line after [DONE]", framing=Framing(done=True, unterminated=True))
_add("big-chunk", "the whole stream in one write", framing=Framing(group="all"))
_add("tiny-chunks", "each byte in a write of its own", framing=Framing(group="byte"))


def _many_comments(call: Call, chunks: list[Json]) -> Iterator[Item]:
    beat = sse.comment(call.options.keepalive or "KILO PROCESSING")
    yield beat * 20
    for chunk in chunks:
        yield beat
        yield beat
        yield chunk


_add("keepalive", "keep-alive comments before and between all chunks", frames=_many_comments)


# Labels and encodings.
def _gzip_body(call: Call, payload: Json) -> Page:
    whole = page(200, payload)
    packed: tuple[Part, ...] = (b"".join(p for p in sse.gzipped(whole.parts) if isinstance(p, bytes)),)
    return Page(200, packed, {**whole.headers, "content-encoding": "gzip"})


def _mislabelled(kind: str) -> dict[str, object]:
    return {
        "framing": Framing(content_type=kind),
        "body": lambda call, payload: Page(200, page(200, payload).parts, {"content-type": kind}),
    }


_add("gzip", "the body is compressed", framing=Framing(gzip=True), body=_gzip_body)
_add("content-type-html", "a valid answer labelled text/html", **_mislabelled("text/html; charset=utf-8"))
_add("content-type-json", "a stream labelled application/json", **_mislabelled("application/json"))

# Loads.
HUGE_CHARACTERS = 10_000_000
MANY_FRAMES = 100_000
DRIP_SECONDS = 0.02


def _huge(call: Call, chunks: list[Json]) -> list[Json]:
    at = next(index for index, chunk in enumerate(chunks) if is_finish(chunk))
    return [*chunks[:at], wire.chunk(call, {"content": "x" * HUGE_CHARACTERS}), *chunks[at:]]


def _huge_body(call: Call, payload: Json) -> Json:
    payload["choices"][0]["message"]["content"] += "x" * HUGE_CHARACTERS
    return payload


def _many(call: Call, chunks: list[Json]) -> Iterator[Item]:
    at = next(index for index, chunk in enumerate(chunks) if is_finish(chunk))
    yield from chunks[:at]
    yield sse.event({"choices": [{"delta": {"content": "x"}}]}) * _many_of(call)
    yield from chunks[at:]


def _many_body(call: Call, payload: Json) -> Json:
    payload["choices"][0]["message"]["content"] += "x" * _many_of(call)
    return payload


def _many_of(call: Call) -> int:
    return int(call.body.get("max_tokens") or MANY_FRAMES)


def _drip(call: Call, chunks: list[Json]) -> Iterator[Item]:
    for chunk in chunks:
        yield chunk
        yield Pause(DRIP_SECONDS)


def _drip_body(call: Call, payload: Json) -> Page:
    whole = page(200, payload)
    return Page(200, (Pause(DRIP_SECONDS), *whole.parts), whole.headers)


_add("huge-frame", "ten million characters in one chunk", kind="load", frames=_huge, body=_huge_body)
_add(
    "many-frames",
    "max_tokens chunks of one character each, by default a hundred thousand",
    kind="load",
    frames=_many,
    body=_many_body,
    framing=Framing(group="all"),
)
_add("slow-drip", f"{DRIP_SECONDS:g} seconds between chunks", kind="load", frames=_drip, body=_drip_body)
