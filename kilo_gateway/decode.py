"""Decoders of complete answers and of streams. Pure: bytes in, Delta or KiloError out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from kilo_gateway import error_table
from kilo_gateway.errors import KiloError
from kilo_gateway.plain import Mender, dicts, mend
from kilo_gateway.reply import (
    Delta,
    Ending,
    Reply,
    ToolCallRepair,
    add_reasoning_detail,
    content_parts,
    reasoning_text,
)
from kilo_gateway.sse import EventDecoder, looks_like_events
from kilo_gateway.usage import parse_usage


class StreamDecoder:
    """Turns the bytes of a streamed answer into deltas; raises a KiloError for anything but a whole answer.

    `response` is only labelled onto errors. `partial_text` is what has been decoded so far, `frames` the
    number of data frames (keep-alives do not count), `ended` whether the answer is complete: nothing
    that follows, be it bytes or a broken connection, can change it.
    """

    def __init__(self, response: Any = None, sent: error_table.Sent = error_table.UNKNOWN) -> None:
        self._events = EventDecoder()
        self._answer = _Answer(response, sent)
        self.frames = 0
        self.ended = False

    @property
    def partial_text(self) -> str:
        """The text decoded so far."""
        return self._answer.partial_text

    @property
    def finished(self) -> bool:
        """Whether the answer lacks nothing but the end of the stream."""
        return self._answer.ending.finish_reason is not None and self._answer.has_usage

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        """Yield the deltas that `chunk` completes."""
        for data in self._events.feed(chunk):
            yield from self._frame(data)

    def finish(self) -> Iterator[Delta]:
        """Yield the rest and, as the last delta, the ending; raises when the answer is not complete."""
        for data in self._events.finish():
            yield from self._frame(data)
        if self.ended:
            return
        if not self.frames:
            raise error_table.unreadable("the stream is empty", response=self._answer.response)
        if not self._answer.ending.finish_reason:
            raise error_table.interrupted("it has no finish_reason", self._answer.response, self.partial_text)
        yield self._answer.finish()

    def _frame(self, data: bytes) -> Iterator[Delta]:
        if self.ended or not data.strip():
            return
        if data.startswith(b"[DONE]"):
            # Alone it ends nothing: the gateway leaves it out at times, and a cut answer may carry it.
            if self._answer.ending.finish_reason:
                self.ended = True
                yield self._answer.finish()
            return
        self.frames += 1
        try:
            frame = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise error_table.unreadable(
                f"a frame of the stream is not JSON ({error})",
                response=self._answer.response,
                body=data.decode(errors="replace"),
                partial=self.partial_text,
            ) from None
        if not isinstance(frame, dict):
            raise error_table.unreadable(
                "a frame of the stream is not an object",
                response=self._answer.response,
                body=frame,
                partial=self.partial_text,
            )
        yield self._answer.frame(frame, "delta")


def decode_body(content: bytes, response: Any = None, sent: error_table.Sent = error_table.UNKNOWN) -> Reply:
    """Decode the body of a 200 answer; raises a KiloError when it holds an error or no answer."""
    reply = Reply()
    for delta in decode_whole(content, response, sent):
        reply.add(delta)
    return reply


def decode_whole(content: bytes, response: Any = None, sent: error_table.Sent = error_table.UNKNOWN) -> Iterator[Delta]:
    """Yield the deltas of a body that is there as a whole, be it JSON or an event stream in disguise."""
    if looks_like_events(content):
        decoder = StreamDecoder(response, sent)
        yield from decoder.feed(content)
        yield from decoder.finish()
        return
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        text = content.decode(errors="replace").strip()
        why = "it is not JSON" if text else "it is empty"
        raise error_table.unreadable(why, response=response, body=text) from None
    if not isinstance(body, dict):
        raise error_table.unreadable("it is not a JSON object", response=response, body=body)
    answer = _Answer(response, sent)
    delta = answer.frame(body, "message")
    if not answer.has_choice:
        raise error_table.unreadable("it has no choices", response=response, body=body)
    last = answer.finish()
    empty = not (delta.text or delta.reasoning or last.refusal or delta.tool_calls)
    if empty and not (answer.ending.finish_reason or answer.ending.images or answer.ending.audio):
        raise error_table.unreadable("it has neither content nor a finish_reason", response=response, body=body)
    yield delta
    yield last


class _Answer:
    """The state of one answer: what its frames, or its one body, have told."""

    def __init__(self, response: Any, sent: error_table.Sent) -> None:
        self.response = response
        self.ending = Ending(request_id=error_table.request_id_of(response))
        self.has_choice = False
        self._sent = sent
        self._text: list[str] = []
        self._text_mender, self._reasoning_mender = Mender(), Mender()
        self._refusal: list[str] = []
        self._calls = ToolCallRepair()
        self._usage: Any = None
        self._metadata: Any = None
        self._citations: list[dict[str, Any]] = []

    @property
    def partial_text(self) -> str:
        return "".join(self._text)

    @property
    def has_usage(self) -> bool:
        return self._usage is not None

    def frame(self, frame: dict[str, Any], part: str) -> Delta:
        """Decode one frame (`part` "delta") or the one body of an answer (`part` "message")."""
        if frame.get("error"):
            raise self._error(frame)
        self._envelope(frame)
        choices = frame.get("choices")
        delta = Delta(raw=frame)
        for choice in choices if isinstance(choices, list) else ():
            # Other choices than the first exist only when n > 1 was asked for, which settings.py refuses.
            if isinstance(choice, dict) and not choice.get("index"):
                self._choice(choice, part, delta)
        return delta

    def finish(self) -> Delta:
        """Return the last delta, with the ending."""
        if self._calls.nameless:
            raise error_table.unreadable(
                "it has a tool call without a function name", response=self.response, partial=self.partial_text
            )
        ending = self.ending
        ending.usage = parse_usage(self._usage, self._metadata)
        if not ending.annotations:
            ending.annotations = self._citations
        rest = self._calls.finish()
        ending.tool_calls = self._calls.complete()
        return Delta(
            text=self._text_mender.finish(),
            reasoning=self._reasoning_mender.finish(),
            refusal=mend("".join(self._refusal)),
            tool_calls=rest,
            ending=ending,
        )

    def _envelope(self, frame: dict[str, Any]) -> None:
        ending = self.ending
        for name in ("id", "model", "provider", "system_fingerprint", "service_tier"):
            if isinstance(value := frame.get(name), str) and value:
                setattr(ending, name, value)
        if isinstance(created := frame.get("created"), int):
            ending.created = created
        if isinstance(usage := frame.get("usage"), dict):
            self._usage = usage  # cumulative when it is sent twice: the last one counts
        if frame.get("provider_metadata"):
            self._metadata = frame["provider_metadata"]
        if isinstance(citations := frame.get("citations"), list):
            self._citations = [c if isinstance(c, dict) else {"type": "url_citation", "url": c} for c in citations]

    def _choice(self, choice: dict[str, Any], part: str, delta: Delta) -> None:
        reason = choice.get("finish_reason")
        if choice.get("error") or reason == "error":
            raise self._error({**delta.raw, **choice} if delta.raw else choice)
        ending = self.ending
        if isinstance(reason, str) and reason and not ending.finish_reason:
            ending.finish_reason = reason
        if isinstance(native := choice.get("native_finish_reason"), str) and native:
            ending.native_finish_reason = native
        if isinstance(logprobs := choice.get("logprobs"), dict):
            ending.logprobs = _joined_logprobs(ending.logprobs, logprobs)
        message = choice.get(part)
        if not isinstance(message, dict):
            return
        self.has_choice = True
        text, thought = content_parts(message.get("content"))
        if text := self._text_mender.feed(text):
            delta.text = text
            self._text.append(text)
        if thought := reasoning_text(message, thought):
            delta.reasoning = self._reasoning_mender.feed(thought)
        if calls := message.get("tool_calls"):
            delta.tool_calls = self._calls.feed(calls) if part == "delta" else self._calls.whole(calls)
        if isinstance(refusal := message.get("refusal"), str):
            # Told at the end, in one piece: LangChain's blocks have no way to add to a refusal.
            self._refusal.append(refusal)
        self._extras(message, part)

    def _extras(self, message: dict[str, Any], part: str) -> None:
        ending = self.ending
        for detail in dicts(message.get("reasoning_details")):
            if part == "delta":
                add_reasoning_detail(ending.reasoning_details, detail)
            else:
                ending.reasoning_details.append(detail)
        ending.images.extend(dicts(message.get("images")))
        ending.annotations.extend(dicts(message.get("annotations")))
        if isinstance(audio := message.get("audio"), dict):
            ending.audio = _joined_audio(ending.audio, audio)
        if message.get("provider_metadata"):
            self._metadata = message["provider_metadata"]

    def _error(self, body: dict[str, Any]) -> KiloError:
        if not body.get("error"):
            body = {**body, "error": {"message": "The provider reported an error and did not say which"}}
        return error_table.from_body(
            body, status=None, response=self.response, sent=self._sent, partial=self.partial_text
        )


def _joined_logprobs(have: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    if have is None:
        return new
    joined = dict(have)
    for key, value in new.items():
        joined[key] = have[key] + value if isinstance(have.get(key), list) and isinstance(value, list) else value
    return joined


def _joined_audio(have: dict[str, Any] | None, new: dict[str, Any]) -> dict[str, Any]:
    joined = dict(have or {})
    for key, value in new.items():
        before = joined.get(key, "")
        appends = key in ("data", "transcript") and isinstance(value, str) and isinstance(before, str)
        joined[key] = before + value if appends else value
    return joined
