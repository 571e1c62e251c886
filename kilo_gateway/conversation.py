"""A conversation in no wire format: messages made of typed parts, in order. Data only.

Each adapter translates its framework's messages into these classes once, and each interface renders them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from kilo_gateway.encoding.lenient_json import object_of


@dataclass(frozen=True, slots=True)
class Text:
    """A text."""

    text: str
    cache_control: Any = None
    """Mark of a prompt cache, sent unchanged; the same in every part that has it."""


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

    def wire(self) -> dict[str, Any]:
        """Return the call in OpenAI's form, which both frameworks know, its arguments unchanged."""
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}

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
    """A piece of a message in the wire format of Chat Completions, for which there is no class here."""

    value: Any
    place: Literal["content", "images", "tool_calls", "function_call"] = "content"
    """The field of the message that the piece belongs to."""


Part = Text | Image | Audio | Video | File | Thought | ToolCall | ToolResult | Refusal | SpokenAnswer | Opaque


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its parts in order."""

    role: str
    """`system`, `developer`, `user`, `assistant` or `tool`; others are sent as they are."""
    parts: Sequence[Part]
    name: str | None = None


Conversation = Sequence[Message]


def as_conversation(prompt: Conversation | str) -> Conversation:
    """Return a text as a conversation of one user message; a conversation unchanged."""
    return [Message("user", [Text(prompt)])] if isinstance(prompt, str) else prompt


def tool_call(call_id: str, name: str, arguments: str | Mapping[str, Any]) -> ToolCall:
    """Return a tool call of an earlier answer with arguments that are a JSON object.

    Arguments that are not one (of a truncated answer, say) are wrapped in one as a string: strict providers
    refuse the whole conversation otherwise.
    """
    if not isinstance(arguments, str):
        return ToolCall(call_id, name, json.dumps(arguments, ensure_ascii=False))
    text = arguments.strip() or "{}"
    if object_of(text) is None:
        text = json.dumps({"invalid_arguments": arguments}, ensure_ascii=False)
    return ToolCall(call_id, name, text)


def data_url(data: str, mime_type: str) -> str:
    """Return a data URL for base64 `data`."""
    return f"data:{mime_type};base64,{data}"
