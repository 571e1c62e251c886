"""The state of one answer while its frames, or its one body, are read. Pure."""

from __future__ import annotations

import json
from typing import Any, Literal

from kilo_gateway.encoding.lenient_json import Mender, cleaned, dicts, mend, string
from kilo_gateway.errors import KiloError, translate
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.chat_completions.content import Joined, ReasoningDetails, content_parts, reasoning_text
from kilo_gateway.interfaces.chat_completions.tool_calls import ToolCallRepair
from kilo_gateway.interfaces.endings import mended, opened
from kilo_gateway.reply import Delta, Ending
from kilo_gateway.usage import Usage, parse_usage

_REASONING = frozenset({"reasoning", "reasoning_content", "reasoning_details"})
_CARRYING = _REASONING | {"refusal", "images", "annotations", "audio", "provider_metadata"}
_AUDIO_TEXTS = frozenset({"data", "transcript"})
_REPORTED_ONCE = frozenset({"id", "model", "provider", "system_fingerprint", "service_tier"})

Field = Literal["delta", "message"]
"""The field of a choice that holds its message: `delta` in a stream, `message` in a whole answer."""


class Answer:
    """Takes in frames and returns their deltas. Raises a KiloError for an error, wherever a frame holds it.

    Choices other than the first have another `Delta.choice`. They are left out if only one answer was asked for.
    Fields are read in one pass: a look-up for each possible key would cost more, for every token.
    """

    def __init__(self, response: Any, sent: Sent) -> None:
        self.response = response
        self._sent = sent
        self._first = _Choice(0, opened("completions", response))
        self._others: dict[int, _Choice] = {}
        self.progress = 0
        """Number of frames that carried anything."""
        self.ended = False
        """True if the answer is complete, and nothing that follows can change it."""
        self._reported: dict[str, Any] = {}
        self._created: Any = None
        self._object: Any = None
        self._usage: Any = None
        self._metadata: Any = None
        self._citations: list[dict[str, Any]] = []
        self._odd = False

    @property
    def partial_text(self) -> str:
        """The text of the first choice so far."""
        return "".join(self._first.text)

    @property
    def has_usage(self) -> bool:
        """True if token counts have been reported."""
        return self._usage is not None

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost that have been reported so far."""
        usage, metadata = self._usage, self._first.metadata or self._metadata
        return parse_usage(cleaned(usage), cleaned(metadata)) if self._odd else parse_usage(usage, metadata)

    @property
    def hidden_bytes(self) -> int:
        """Bytes generated so far that no delta's text or reasoning shows: calls, refusals, signed reasoning, media."""
        return sum(choice.hidden_bytes for choice in (self._first, *self._others.values()))

    @property
    def began(self) -> bool:
        """True if the first choice has a message, even an empty one."""
        return self._first.began

    @property
    def finished(self) -> bool:
        """True if each choice has a finish_reason."""
        return all(choice.ending.finish_reason for choice in (self._first, *self._others.values()))

    def frame(self, frame: dict[str, Any], *, odd: bool = False, field: Field = "delta") -> list[Delta]:
        """Return the deltas of one frame of a stream, or of the one body of an answer (field "message").

        `odd` is the second value of `parse_odd`. Texts that arrive in pieces are mended when they are joined.
        """
        choices: Any = ()
        error: Any = None
        for key, value in frame.items():
            if key == "choices":
                choices = value
            elif value is None:
                continue
            elif key in _REPORTED_ONCE:
                self._reported[key] = value or self._reported.get(key)
            elif key == "created":
                self._created = value
            elif key == "object":
                self._object = value
            elif key == "error":
                error = value
            elif key == "usage" and isinstance(value, dict):
                # Some routes repeat it in each frame, others in their keep-alives.
                self.progress += bool(value) and value != self._usage
                self._usage = value  # cumulative when it is sent twice: the last one counts
            elif key == "provider_metadata":
                self._metadata = value or self._metadata
            elif key == "citations" and isinstance(value, list):
                self._citations = [c if isinstance(c, dict) else {"type": "url_citation", "url": c} for c in value]
        if error:
            raise self._error(frame)
        self._odd = self._odd or odd
        deltas = [Delta(raw=cleaned(frame) if odd else frame)]
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            if not (index := choice.get("index")):
                taker, delta = self._first, deltas[0]
            elif self._sent.several and isinstance(index, int):
                if index not in self._others:
                    self._others[index] = _Choice(index, Ending())
                taker, delta = self._others[index], Delta(choice=index)
                deltas.append(delta)
            elif choice.get("error") or choice.get("finish_reason") == "error":
                raise self._error({**frame, **choice})
            else:
                continue
            self.progress += taker.take(choice, field, delta)
            if taker.failed:
                raise self._error({**frame, **choice})
        return deltas

    def body(self, body: dict[str, Any], *, odd: bool = False) -> list[Delta]:
        """Return all deltas of an answer that is not streamed. Raises KiloError if the body holds none."""
        deltas = self.frame(body, odd=odd, field="message")
        if not self.began:
            raise translate.unreadable("it has no choices", response=self.response, body=body)
        deltas += self.finish()
        if not self.finished and not any(_says_something(delta) for delta in deltas):
            raise translate.unreadable("it has neither content nor a finish_reason", response=self.response, body=body)
        return deltas

    def done(self) -> list[Delta]:
        """Return the last deltas if the answer is whole when the mark `[DONE]` comes.

        Alone the mark ends nothing: the gateway leaves it out at times, and a cut answer may carry it.
        """
        self.ended = self.finished
        return self.finish() if self.ended else []

    def missing(self) -> str:
        """Say what an answer that is not finished lacks."""
        return "it has no finish_reason"

    def finish(self) -> list[Delta]:
        """Return the last delta of each choice, with its ending; the first choice's comes last of all."""
        ending = self._first.ending
        ending.usage = self.usage
        if not ending.annotations:
            ending.annotations = self._citations
        choices = (*self._others.values(), self._first)
        for choice in choices:
            choice.settle()
            choice.ending.api = ending.api
            choice.ending.request_id = ending.request_id
            choice.ending.object = string(self._object) or None
            choice.ending.created = self._created if isinstance(self._created, int) else None
            for name in _REPORTED_ONCE:
                setattr(choice.ending, name, string(self._reported.get(name)) or None)
            if self._odd:
                choice.ending = mended(choice.ending)
        if any(choice.nameless for choice in choices):
            raise translate.unreadable(
                "it has a tool call without a function name", response=self.response, partial=self.partial_text
            )
        return [choice.finish() for choice in choices]

    def _error(self, body: dict[str, Any]) -> KiloError:
        if not body.get("error"):
            body = {**body, "error": {"message": "The provider reported an error without a message"}}
        error = translate.from_body(
            body, status=None, response=self.response, sent=self._sent, partial=self.partial_text
        )
        error.usage = error.usage or self.usage
        return error


class _Choice:
    """The state of one choice of an answer."""

    __slots__ = (
        "_audio",
        "_calls",
        "_details",
        "_index",
        "_reasoning_mender",
        "_refusal",
        "_text_mender",
        "began",
        "ending",
        "failed",
        "metadata",
        "text",
    )

    def __init__(self, index: int, ending: Ending) -> None:
        self.ending = ending
        self.began = False
        self.failed = False
        self.metadata: Any = None
        self.text: list[str] = []
        self._index = index
        self._text_mender, self._reasoning_mender = Mender(), Mender()
        self._refusal: list[str] = []
        self._calls = ToolCallRepair()
        self._details = ReasoningDetails()
        self._audio: Joined | None = None

    @property
    def nameless(self) -> bool:
        return self._calls.nameless(calling=self.ending.finish_reason == "tool_calls")

    @property
    def hidden_bytes(self) -> int:
        audio = None if self._audio is None else self._audio.whole()
        parts = (part for part in (self._details.whole(), self.ending.images, audio) if part)
        hidden = "".join([*self._refusal, *map(json.dumps, parts)])
        return len(hidden.encode("utf-8", "replace")) + self._calls.size

    def take(self, choice: dict[str, Any], field: Field, delta: Delta) -> bool:
        """Take in one frame's share of this choice and put it into `delta`; return True if it carried anything."""
        ending = self.ending
        carried = False
        for key, value in choice.items():
            if value is None:
                continue
            if key == field:
                if isinstance(value, dict):
                    self.began = True
                    carried = self._message(value, field, delta)
            elif key == "error":
                self.failed = bool(value)
            elif key == "finish_reason":
                self.failed = self.failed or value == "error"
                if value and isinstance(value, str) and not ending.finish_reason:
                    ending.finish_reason = value
                    carried = True
            elif key == "native_finish_reason":
                if value and isinstance(value, str):
                    ending.native_finish_reason = value
            elif key == "logprobs" and isinstance(value, dict):
                ending.logprobs = {} if ending.logprobs is None else ending.logprobs
                _add_logprobs(ending.logprobs, value)
        return carried

    def _message(self, message: dict[str, Any], field: Field, delta: Delta) -> bool:
        text = thought = ""
        reasons = carried = False
        for key, value in message.items():
            if not value or key == "role":
                continue
            if key == "content":
                text, thought = (value, "") if isinstance(value, str) else content_parts(value)
                carried = carried or text != "" or thought != ""
                continue
            carried = carried or key in _CARRYING
            if key in _REASONING:
                reasons = True
                if key == "reasoning_details":
                    self._take_details(value, field)
            elif key == "tool_calls":
                delta.tool_calls = self._calls.feed(value) if field == "delta" else self._calls.whole(value)
                carried = carried or delta.tool_calls != []
            elif key == "refusal":
                if isinstance(value, str):
                    # Passed on at the end, in one piece: LangChain's blocks have no way to add to a refusal.
                    self._refusal.append(value)
            elif key == "images":
                self.ending.images.extend(dicts(value))
            elif key == "annotations":
                self.ending.annotations.extend(dicts(value))
            elif key == "audio":
                if isinstance(value, dict):
                    self._audio = self._audio or Joined({}, _AUDIO_TEXTS)
                    self._audio.add(value)
            elif key == "provider_metadata":
                self.metadata = value
            elif key == "name":
                self.ending.name = string(value) or None
        if text and (text := self._text_mender.feed(text)):
            delta.text = text
            self.text.append(text)
        if reasons or thought:
            delta.reasoning = self._reasoning_mender.feed(reasoning_text(message, thought))
        return carried

    def _take_details(self, details: Any, field: Field) -> None:
        take = self._details.add if field == "delta" else self._details.append
        for detail in dicts(details):
            take(detail)

    def settle(self) -> None:
        """Put the joined pieces into the ending."""
        self.ending.reasoning_details = self._details.whole()
        self.ending.audio = None if self._audio is None else self._audio.whole()

    def finish(self) -> Delta:
        """Return the last delta, with the ending."""
        rest = self._calls.finish()
        self.ending.tool_calls = self._calls.complete()
        return Delta(
            text=self._text_mender.finish(),
            reasoning=self._reasoning_mender.finish(),
            refusal=mend("".join(self._refusal)),
            tool_calls=rest,
            ending=self.ending,
            choice=self._index,
        )


def _add_logprobs(have: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, list):
            if not isinstance(have.get(key), list):
                have[key] = []  # the frame's own list must not change
            have[key].extend(value)
        else:
            have[key] = value


def _says_something(delta: Delta) -> bool:
    ending = delta.ending
    shown = ending is not None and (ending.images or ending.audio)
    return bool(delta.text or delta.reasoning or delta.refusal or delta.tool_calls or shown)
