"""Repair tool histories as the gateway does on Chat Completions and Messages. See docs/gateway.md, "Requests"."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]

INTERRUPTED = "Tool execution was interrupted before completion."


def on_chat(messages: list[Any]) -> list[Any]:
    """Return messages in which each call has one result, which follows it."""
    results: dict[str, Json] = {}
    for message in messages:
        if _role(message) == "tool":
            results.setdefault(str(message.get("tool_call_id")), message)
    repaired: list[Any] = []
    for message in messages:
        if _role(message) == "tool":
            continue  # it follows its call, or is dropped
        calls = message.get("tool_calls") if _role(message) == "assistant" else None
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            repaired.append(message)
            continue
        unique = _without_repeats(calls, [call.get("id") for call in calls])
        repaired.append({**message, "tool_calls": unique})
        for call in unique:
            missing = {"role": "tool", "tool_call_id": call.get("id"), "content": INTERRUPTED}
            repaired.append(results.pop(str(call.get("id")), missing))
    return repaired


def on_messages(turns: list[Any]) -> list[Any]:
    """Return turns in which each call has one result, at the front of the user's turn that follows."""
    results: dict[str, Json] = {}
    for block in (block for turn in turns for block in _blocks(turn)):
        if _type(block) == "tool_result":
            results.setdefault(str(block.get("tool_use_id")), block)
    repaired: list[Any] = []
    due: list[Json] = []
    for turn in turns:
        if due and _role(turn) != "user":
            repaired.append({"role": "user", "content": due})
            due = []
        blocks = _blocks(turn)
        if not blocks:
            repaired.append(turn)
            continue
        kept = [*due, *(block for block in blocks if _type(block) != "tool_result")]
        due = []
        if _role(turn) == "assistant":
            kept = _without_repeats(kept, [block.get("id") if _type(block) == "tool_use" else None for block in kept])
            for call_id in (str(block.get("id")) for block in kept if _type(block) == "tool_use"):
                missing = {"type": "tool_result", "tool_use_id": call_id, "content": INTERRUPTED}
                due.append(results.pop(call_id, missing))
        if kept:
            repaired.append({**turn, "content": kept})
    return [*repaired, {"role": "user", "content": due}] if due else repaired


def _without_repeats(entries: list[Any], ids: list[Any]) -> list[Any]:
    """Return the entries without those whose id came before; an id of None is that of no call."""
    return [entry for place, entry in enumerate(entries) if ids[place] is None or ids[place] not in ids[:place]]


def _blocks(turn: Any) -> list[Any]:
    """Return the content of a turn as blocks; [] if it is neither text nor a list."""
    content = turn.get("content") if isinstance(turn, dict) else None
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return content if isinstance(content, list) else []


def _role(message: Any) -> Any:
    return message.get("role") if isinstance(message, dict) else None


def _type(block: Any) -> Any:
    return block.get("type") if isinstance(block, dict) else None
