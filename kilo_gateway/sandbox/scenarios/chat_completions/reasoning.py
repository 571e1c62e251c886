"""Register forms of reasoning: a string, details, another field, encrypted. See docs/gateway.md, "Answers"."""

# ruff: noqa: ARG001 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.scenarios.answers import think
from kilo_gateway.sandbox.scenarios.base import Json, Registry, deltas
from kilo_gateway.sandbox.wire import chat_completions as wire

REGISTRY = Registry("chat_completions")
_add = REGISTRY.add


def _variant(name: str, description: str, change: Callable[[Json], Any]) -> None:
    """Register a scenario that changes each message or delta with reasoning."""

    def body(call: Call, payload: Json) -> Json:
        for choice in payload["choices"]:
            change(choice["message"])
        return payload

    def frames(call: Call, chunks: list[Json]) -> list[Json]:
        for delta in deltas(chunks):
            if "reasoning_details" in delta:
                change(delta)
        return [chunk for chunk in chunks if _has_content(chunk)]

    _add(name, description, reply=think, body=body, frames=frames)


def _has_content(chunk: Json) -> bool:
    """Return True if a chunk still has content after the change."""
    return chunk["choices"] == [] or any(
        choice["finish_reason"] or chunk.get("usage") or any(choice["delta"].get(key) for key in _CONTENT_KEYS)
        for choice in chunk["choices"]
    )


_CONTENT_KEYS = ("content", "reasoning", "reasoning_content", "reasoning_details", "tool_calls")


def _string_only(message: Json) -> None:
    message.pop("reasoning_details", None)


def _other_field(message: Json) -> None:
    message.pop("reasoning_details", None)
    message["reasoning_content"] = message.pop("reasoning", None)


def _details_only(message: Json) -> None:
    message.pop("reasoning", None)


_variant("reasoning-string", "reasoning as a string only", _string_only)
_variant("reasoning-content", "reasoning in the field `reasoning_content`", _other_field)
_variant("reasoning-details-only", "reasoning as details only", _details_only)

ENCRYPTED = {
    "type": "reasoning.encrypted",
    "data": "ZW5jcnlwdGVkLXNhbmRib3g=",
    "id": "rs_sandbox",
    "format": "openai-responses-v1",
    "index": 0,
}
SUMMARY = {
    "type": "reasoning.summary",
    "summary": " Answered directly.",
    "format": "openai-responses-v1",
    "index": 0,
}


def _encrypted_body(call: Call, payload: Json) -> Json:
    for choice in payload["choices"]:
        choice["message"]["reasoning_details"] += [dict(ENCRYPTED), dict(SUMMARY)]
        choice["message"]["reasoning"] += SUMMARY["summary"]
    return payload


def _encrypted_frames(call: Call, chunks: list[Json]) -> list[Json]:
    """Add entries that all have index 0, so that only type and id distinguish them."""
    at = max(i for i, chunk in enumerate(chunks) if any("reasoning_details" in d for d in deltas([chunk])))
    blank = {"role": "assistant", "content": ""}
    added = [
        wire.chunk(call, {**blank, "reasoning": text, "reasoning_details": [dict(entry)]})
        for text, entry in ((None, ENCRYPTED), (SUMMARY["summary"], SUMMARY))
    ]
    return [*chunks[: at + 1], *added, *chunks[at + 1 :]]


_add(
    "reasoning-encrypted",
    "reasoning text, then an encrypted entry, then a summary, all with index 0",
    reply=think,
    body=_encrypted_body,
    frames=_encrypted_frames,
)
