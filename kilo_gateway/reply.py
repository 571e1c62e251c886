"""From the gateway's JSON to what both frameworks translate: Delta, Ending, Reply. Pure; sync and async share it.

Every oddity that upstream providers put into an answer is repaired here, once
(docs/gateway.md, "Streams" and "Tool calls").
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from kilo_gateway.plain import Mender, dicts, mapping, mend, object_of, string
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


class ToolCallRepair:
    """Gives each fragment of a stream's tool calls its call.

    Upstream sends parallel calls all at index 0 with different ids, indices that start at 1 or are
    missing, ids and names that are repeated or emptied later, and arguments that are null or an object.
    """

    __slots__ = ("_by_id", "_by_id_and_index", "_calls", "_open", "_told")

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []
        self._told = 0
        self._open: dict[int | str, _OpenCall] = {}
        self._by_id: dict[str, _OpenCall] = {}
        self._by_id_and_index: dict[tuple[str, int | str], _OpenCall] = {}

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
            rest = call.take_held(at_the_end=True) + call.mender.finish()
            call.pieces.append(rest)
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
    def size(self) -> int:
        """Bytes of names and arguments so far."""
        texts = (text for call in self._calls for text in (call.name, *call.held, *call.pieces))
        return sum(len(text.encode("utf-8", "replace")) for text in texts)

    @property
    def nameless(self) -> bool:
        """Whether a call came without a function name, so that nobody can execute it."""
        return any(not call.told for call in self._calls)

    def _one(self, fragment: dict[str, Any], index: Any) -> ToolCallDelta | None:
        function = mapping(fragment.get("function"))
        given_id = mend(string(fragment.get("id")))
        place = index if isinstance(index, int | str) else None
        call = self._call_of(place, given_id)
        new_id = given_id if not call.id else ""
        call.id = call.id or new_id
        if given_id:
            self._by_id.setdefault(given_id, call)
            if place is not None:
                self._by_id_and_index[given_id, place] = call
        call.name = call.name or mend(string(function.get("name")))
        ready = call.mender.feed(_arguments_text(function.get("arguments")))
        if ready and (call.held or not call.pieces):
            call.held.append(ready)
            ready = ""
        if not call.name:
            return None
        first = not call.told
        if first:
            call.told = True
            # A call is numbered when it is first told, so that positions have no gaps.
            call.position, self._told = self._told, self._told + 1
        if call.held:
            ready = call.take_held()
        if ready:
            call.pieces.append(ready)
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
            call = self._by_id.get(call_id)
        elif self._calls:
            call = self._calls[-1]
        if call is None or (call_id and call.id and call_id != call.id):
            # Only an id that nobody has told yet is another call.
            call = None if index is None else self._by_id_and_index.get((call_id, index))
            if call is None:
                call = _OpenCall()
                self._calls.append(call)
        if index is not None:
            self._open[index] = call
        return call


@dataclass(slots=True)
class _OpenCall:
    id: str = ""
    name: str = ""
    held: list[str] = field(default_factory=list)
    """Arguments not passed on yet: until the name is known, and while they may turn out to be `null`."""
    pieces: list[str] = field(default_factory=list)
    """Arguments passed on."""
    mender: Mender = field(default_factory=Mender)
    position: int = -1
    told: bool = False

    def take_held(self, *, at_the_end: bool = False) -> str:
        """Return what may be passed on, and hold it no more."""
        text = self.held[0] if len(self.held) == 1 else "".join(self.held)
        if at_the_end:
            self.held = []
            return "" if text.strip() == "null" else text
        self.held = [text] if not self.pieces and "null".startswith(text) else []
        return "" if self.held else text


class Joined:
    """An object that arrives in pieces: what is in `texts` is joined, of any other key the last value counts."""

    __slots__ = ("_pieces", "_texts", "fields")

    def __init__(self, fields: Mapping[str, Any], texts: frozenset[str]) -> None:
        self.fields = dict(fields)
        """The values; of a text its first piece."""
        self._texts = texts
        self._pieces: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, fields: Mapping[str, Any]) -> None:
        """Take in the next piece."""
        for key, value in fields.items():
            if key in self._texts and isinstance(value, str) and isinstance(self.fields.get(key), str):
                self._pieces[key].append(value)
            else:
                self.fields[key] = value
                if key in self._pieces:
                    del self._pieces[key]

    def whole(self) -> dict[str, Any]:
        """Return the object so far."""
        return {**self.fields, **{key: self.fields[key] + "".join(more) for key, more in self._pieces.items()}}


class ReasoningDetails:
    """Joins streamed fragments of `reasoning_details` to the entries that they belong to.

    Type and index alone do not tell entries apart (Gemini sends several at index 0), so a fragment
    also starts a new entry when its id or format contradicts, or when the last entry is signed.
    """

    __slots__ = ("_entries", "_last")
    _TEXTS = frozenset({"text", "summary", "data"})

    def __init__(self) -> None:
        self._entries: list[Joined] = []
        self._last: dict[Hashable, Joined] = {}

    def add(self, fragment: dict[str, Any]) -> None:
        """Take in a fragment."""
        new = {key: value for key, value in fragment.items() if value not in (None, "")}
        index = new.get("index")
        place: Hashable = index if index.__class__ is int else repr(index)
        last = self._last.get(place)
        have = {} if last is None else last.fields
        if (
            last is None
            or have.get("type") != new.get("type")
            or have.get("signature")
            or any(key in new and have.get(key) not in (None, "", new[key]) for key in ("id", "format"))
        ):
            last = self._last[place] = Joined(fragment, self._TEXTS)
            self._entries.append(last)
        else:
            last.add(new)

    def append(self, entry: dict[str, Any]) -> None:
        """Take in a whole entry."""
        self._entries.append(Joined(entry, self._TEXTS))

    def whole(self) -> list[dict[str, Any]]:
        """Return the entries so far."""
        return [entry.whole() for entry in self._entries]


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
