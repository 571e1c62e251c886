"""Refuse histories that upstream refuses on Responses and Messages. See docs/gateway.md, "Interfaces"."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.provider_checks import UpstreamRefusal
from kilo_gateway.sandbox.gateway.signatures import is_broken

Json = dict[str, Any]


_NOT_AN_ANSWER = (None, "function_call_output")


def check(call: Call) -> None:
    """Raise UpstreamRefusal for the first fault of a history."""
    # On Messages, the gateway has repaired the tool calls and their results before.
    faults = _responses(call.received) if call.api == "responses" else _messages(call.effective)
    for fault in faults:
        raise UpstreamRefusal(fault)


def _responses(body: Json) -> Iterator[str]:
    items = body.get("input")
    if not isinstance(items, list):
        return
    open_calls: set[str] = set()
    for number, item in enumerate(items):
        place = f"input[{number}]"
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            yield f"{place}.type: expected a string"
            return
        if item.get("id"):
            yield f"Item '{item['id']}' not found. Items are not persisted when `store` is set to false."
        match item["type"]:
            case "message":
                if item.get("role") not in ("user", "assistant", "system", "developer"):
                    yield f"{place}.role: expected user, assistant, system or developer"
            case "function_call":
                open_calls.add(str(item.get("call_id")))
            case "function_call_output":
                if str(item.get("call_id")) not in open_calls:
                    yield f"No tool call found for function call output with call_id {item.get('call_id')}."
                open_calls.discard(str(item.get("call_id")))
            case "reasoning":
                if item.get("encrypted_content") and item.get("content"):
                    yield f"{place}.content: array too long. Expected an array with maximum length 0"
                following = items[number + 1] if number + 1 < len(items) else {}
                if following.get("role", "assistant") != "assistant" or following.get("type") in _NOT_AN_ANSWER:
                    yield f"{place}: a reasoning item was provided without its required following item"
    for call_id in open_calls:
        yield f"No tool output found for function call {call_id}."


def _messages(body: Json) -> Iterator[str]:
    if not isinstance(body.get("max_tokens"), int):
        yield "max_tokens: Field required"
    previous = None
    for number, message in enumerate(body.get("messages") or ()):
        place = f"messages.{number}"
        role = message.get("role") if isinstance(message, dict) else None
        if role not in ("user", "assistant"):
            yield f"{place}.role: expected user or assistant"
            return
        if role == previous:
            yield f"{place}: roles must alternate between user and assistant"
        previous = role
        content = message.get("content")
        blocks = [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []
        if not content:
            yield f"{place}: all messages must have non-empty content"
        if any(block.get("type") == "text" and not block.get("text") for block in blocks):
            yield f"{place}: text content blocks must be non-empty"
        thinking = [block.get("type") in ("thinking", "redacted_thinking") for block in blocks]
        calls = [block.get("type") == "tool_use" for block in blocks]
        if any(calls) and any(thinking[len(calls) - calls[::-1].index(True) :]):
            yield f"{place}: thinking must come before tool_use"
        for block in blocks:
            if block.get("type") != "thinking":
                continue
            if not block.get("signature") or is_broken(block.get("thinking"), block["signature"]):
                yield f"{place}: Invalid `signature` in `thinking` block"
