"""What both frameworks translate: Delta, Ending, Reply. Data only; sync and async share it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from kilo_gateway.encoding.lenient_json import mapping, object_of, string
from kilo_gateway.usage import Usage


@dataclass(slots=True)
class ToolCallDelta:
    """A fragment of a tool call. `position` tells the calls of an answer apart, from 0 in order of appearance."""

    position: int
    id: str | None = None
    """Told once per call."""
    name: str | None = None
    """Told once per call."""
    arguments: str = ""
    """The next piece of the JSON text."""


@dataclass(slots=True)
class ToolCall:
    """A complete tool call; `arguments` is the text as the model wrote it."""

    id: str
    name: str
    arguments: str = ""

    def wire(self) -> dict[str, Any]:
        """Return the call as the wire has it in an assistant message, its arguments unchanged."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}

    def parsed(self) -> dict[str, Any] | None:
        """Return the arguments, `{}` for none, or None when they are no JSON object."""
        text = self.arguments.strip()
        if text in ("", "null"):
            return {}
        if not text.endswith("}"):
            return None  # agents ask for every chunk of a stream: parsing a long text each time would add up
        return object_of(text)


class Labels(Protocol):
    """What an answer reports of its request."""

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
        """Whether the answer's headers are reported too."""


@dataclass(slots=True)
class Ending:
    """What is known when an answer is complete, each fact once."""

    finish_reason: str | None = None
    native_finish_reason: str | None = None
    usage: Usage | None = None
    id: str | None = None
    """The generation id."""
    model: str | None = None
    """The model that served, not the requested one."""
    provider: str | None = None
    """The upstream provider, where the route tells it."""
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

    def image_urls(self) -> list[str]:
        """Return the URLs (mostly data URLs) of the images that can be shown."""
        found = []
        for image in self.images:
            link = image.get("image_url")
            url = string(link) or string(mapping(link).get("url"))
            if url.startswith(("data:", "http:", "https:")):
                found.append(url)
        return found

    def facts(self, request: Labels) -> dict[str, Any]:
        """Return what an answer tells of itself and of its request, without what is not known."""
        usage = self.usage
        found = {
            "requested_model": request.model,
            "tier": request.tier,
            "mode": request.mode,
            "provider": self.provider,
            "id": self.id,
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
            found["headers"] = {k: v for k, v in self.headers.items() if k.lower() != "set-cookie"}
        return {name: value for name, value in found.items() if value is not None}


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

    Texts are joined when they are read: joining each delta to all before it would make long answers slow.
    """

    __slots__ = (
        "_arguments",
        "_calls",
        "_more_reasoning",
        "_more_text",
        "_reasoning",
        "_text",
        "ending",
        "others",
        "raw",
        "refusal",
    )

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
        self._text, self._reasoning = text, reasoning
        self._more_text: list[str] = []
        self._more_reasoning: list[str] = []
        self._calls = list(tool_calls)
        self._arguments: defaultdict[int, list[str]] = defaultdict(list)
        self.refusal = refusal
        self.ending = Ending() if ending is None else ending
        self.raw = {} if raw is None else raw
        self.others = {} if others is None else others

    @property
    def text(self) -> str:
        """The text so far."""
        if self._more_text:
            self._text += "".join(self._more_text)
            self._more_text = []
        return self._text

    @property
    def reasoning(self) -> str:
        """The reasoning so far."""
        if self._more_reasoning:
            self._reasoning += "".join(self._more_reasoning)
            self._more_reasoning = []
        return self._reasoning

    @property
    def tool_calls(self) -> list[ToolCall]:
        """The calls so far, by position."""
        if self._arguments:
            for position in self._arguments:
                self._calls[position].arguments += "".join(self._arguments[position])
            self._arguments.clear()
        return self._calls

    def add(self, delta: Delta) -> None:
        """Take in the next delta."""
        if delta.choice:
            if delta.choice not in self.others:
                self.others[delta.choice] = Reply()
            self.others[delta.choice].add(replace(delta, choice=0))
            return
        if delta.text:
            self._more_text.append(delta.text)
        if delta.reasoning:
            self._more_reasoning.append(delta.reasoning)
        if delta.refusal:
            self.refusal += delta.refusal
        for fragment in delta.tool_calls:
            if fragment.position == len(self._calls):
                self._calls.append(ToolCall("", ""))
            call = self._calls[fragment.position]
            call.id = call.id or fragment.id or ""
            call.name = call.name or fragment.name or ""
            if fragment.arguments:
                self._arguments[fragment.position].append(fragment.arguments)
        if delta.ending is not None:
            self.ending = delta.ending
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
