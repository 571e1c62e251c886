"""The state of one answer: what its frames, or its one body, have told so far. Pure."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from kilo_gateway.encoding import response_headers
from kilo_gateway.encoding.lenient_json import Mender, cleaned, dicts, mend
from kilo_gateway.errors import KiloError, translate
from kilo_gateway.interfaces.chat_completions.content import Joined, ReasoningDetails, content_parts, reasoning_text
from kilo_gateway.interfaces.chat_completions.tool_calls import ToolCallRepair
from kilo_gateway.reply import Delta, Ending
from kilo_gateway.usage import Usage, parse_usage

_REASONING = frozenset({"reasoning", "reasoning_content", "reasoning_details"})
_CARRYING = _REASONING | {"refusal", "images", "annotations", "audio", "provider_metadata"}
_FROM_JSON = frozenset(Ending.__slots__) - {"usage", "request_id", "headers", "tool_calls"}
_AUDIO_TEXTS = frozenset({"data", "transcript"})
_TOLD_ONCE = ("id", "model", "provider", "system_fingerprint", "service_tier")


class Answer:
    """Takes in frames and returns their deltas. Raises a KiloError for an error, wherever a frame holds it.

    Choices other than the first are told apart by `Delta.choice` when several were asked for (n > 1), and
    left out when they were not.
    """

    def __init__(self, response: Any, sent: translate.Sent) -> None:
        self.response = response
        self._sent = sent
        self._first = _Choice(0, _opened(response))
        self._others: dict[int, _Choice] = {}
        self.progress = 0
        """Number of frames that carried anything."""
        self._told: dict[str, str] = {}
        self._created: Any = None
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
        """Whether token counts have been told."""
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
    def told(self) -> bool:
        """Whether the first choice has said anything, be it nothing but its role."""
        return self._first.told

    @property
    def finished(self) -> bool:
        """Whether each choice has told its finish_reason."""
        return all(choice.ending.finish_reason for choice in (self._first, *self._others.values()))

    def frame(self, frame: dict[str, Any], part: str, *, odd: bool = False) -> list[Delta]:
        """Decode one frame (`part` "delta") or the one body of an answer (`part` "message").

        `odd` is what `plain.parse_odd` says of it. Texts that arrive in pieces are mended when they are joined.
        """
        if frame.get("error"):
            if isinstance(frame.get("usage"), dict):
                self._usage = frame["usage"]
            raise self._error(frame)
        # One pass over what is there costs less than asking for each key that may be: this runs for every token.
        choices: Any = None
        for key, value in frame.items():
            if key == "choices":
                choices = value
            elif value.__class__ is str:
                if value:
                    self._told[key] = value
            elif key == "usage":
                if value.__class__ is dict:
                    # Some routes repeat it in each frame, others in their keep-alives.
                    self.progress += bool(value) and value != self._usage
                    self._usage = value  # cumulative when it is sent twice: the last one counts
            elif key == "created":
                self._created = value
            elif key == "provider_metadata":
                self._metadata = value or self._metadata
            elif key == "citations" and isinstance(value, list):
                self._citations = [c if isinstance(c, dict) else {"type": "url_citation", "url": c} for c in value]
        self._odd = self._odd or odd
        deltas = [Delta(raw=cleaned(frame) if odd else frame)]
        for choice in choices if choices.__class__ is list else ():
            if choice.__class__ is not dict:
                continue
            if choice.get("error") or choice.get("finish_reason") == "error":
                raise self._error({**frame, **choice})
            if not (index := choice.get("index")):
                self.progress += self._first.take(choice, part, deltas[0])
            elif self._sent.several and isinstance(index, int):
                if index not in self._others:
                    self._others[index] = _Choice(index, Ending())
                deltas.append(Delta(choice=index))
                self.progress += self._others[index].take(choice, part, deltas[-1])
        return deltas

    def finish(self) -> list[Delta]:
        """Return the last delta of each choice, with its ending; the first choice's comes last of all."""
        ending = self._first.ending
        ending.usage = self.usage
        if not ending.annotations:
            ending.annotations = self._citations
        choices = (*self._others.values(), self._first)
        for choice in choices:
            choice.settle()
            choice.ending.request_id = ending.request_id
            choice.ending.created = self._created if isinstance(self._created, int) else None
            for name in _TOLD_ONCE:
                setattr(choice.ending, name, self._told.get(name))
            if self._odd:
                choice.ending = _cleaned(choice.ending)
        if any(choice.nameless for choice in choices):
            raise translate.unreadable(
                "it has a tool call without a function name", response=self.response, partial=self.partial_text
            )
        return [choice.finish() for choice in choices]

    def _error(self, body: dict[str, Any]) -> KiloError:
        if not body.get("error"):
            body = {**body, "error": {"message": "The provider reported an error and did not say which"}}
        error = translate.from_body(
            body, status=None, response=self.response, sent=self._sent, partial=self.partial_text
        )
        error.usage = error.usage or self.usage
        return error


class _Choice:
    """What one choice of an answer has told."""

    __slots__ = (
        *("_audio", "_calls", "_details", "_index", "_reasoning_mender", "_refusal", "_text_mender"),
        *("ending", "metadata", "text", "told"),
    )

    def __init__(self, index: int, ending: Ending) -> None:
        self.ending = ending
        self.told = False
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
        return self._calls.nameless

    @property
    def hidden_bytes(self) -> int:
        audio = None if self._audio is None else self._audio.whole()
        parts = (part for part in (self._details.whole(), self.ending.images, audio) if part)
        hidden = "".join([*self._refusal, *map(json.dumps, parts)])
        return len(hidden.encode("utf-8", "replace")) + self._calls.size

    def take(self, choice: dict[str, Any], part: str, delta: Delta) -> bool:
        """Take in one frame's share of this choice and put it into `delta`; return whether it carried anything."""
        ending = self.ending
        carried = False
        for key, value in choice.items():
            if key == part:
                if value.__class__ is dict:
                    self.told = True
                    carried = self._message(value, part, delta)
            elif value.__class__ is str:
                if key == "finish_reason" and value and not ending.finish_reason:
                    ending.finish_reason = value
                    carried = True
                elif key == "native_finish_reason" and value:
                    ending.native_finish_reason = value
            elif key == "logprobs" and value.__class__ is dict:
                ending.logprobs = {} if ending.logprobs is None else ending.logprobs
                _add_logprobs(ending.logprobs, value)
        return carried

    def _message(self, message: dict[str, Any], part: str, delta: Delta) -> bool:
        text = thought = ""
        reasons = carried = False
        for key, value in message.items():
            if not value or key == "role":
                continue
            if key == "content":
                text, thought = (value, "") if value.__class__ is str else content_parts(value)
                carried = carried or text != "" or thought != ""
                continue
            carried = carried or key in _CARRYING
            if key in _REASONING:
                reasons = True
                if key == "reasoning_details":
                    self._take_details(value, part)
            elif key == "tool_calls":
                delta.tool_calls = self._calls.feed(value) if part == "delta" else self._calls.whole(value)
                carried = carried or delta.tool_calls != []
            elif key == "refusal":
                if value.__class__ is str:
                    # Told at the end, in one piece: LangChain's blocks have no way to add to a refusal.
                    self._refusal.append(value)
            elif key == "images":
                self.ending.images.extend(dicts(value))
            elif key == "annotations":
                self.ending.annotations.extend(dicts(value))
            elif key == "audio":
                if value.__class__ is dict:
                    self._audio = self._audio or Joined({}, _AUDIO_TEXTS)
                    self._audio.add(value)
            elif key == "provider_metadata":
                self.metadata = value
        if text and (text := self._text_mender.feed(text)):
            delta.text = text
            self.text.append(text)
        if reasons or thought:
            delta.reasoning = self._reasoning_mender.feed(reasoning_text(message, thought))
        return carried

    def _take_details(self, details: Any, part: str) -> None:
        take = self._details.add if part == "delta" else self._details.append
        for detail in dicts(details):
            take(detail)

    def settle(self) -> None:
        """Put what arrived in pieces into the ending."""
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


def _opened(response: Any) -> Ending:
    return Ending(request_id=response_headers.request_id_of(response), headers=getattr(response, "headers", {}))


def _cleaned(ending: Ending) -> Ending:
    return replace(ending, **{name: cleaned(getattr(ending, name)) for name in _FROM_JSON})


def _add_logprobs(have: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, list):
            if not isinstance(have.get(key), list):
                have[key] = []  # the frame's own list stays as it is
            have[key].extend(value)
        else:
            have[key] = value
