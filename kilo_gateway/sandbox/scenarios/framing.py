"""Scenarios of the byte level: the same events in every spelling the standard allows."""

from __future__ import annotations

from collections.abc import Iterator

from kilo_gateway.sandbox import sse
from kilo_gateway.sandbox.call import Call
from kilo_gateway.sandbox.scenarios.base import Json, Registry
from kilo_gateway.sandbox.sse import Framing, Item

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
_add("tiny-chunks", "every byte in a write of its own", framing=Framing(group="byte"))


def _many_comments(call: Call, frames: list[Json]) -> Iterator[Item]:
    beat = sse.comment(call.options.keepalive or "KILO PROCESSING")
    yield beat * 20
    for frame in frames:
        yield beat
        yield beat
        yield frame


_add("keepalive", "keep-alive comments before and between all chunks", frames=_many_comments)
