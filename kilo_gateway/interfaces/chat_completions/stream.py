"""Decoders of complete answers and of streams. Pure: bytes in, Delta or KiloError out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from kilo_gateway.encoding import lenient_json
from kilo_gateway.encoding.sse import EventDecoder, looks_like_events
from kilo_gateway.errors import translate
from kilo_gateway.interfaces.chat_completions.answer import Answer
from kilo_gateway.reply import Delta, Reply
from kilo_gateway.usage import Usage


class StreamDecoder:
    """Turns the bytes of a streamed answer into deltas; raises a KiloError for anything but a whole answer.

    `response` is only labelled onto errors. `partial_text` is what has been decoded so far, `ended` whether the answer
    is complete: nothing that follows, bytes or a broken connection, can change it.
    """

    def __init__(self, response: Any = None, sent: translate.Sent = translate.UNKNOWN) -> None:
        self._events = EventDecoder()
        self._answer = Answer(response, sent)
        self.frames = 0
        self.ended = False

    @property
    def partial_text(self) -> str:
        """The text decoded so far."""
        return self._answer.partial_text

    @property
    def finished(self) -> bool:
        """Whether the answer lacks nothing but the end of the stream."""
        return self._answer.finished and self._answer.has_usage

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost that have been reported so far."""
        return self._answer.usage

    @property
    def hidden_bytes(self) -> int:
        """Bytes generated so far that no delta's text or reasoning shows."""
        return self._answer.hidden_bytes

    @property
    def progress(self) -> int:
        """Number of frames that carried anything: keep-alives and empty frames do not count."""
        return self._answer.progress

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        """Yield the deltas that `chunk` completes."""
        for data in self._events.feed(chunk):
            yield from self._frame(data)

    def finish(self) -> Iterator[Delta]:
        """Yield the rest and, as the last delta, the ending; raises when the answer is not complete."""
        for data in self._events.finish():
            yield from self._frame(data, last=True)
        if self.ended:
            return
        if not self.frames:
            raise translate.unreadable("the stream is empty", response=self._answer.response)
        if not self._answer.finished:
            raise translate.interrupted("it has no finish_reason", self._answer.response, self.partial_text)
        yield from self._answer.finish()

    def _frame(self, data: bytes, *, last: bool = False) -> Sequence[Delta]:
        if self.ended or not data.strip():
            return ()
        if data.startswith(b"[DONE]"):
            # Alone it ends nothing: the gateway leaves it out at times, and a cut answer may carry it.
            self.ended = self._answer.finished
            return self._answer.finish() if self.ended else ()
        self.frames += 1
        try:
            frame, odd = lenient_json.parse_odd(data)
        except (ValueError, RecursionError) as error:
            if last and self.finished:
                return ()  # cut off behind the answer
            if last:
                why = "its last frame is cut off"
                raise translate.interrupted(why, self._answer.response, self.partial_text) from None
            raise translate.unreadable(
                f"a frame of the stream is not JSON ({error})",
                response=self._answer.response,
                body=data.decode(errors="replace"),
                partial=self.partial_text,
            ) from None
        if not isinstance(frame, dict):
            raise translate.unreadable(
                "a frame of the stream is not an object",
                response=self._answer.response,
                body=frame,
                partial=self.partial_text,
            )
        return self._answer.frame(frame, "delta", odd=odd)


def decode_body(content: bytes, response: Any = None, sent: translate.Sent = translate.UNKNOWN) -> Reply:
    """Decode the body of a 200 answer; raises a KiloError when it holds an error or no answer."""
    reply = Reply()
    for delta in decode_whole(content, response, sent):
        reply.add(delta)
    return reply


def json_object(content: bytes, response: Any = None) -> dict[str, Any]:
    """Parse the body of a 200 answer; raises KiloResponseError for anything but a JSON object."""
    body, odd = _object(content, response)
    cleaned: dict[str, Any] = lenient_json.cleaned(body) if odd else body
    return cleaned


def _object(content: bytes, response: Any) -> tuple[dict[str, Any], bool]:
    try:
        body, odd = lenient_json.parse_odd(content)
    except (ValueError, RecursionError):
        text = content.decode(errors="replace").strip()
        why = "it is not JSON" if text else "it is empty"
        raise translate.unreadable(why, response=response, body=text) from None
    if not isinstance(body, dict):
        raise translate.unreadable("it is not a JSON object", response=response, body=body)
    return body, odd


def listed(body: dict[str, Any], response: Any = None, sent: translate.Sent = translate.UNKNOWN) -> list[Any]:
    """Return the list that a 200 answer holds as `data`; raises KiloError when it is an error or has none."""
    if isinstance(body.get("data"), list):
        return list(body["data"])
    if body.get("error"):
        raise translate.from_body(body, status=None, response=response, sent=sent)
    raise translate.unreadable("it holds no list named 'data'", response=response, body=body)


def decode_whole(content: bytes, response: Any = None, sent: translate.Sent = translate.UNKNOWN) -> Iterator[Delta]:
    """Yield the deltas of a body that is there as a whole, be it JSON or an event stream in disguise."""
    if looks_like_events(content):
        decoder = StreamDecoder(response, sent)
        yield from decoder.feed(content)
        yield from decoder.finish()
        return
    body, odd = _object(content, response)
    answer = Answer(response, sent)
    deltas = answer.frame(body, "message", odd=odd)
    if not answer.told:
        raise translate.unreadable("it has no choices", response=response, body=body)
    deltas += answer.finish()
    if not answer.finished and not any(_says_something(delta) for delta in deltas):
        raise translate.unreadable("it has neither content nor a finish_reason", response=response, body=body)
    yield from deltas


def _says_something(delta: Delta) -> bool:
    ending = delta.ending
    shown = ending is not None and (ending.images or ending.audio)
    return bool(delta.text or delta.reasoning or delta.refusal or delta.tool_calls or shown)
