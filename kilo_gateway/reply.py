"""An answer, whatever the interface: Delta, Ending, Reply. Data only."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Protocol, Self

from kilo_gateway.conversation import Image, Message, Part, Refusal, Text, Thought, ToolCall, arranged
from kilo_gateway.encoding.lenient_json import mapping, string
from kilo_gateway.usage import Usage


@dataclass(slots=True)
class ToolCallDelta:
    """A fragment of a tool call. `position` identifies its call in the answer, from 0 in order of appearance."""

    position: int
    id: str | None = None
    """Set once per call."""
    name: str | None = None
    """Set once per call."""
    arguments: str = ""
    """The next piece of the JSON text."""


class Labels(Protocol):
    """The facts of a request that its answer reports."""

    @property
    def model(self) -> str:
        """The requested model."""

    @property
    def tier(self) -> str | None:
        """The requested auto tier."""

    @property
    def mode(self) -> str | None:
        """The mode that was sent."""

    @property
    def include_response_headers(self) -> bool:
        """True if the answer's headers are reported too."""


@dataclass(slots=True)
class Ending:
    """Everything that is known when an answer is complete, each fact once."""

    api: str | None = None
    """The interface that answered."""
    reasoning_left_out: bool = False
    """True if the provider refused earlier reasoning, and the call was made once more without it."""
    finish_reason: str | None = None
    native_finish_reason: str | None = None
    usage: Usage | None = None
    id: str | None = None
    """The generation id."""
    object: str | None = None
    """What Chat Completions calls the answer: `chat.completion`, or `chat.completion.chunk` in a stream."""
    name: str | None = None
    """Name of the speaker, where the provider sets one."""
    model: str | None = None
    """The model that served, not the requested one."""
    provider: str | None = None
    """The upstream provider, where the route reports it."""
    created: int | None = None
    system_fingerprint: str | None = None
    service_tier: str | None = None
    request_id: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """The HTTP headers of the answer."""
    reasoning_details: list[dict[str, Any]] = field(default_factory=list)
    """To be sent back unchanged with the assistant message."""
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    audio: dict[str, Any] | None = None
    logprobs: dict[str, Any] | None = None
    tool_calls: list[ToolCall] = field(default_factory=list)
    """All calls, complete, by position."""
    layout: list[dict[str, Any]] = field(default_factory=list)
    """The order of the parts, where the interface has one; see `kilo_gateway.conversation.Layout`."""

    def image_urls(self) -> list[str]:
        """Return the URLs (mostly data URLs) of the images that can be shown."""
        urls = map(url_of_image, self.images)
        return [url for url in urls if url.startswith(("data:", "http:", "https:"))]

    def facts(self, request: Labels) -> dict[str, Any]:
        """Return everything that is known of an answer and of its request."""
        usage = self.usage
        facts = {
            "requested_model": request.model,
            "tier": request.tier,
            "mode": request.mode,
            "api": self.api,
            "reasoning_left_out": self.reasoning_left_out or None,
            "provider": self.provider,
            "id": self.id,
            "object": self.object,
            "request_id": self.request_id,
            "finish_reason": self.finish_reason,
            "native_finish_reason": self.native_finish_reason,
            "created": self.created,
            "system_fingerprint": self.system_fingerprint,
            "service_tier": self.service_tier,
            "cost": usage.cost if usage else None,
            "cost_details": usage.cost_details if usage else None,
            "is_byok": usage.is_byok if usage else None,
        }
        if request.include_response_headers:
            facts["headers"] = {k: v for k, v in self.headers.items() if k.lower() != "set-cookie"}
        return {name: value for name, value in facts.items() if value is not None}


def url_of_image(image: Mapping[str, Any]) -> str:
    """Return the URL of an image in an answer, which providers send as a string or in an object, or ""."""
    link = image.get("image_url")
    return string(link) or string(mapping(link).get("url"))


@dataclass(frozen=True, slots=True)
class Citation:
    """A citation of an answer, whatever the interface; None is what the provider did not say."""

    url: str | None
    title: str | None
    source: str | None
    """Where the cited text comes from: a URL, or the name or id of a document."""
    cited_text: str | None
    """Excerpt of the source."""
    numbers: dict[str, int]
    """Places in the source and, as `start_index` and `end_index`, in the text of the answer."""


def citation_of(annotation: Mapping[str, Any]) -> Citation | None:
    """Return an annotation of an answer as a citation, or None if it is something else, such as a parsed file."""
    inner = annotation.get("url_citation")  # the form of Chat Completions
    fields = inner if isinstance(inner, dict) else annotation

    def first(*names: str) -> str | None:
        return next((text for name in names if (text := string(fields.get(name)))), None)

    url, title, cited_text = first("url"), first("title", "document_title"), first("cited_text", "content")
    source = url or first("source", "filename", "file_id") or title
    if source is None and cited_text is None:
        return None
    numbers = {name: value for name, value in fields.items() if value.__class__ is int}
    return Citation(url, title, source, cited_text, numbers)


@dataclass(slots=True)
class Delta:
    """One repaired step of an answer; the last one of each choice alone carries `ending`."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    """Whole, in the last delta."""
    tool_calls: Sequence[ToolCallDelta] = ()
    ending: Ending | None = None
    raw: dict[str, Any] | None = None
    """The gateway's own JSON frame."""
    choice: int = 0
    """Which of several answers this belongs to; 0 unless n > 1 was asked for."""


class Reply:
    """An answer: the sum of its deltas. `others` are the further choices, by index, when n > 1 was asked for.

    `parts` are in the order in which they came; `text`, `reasoning` and `tool_calls` are views of them.
    Texts are joined when they are read: joining each delta to all before it would make long answers slow.
    """

    __slots__ = ("_arguments", "_calls", "_reasoning", "_sections", "_text", "ending", "others", "raw", "refusal")

    def __init__(
        self,
        text: str = "",
        reasoning: str = "",
        refusal: str = "",
        tool_calls: Iterable[ToolCall] = (),
        ending: Ending | None = None,
        raw: dict[str, Any] | None = None,
        others: dict[int, Reply] | None = None,
    ) -> None:
        self._text, self._reasoning = _Growing(text), _Growing(reasoning)
        self._calls = list(tool_calls)
        self._arguments: defaultdict[int, list[str]] = defaultdict(list)
        given = [_Section(kind, 0) for kind, value in (("reasoning", reasoning), ("text", text)) if value]
        self._sections = given + [_Section("call", position) for position in range(len(self._calls))]
        self.refusal = refusal
        self.ending = Ending() if ending is None else ending
        self.raw = {} if raw is None else raw
        self.others = {} if others is None else others

    @classmethod
    def of(cls, deltas: Iterable[Delta]) -> Self:
        """Return the sum of `deltas`."""
        reply = cls()
        for delta in deltas:
            reply.add(delta)
        return reply

    @property
    def text(self) -> str:
        """The text so far."""
        text = self._text
        if text.pieces:  # as `_Growing.join` does: this is read for every chunk
            text.whole += "".join(text.pieces)
            text.pieces, text.counted, text.characters = [], 0, 0
        return text.whole

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        return self._reasoning.whole if not self._reasoning.pieces else self._reasoning.join()

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls so far, by position."""
        if self._arguments:
            for position in self._arguments:
                self._calls[position].arguments += "".join(self._arguments[position])
            self._arguments.clear()
        return self._calls

    @property
    def parts(self) -> list[Part]:
        """The parts so far, in order. The entries of the provider's reasoning are in the first thought; a refusal
        and images come last."""
        texts = {"text": self.text, "reasoning": self.reasoning}
        ends = {kind: len(text) for kind, text in texts.items()}
        parts: list[Part] = []
        for section in reversed(self._sections):
            if section.kind == "call":
                parts.append(self.tool_calls[section.start])
                continue
            piece = texts[section.kind][section.start : ends[section.kind]]
            ends[section.kind] = section.start
            parts.append(Text(piece) if section.kind == "text" else Thought(piece))
        parts.reverse()
        if details := self.ending.reasoning_details:
            for place, part in enumerate(parts):
                if isinstance(part, Thought):
                    parts[place] = Thought(part.text, details)
                    break
            else:
                parts.insert(0, Thought(details=details))
        if self.refusal:
            parts.append(Refusal(self.refusal))
        return parts + [Image(url) for url in self.ending.image_urls()]

    def message(self) -> Message:
        """Return the answer as a message of the conversation, to go on from."""
        return Message("assistant", arranged(self.parts, self.ending.layout, self.ending.annotations))

    def add(self, delta: Delta) -> None:
        """Take in the next delta."""
        if delta.choice:
            if delta.choice not in self.others:
                self.others[delta.choice] = Reply()
            self.others[delta.choice].add(replace(delta, choice=0))
            return
        sections = self._sections
        if delta.reasoning:
            if not sections or sections[-1].kind != "reasoning":
                sections.append(_Section("reasoning", self._reasoning.length()))
            self._reasoning.pieces.append(delta.reasoning)
        if delta.text:
            if not sections or sections[-1].kind != "text":
                sections.append(_Section("text", self._text.length()))
            self._text.pieces.append(delta.text)
        if delta.refusal:
            self.refusal += delta.refusal
        for fragment in delta.tool_calls:
            if fragment.position == len(self._calls):
                sections.append(_Section("call", fragment.position))
                self._calls.append(ToolCall("", ""))
            call = self._calls[fragment.position]
            call.id = call.id or fragment.id or ""
            call.name = call.name or fragment.name or ""
            if fragment.arguments:
                self._arguments[fragment.position].append(fragment.arguments)
        if delta.ending is not None:
            self.ending = delta.ending
            for call, complete in zip(self._calls, delta.ending.tool_calls, strict=False):
                call.extra_content = complete.extra_content
        if delta.raw is not None:
            self.raw = delta.raw

    def _shown(self) -> dict[str, Any]:
        names = ("text", "reasoning", "refusal", "tool_calls", "ending", "raw", "others")
        return {name: getattr(self, name) for name in names}

    def __eq__(self, other: object) -> bool:
        return self._shown() == other._shown() if isinstance(other, Reply) else NotImplemented

    __hash__ = None  # type: ignore[assignment] # it changes, as a list does

    def __repr__(self) -> str:
        return f"Reply({', '.join(f'{name}={value!r}' for name, value in self._shown().items())})"


class _Growing:
    """A text that arrives in pieces."""

    __slots__ = ("characters", "counted", "pieces", "whole")

    def __init__(self, text: str) -> None:
        self.whole = text
        self.pieces: list[str] = []
        """Pieces behind `whole`."""
        self.counted = self.characters = 0
        """How many of the pieces have been counted, and their characters."""

    def join(self) -> str:
        """Return the text so far."""
        self.whole += "".join(self.pieces)
        self.pieces = []
        self.counted = self.characters = 0
        return self.whole

    def length(self) -> int:
        """Return the number of characters so far, without joining them."""
        new = self.pieces[self.counted :]
        self.counted += len(new)
        self.characters += sum(map(len, new))
        return len(self.whole) + self.characters


class _Section(NamedTuple):
    """A stretch of an answer in which nothing but one kind of part arrives."""

    kind: str
    """`text`, `reasoning` or `call`."""
    start: int
    """Characters of this kind before it; the position of a call."""
