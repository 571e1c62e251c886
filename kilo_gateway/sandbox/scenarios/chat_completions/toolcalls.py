"""Register tool calls that providers number, split, repeat or break. See docs/gateway.md, "Tool calls"."""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.scenarios.answers import call_tools
from kilo_gateway.sandbox.scenarios.base import Json, Registry, deltas
from kilo_gateway.sandbox.wire import chat_completions as wire

REGISTRY = Registry("chat_completions")

Change = Callable[[Json], Any]
Arrange = Callable[[Call, list[list[Json]]], list[list[Json]]]


def _add(
    name: str,
    description: str,
    *,
    several: bool = False,
    fragment: Callable[[Json, Json, int], Any] | None = None,
    whole: Change | None = None,
    arrange: Arrange | None = None,
) -> None:
    """Register a scenario of tool calls.

    `fragment` changes one fragment; its arguments are the fragment, the first fragment of the same call, and the
    call's position. `whole` changes a complete call, which is then sent in one fragment. `arrange` turns the
    fragments, in one list for each call, into lists of the fragments in each chunk.
    """

    def reply(call: Call, reply: Reply) -> None:
        call_tools(call, reply, several=several)

    def body(call: Call, payload: Json) -> Json:
        for choice in payload["choices"]:
            for position, tool_call in enumerate(choice["message"].get("tool_calls") or []):
                if fragment:
                    fragment(tool_call, tool_call, position)
                if whole:
                    whole(tool_call)
        return payload

    def frames(call: Call, chunks: list[Json]) -> list[Json]:
        calling = [chunk for chunk in chunks if any("tool_calls" in delta for delta in deltas([chunk]))]
        if not calling:
            return chunks
        by_call: dict[int, list[Json]] = {}
        for delta in deltas(calling):
            for part in delta["tool_calls"]:
                by_call.setdefault(part["index"], []).append(part)
        groups = [_joined(group, whole) if whole else group for group in by_call.values()]
        for position, group in enumerate(groups):
            for part in group:
                if fragment:
                    fragment(part, group[0], position)
        ordered = arrange(call, groups) if arrange else [[part] for group in groups for part in group]
        replaced = [wire.chunk(call, {"role": "assistant", "content": None, "tool_calls": parts}) for parts in ordered]
        at = chunks.index(calling[0])
        rest = [chunk for chunk in chunks if chunk not in calling]
        return [*rest[:at], *replaced, *rest[at:]]

    REGISTRY.add(name, description, reply=reply, body=body, frames=frames)


def _joined(group: list[Json], change: Change) -> list[Json]:
    first = group[0]
    first["function"]["arguments"] = "".join(part["function"].get("arguments", "") for part in group)
    change(first)
    return [first]


def _interleaved(call: Call, groups: list[list[Json]]) -> list[list[Json]]:
    return [[part] for rank in zip_longest(*groups) for part in rank if part is not None]


def _side_by_side(call: Call, groups: list[list[Json]]) -> list[list[Json]]:
    return [[part for part in rank if part is not None] for rank in zip_longest(*groups)]


def _repeat_identity(part: Json, head: Json, position: int) -> None:
    part["id"], part["function"]["name"] = head["id"], head["function"]["name"]


def _arguments(value: Any) -> Change:
    return lambda tool_call: tool_call["function"].update(arguments=value)


def _as_object(tool_call: Json) -> None:
    tool_call["function"]["arguments"] = json.loads(tool_call["function"]["arguments"])


_add(
    "parallel-same-index",
    "several calls with different ids, all at index 0",
    several=True,
    fragment=lambda part, head, position: part.update(index=0),
)
_add("parallel-interleaved", "fragments of several calls are interleaved", several=True, arrange=_interleaved)
_add("tool-two-in-one-chunk", "one chunk contains fragments of all calls", several=True, arrange=_side_by_side)
_add(
    "tool-index-from-one",
    "indices start at 1",
    several=True,
    fragment=lambda part, head, position: part.update(index=position + 1),
)
_add(
    "tool-index-gap",
    "indices have gaps",
    several=True,
    fragment=lambda part, head, position: part.update(index=position * 3),
)
_add("tool-id-never", "ids are empty", fragment=lambda part, head, position: part.update(id=""))
_add("tool-type-empty", "types are empty", fragment=lambda part, head, position: part.update(type=""))
_add(
    "tool-no-index",
    "fragments have no index",
    several=True,
    fragment=lambda part, head, position: part.pop("index", None),
)
_add("tool-id-repeated", "id and name in every fragment", several=True, fragment=_repeat_identity)
_add(
    "tool-name-empty-later",
    "later fragments have an empty name",
    several=True,
    fragment=lambda part, head, position: part is head or part["function"].update(name=""),
)
_add(
    "tool-empty-id",
    "later fragments have an empty id",
    several=True,
    fragment=lambda part, head, position: part is head or part.update(id=""),
)
_add("tool-args-whole", "a call in one fragment", whole=lambda tool_call: None)
_add("tool-args-object", "arguments are an object instead of JSON text", whole=_as_object)
_add("tool-args-null", "arguments are null", whole=_arguments(None))
