"""The parts of messages and tool results as content of input items. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from kilo_gateway.conversation import (
    Audio,
    Document,
    File,
    Image,
    Opaque,
    Part,
    Refusal,
    SpokenAnswer,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Video,
)
from kilo_gateway.encoding.lenient_json import mapping, string
from kilo_gateway.interfaces.audio import audio_format

_NATIVE: Final = frozenset({"input_text", "input_image", "input_file", "input_audio", "input_video"})
_IN_RESULTS: Final = frozenset({"input_text", "input_image", "input_file"})
_MARK: Final = {"prompt_cache_breakpoint": {"mode": "explicit"}}
"""What marks a part for the prompt cache here. Until August 2026 it was `cache_control` (Kilo-Org/cloud#5186)."""


def content(parts: Iterable[Part]) -> str | list[dict[str, Any]]:
    """Return the content of a message: a lone text as a plain string, anything else as a list."""
    return _plain([_part(part) for part in parts])


def output(parts: Sequence[Part]) -> str | list[dict[str, Any]]:
    """Return the output of a tool. Raises ValueError for what a tool cannot return here."""
    rendered = [_part(part) for part in parts]
    for part in rendered:
        if part["type"] not in _IN_RESULTS:
            raise ValueError(
                f"a part of type {part['type']!r} has no place in a tool result of the Responses interface; "
                "return text, images or files, and send the rest as a user message"
            )
    return _plain(rendered)


def said(part: Part) -> dict[str, Any] | None:
    """Return a part of an assistant message, or None for what the interface does not take back."""
    match part:
        case Text():
            return _output_text(part.text) if part.text else None
        case Refusal():
            return {"type": "refusal", "refusal": part.text} if part.text else None
        case Image() | SpokenAnswer():
            return None  # an assistant message takes text only, and the gateway stores no answer to refer to
        case Opaque(value, "content"):
            value = mapping(value)
            kind, text = value.get("type"), value.get("text")
            if kind in ("text", "output_text") and isinstance(text, str):
                return _output_text(text)
            if kind == "refusal":
                return dict(value)
            if kind == "image_url":
                return None
            raise _no_place(f"a content block of type {kind!r}", "an assistant message")
        case _:
            raise _no_place(f"a {type(part).__name__}", "an assistant message")


def _output_text(text: str) -> dict[str, Any]:
    return {"type": "output_text", "text": text, "annotations": []}


def _plain(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]]:
    if not parts:
        return ""
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:
        return string(parts[0]["text"])
    return parts


def _part(part: Part) -> dict[str, Any]:
    match part:
        case Text():
            rendered: dict[str, Any] = {"type": "input_text", "text": part.text}
        case Image():
            rendered = _image(part.url, part.detail)
        case Audio():
            sound = {"data": part.data, "format": audio_format(part.mime_type)}
            rendered = {"type": "input_audio", "input_audio": sound}
        case Video():
            rendered = {"type": "input_video", "video_url": part.url}
        case File():
            rendered = _file(part.url, part.file_id, part.filename)
        case Opaque():
            return _from_chat(mapping(part.value))
        case Thought() | ToolCall() | ToolResult() | Refusal() | SpokenAnswer() | Document():
            raise _no_place(f"a {type(part).__name__}", "a message of this role")
    return rendered | _MARK if part.cache_control else rendered


def _image(url: Any, detail: Any) -> dict[str, Any]:
    # Not every upstream has a default for the detail.
    return {"type": "input_image", "image_url": url, "detail": detail or "auto"}


def _file(url: str | None, file_id: str | None, filename: str | None) -> dict[str, Any]:
    if file_id:
        return {"type": "input_file", "file_id": file_id}
    if url and url.startswith(("http://", "https://")):
        return {"type": "input_file", "file_url": url}
    return {"type": "input_file", "filename": filename or "file", "file_data": url}


def _from_chat(value: Any) -> dict[str, Any]:
    """Return a content part of Chat Completions, or one of this interface, as a part of this interface."""
    match value:
        case {"type": "text", "text": str(text)}:
            rendered: dict[str, Any] = {"type": "input_text", "text": text}
        case {"type": "image_url", "image_url": {"url": str(url), **rest}}:
            rendered = _image(url, rest.get("detail"))
        case {"type": "image_url", "image_url": str(url)}:
            rendered = _image(url, None)
        case {"type": "video_url", "video_url": {"url": str(url)}}:
            rendered = {"type": "input_video", "video_url": url}
        case {"type": "file", "file": file}:
            names = (string(mapping(file).get(name)) for name in ("file_data", "file_id", "filename"))
            rendered = _file(*names)
        case {"type": str(kind)} if kind in _NATIVE:
            rendered = {name: inner for name, inner in value.items() if name != "cache_control"}
        case _:
            raise _no_place(f"a content block of type {value.get('type')!r}", "a message")
    return rendered | _MARK if value.get("cache_control") else rendered


def _no_place(what: str, where: str) -> ValueError:
    return ValueError(
        f"{what} has no place in {where} of the Responses interface; leave it out, or use api='completions'"
    )
