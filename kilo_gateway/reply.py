"""From the gateway's JSON to what both frameworks translate: Delta, Ending, Reply. Pure; sync and async share it.

Every oddity that upstream providers put into an answer is repaired here, once
(docs/gateway.md, "Streams" and "Tool calls").
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from kilo_gateway.plain import Mender, dicts, mapping, mend, object_of, string
from kilo_gateway.usage import Usage

if TYPE_CHECKING:
    from kilo_gateway.settings import ChatRequest


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

    def facts(self, request: ChatRequest) -> dict[str, Any]:
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


@dataclass(slots=True)
class Reply:
    """An answer: the sum of its deltas. `others` are the further choices, by index, when n > 1 was asked for."""

    text: str = ""
    reasoning: str = ""
    refusal: str = ""
    tool_calls: list[ToolCall] = field(default_factory=list)
    ending: Ending = field(default_factory=Ending)
    raw: dict[str, Any] = field(default_factory=dict)
    others: dict[int, Reply] = field(default_factory=dict)

    def add(self, delta: Delta) -> None:
        """Take in the next delta."""
        if delta.choice:
            if delta.choice not in self.others:
                self.others[delta.choice] = Reply()
            self.others[delta.choice].add(replace(delta, choice=0))
            return
        if delta.text:
            self.text += delta.text
        if delta.reasoning:
            self.reasoning += delta.reasoning
        if delta.refusal:
            self.refusal += delta.refusal
        for fragment in delta.tool_calls:
            if fragment.position == len(self.tool_calls):
                self.tool_calls.append(ToolCall("", ""))
            call = self.tool_calls[fragment.position]
            call.id = call.id or fragment.id or ""
            call.name = call.name or fragment.name or ""
            call.arguments += fragment.arguments
        if delta.ending is not None:
            self.ending = delta.ending
        if delta.raw is not None:
            self.raw = delta.raw


class ToolCallRepair:
    """Gives each fragment of a stream's tool calls its call.

    Upstream sends parallel calls all at index 0 with different ids, indices that start at 1 or are
    missing, ids and names that are repeated or emptied later, and arguments that are null or an object.
    """

    __slots__ = ("_calls", "_open", "_told")

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []
        self._told = 0
        self._open: dict[int | str, _OpenCall] = {}

    def feed(self, fragments: Any) -> list[ToolCallDelta]:
        """Return the repaired fragments of one frame."""
        repaired = (self._one(fragment, fragment.get("index")) for fragment in dicts(fragments))
        return [delta for delta in repaired if delta is not None]

    def whole(self, calls: Any) -> list[ToolCallDelta]:
        """Return the calls of a complete answer, where each entry is a call of its own whatever its index."""
        repaired = [self._one(call, position) for position, call in enumerate(dicts(calls))]
        return [delta for delta in repaired if delta is not None] + self.finish()

    def finish(self) -> list[ToolCallDelta]:
        """Return what the end of the answer settles: held-back arguments and ids nobody sent."""
        deltas = []
        for call in self._calls:
            rest = "" if call.held.strip() == "null" else call.held
            rest += call.mender.finish()
            call.pieces.append(rest)
            call.held = ""
            missing_id = None if call.id else f"call_{uuid.uuid4().hex}"
            call.id = call.id or missing_id or ""
            if call.told and (rest or missing_id):
                deltas.append(ToolCallDelta(call.position, id=missing_id, arguments=rest))
        return deltas

    def complete(self) -> list[ToolCall]:
        """Return all calls, once the answer has ended."""
        told = sorted((call for call in self._calls if call.told), key=lambda call: call.position)
        return [ToolCall(call.id, call.name, "".join(call.pieces)) for call in told]

    @property
    def nameless(self) -> bool:
        """Whether a call came without a function name, so that nobody can execute it."""
        return any(not call.told for call in self._calls)

    def _one(self, fragment: dict[str, Any], index: Any) -> ToolCallDelta | None:
        function = mapping(fragment.get("function"))
        given_id = mend(string(fragment.get("id")))
        call = self._call_of(index if isinstance(index, int | str) else None, given_id)
        new_id = given_id if not call.id else ""
        call.id = call.id or new_id
        call.name = call.name or mend(string(function.get("name")))
        call.held += call.mender.feed(_arguments_text(function.get("arguments")))
        if not call.name:
            return None
        first = not call.told
        if first:
            call.told = True
            # A call is numbered when it is first told, so that positions have no gaps.
            call.position, self._told = self._told, self._told + 1
        ready = "" if not call.pieces and "null".startswith(call.held) else call.held
        if ready:
            call.pieces.append(ready)
            call.held = ""
        if not (first or ready or new_id):
            return None
        return ToolCallDelta(
            call.position,
            id=(call.id if first else new_id) or None,
            name=call.name if first else None,
            arguments=ready,
        )

    def _call_of(self, index: int | str | None, call_id: str) -> _OpenCall:
        call = None
        if index is not None:
            call = self._open.get(index)
        elif call_id:
            call = next((c for c in self._calls if c.id == call_id), None)
        elif self._calls:
            call = self._calls[-1]
        if call is None or (call_id and call.id and call_id != call.id):
            # Only an id that nobody has told yet is another call.
            known = (c for c in reversed(self._calls) if call_id and c.id == call_id and index in (None, *c.indices))
            call = next(known, None)
            if call is None:
                call = _OpenCall()
                self._calls.append(call)
        if index is not None:
            self._open[index] = call
            if index not in call.indices:
                call.indices.append(index)
        return call


@dataclass(slots=True)
class _OpenCall:
    id: str = ""
    name: str = ""
    held: str = ""
    """Arguments not passed on yet: until the name is known, and while they may turn out to be `null`."""
    pieces: list[str] = field(default_factory=list)
    """Arguments passed on."""
    indices: list[int | str] = field(default_factory=list)
    """The indices at which it was told."""
    mender: Mender = field(default_factory=Mender)
    position: int = -1
    told: bool = False


def add_reasoning_detail(details: list[dict[str, Any]], fragment: dict[str, Any]) -> None:
    """Append a streamed fragment of `reasoning_details` to the list, joining what belongs to one entry.

    Type and index alone do not tell entries apart (Gemini sends several at index 0), so a fragment
    also starts a new entry when its id or format contradicts, or when the last entry is signed.
    """
    new = {key: value for key, value in fragment.items() if value not in (None, "")}
    last = next((entry for entry in reversed(details) if entry.get("index") == new.get("index")), None)
    if (
        last is None
        or last.get("type") != new.get("type")
        or last.get("signature")
        or any(key in new and last.get(key) not in (None, "", new[key]) for key in ("id", "format"))
    ):
        details.append(dict(fragment))
        return
    for key, value in new.items():
        before = last.get(key) or ""
        joins = key in ("text", "summary", "data") and isinstance(value, str) and isinstance(before, str)
        last[key] = before + value if joins else value


def content_parts(content: Any) -> tuple[str, str]:
    """Return (text, reasoning) of a `content` value: a string, null, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    text = reasoning = ""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict) and part.get("type") == "text":
            text += string(part.get("text"))
        elif isinstance(part, dict) and part.get("type") == "thinking":
            inner = part.get("thinking")
            pieces = inner if isinstance(inner, list) else [{"text": inner}]
            reasoning += "".join(string(p.get("text")) for p in pieces if isinstance(p, dict))
    return text, reasoning


def reasoning_text(message: dict[str, Any], from_content: str) -> str:
    """Return the reasoning of a message or delta once, although up to four fields repeat it."""
    if text := string(message.get("reasoning")) or string(message.get("reasoning_content")) or from_content:
        return text
    details = dicts(message.get("reasoning_details"))
    return "".join(string(d.get("text")) + string(d.get("summary")) for d in details)


def _arguments_text(arguments: Any) -> str:
    if isinstance(arguments, str) or arguments is None:
        return arguments or ""
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be written)"  # not JSON, so that no tool is run on it
