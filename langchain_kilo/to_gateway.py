"""LangChain messages as a conversation. Pure; the caller's messages are never changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)

from kilo_gateway.conversation import (
    Cacheable,
    Message,
    Opaque,
    Part,
    Refusal,
    SpokenAnswer,
    Thought,
    ToolCall,
    ToolResult,
    arranged,
    tool_call,
)
from kilo_gateway.encoding.lenient_json import dicts, mapping, string
from langchain_kilo.block_parts import (
    Block,
    cache_control_of,
    extra_of,
    needed,
    parts_of,
    parts_of_answer,
    parts_of_block,
    parts_of_result,
)
from langchain_kilo.from_gateway import PROVIDER, invalid_calls


def conversation(messages: Sequence[BaseMessage]) -> list[Message]:
    """Return `messages` as a conversation.

    Raises ValueError for a message type or a content block of the user that the gateway has no form for; the text
    names it.
    """
    return [_message(message) for message in messages]


def _message(message: BaseMessage) -> Message:
    if isinstance(message, AIMessage):
        return Message("assistant", _said(message), message.name)
    if isinstance(message, ToolMessage):
        return Message("tool", [ToolResult(message.tool_call_id, parts_of_result(message.content))])
    if isinstance(message, FunctionMessage):
        # Function messages predate tool calls; only the name links them to theirs.
        return Message("function", parts_of_result(message.content), message.name)
    if isinstance(message, HumanMessage):
        return Message("user", parts_of(message.content, _user_block), message.name)
    if isinstance(message, SystemMessage):
        role = message.additional_kwargs.get("__openai_role__", "system")
    elif isinstance(message, ChatMessage):
        role = message.role
    else:
        raise ValueError(
            f"{type(message).__name__} cannot be sent: use HumanMessage, AIMessage, SystemMessage, "
            "ToolMessage or ChatMessage"
        )
    return Message(role, parts_of(message.content), message.name)


def _user_block(block: Any) -> Iterator[Part]:
    """Yield the parts of a block; Anthropic's `tool_result` blocks become the results that they stand for."""
    if isinstance(block, Mapping) and block.get("type") == "tool_result":
        parts = parts_of_result(block.get("content") or "")
        if parts and (cache_control := cache_control_of(block)) and isinstance(last := parts[-1], Cacheable):
            parts[-1] = replace(last, cache_control=cache_control)
        yield ToolResult(needed(block, "tool_use_id"), parts)
    else:
        yield from parts_of_block(block)


def _said(message: AIMessage) -> list[Part]:
    """Return the parts of an answer, in order: of its content, then what only other fields of the message hold."""
    extra = message.additional_kwargs
    layout = list(dicts(extra.get("layout")))
    opaque = [piece.get("value") for piece in layout]
    calls = list(_calls(message))
    audio = extra.get("audio") or _block_of(message, "audio").get("extras")
    ours = _is_ours(message)
    parts: list[Part] = []
    if thought := _thought(message):
        parts.append(thought)
    if not layout:
        parts += _server_items(message)  # a text builds on what the tools found
    if isinstance(message.content, str):
        parts += parts_of(message.content)
    else:
        for block in message.content:
            kind = block.get("type") if isinstance(block, Mapping) else None
            if kind == "audio" and audio:
                continue  # it goes back by its id
            if kind == "non_standard" and mapping(block).get("value") in opaque:
                continue  # its place is in the layout
            if kind in ("tool_use", "tool_call"):
                call_id = mapping(block).get("id")
                parts += [call for call in calls if call.id == call_id]
                calls = [call for call in calls if call.id != call_id]
            parts += parts_of_answer(block, ours=ours)
    parts += calls
    if not any(isinstance(part, ToolCall) for part in parts):
        parts += [Opaque(call, "tool_calls") for call in dicts(extra.get("tool_calls"))]
        # Function calls predate tool calls, and their results are FunctionMessages.
        if function_call := extra.get("function_call"):
            parts.append(Opaque(function_call, "function_call"))
    if refusal := string(extra.get("refusal") or _block_of(message, "refusal").get("refusal")):
        parts.append(Refusal(refusal))
    parts += [Opaque(image, "images") for image in extra.get("images") or ()]
    if ours and audio and (audio_id := mapping(audio).get("id")):
        parts.append(SpokenAnswer(audio_id))
    return arranged(parts, layout, _annotations(message))


def _server_items(message: AIMessage) -> Iterator[Opaque]:
    """Yield the calls and results of the provider's own tools, which our content blocks contain unchanged."""
    for block in _blocks(message):
        if block.get("type") in ("server_tool_call", "server_tool_result"):
            match block.get("extras"):
                case {"item": dict(item), "place": "output" | "block" as place}:
                    yield Opaque(item, place)


def _annotations(message: AIMessage) -> Iterator[dict[str, Any]]:
    """Yield the provider's annotations; if only content blocks are left of an answer, those that they contain."""
    if annotations := message.additional_kwargs.get("annotations"):
        yield from dicts(annotations)
        return
    cited = (citation for block in _blocks(message) for citation in dicts(block.get("annotations")))
    yield from dicts([mapping(citation.get("extras")).get("annotation") for citation in cited])


def _calls(message: AIMessage) -> Iterator[ToolCall]:
    known = set()
    beside: Mapping[Any, Any] = mapping(message.additional_kwargs.get("extra_content"))
    for call in message.tool_calls:
        known.add(call["id"])
        yield tool_call(call["id"] or "", call["name"], call["args"], beside.get(call["id"]))
    for invalid in invalid_calls(message):
        known.add(invalid["id"])
        written, own = invalid["args"] or "", beside.get(invalid["id"])
        yield tool_call(invalid["id"] or "", invalid["name"] or "", written, own)
    # Anthropic's blocks, where nothing has read the calls out of them yet.
    for block in _blocks(message):
        if block.get("type") in ("tool_use", "tool_call") and block.get("id") not in known:
            arguments = block.get("input") or block.get("args") or {}
            yield tool_call(needed(block, "id"), needed(block, "name"), arguments)


def _thought(message: AIMessage) -> Thought | None:
    extra, block = message.additional_kwargs, _block_of(message, "reasoning")
    # Another provider's reasoning would be taken for the gateway's own; its details alone say whose they are.
    text = extra.get("reasoning_content") or extra.get("reasoning") if _is_ours(message) else None
    named = message.response_metadata.get("model_provider") == PROVIDER
    text = string(text or (block.get("reasoning") if named else None))
    details = list(dicts(extra.get("reasoning_details") or extra_of(block, "reasoning_details")))
    return Thought(text, details) if text or details else None


def _is_ours(message: AIMessage) -> bool:
    """Return False for an answer of another provider. One that names none may be written by the user."""
    return message.response_metadata.get("model_provider") in (None, PROVIDER)


def _blocks(message: AIMessage) -> Iterator[Block]:
    blocks = message.content if isinstance(message.content, list) else ()
    return (block for block in blocks if isinstance(block, Mapping))


def _block_of(message: AIMessage, kind: str) -> Block:
    return next((block for block in _blocks(message) if block.get("type") == kind), {})
