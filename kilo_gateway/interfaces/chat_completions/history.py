"""Message parts and tools in the gateway's wire format, for both frameworks. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kilo_gateway.encoding.lenient_json import object_of
from kilo_gateway.reply import ToolCall

# What providers call the formats whose MIME names differ.
_AUDIO_FORMATS: Final = {
    "mpeg": "mp3",
    "mpeg3": "mp3",
    "x-wav": "wav",
    "wave": "wav",
    "vnd.wave": "wav",
    "x-m4a": "m4a",
    "mp4": "m4a",
    "x-flac": "flac",
}


def text_part(text: str, cache_control: Any = None) -> dict[str, Any]:
    """Return a text part."""
    return _cached({"type": "text", "text": text}, cache_control)


def image_part(url: str, detail: str | None = None, cache_control: Any = None) -> dict[str, Any]:
    """Return an image part for an http(s) or data URL."""
    image = {"url": url, "detail": detail} if detail else {"url": url}
    return _cached({"type": "image_url", "image_url": image}, cache_control)


def audio_part(data: str, mime_type: str, cache_control: Any = None) -> dict[str, Any]:
    """Return an audio part for base64 `data`; the MIME type becomes the format name providers use."""
    subtype = mime_type.partition(";")[0].rpartition("/")[2].strip().lower()
    audio = {"data": data, "format": _AUDIO_FORMATS.get(subtype, subtype)}
    return _cached({"type": "input_audio", "input_audio": audio}, cache_control)


def video_part(url: str, cache_control: Any = None) -> dict[str, Any]:
    """Return a video part for an http(s) or data URL."""
    return _cached({"type": "video_url", "video_url": {"url": url}}, cache_control)


def file_part(
    url: str | None = None, *, file_id: str | None = None, filename: str | None = None, cache_control: Any = None
) -> dict[str, Any]:
    """Return a file part for an http(s) or data URL, or for the id of an uploaded file."""
    file = {"file_id": file_id} if file_id else {"filename": filename or "file", "file_data": url}
    return _cached({"type": "file", "file": file}, cache_control)


def data_url(data: str, mime_type: str) -> str:
    """Return a data URL for base64 `data`."""
    return f"data:{mime_type};base64,{data}"


def content_of(parts: Sequence[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return the content of a message: a lone text as a plain string, which every provider takes; else a list."""
    return _plain(parts) if len(parts) < 2 else list(parts)


def _plain(parts: Sequence[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """Return parts as one string when they are nothing but text, else as a list."""
    if all(part.keys() == {"type", "text"} and isinstance(part["text"], str) for part in parts):
        return "".join(part["text"] for part in parts)
    return list(parts)


def tool_call(call_id: str, name: str, arguments: str | Mapping[str, Any]) -> dict[str, Any]:
    """Return a tool call for an assistant message.

    Arguments that are no JSON object, such as the torso of a truncated answer, travel as a string inside
    one: strict providers refuse the whole conversation otherwise.
    """
    if isinstance(arguments, str):
        text = arguments.strip() or "{}"
        arguments = (
            text if object_of(text) is not None else json.dumps({"invalid_arguments": arguments}, ensure_ascii=False)
        )
    else:
        arguments = json.dumps(arguments, ensure_ascii=False)
    return ToolCall(id=call_id, name=name, arguments=arguments).wire()


def assistant_message(
    parts: Sequence[dict[str, Any]],
    tool_calls: Sequence[dict[str, Any]] = (),
    *,
    reasoning: str | None = None,
    reasoning_details: Sequence[dict[str, Any]] | None = None,
    refusal: str | None = None,
    images: Sequence[dict[str, Any]] | None = None,
    audio: Mapping[str, Any] | None = None,
    name: str | None = None,
) -> dict[str, Any]:
    """Return an assistant message; reasoning goes back as its details where there are any, else as text.

    Images have a field of their own, as in the answer; of audio only the id goes back, by which the
    provider finds it again (docs/gateway.md, "Requests").
    """
    images = images or [part for part in parts if part["type"] == "image_url"]
    # What a model said in several blocks is one text, and not every provider takes a list from an assistant.
    content = _plain([part for part in parts if part["type"] != "image_url"])
    message: dict[str, Any] = {"role": "assistant", "content": None if tool_calls and not content else content}
    if name:
        message["name"] = name
    if tool_calls:
        message["tool_calls"] = list(tool_calls)
    if reasoning_details:
        message["reasoning_details"] = list(reasoning_details)
    elif reasoning:
        message["reasoning"] = reasoning
    if refusal:
        message["refusal"] = refusal
    if images:
        message["images"] = list(images)
    if audio and audio.get("id"):
        message["audio"] = {"id": audio["id"]}
    return message


def tool_choice(choice: Any, tool_names: Iterable[str]) -> Any:
    """Return the wire form of a tool choice.

    "any" and True mean "required", False means "none", and a tool's name forces that tool. Raises
    ValueError for a name that no offered tool has.
    """
    if choice is None or isinstance(choice, Mapping):
        return choice
    if isinstance(choice, bool):
        return "required" if choice else "none"
    if choice in ("auto", "none", "required"):
        return choice
    if choice == "any":
        return "required"
    names = list(tool_names)
    if choice not in names:
        raise ValueError(
            f"tool_choice={choice!r} names no offered tool; offered: {', '.join(names) or 'none'}. "
            "Other values: 'auto', 'none', 'required' (or 'any')"
        )
    return {"type": "function", "function": {"name": choice}}


def json_schema_format(function: Mapping[str, Any], *, strict: bool | None = None) -> dict[str, Any]:
    """Return the `response_format` that asks for an object like the arguments of `function`, a tool's definition."""
    body = {"name": function["name"], "schema": function.get("parameters") or {}}
    if description := function.get("description"):
        body["description"] = description
    if strict is not None:
        body["strict"] = strict
    return {"type": "json_schema", "json_schema": body}


def _cached(part: dict[str, Any], cache_control: Any) -> dict[str, Any]:
    return {**part, "cache_control": cache_control} if cache_control else part
