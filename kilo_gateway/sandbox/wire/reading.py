"""Read requests of all interfaces as Chat Completions, for the canned model. See docs/gateway.md, "Interfaces"."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]


def as_chat(api: str, body: Json) -> Json:
    """Return a request body as one of Chat Completions; parts that the canned model does not use are left out."""
    if api == "responses":
        return _from_responses(body)
    if api == "messages":
        return _from_messages(body)
    return body


def _from_responses(body: Json) -> Json:
    items = body.get("input")
    text = _dict(body.get("text"))
    chat: Json = {
        "messages": [
            *_instructions(body.get("instructions")),
            *([{"role": "user", "content": items}] if isinstance(items, str) else _messages_of(items)),
        ],
        "tools": [tool for tool in _dicts(body.get("tools")) if tool.get("type") == "function"],
        "tool_choice": body.get("tool_choice"),
        "parallel_tool_calls": body.get("parallel_tool_calls"),
        "max_tokens": body.get("max_output_tokens"),
        "reasoning": body.get("reasoning"),
        "stream": body.get("stream"),
    }
    form = _dict(text.get("format"))
    if form.get("type") == "json_schema":
        chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": form.get("schema")}}
    elif form:
        chat["response_format"] = form
    return _set(chat)


def _messages_of(items: Any) -> Iterator[Json]:
    for item in _dicts(items):
        match item.get("type", "message"):
            case "function_call":
                function = {"name": item.get("name"), "arguments": item.get("arguments")}
                yield {"role": "assistant", "tool_calls": [{"id": item.get("call_id"), "function": function}]}
            case "function_call_output":
                yield {"role": "tool", "tool_call_id": item.get("call_id"), "content": item.get("output")}
            case "message":
                yield {"role": item.get("role"), "content": item.get("content")}


def _instructions(text: Any) -> Iterator[Json]:
    if isinstance(text, str) and text:
        yield {"role": "system", "content": text}


def _from_messages(body: Json) -> Json:
    thinking, output = _dict(body.get("thinking")), _dict(body.get("output_config"))
    chat: Json = {
        "messages": [
            *([{"role": "system", "content": body["system"]}] if body.get("system") else []),
            *(message for turn in _dicts(body.get("messages")) for message in _turn(turn)),
        ],
        "tools": [
            {"type": "function", "function": {**tool, "parameters": tool["input_schema"]}}
            for tool in _dicts(body.get("tools"))
            if isinstance(tool.get("input_schema"), dict)
        ],
        "max_tokens": body.get("max_tokens"),
        "stop": body.get("stop_sequences"),
        "stream": body.get("stream"),
    }
    if thinking.get("type") in ("enabled", "adaptive"):
        chat["reasoning"] = {"enabled": True}
    choice = _dict(body.get("tool_choice"))
    if choice.get("disable_parallel_tool_use"):
        chat["parallel_tool_calls"] = False
    kind = choice.get("type")
    chat["tool_choice"] = {"function": {"name": choice.get("name")}} if kind == "tool" else kind
    if schema := _dict(output.get("format")).get("schema"):
        chat["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
    return _set(chat)


def _turn(turn: Json) -> Iterator[Json]:
    """Yield a turn of Messages as messages: each tool result is one of its own."""
    content = turn.get("content")
    if isinstance(content, str):
        yield {"role": turn.get("role"), "content": content}
        return
    blocks = list(_dicts(content))
    for block in blocks:
        if block.get("type") == "tool_result":
            yield {"role": "tool", "tool_call_id": block.get("tool_use_id"), "content": block.get("content")}
    calls = [
        {"id": block.get("id"), "function": {"name": block.get("name"), "arguments": json.dumps(block.get("input"))}}
        for block in blocks
        if block.get("type") == "tool_use"
    ]
    rest = [block for block in blocks if block.get("type") not in ("tool_result", "tool_use", "thinking")]
    if rest or calls:
        yield {"role": turn.get("role"), "content": rest, **({"tool_calls": calls} if calls else {})}


def _set(chat: Json) -> Json:
    return {name: value for name, value in chat.items() if value is not None}


def _dict(value: Any) -> Json:
    return value if isinstance(value, dict) else {}


def _dicts(value: Any) -> Iterator[Json]:
    return (item for item in value if isinstance(item, dict)) if isinstance(value, list) else iter(())
