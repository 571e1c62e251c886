"""A conversation in no wire format: messages made of typed parts, in order. Data only.

Each adapter translates its framework's messages into these classes once, and each interface renders them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from kilo_gateway.encoding.lenient_json import mapping, object_of, string


@dataclass(frozen=True, slots=True)
class Text:
    """A text."""

    text: str
    cache_control: Any = None
    """Mark of a prompt cache, sent unchanged; the same in every part that has it."""
    citations: Sequence[dict[str, Any]] = ()
    """The provider's own citations of exactly this text of an answer."""
    phase: str | None = None
    """What a text of an answer is for: `commentary` or `final_answer`, on Responses."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image, by its http(s) or data URL."""

    url: str
    detail: str | None = None
    """How closely the model looks: `low`, `high` or `auto`."""
    cache_control: Any = None


@dataclass(frozen=True, slots=True)
class Audio:
    """A sound, in base64."""

    data: str
    mime_type: str
    cache_control: Any = None


@dataclass(frozen=True, slots=True)
class Video:
    """A video, by its http(s) or data URL."""

    url: str
    cache_control: Any = None


@dataclass(frozen=True, slots=True)
class File:
    """A document: by its http(s) or data URL, or by the id of an uploaded file."""

    url: str | None = None
    file_id: str | None = None
    filename: str | None = None
    cache_control: Any = None


@dataclass(frozen=True, slots=True)
class Document:
    """A document that the model may cite, where the interface has citations."""

    parts: Sequence[Text | Image | File]
    title: str | None = None
    source: str | None = None
    """Where it comes from. The model reads it, and does not cite it."""
    cache_control: Any = None

    def plain(self) -> list[Text | Image | File]:
        """Return it in parts that each interface has: title and source as a text, then the content."""
        facts = {"Title": self.title, "Source": self.source}
        heading = "".join(f"{name}: {value}\n" for name, value in facts.items() if value)
        parts = [Text(heading), *self.parts] if heading else list(self.parts)
        if self.cache_control and parts:
            parts[-1] = replace(parts[-1], cache_control=self.cache_control)
        return parts


@dataclass(frozen=True, slots=True)
class Thought:
    """Reasoning of the model."""

    text: str = ""
    details: Sequence[dict[str, Any]] = ()
    """The provider's own entries, some signed or encrypted: they go back unchanged and in order."""


@dataclass(slots=True)
class ToolCall:
    """A complete tool call; `arguments` is the text as the model wrote it."""

    id: str
    name: str
    arguments: str = ""
    extra_content: Any = None
    """The provider's own data beside the call, such as Google's signature: it goes back unchanged on the same wire."""

    def wire(self) -> dict[str, Any]:
        """Return the call in OpenAI's form, which both frameworks know, its arguments unchanged."""
        call = {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}
        return {**call, "extra_content": self.extra_content} if self.extra_content else call

    def parsed(self) -> dict[str, Any] | None:
        """Return the arguments, `{}` for none, or None if they are not a JSON object."""
        text = self.arguments.strip()
        if text in ("", "null"):
            return {}
        if not text.endswith("}"):
            return None  # agents ask for every chunk of a stream: parsing a long text each time would add up
        return object_of(text)


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The result of a tool, for the call with this id."""

    call_id: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True)
class Refusal:
    """The model's refusal to answer."""

    text: str


@dataclass(frozen=True, slots=True)
class SpokenAnswer:
    """The audio of an earlier answer, which the provider finds by its id."""

    id: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """A piece of a message that only one wire format has. The other interfaces leave it out."""

    value: Any
    place: Literal["content", "images", "tool_calls", "function_call", "output", "block"] = "content"
    """Where it belongs: a field of a message of Chat Completions (the first four), an item of the output of
    Responses, or a content block of Messages."""


Cacheable = Text | Image | Audio | Video | File | Document
"""Parts that can have the mark of a prompt cache."""

Part = Cacheable | Thought | ToolCall | ToolResult | Refusal | SpokenAnswer | Opaque


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its parts in order."""

    role: str
    """`system`, `developer`, `user`, `assistant` or `tool`; others are sent as they are."""
    parts: Sequence[Part]
    name: str | None = None


Conversation = Sequence[Message]


def without_reasoning(conversation: Conversation) -> list[Message]:
    """Return a conversation without the reasoning of earlier answers."""
    return [
        replace(message, parts=[part for part in message.parts if not isinstance(part, Thought)])
        for message in conversation
    ]


def without_documents(parts: Iterable[Part]) -> list[Part]:
    """Return parts for an interface without citable documents: each document, in tool results too, as plain parts."""
    plain: list[Part] = []
    for part in parts:
        match part:
            case Document():
                plain += part.plain()
            case ToolResult():
                plain.append(replace(part, parts=without_documents(part.parts)))
            case _:
                plain.append(part)
    return plain


Layout = Sequence[Mapping[str, Any]]
"""The order of an answer's parts, as JSON: {"type": "reasoning", "details": n}, {"type": "text", "characters": n},
{"type": "tool_call", "id": ...} and {"type": "opaque", "place": ..., "value": ...}. Chat Completions has none. A text
of Responses may have its `phase`."""


def arranged(parts: Sequence[Part], layout: Layout, annotations: Iterable[dict[str, Any]] = ()) -> list[Part]:
    """Return the parts of an answer in the order of `layout`, its texts with those `annotations` that cite them.

    Frameworks keep texts, reasoning and tool calls apart, and users edit them. A part that the layout does not
    mention keeps its place at the end; a text that no longer has the length of the layout stays whole, at the
    place of its first piece. Without a layout the parts keep their order.
    """
    ordered = _in_order(parts, layout) if layout else list(parts)
    given = list(annotations)
    return list(_cited(ordered, given)) if given else ordered


def _cited(parts: Iterable[Part], annotations: Sequence[dict[str, Any]]) -> Iterator[Part]:
    """Yield the parts, each text with the annotations whose place in the whole text is exactly its own."""
    start = 0
    for part in parts:
        if not isinstance(part, Text):
            yield part
            continue
        place = (start, start + len(part.text))
        start = place[1]
        own = [cited for cited in annotations if (cited.get("start_index"), cited.get("end_index")) == place]
        yield replace(part, citations=own) if own else part


def _in_order(parts: Sequence[Part], layout: Layout) -> list[Part]:
    thoughts = [part for part in parts if isinstance(part, Thought)]
    details = [detail for thought in thoughts for detail in thought.details]
    texts = [part for part in parts if isinstance(part, Text)]
    text = "".join(part.text for part in texts)
    calls = {part.id: part for part in parts if isinstance(part, ToolCall)}
    lengths = [mapping(piece).get("characters") for piece in layout if mapping(piece).get("type") == "text"]
    splits = sum(length for length in lengths if isinstance(length, int)) == len(text)
    ordered: list[Part] = []
    for piece in layout:
        match mapping(piece):
            case {"type": "reasoning", "details": int(count)} if details[:count]:
                own, details = details[:count], details[count:]
                ordered.append(Thought(details=own))
            case {"type": "text", "characters": int(length)} if splits and length > 0:
                ordered.append(Text(text[:length], phase=string(mapping(piece).get("phase")) or None))
                text = text[length:]
            case {"type": "text"} if text and not splits:
                ordered += texts
                text = ""
            case {"type": "tool_call", "id": str(call_id)} if call_id in calls:
                ordered.append(calls.pop(call_id))
            case {"type": "opaque", "place": "output" | "block" as place, "value": value}:
                ordered.append(Opaque(value, place))
    rest = [part for part in parts if not isinstance(part, Thought | Text | ToolCall)]
    left: list[Part] = [Thought(details=details)] if details else []
    if not any(thought.details for thought in thoughts):
        left += thoughts
    if text:
        left += texts if not splits else [Text(text)]
    return left + ordered + list(calls.values()) + rest


def as_conversation(prompt: Conversation | str) -> Conversation:
    """Return a text as a conversation of one user message; a conversation unchanged."""
    return [Message("user", [Text(prompt)])] if isinstance(prompt, str) else prompt


def tool_call(call_id: str, name: str, arguments: str | Mapping[str, Any], extra_content: Any = None) -> ToolCall:
    """Return a tool call of an earlier answer with arguments that are a JSON object.

    Arguments that are not one (of a truncated answer, say) are wrapped in one: see `broken_arguments`.
    """
    if not isinstance(arguments, str):
        return ToolCall(call_id, name, json.dumps(arguments, ensure_ascii=False), extra_content)
    text = arguments.strip() or "{}"
    if object_of(text) is None:
        text = json.dumps(broken_arguments(arguments), ensure_ascii=False)
    return ToolCall(call_id, name, text, extra_content)


def broken_arguments(text: str) -> dict[str, Any]:
    """Return an object that stands for arguments that are not one, so that the model can read what it wrote.

    Strict providers refuse the whole conversation otherwise.
    """
    return {"invalid_arguments": text, "problem": "the arguments are not a JSON object"}


def data_url(data: str, mime_type: str) -> str:
    """Return a data URL for base64 `data`."""
    return f"data:{mime_type};base64,{data}"
