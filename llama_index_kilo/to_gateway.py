"""LlamaIndex messages to the gateway's wire format. Pure; the caller's messages are never changed."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    CitableBlock,
    CitationBlock,
    DocumentBlock,
    ImageBlock,
    MessageRole,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
    VideoBlock,
)

from kilo_gateway.encoding import lenient_json
from kilo_gateway.interfaces.chat_completions import history as parts

Part = dict[str, Any]

_ROLES: Final = {
    MessageRole.CHATBOT: "assistant",
    MessageRole.MODEL: "assistant",
    MessageRole.FUNCTION: "tool",
}


def to_wire(messages: Sequence[ChatMessage]) -> list[dict[str, Any]]:
    """Return `messages` as the gateway takes them.

    Raises ValueError for a block that has no wire form, and for a tool message without its call's id.
    """
    return [_convert(message) for message in messages]


def _convert(message: ChatMessage) -> dict[str, Any]:
    role = _ROLES.get(message.role, message.role.value)
    extra = message.additional_kwargs
    content = _parts(message.blocks)
    if role == "assistant":
        thoughts = [b for b in message.blocks if isinstance(b, ThinkingBlock)]
        details = [d for b in thoughts for d in lenient_json.dicts(b.additional_information.get("reasoning_details"))]
        return parts.assistant_message(
            content,
            _tool_calls(message),
            reasoning="".join(b.content or "" for b in thoughts) or None,
            reasoning_details=details,
            refusal=extra.get("refusal"),
            audio=lenient_json.mapping(extra.get("audio")),
            name=extra.get("name"),
        )
    wire: dict[str, Any] = {"role": role, "content": parts.content_of(content)}
    if role == "tool":
        if not extra.get("tool_call_id"):
            raise ValueError(
                'a tool message needs additional_kwargs={"tool_call_id": ...}: the id of the call it answers'
            )
        wire["tool_call_id"] = extra["tool_call_id"]
    elif extra.get("name"):
        wire["name"] = extra["name"]
    return wire


def _tool_calls(message: ChatMessage) -> list[dict[str, Any]]:
    blocks = [b for b in message.blocks if isinstance(b, ToolCallBlock)]
    if blocks:
        return [parts.tool_call(b.tool_call_id or "", b.tool_name, b.tool_kwargs) for b in blocks]
    calls = []
    for call in message.additional_kwargs.get("tool_calls") or ():
        # Other LLM classes of LlamaIndex keep the openai package's objects here.
        told = call if isinstance(call, Mapping) else call.model_dump()
        function = lenient_json.mapping(told.get("function"))
        if not isinstance(function.get("name"), str):
            raise ValueError(f"the tool call {told!r} in additional_kwargs names no function")
        calls.append(parts.tool_call(told.get("id") or "", function["name"], function.get("arguments") or ""))
    return calls


def _parts(blocks: Sequence[Any]) -> list[Part]:
    converted: list[Part] = []
    for block in blocks:
        if isinstance(block, CachePoint):
            # LlamaIndex marks a place; the wire marks the part before it.
            if converted:
                control = block.cache_control.model_dump(exclude_none=True)
                converted[-1] = {**converted[-1], "cache_control": control}
        elif isinstance(block, CitableBlock):
            converted.extend(_parts(block.content))
        elif isinstance(block, _ELSEWHERE):
            continue
        elif convert := _CONVERTERS.get(type(block)):
            try:
                converted.append(convert(block))
            except (ValueError, OSError) as error:
                raise ValueError(f"a {type(block).__name__} cannot be sent: {error}") from error
        else:
            names = ", ".join(kind.__name__ for kind in _CONVERTERS)
            raise ValueError(f"a {type(block).__name__} has no form on the wire; the gateway takes: {names}")
    return converted


def _text(block: TextBlock) -> Part:
    return parts.text_part(block.text)


def _image(block: ImageBlock) -> Part:
    url = (
        str(block.url)
        if block.url
        else _data_url(block.resolve_image(as_base64=True), block.image_mimetype, "image/png")
    )
    return parts.image_part(url, block.detail)


def _audio(block: AudioBlock) -> Part:
    return parts.audio_part(_base64(block.resolve_audio(as_base64=True)), block.format or "wav")


def _video(block: VideoBlock) -> Part:
    if block.url:
        return parts.video_part(str(block.url))
    return parts.video_part(_data_url(block.resolve_video(as_base64=True), block.video_mimetype, "video/mp4"))


def _document(block: DocumentBlock) -> Part:
    if block.url:
        return parts.file_part(str(block.url), filename=block.title)
    encoded = io.BytesIO(base64.b64encode(block.resolve_document().read()))
    url = _data_url(encoded, block.document_mimetype, "application/octet-stream")
    return parts.file_part(url, filename=block.title)


def _data_url(data: Any, mime_type: str | None, otherwise: str) -> str:
    return parts.data_url(_base64(data), mime_type or otherwise)


def _base64(data: Any) -> str:
    return str(data.read(), "ascii")


_CONVERTERS: Final[dict[type, Callable[[Any], Part]]] = {
    TextBlock: _text,
    ImageBlock: _image,
    AudioBlock: _audio,
    VideoBlock: _video,
    DocumentBlock: _document,
}

# Sent from other fields of the wire message, or of use to the reader alone.
_ELSEWHERE: Final = (ThinkingBlock, ToolCallBlock, CitationBlock)
