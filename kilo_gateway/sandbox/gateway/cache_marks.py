"""Mark the prompt for the provider's cache, as the gateway does for Claude. See docs/gateway.md, "Interfaces"."""

from __future__ import annotations

import json
from typing import Any

from kilo_gateway.sandbox.gateway.options import Api, Era

Json = dict[str, Any]

_MARKS = ("cache_control", "prompt_cache_breakpoint")
_EPHEMERAL: Json = {"type": "ephemeral"}
_CLAUDE = ("anthropic/", "stealth/claude")
_SYSTEM = ("system", "developer")
_RESULT = "function_call_output"
_NEVER_MARKED = ("thinking", "redacted_thinking")


def add(body: Json, api: Api, era: Era) -> None:
    """Add marks to a body that goes to Claude and has none; its lists are replaced, not changed."""
    if not str(body.get("model")).startswith(_CLAUDE):
        return
    if api == "messages":
        _on_messages(body)
    elif api == "responses":
        mark = {"cache_control": _EPHEMERAL} if era == "E2" else {"prompt_cache_breakpoint": {"mode": "explicit"}}
        _on_items(body, mark)
    else:
        _on_chat(body)


def removed(value: Any) -> Any:
    """Return a part of a body without marks, for servers that do not know them."""
    if isinstance(value, dict):
        return {name: removed(content) for name, content in value.items() if name not in _MARKS}
    return [removed(content) for content in value] if isinstance(value, list) else value


def _is_marked(*parts: Any) -> bool:
    text = json.dumps(parts)
    return any(f'"{name}"' in text for name in _MARKS)


def _on_chat(body: Json) -> None:
    messages = body.get("messages")
    if isinstance(messages, list) and not _is_marked(messages):
        mark = {"cache_control": _EPHEMERAL}
        body["messages"] = _marked(_marked(messages, _SYSTEM, mark, "text"), ("user", "tool"), mark, "text")


def _on_items(body: Json, mark: Json) -> None:
    """Mark items; a string `input` and `instructions` have no place for a mark."""
    items = body.get("input")
    if isinstance(items, list) and not _is_marked(items):
        body["input"] = _marked(_marked(items, _SYSTEM, mark, "input_text"), ("user", _RESULT), mark, "input_text")


def _on_messages(body: Json) -> None:
    if _is_marked(body.get("system"), body.get("messages")):
        return
    mark = {"cache_control": body.pop("cache_control", None) or _EPHEMERAL}
    if system := body.get("system"):
        body["system"] = _with_mark(system, mark, "text")
    if isinstance(turns := body.get("messages"), list):
        body["messages"] = _marked(turns, ("user", "assistant"), mark, "text")


def _marked(entries: list[Any], kinds: tuple[str, ...], mark: Json, text_type: str) -> list[Any]:
    """Mark the last entry of one of the roles or types `kinds` that has something to mark."""
    for position in range(len(entries) - 1, -1, -1):
        entry = entries[position]
        if not isinstance(entry, dict) or (entry.get("role") or entry.get("type")) not in kinds:
            continue
        field = "output" if entry.get("type") == _RESULT else "content"
        if _places(entry.get(field)):
            changed = {**entry, field: _with_mark(entry[field], mark, text_type)}
            return [*entries[:position], changed, *entries[position + 1 :]]
    return entries


def _with_mark(content: Any, mark: Json, text_type: str) -> Any:
    """Return a content with a mark on its last part; a text becomes a list of one part."""
    if isinstance(content, str):
        return [{"type": text_type, "text": content, **mark}]
    last = _places(content)[-1:]
    return [{**part, **mark} if place in last else part for place, part in enumerate(content)] if last else content


def _places(content: Any) -> list[int]:
    """Return the places of the parts that can have a mark; the one place of a text."""
    if isinstance(content, str):
        return [0] if content else []
    parts = content if isinstance(content, list) else []
    return [n for n, part in enumerate(parts) if isinstance(part, dict) and part.get("type") not in _NEVER_MARKED]
