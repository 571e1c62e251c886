"""Server-sent events: from bytes, split anywhere, to the data of each event. Pure. See docs/gateway.md, "Streams"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BOM: Final = b"\xef\xbb\xbf"


class EventDecoder:
    """Collects bytes and yields the `data` of each event, as the WHATWG standard frames them.

    Lines end in LF, CRLF or CR; comments and fields other than `data` are left out; a last event
    without its blank line still counts, because servers that are cut off by a proxy lose that line.
    """

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._data: list[bytes] = []
        self._started = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of each event that `chunk` completes."""
        if self._started and self._rest and not self._rest[-1].endswith(b"\r") and not _ends_a_line(chunk):
            # One line may be megabytes (an image): its pieces are joined once, at its end.
            self._rest.append(chunk)
            return
        buffer = b"".join([*self._rest, chunk])
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._rest = [buffer]
                return
            buffer = buffer.removeprefix(_BOM)
            self._started = True
        # A CR at the very end may be half of a CRLF: it waits for the next byte.
        held = b""
        if buffer.endswith(b"\r"):
            held, buffer = b"\r", buffer[:-1]
        lines = _split(buffer)
        rest = lines.pop() + held
        self._rest = [rest] if rest else []
        for line in lines:
            if line:
                self._take(line)
            elif self._data:
                yield self._event()

    def finish(self) -> Iterator[bytes]:
        """Yield what the end of the stream completes."""
        for line in _split(b"".join(self._rest)):
            if line:
                self._take(line)
        self._rest = []
        if self._data:
            yield self._event()

    def _take(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line == b"data":
            self._data.append(b"")

    def _event(self) -> bytes:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        self._data = []
        return data


def _ends_a_line(chunk: bytes) -> bool:
    return b"\n" in chunk or b"\r" in chunk


def _split(buffer: bytes) -> list[bytes]:
    return _LINE_END.split(buffer) if b"\r" in buffer else buffer.split(b"\n")


def looks_like_events(body: bytes) -> bool:
    """Return whether `body` is an event stream, whatever its content type says."""
    return body.removeprefix(_BOM).lstrip().startswith((b"data:", b"event:", b": "))
