"""The state of one answer: what its frames, or its one body, have told so far. Pure."""

from __future__ import annotations

from typing import Any

from kilo_gateway import error_table
from kilo_gateway.errors import KiloError
from kilo_gateway.plain import Mender, dicts, mend
from kilo_gateway.reply import (
    Delta,
    Ending,
    ToolCallRepair,
    add_reasoning_detail,
    content_parts,
    reasoning_text,
)
from kilo_gateway.usage import parse_usage

_TOLD_ONCE = ("id", "model", "provider", "system_fingerprint", "service_tier")


class Answer:
    """Takes in frames and returns their deltas. Raises a KiloError for an error, wherever a frame holds it.

    Choices other than the first are told apart by `Delta.choice` when several were asked for (n > 1), and
    left out when they were not.
    """

    def __init__(self, response: Any, sent: error_table.Sent) -> None:
        self.response = response
        self._sent = sent
        self._first = _Choice(0, _opened(response))
        self._others: dict[int, _Choice] = {}
        self._usage: Any = None
        self._metadata: Any = None
        self._citations: list[dict[str, Any]] = []

    @property
    def partial_text(self) -> str:
        """The text of the first choice so far."""
        return "".join(self._first.text)

    @property
    def has_usage(self) -> bool:
        """Whether token counts have been told."""
        return self._usage is not None

    @property
    def told(self) -> bool:
        """Whether the first choice has said anything, be it nothing but its role."""
        return self._first.told

    @property
    def finished(self) -> bool:
        """Whether each choice has told its finish_reason."""
        return all(choice.ending.finish_reason for choice in (self._first, *self._others.values()))

    def frame(self, frame: dict[str, Any], part: str) -> list[Delta]:
        """Decode one frame (`part` "delta") or the one body of an answer (`part` "message")."""
        if frame.get("error"):
            raise self._error(frame)
        self._envelope(frame)
        choices = frame.get("choices")
        deltas = [Delta(raw=frame)]
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            reason = choice.get("finish_reason")
            if choice.get("error") or reason == "error":
                raise self._error({**frame, **choice})
            if not (index := choice.get("index")):
                self._take(self._first, choice, part, deltas[0])
            elif self._sent.several and isinstance(index, int):
                if index not in self._others:
                    self._others[index] = _Choice(index, Ending())
                deltas.append(Delta(choice=index))
                self._take(self._others[index], choice, part, deltas[-1])
        return deltas

    def finish(self) -> list[Delta]:
        """Return the last delta of each choice, with its ending; the first choice's comes last of all."""
        ending = self._first.ending
        ending.usage = parse_usage(self._usage, self._metadata)
        if not ending.annotations:
            ending.annotations = self._citations
        for other in self._others.values():
            for name in (*_TOLD_ONCE, "created", "request_id"):
                setattr(other.ending, name, getattr(ending, name))
        choices = (*self._others.values(), self._first)
        if any(choice.nameless for choice in choices):
            raise error_table.unreadable(
                "it has a tool call without a function name", response=self.response, partial=self.partial_text
            )
        return [choice.finish() for choice in choices]

    def _envelope(self, frame: dict[str, Any]) -> None:
        ending = self._first.ending
        for name in _TOLD_ONCE:
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

    def _take(self, to: _Choice, choice: dict[str, Any], part: str, delta: Delta) -> None:
        to.take(choice, part, delta)
        if isinstance(message := choice.get(part), dict) and message.get("provider_metadata"):
            self._metadata = message["provider_metadata"]

    def _error(self, body: dict[str, Any]) -> KiloError:
        if not body.get("error"):
            body = {**body, "error": {"message": "The provider reported an error and did not say which"}}
        return error_table.from_body(
            body, status=None, response=self.response, sent=self._sent, partial=self.partial_text
        )


class _Choice:
    """What one choice of an answer has told."""

    __slots__ = ("_calls", "_index", "_reasoning_mender", "_refusal", "_text_mender", "ending", "text", "told")

    def __init__(self, index: int, ending: Ending) -> None:
        self.ending = ending
        self.told = False
        self.text: list[str] = []
        self._index = index
        self._text_mender, self._reasoning_mender = Mender(), Mender()
        self._refusal: list[str] = []
        self._calls = ToolCallRepair()

    @property
    def nameless(self) -> bool:
        return self._calls.nameless

    def take(self, choice: dict[str, Any], part: str, delta: Delta) -> None:
        """Take in one frame's share of this choice and put it into `delta`."""
        ending = self.ending
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason and not ending.finish_reason:
            ending.finish_reason = reason
        if isinstance(native := choice.get("native_finish_reason"), str) and native:
            ending.native_finish_reason = native
        if isinstance(logprobs := choice.get("logprobs"), dict):
            ending.logprobs = _joined_logprobs(ending.logprobs, logprobs)
        message = choice.get(part)
        if not isinstance(message, dict):
            return
        self.told = True
        text, thought = content_parts(message.get("content"))
        if text := self._text_mender.feed(text):
            delta.text = text
            self.text.append(text)
        if thought := reasoning_text(message, thought):
            delta.reasoning = self._reasoning_mender.feed(thought)
        if calls := message.get("tool_calls"):
            delta.tool_calls = self._calls.feed(calls) if part == "delta" else self._calls.whole(calls)
        if isinstance(refusal := message.get("refusal"), str):
            # Told at the end, in one piece: LangChain's blocks have no way to add to a refusal.
            self._refusal.append(refusal)
        for detail in dicts(message.get("reasoning_details")):
            if part == "delta":
                add_reasoning_detail(ending.reasoning_details, detail)
            else:
                ending.reasoning_details.append(detail)
        ending.images.extend(dicts(message.get("images")))
        ending.annotations.extend(dicts(message.get("annotations")))
        if isinstance(audio := message.get("audio"), dict):
            ending.audio = _joined_audio(ending.audio, audio)

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
    return Ending(request_id=error_table.request_id_of(response), headers=getattr(response, "headers", {}))


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
