"""A conversation as the `messages` of Chat Completions. Pure. See docs/gateway.md, "Requests"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, assert_never

from kilo_gateway.conversation import (
    Audio,
    Conversation,
    Document,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    SpokenAnswer,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Video,
    without_documents,
)
from kilo_gateway.interfaces.audio import audio_format

Kind = TypeVar("Kind")


def messages(conversation: Conversation) -> list[dict[str, Any]]:
    """Return the messages of a request."""
    return [rendered for message in conversation for rendered in _rendered(message)]


def _rendered(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "assistant":
        yield _assistant(message)
        return
    parts = without_documents(message.parts)
    for result in _all(ToolResult, parts):
        content = _content(list(map(_part, result.parts)))
        yield {"role": "tool", "tool_call_id": result.call_id, "content": content}
    rest = [part for part in parts if not isinstance(part, ToolResult)]
    if rest or not parts:
        yield _named(message, {"role": message.role, "content": _content(list(map(_part, rest)))})


def _named(message: Message, rendered: dict[str, Any]) -> dict[str, Any]:
    return {**rendered, "name": message.name} if message.name else rendered


def _assistant(message: Message) -> dict[str, Any]:
    """Return an assistant message; reasoning goes back as its details where there are any, else as text.

    Images have a field of their own, as in the answer; of audio only the id goes back.
    """
    parts = without_documents(message.parts)
    images = [part.value for part in _opaque(parts, "images")] or list(map(_part, _all(Image, parts)))
    shown = [
        part
        for part in parts
        if isinstance(part, Text | Audio | Video | File) or (isinstance(part, Opaque) and part.place == "content")
    ]
    # Several texts of a model are one text, and not every provider takes a list from an assistant.
    content = _joined(list(map(_part, shown)))
    calls = [call.wire() for call in _all(ToolCall, parts)] + [part.value for part in _opaque(parts, "tool_calls")]
    thoughts = list(_all(Thought, parts))
    details = [_without_item_id(detail) for thought in thoughts for detail in thought.details]
    reasoning = "".join(thought.text for thought in thoughts)
    fields = {
        "tool_calls": calls,
        "reasoning_details": details,
        "reasoning": "" if details else reasoning,
        "refusal": "".join(refusal.text for refusal in _all(Refusal, parts)),
        "images": images,
        "audio": next(({"id": spoken.id} for spoken in _all(SpokenAnswer, parts)), None),
        "function_call": next((part.value for part in _opaque(parts, "function_call")), None),
    }
    rendered = _named(message, {"role": "assistant", "content": None if calls and not content else content})
    return rendered | {name: value for name, value in fields.items() if value}


def _without_item_id(detail: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of reasoning without the id of an item of OpenAI's, which is not stored (vercel/ai#7543)."""
    item_id = detail.get("id")
    if not isinstance(item_id, str) or not item_id.startswith("rs_"):
        return detail
    return {name: value for name, value in detail.items() if name != "id"}


def _all(kind: type[Kind], parts: Sequence[Part]) -> Iterator[Kind]:
    return (part for part in parts if isinstance(part, kind))


def _opaque(parts: Sequence[Part], place: str) -> Iterator[Opaque]:
    return (part for part in _all(Opaque, parts) if part.place == place)


def _content(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return the content of a message: a lone text as a plain string, which every provider takes; else a list."""
    return _joined(parts) if len(parts) < 2 else parts


def _joined(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return parts as one string if all are plain texts, else as a list."""
    if all(part.keys() == {"type", "text"} and isinstance(part["text"], str) for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            rendered: dict[str, Any] = {"type": "text", "text": part.text}
        case Image():
            image = {"url": part.url, "detail": part.detail} if part.detail else {"url": part.url}
            rendered = {"type": "image_url", "image_url": image}
        case Audio():
            rendered = {
                "type": "input_audio",
                "input_audio": {"data": part.data, "format": audio_format(part.mime_type)},
            }
        case Video():
            rendered = {"type": "video_url", "video_url": {"url": part.url}}
        case File():
            named = {"filename": part.filename or "file", "file_data": part.url}
            rendered = {"type": "file", "file": {"file_id": part.file_id} if part.file_id else named}
        case Opaque():
            return dict(part.value)
        case Thought() | ToolCall() | ToolResult() | Refusal() | SpokenAnswer() | Document():
            raise ValueError(f"a {type(part).__name__} has no place in this message; it belongs to another role")
        case _:
            assert_never(part)
    return {**rendered, "cache_control": part.cache_control} if part.cache_control else rendered
