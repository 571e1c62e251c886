"""LlamaIndex messages as a conversation. Pure; the caller's messages are never changed."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
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

from kilo_gateway.conversation import (
    Audio,
    Cacheable,
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
    arranged,
    data_url,
    tool_call,
)
from kilo_gateway.encoding.lenient_json import dicts, mapping, string

_ROLES: Final = {MessageRole.CHATBOT: "assistant", MessageRole.MODEL: "assistant"}


def conversation(messages: Sequence[ChatMessage]) -> list[Message]:
    """Return `messages` as a conversation.

    Raises ValueError for a block that the gateway has no form for, and for a tool message without its call's id.
    """
    return [_message(message) for message in messages]


def _message(message: ChatMessage) -> Message:
    role = _ROLES.get(message.role, message.role.value)
    extra = message.additional_kwargs
    if role == "assistant":
        return Message(role, _said(message), extra.get("name"))
    parts = _parts(message.blocks)
    if role in ("tool", "function") and (call_id := extra.get("tool_call_id")):
        return Message("tool", [ToolResult(call_id, parts)])
    if role == "tool":
        raise ValueError('a tool message needs additional_kwargs={"tool_call_id": ...}: the id of the call it answers')
    if role == "function" and not extra.get("name"):
        raise ValueError('a function message needs additional_kwargs={"name": ...}: the name of the function')
    return Message(role, parts, extra.get("name"))


def _said(message: ChatMessage) -> list[Part]:
    """Return the parts of an answer, in order: of its blocks, then what only `additional_kwargs` hold."""
    extra = message.additional_kwargs
    parts = _parts(message.blocks, ours=True)
    if not any(isinstance(part, ToolCall) for part in parts):
        parts += map(_call, calls_beside_blocks(message))
    beside = {string(call.get("id")): call.get("extra_content") for call in dicts(extra.get("tool_calls"))}
    for part in parts:
        if isinstance(part, ToolCall):
            part.extra_content = beside.get(part.id)
    if call := extra.get("function_call"):  # the older form of a call, answered by a message of the role `function`
        parts.append(Opaque(_fields(call), "function_call"))
    if refusal := string(extra.get("refusal")):
        parts.append(Refusal(refusal))
    if audio_id := mapping(extra.get("audio")).get("id"):
        parts.append(SpokenAnswer(audio_id))
    return arranged(parts, list(dicts(extra.get("layout"))), dicts(extra.get("annotations")))


def calls_beside_blocks(message: ChatMessage) -> Iterator[ToolCallBlock]:
    """Yield the calls that a message of another LLM class has in `additional_kwargs`. Raises ValueError."""
    for call in message.additional_kwargs.get("tool_calls") or ():
        fields = _fields(call)
        function = mapping(fields.get("function"))
        if not isinstance(function.get("name"), str):
            raise ValueError(f"the tool call {fields!r} in additional_kwargs names no function")
        yield ToolCallBlock(
            tool_call_id=fields.get("id") or "",
            tool_name=function["name"],
            tool_kwargs=function.get("arguments") or "",
        )


def _fields(call: Any) -> Mapping[str, Any]:
    """Return a call as a dict; other LLM classes keep the openai package's objects."""
    fields: Mapping[str, Any] = call if isinstance(call, Mapping) else call.model_dump()
    return fields


def _call(block: ToolCallBlock) -> ToolCall:
    return tool_call(block.tool_call_id or "", block.tool_name, block.tool_kwargs)


def _parts(blocks: Sequence[Any], *, ours: bool = False) -> list[Part]:
    """Return the parts of blocks; thoughts and tool calls only of an answer (`ours`)."""
    parts: list[Part] = []
    for block in blocks:
        if isinstance(block, CachePoint):
            # LlamaIndex marks a place; the gateway marks the part before it.
            for place, part in reversed(list(enumerate(parts))):
                if isinstance(part, Cacheable):
                    parts[place] = replace(part, cache_control=block.cache_control.model_dump(exclude_none=True))
                    break
        elif isinstance(block, CitableBlock):
            parts.append(Document(_citable(block), block.title, block.source))
        elif isinstance(block, ThinkingBlock):
            if ours:
                details = list(dicts(block.additional_information.get("reasoning_details")))
                parts.append(Thought(block.content or "", details))
        elif isinstance(block, ToolCallBlock):
            if ours:
                parts.append(_call(block))
        elif isinstance(block, CitationBlock):
            continue  # of use to the reader: the text that cites is in a block of its own, its citations beside it
        elif convert := _CONVERTERS.get(type(block)):
            try:
                parts.append(convert(block))
            except (ValueError, OSError) as error:
                raise ValueError(f"a {type(block).__name__} cannot be sent: {error}") from error
        else:
            names = ", ".join(kind.__name__ for kind in _CONVERTERS)
            raise ValueError(f"a {type(block).__name__} cannot be sent; the gateway takes: {names}")
    return parts


def _citable(block: CitableBlock) -> list[Text | Image | File]:
    return [part for part in _parts(block.content) if isinstance(part, Text | Image | File)]


def _text(block: TextBlock) -> Part:
    return Text(block.text)


def _image(block: ImageBlock) -> Part:
    url = (
        str(block.url)
        if block.url
        else _data_url(block.resolve_image(as_base64=True), block.image_mimetype, "image/png")
    )
    return Image(url, block.detail)


def _audio(block: AudioBlock) -> Part:
    return Audio(_base64(block.resolve_audio(as_base64=True)), f"audio/{block.format or 'wav'}")


def _video(block: VideoBlock) -> Part:
    if block.url:
        return Video(str(block.url))
    return Video(_data_url(block.resolve_video(as_base64=True), block.video_mimetype, "video/mp4"))


def _document(block: DocumentBlock) -> Part:
    if block.url:
        return File(str(block.url), filename=block.title)
    encoded = io.BytesIO(base64.b64encode(block.resolve_document().read()))
    url = _data_url(encoded, block.document_mimetype, "application/octet-stream")
    return File(url, filename=block.title)


def _data_url(data: Any, mime_type: str | None, otherwise: str) -> str:
    return data_url(_base64(data), mime_type or otherwise)


def _base64(data: Any) -> str:
    return str(data.read(), "ascii")


_CONVERTERS: Final[dict[type, Callable[[Any], Part]]] = {
    TextBlock: _text,
    ImageBlock: _image,
    AudioBlock: _audio,
    VideoBlock: _video,
    DocumentBlock: _document,
}
