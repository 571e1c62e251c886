"""Decoders of streams and of whole answers of Chat Completions. Pure: bytes in, Delta or KiloError out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kilo_gateway.encoding.sse import looks_like_events
from kilo_gateway.errors import translate
from kilo_gateway.errors.sent import UNKNOWN, Sent
from kilo_gateway.interfaces.chat_completions.answer import Answer
from kilo_gateway.interfaces.frames import FrameDecoder
from kilo_gateway.interfaces.json_body import odd_object
from kilo_gateway.reply import Delta, Reply


class StreamDecoder(FrameDecoder):
    """Turns the bytes of a streamed answer into deltas. `response` is only the label of its errors."""

    def __init__(self, response: Any = None, sent: Sent = UNKNOWN) -> None:
        super().__init__(Answer(response, sent))


def decode_body(content: bytes, response: Any = None, sent: Sent = UNKNOWN) -> Reply:
    """Decode the body of a 200 answer; raises a KiloError if it holds an error or no answer."""
    return Reply.of(decode_whole(content, response, sent))


def decode_whole(content: bytes, response: Any = None, sent: Sent = UNKNOWN) -> Iterator[Delta]:
    """Yield the deltas of a body that is there as a whole, as JSON or as an event stream in disguise."""
    if looks_like_events(content):
        decoder = StreamDecoder(response, sent)
        yield from decoder.feed(content)
        yield from decoder.finish()
        return
    body, odd = odd_object(content, response)
    answer = Answer(response, sent)
    deltas = answer.frame(body, odd=odd, field="message")
    if not answer.began:
        raise translate.unreadable("it has no choices", response=response, body=body)
    deltas += answer.finish()
    if not answer.finished and not any(_says_something(delta) for delta in deltas):
        raise translate.unreadable("it has neither content nor a finish_reason", response=response, body=body)
    yield from deltas


def _says_something(delta: Delta) -> bool:
    ending = delta.ending
    shown = ending is not None and (ending.images or ending.audio)
    return bool(delta.text or delta.reasoning or delta.refusal or delta.tool_calls or shown)
