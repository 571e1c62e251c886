"""LangChain messages to the gateway's wire format. Pure; the caller's messages are never changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from kilo_gateway.encoding.lenient_json import dicts, mapping
from kilo_gateway.interfaces.chat_completions import history as parts
from kilo_gateway.routing import nearest_name
from langchain_kilo.from_gateway import PROVIDER

Part = dict[str, Any]
Block = Mapping[str, Any]


def to_wire(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Return `messages` as the gateway takes them.

    Raises ValueError for a content block or message type that has no wire form; the text names it.
    """
    return [wire for message in messages for wire in _convert(message)]


def _convert(message: BaseMessage) -> list[dict[str, Any]]:
    if isinstance(message, AIMessage):
        return [_assistant(message)]
    if isinstance(message, ToolMessage):
        content = parts.content_of(_parts(message.content))
        return [{"role": "tool", "tool_call_id": message.tool_call_id, "content": content}]
    if isinstance(message, FunctionMessage):
        # Function messages predate tool calls; only the name links them to theirs.
        return [{"role": "function", "name": message.name, "content": parts.content_of(_parts(message.content))}]
    if isinstance(message, HumanMessage):
        return _user(message)
    if isinstance(message, SystemMessage):
        role = message.additional_kwargs.get("__openai_role__", "system")
    elif isinstance(message, ChatMessage):
        role = message.role
    else:
        raise ValueError(
            f"{type(message).__name__} has no form on the wire: use HumanMessage, AIMessage, SystemMessage, "
            "ToolMessage or ChatMessage"
        )
    return [_named(message, {"role": role, "content": parts.content_of(_parts(message.content))})]


def _named(message: BaseMessage, wire: dict[str, Any]) -> dict[str, Any]:
    return {**wire, "name": message.name} if message.name else wire


def _user(message: HumanMessage) -> list[dict[str, Any]]:
    """Return the user message; Anthropic's `tool_result` blocks become the tool messages they stand for."""
    if isinstance(message.content, str):
        return [_named(message, {"role": "user", "content": message.content})]
    results = [b for b in message.content if isinstance(b, Mapping) and b.get("type") == "tool_result"]
    rest = [b for b in message.content if not (isinstance(b, Mapping) and b.get("type") == "tool_result")]
    wire = [_tool_result(block) for block in results]
    if rest or not results:
        wire.append(_named(message, {"role": "user", "content": parts.content_of(_parts(rest))}))
    return wire


def _tool_result(block: Block) -> dict[str, Any]:
    told = _parts(block.get("content") or "")
    if told and (cache_control := _cache_control(block)):
        told = [*told[:-1], {**told[-1], "cache_control": cache_control}]
    return {"role": "tool", "tool_call_id": _needed(block, "tool_use_id"), "content": parts.content_of(told)}


def _assistant(message: AIMessage) -> dict[str, Any]:
    calls = [parts.tool_call(call["id"] or "", call["name"], call["args"]) for call in message.tool_calls]
    calls += [
        parts.tool_call(call["id"] or "", call["name"] or "", call["args"] or "") for call in message.invalid_tool_calls
    ]
    told = {call["id"] for call in calls}
    # Anthropic's blocks, where nothing has read the calls out of them yet.
    calls += [
        parts.tool_call(_needed(block, "id"), _needed(block, "name"), block.get("input") or block.get("args") or {})
        for block in _blocks(message)
        if block.get("type") in ("tool_use", "tool_call") and block.get("id") not in told
    ]
    extra = message.additional_kwargs
    thought, refused = _block_of(message, "reasoning"), _block_of(message, "refusal")
    # Another provider's reasoning would be taken for the gateway's own; its details alone say whose they are.
    whose = message.response_metadata.get("model_provider")
    said = extra.get("reasoning_content") or extra.get("reasoning") if whose in (None, PROVIDER) else None
    audio = extra.get("audio") or _block_of(message, "audio").get("extras")
    wire = parts.assistant_message(
        # The audio of an answer goes back by its id.
        _parts(message.content if isinstance(message.content, str) or not audio else _without_audio(message.content)),
        calls or list(dicts(extra.get("tool_calls"))),
        reasoning=said or (thought.get("reasoning") if whose == PROVIDER else None),
        reasoning_details=extra.get("reasoning_details") or _extra(thought, "reasoning_details"),
        refusal=extra.get("refusal") or refused.get("refusal"),
        images=extra.get("images"),
        audio=audio,
        name=message.name,
    )
    # Function calls predate tool calls, and their results are FunctionMessages.
    return {**wire, "function_call": extra["function_call"]} if extra.get("function_call") and not calls else wire


def _blocks(message: AIMessage) -> Iterator[Block]:
    blocks = message.content if isinstance(message.content, list) else ()
    return (block for block in blocks if isinstance(block, Mapping))


def _block_of(message: AIMessage, kind: str) -> Block:
    return next((block for block in _blocks(message) if block.get("type") == kind), {})


def _without_audio(content: Sequence[Any]) -> list[Any]:
    return [block for block in content if not (isinstance(block, Mapping) and block.get("type") == "audio")]


def _parts(content: str | Sequence[Any]) -> list[Part]:
    if isinstance(content, str):
        return [parts.text_part(content)] if content else []
    if not isinstance(content, Sequence):
        raise ValueError(f"the content of a block is {content!r}; it must be a text or a list of blocks")
    return [part for block in content for part in _block_parts(block)]


def _block_parts(block: Any) -> list[Part]:
    if isinstance(block, str):
        return [parts.text_part(block)]
    if not isinstance(block, Mapping):
        raise ValueError(f"a content block is {block!r}; it must be a text or a dict")
    kind = _type_of(block)
    inner = block.get("value") if kind == "non_standard" else None
    if kind in _ELSEWHERE or (isinstance(inner, Mapping) and _type_of(inner) in _ELSEWHERE):
        return []
    if kind not in _CONVERTERS:
        near = _NEAREST.get(str(kind)) or nearest_name(str(kind), list(_CONVERTERS))
        hint = f" (use {near!r})" if near else ""
        raise ValueError(
            f"a content block of type {kind!r} has no form on the wire{hint}; the gateway takes: "
            f"{', '.join(_CONVERTERS)}"
        )
    try:
        return [_CONVERTERS[kind](block)]
    except (KeyError, TypeError) as error:
        raise ValueError(f"a content block of type {kind!r} is malformed: {error}") from error


def _type_of(block: Block) -> Any:
    kind = block.get("type")
    return kind if isinstance(kind, str) else repr(kind)


def _cache_control(block: Block) -> Any:
    return block.get("cache_control") or _extra(block, "cache_control")


def _extra(block: Block, name: str) -> Any:
    extras, metadata = mapping(block.get("extras")), mapping(block.get("metadata"))
    # Core moves the metadata of v0 blocks into the extras.
    for holder in (extras, metadata, mapping(extras.get("metadata"))):
        if name in holder:
            return holder[name]
    return None


def _needed(block: Block, name: str) -> Any:
    if not (value := block.get(name)):
        raise ValueError(f"a content block of type {block.get('type')!r} needs {name!r}: {dict(block)!r:.200}")
    return value


def _string(holder: Block, name: str) -> str | None:
    value = holder.get(name)
    if value is not None and not isinstance(value, str):
        raise TypeError(f"{name!r} is {value!r:.200}; it must be a string")
    return value


def _text(block: Block) -> Part:
    return parts.text_part(_string(block, "text") or "", _cache_control(block))


def _source(block: Block) -> tuple[str | None, str | None]:
    """Return (URL or data URL, file id) of an image, audio, video or file block of LangChain v0, v1 or Anthropic."""
    source = block.get("source")
    if isinstance(source, Mapping):
        if source.get("type") == "base64":
            data, media_type = _string(source, "data"), _string(source, "media_type")
            if not data or not media_type:
                raise ValueError(f"the source of a {block.get('type')!r} block needs 'data' and 'media_type'")
            return parts.data_url(data, media_type), None
        return _string(source, "url"), _string(source, "file_id")
    data = _string(block, "base64") or (_string(block, "data") if block.get("source_type") == "base64" else None)
    if data:
        mime_type = _string(block, "mime_type")
        if not mime_type:
            raise ValueError(f"a base64 block of type {block.get('type')!r} needs its mime_type, such as 'image/png'")
        return parts.data_url(data, mime_type), None
    file_id = _string(block, "file_id") or (_string(block, "id") if block.get("source_type") == "id" else None)
    return _string(block, "url"), file_id


def _url(block: Block) -> str:
    url, _ = _source(block)
    if not url:
        raise ValueError(
            f"a content block of type {block.get('type')!r} needs a url or base64 data; the gateway knows no file ids "
            "for it"
        )
    return url


def _image(block: Block) -> Part:
    return parts.image_part(_url(block), _string(block, "detail") or _extra(block, "detail"), _cache_control(block))


def _image_url(block: Block) -> Part:
    image = _needed(block, "image_url")
    if isinstance(image, str):
        return parts.image_part(image, cache_control=_cache_control(block))
    if not isinstance(image, Mapping) or not (url := _string(image, "url")):
        raise ValueError(
            "an image_url block needs the url of the image: {'type': 'image_url', 'image_url': {'url': ...}}"
        )
    return parts.image_part(url, _string(image, "detail"), _cache_control(block))


def _audio(block: Block) -> Part:
    url, _ = _source(block)
    header, separator, data = (url or "").partition(";base64,")
    if not separator:
        raise ValueError("an audio block needs base64 data: the gateway fetches no audio from URLs")
    return parts.audio_part(data, header.removeprefix("data:"), _cache_control(block))


def _video(block: Block) -> Part:
    return parts.video_part(_url(block), _cache_control(block))


def _file(block: Block) -> Part:
    if isinstance(file := block.get("file"), Mapping):
        cache_control = _cache_control(block)
        part = {"type": "file", "file": dict(file)}
        return {**part, "cache_control": cache_control} if cache_control else part
    url, file_id = _source(block)
    if not url and not file_id:
        raise ValueError("a file block needs base64 data, a url or a file_id")
    name = _string(block, "filename") or _string(block, "title") or _extra(block, "filename") or _extra(block, "name")
    return parts.file_part(url, file_id=file_id, filename=name, cache_control=_cache_control(block))


def _document(block: Block) -> Part:
    """Convert Anthropic's document block; a text document is text."""
    source = block.get("source")
    if isinstance(source, Mapping) and source.get("type") == "text":
        return parts.text_part(_string(source, "data") or "", _cache_control(block))
    return _file(block)


def _plain_text(block: Block) -> Part:
    if (text := _string(block, "text")) is not None:
        return parts.text_part(text, _cache_control(block))
    return _file(block)


def _as_it_is(block: Block) -> Part:
    _needed(block, block["type"])
    return dict(block)


def _non_standard(block: Block) -> Part:
    value = block.get("value")
    if not isinstance(value, Mapping) or not isinstance(value.get("type"), str):
        raise ValueError("a non_standard block needs its provider's block, which has a type, as `value`")
    return dict(value)


def _json(block: Block) -> Part:
    """Convert Anthropic's `json` tool-result block to the text it stands for."""
    return parts.text_part(json.dumps(block.get("json"), ensure_ascii=False), _cache_control(block))


_CONVERTERS: Final[dict[str, Callable[[Block], Part]]] = {
    "text": _text,
    "text-plain": _plain_text,
    "image": _image,
    "image_url": _image_url,
    "audio": _audio,
    "input_audio": _as_it_is,
    "video": _video,
    "video_url": _as_it_is,
    "file": _file,
    "document": _document,
    "json": _json,
    "non_standard": _non_standard,
}

# Where the names of other APIs do not show what they are.
_NEAREST: Final = {
    "input_text": "text",
    "output_text": "text",
    "input_image": "image_url",
    "input_file": "file",
    "media": "image, audio, video or file",
    "search_result": "text",
}

# Held by other fields of the message, which is where they are sent from.
_ELSEWHERE: Final = frozenset(
    {"tool_use", "tool_call", "tool_call_chunk", "invalid_tool_call", "function_call", "server_tool_call"}
    | {"server_tool_call_chunk", "server_tool_result", "reasoning", "thinking", "redacted_thinking", "refusal"}
)
