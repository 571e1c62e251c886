"""The bytes of an answer, whatever the interface: events that hold JSON objects, or one JSON object. Pure."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from kilo_gateway.encoding.lenient_json import parse_odd
from kilo_gateway.encoding.sse import EventDecoder, looks_like_events
from kilo_gateway.errors import connection, translate
from kilo_gateway.errors.sent import UNKNOWN, Sent
from kilo_gateway.interfaces.json_body import odd_object
from kilo_gateway.reply import Delta
from kilo_gateway.usage import Usage


class Answer(Protocol):
    """The state of one answer while its frames, or its one body, are read."""

    response: Any
    """The HTTP response, for the errors."""
    progress: int
    """Number of frames that carried anything."""
    ended: bool
    """True if the answer is complete, and nothing that follows can change it."""

    @property
    def finished(self) -> bool:
        """True if the answer is whole, whether or not its usage has been reported."""

    @property
    def has_usage(self) -> bool:
        """True if tokens or cost have been reported."""

    @property
    def partial_text(self) -> str:
        """The text so far."""

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost that have been reported so far."""

    @property
    def hidden_bytes(self) -> int:
        """Bytes generated so far that neither the text nor the reasoning of a delta shows."""

    def frame(self, frame: dict[str, Any], *, odd: bool = False) -> Sequence[Delta]:
        """Return the deltas of one frame. Raises KiloError."""

    def body(self, body: dict[str, Any], *, odd: bool = False) -> Sequence[Delta]:
        """Return all deltas of an answer that is not streamed. Raises KiloError if the body holds none."""

    def done(self) -> Sequence[Delta]:
        """Return the deltas that the mark `[DONE]` completes."""

    def finish(self) -> Sequence[Delta]:
        """Return the last deltas of an answer that is whole."""

    def missing(self) -> str:
        """Say what an answer that is not finished lacks."""


class FrameDecoder:
    """Turns the bytes of a streamed answer into deltas; raises a KiloError for anything but a whole answer."""

    def __init__(self, answer: Answer) -> None:
        self._events = EventDecoder()
        self._answer = answer
        self._empty = True
        self.progress = 0
        """Number of frames that carried anything: keep-alives and empty frames do not count."""
        self.ended = False
        """True if the answer is complete: nothing that follows, bytes or a broken connection, can change it."""

    @property
    def finished(self) -> bool:
        """True if the answer lacks nothing but the end of the stream."""
        return self._answer.finished and self._answer.has_usage

    @property
    def partial_text(self) -> str:
        """The text decoded so far."""
        return self._answer.partial_text

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost that have been reported so far."""
        return self._answer.usage

    @property
    def hidden_bytes(self) -> int:
        """Bytes generated so far that neither the text nor the reasoning of a delta shows."""
        return self._answer.hidden_bytes

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        """Yield the deltas that `chunk` completes."""
        for data in self._events.feed(chunk):
            yield from self._frame(data)

    def finish(self) -> Iterator[Delta]:
        """Yield the rest and, as the last delta, the ending; raises if the answer is not complete."""
        for data in self._events.finish():
            yield from self._frame(data, last=True)
        answer = self._answer
        if self.ended:
            return
        if self._empty:
            raise translate.unreadable("the stream is empty", response=answer.response)
        if not answer.finished:
            raise connection.interrupted(answer.missing(), answer.response, answer.partial_text)
        yield from answer.finish()

    def _frame(self, data: bytes, *, last: bool = False) -> Sequence[Delta]:
        answer = self._answer
        if self.ended or not data.strip():
            return ()
        if data.startswith(b"[DONE]"):
            deltas = answer.done()
            self.ended = answer.ended
            return deltas
        self._empty = False
        try:
            frame, odd = parse_odd(data)
        except (ValueError, RecursionError) as error:
            if last and self.finished:
                return ()  # cut off behind the answer
            if last:
                raise connection.interrupted(
                    "its last frame is cut off", answer.response, answer.partial_text
                ) from None
            raise translate.unreadable(
                f"a frame of the stream is not JSON ({error})",
                response=answer.response,
                body=data.decode(errors="replace"),
                partial=answer.partial_text,
            ) from None
        if not isinstance(frame, dict):
            raise translate.unreadable(
                "a frame of the stream is not an object",
                response=answer.response,
                body=frame,
                partial=answer.partial_text,
            )
        deltas = answer.frame(frame, odd=odd)
        # Attributes instead of properties: they are read for every chunk.
        self.progress, self.ended = answer.progress, answer.ended
        return deltas


class AnswerReader(ABC):
    """Reads the answers of an interface, which are streamed, one JSON object, or an event stream in disguise."""

    @abstractmethod
    def answer(self, response: Any, sent: Sent) -> Answer:
        """Return the state of an answer that has not begun."""

    def decoder(self, response: Any = None, sent: Sent = UNKNOWN) -> FrameDecoder:
        """Return the decoder of a streamed answer; `response` and `sent` describe it in its errors."""
        return FrameDecoder(self.answer(response, sent))

    def whole(self, content: bytes, response: Any = None, sent: Sent = UNKNOWN) -> Iterator[Delta]:
        """Yield the deltas of a body that is there as a whole. Raises KiloError if it holds an error or no answer."""
        if looks_like_events(content):
            decoder = self.decoder(response, sent)
            yield from decoder.feed(content)
            yield from decoder.finish()
            return
        body, odd = odd_object(content, response)
        yield from self.answer(response, sent).body(body, odd=odd)
