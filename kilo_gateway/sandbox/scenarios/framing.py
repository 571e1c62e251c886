"""Register unusual bytes: all legal forms of events, compression, wrong labels, large or slow answers."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

from collections.abc import Callable, Iterator

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.parts import Part, Pause
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.scenarios.base import Json, Page, Registry
from kilo_gateway.sandbox.scenarios.failures import page
from kilo_gateway.sandbox.wire import framing as sse
from kilo_gateway.sandbox.wire.framing import Framing, Item
from kilo_gateway.sandbox.wire.interfaces import wire_of

REGISTRY = Registry()
_add = REGISTRY.add

_add("crlf", "lines end in CR LF", framing=Framing(newline="\r\n"))
_add("cr-only", "lines end in CR", framing=Framing(newline="\r"))
_add("no-space", "no space after `data:`", framing=Framing(space=False))
_add("bom", "the stream starts with a byte order mark", framing=Framing(bom=True))
_add("multi-line-data", "each event is spread over several `data:` lines", framing=Framing(indented=True))
_add("no-done", "the stream ends without [DONE]", apis=("chat_completions",), framing=Framing(done=False))
_add("last-event-unterminated", "no blank line after the last event", framing=Framing(unterminated=True))
_add("big-chunk", "the whole stream in one write", framing=Framing(group="all"))
_add("tiny-chunks", "each byte in a write of its own", framing=Framing(group="byte"))


def _many_comments(call: Call, frames: list[Json]) -> Iterator[Item]:
    beat = sse.comment(call.options.keepalive or "KILO PROCESSING")
    yield beat * 20
    for frame in frames:
        yield beat
        yield beat
        yield frame


_add("keepalive", "keep-alive comments before and between all events", frames=_many_comments)


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
_FILLER = "x"


def _longer(length: Callable[[Call], int]) -> Callable[[Call, Reply], None]:
    def reply(call: Call, reply: Reply) -> None:
        reply.text += f" {_FILLER * length(call)}"

    return reply


def _many(call: Call, frames: list[Json]) -> Iterator[Item]:
    """Split the last event with text, which is the filler, into events of one character each."""
    wire = wire_of(call)
    filler = max(position for position, frame in enumerate(frames) if wire.text_of(frame))
    yield from frames[:filler]
    yield wire.with_text(frames[filler], " ")
    yield sse.event(wire.with_text(frames[filler], _FILLER)) * _many_of(call)
    yield from frames[filler + 1 :]


def _many_of(call: Call) -> int:
    return int(call.body.get("max_tokens") or MANY_FRAMES)


def _drip(call: Call, frames: list[Json]) -> Iterator[Item]:
    for frame in frames:
        yield frame
        yield Pause(DRIP_SECONDS)


def _drip_body(call: Call, payload: Json) -> Page:
    whole = page(200, payload)
    return Page(200, (Pause(DRIP_SECONDS), *whole.parts), whole.headers)


_add(
    "huge-frame",
    "ten million characters in one event",
    kind="load",
    reply=_longer(lambda call: HUGE_CHARACTERS),
)
_add(
    "many-frames",
    "max_tokens events of one character each, by default a hundred thousand",
    kind="load",
    reply=_longer(_many_of),
    frames=_many,
    framing=Framing(group="all"),
)
_add("slow-drip", f"{DRIP_SECONDS:g} seconds between events", kind="load", frames=_drip, body=_drip_body)
