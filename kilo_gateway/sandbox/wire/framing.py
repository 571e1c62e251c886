"""Render server-sent events in the gateway's form and in its legal variants. See docs/gateway.md, "Streams"."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from kilo_gateway.sandbox.gateway.parts import Drop, Part, Pause

Item = dict[str, Any] | bytes | Pause | Drop
"""One step of a stream: a chunk, bytes that are sent unchanged, a pause, or the dropped connection."""


@dataclass(frozen=True)
class Framing:
    """The byte format of a stream; `group` is the content of one write, `gzip` is True if each write is compressed.

    `named` is True if events have a line `event:` where their interface has it.
    """

    newline: str = "\n"
    space: bool = True
    bom: bool = False
    indented: bool = False
    named: bool = True
    done: bool | None = None
    unterminated: bool = False
    group: Literal["event", "all", "byte"] = "event"
    content_type: str = "text/event-stream"
    gzip: bool = False

    @property
    def headers(self) -> dict[str, str]:
        return {"content-type": self.content_type, "content-encoding": "gzip" if self.gzip else "identity"}


PLAIN = Framing()
DONE = b"data: [DONE]\n\n"


def comment(text: str, framing: Framing = PLAIN) -> bytes:
    """Return a keep-alive comment, or no bytes if the text is empty."""
    return f": {text}{framing.newline * 2}".encode() if text else b""


def event(chunk: dict[str, Any], framing: Framing = PLAIN) -> bytes:
    """Return a chunk as one event."""
    style: dict[str, Any] = {"indent": 1} if framing.indented else {"separators": (",", ":")}
    text = json.dumps(chunk, ensure_ascii=False, **style)
    field = "data: " if framing.space else "data:"
    lines = text.split("\n") if framing.indented else [text]
    # Responses and Messages name the type of an event twice.
    named = [f"event: {chunk['type']}"] if framing.named and "type" in chunk else []
    return (framing.newline.join([*named, *(field + line for line in lines)]) + framing.newline * 2).encode()


def body(items: Iterable[Item], framing: Framing, *, keepalive: str, done: bool) -> Iterator[Part]:
    """Yield the parts of a stream: a keep-alive, the items, and the end mark if `done` or the framing says so."""
    parts = _parts(items, framing, keepalive, done)
    grouped = _grouped(_unterminated(parts) if framing.unterminated else parts, framing.group)
    return gzipped(grouped) if framing.gzip else grouped


def gzipped(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts compressed, so that a client can read each part when it arrives."""
    packer = zlib.compressobj(wbits=31)
    for part in parts:
        yield packer.compress(part) + packer.flush(zlib.Z_SYNC_FLUSH) if isinstance(part, bytes) else part
    yield packer.flush()


def _parts(items: Iterable[Item], framing: Framing, keepalive: str, done: bool) -> Iterator[Part]:
    # A byte order mark is legal only at the start of a stream (HTML standard, 9.2.5). A client that does not skip it
    # loses only the keep-alive.
    opening = ("\ufeff".encode() if framing.bom else b"") + comment(keepalive, framing)
    if opening:
        yield opening
    for item in items:
        yield event(item, framing) if isinstance(item, dict) else item
    if done if framing.done is None else framing.done:
        yield DONE.replace(b": ", b": " if framing.space else b":").replace(b"\n", framing.newline.encode())


def _unterminated(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts without the line ends of the last one."""
    last: Part = b""
    for part in parts:
        yield last
        last = part
    yield last.rstrip(b"\r\n") if isinstance(last, bytes) else last


def _grouped(parts: Iterator[Part], group: str) -> Iterator[Part]:
    if group == "all":
        yield b"".join(part for part in parts if isinstance(part, bytes))
    elif group == "byte":
        for part in parts:
            if isinstance(part, bytes):
                yield from (part[i : i + 1] for i in range(len(part)))
            else:
                yield part
    else:
        yield from parts
