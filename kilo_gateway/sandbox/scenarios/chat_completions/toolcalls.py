"""Scenarios of tool calls: how upstream providers number, split, repeat and spoil them.

They call every offered tool, the first one twice where several calls are needed and one is offered, and two
canned tools when none is; once the tools have answered, they answer in text like the usual model.
"""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that the registry asks for

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model import conversation, tools
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.scenarios.base import Json, Registry, deltas
from kilo_gateway.sandbox.wire import chat_completions as wire

REGISTRY = Registry()

_CANNED = [
    {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
    {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
]

Spoil = Callable[[Json], Any]
Arrange = Callable[[Call, list[list[Json]]], list[list[Json]]]


def _call_tools(call: Call, said: Reply, *, several: bool, text: str = "") -> None:
    turn = conversation.read(call.messages)
    if turn.results or call.body.get("tool_choice") == "none":
        return
    offered = call.tools or _CANNED
    if several and len(offered) == 1:
        offered = offered * 2
    said.calls = tools.make_calls(call, turn, offered)
    said.text, said.finish = text, "tool_calls"


def _add(
    name: str,
    description: str,
    *,
    several: bool = False,
    text: str = "",
    finish: str | None = None,
    fragment: Callable[[Json, Json, int], Any] | None = None,
    whole: Spoil | None = None,
    arrange: Arrange | None = None,
) -> None:
    """Register a scenario.

    `fragment` changes one fragment of a stream, given the first one of its call and the call's position;
    `whole` changes a complete call, which then travels in one fragment; `arrange` reorders the fragments, given
    per call, into the lists that one chunk each carries.
    """

    def reply(call: Call, said: Reply) -> None:
        _call_tools(call, said, several=several, text=text)
        if said.calls and finish:
            said.finish = finish

    def body(call: Call, made: Json) -> Json:
        for choice in made["choices"]:
            for position, one in enumerate(choice["message"].get("tool_calls") or []):
                if fragment:
                    fragment(one, one, position)
                if whole:
                    whole(one)
        return made

    def frames(call: Call, made: list[Json]) -> list[Json]:
        calling = [frame for frame in made if any("tool_calls" in delta for delta in deltas([frame]))]
        if not calling:
            return made
        by_call: dict[int, list[Json]] = {}
        for delta in deltas(calling):
            for one in delta["tool_calls"]:
                by_call.setdefault(one["index"], []).append(one)
        groups = [_joined(group, whole) if whole else group for group in by_call.values()]
        for position, group in enumerate(groups):
            for one in group:
                if fragment:
                    fragment(one, group[0], position)
        ordered = arrange(call, groups) if arrange else [[one] for group in groups for one in group]
        replaced = [wire.chunk(call, {"role": "assistant", "content": None, "tool_calls": ones}) for ones in ordered]
        at = made.index(calling[0])
        rest = [frame for frame in made if frame not in calling]
        return [*rest[:at], *replaced, *rest[at:]]

    REGISTRY.add(name, description, reply=reply, body=body, frames=frames)


def _joined(group: list[Json], spoil: Spoil) -> list[Json]:
    first = group[0]
    first["function"]["arguments"] = "".join(one["function"].get("arguments", "") for one in group)
    spoil(first)
    return [first]


def _interleaved(call: Call, groups: list[list[Json]]) -> list[list[Json]]:
    return [[one] for rank in zip_longest(*groups) for one in rank if one is not None]


def _side_by_side(call: Call, groups: list[list[Json]]) -> list[list[Json]]:
    return [[one for one in rank if one is not None] for rank in zip_longest(*groups)]


def _repeat_identity(one: Json, head: Json, position: int) -> None:
    one["id"], one["function"]["name"] = head["id"], head["function"]["name"]


def _arguments(value: Any) -> Spoil:
    return lambda one: one["function"].update(arguments=value)


def _broken_arguments(one: Json) -> None:
    arguments = one["function"]["arguments"]
    one["function"]["arguments"] = arguments[: max(1, len(arguments) * 2 // 3)]


def _as_object(one: Json) -> None:
    one["function"]["arguments"] = json.loads(one["function"]["arguments"])


_add("parallel-tools", "several calls, one after the other", several=True)
_add(
    "parallel-same-index",
    "several calls with different ids, all at index 0",
    several=True,
    fragment=lambda one, head, position: one.update(index=0),
)
_add("parallel-interleaved", "fragments of several calls take turns", several=True, arrange=_interleaved)
_add("tool-two-in-one-chunk", "one chunk carries fragments of all calls", several=True, arrange=_side_by_side)
_add(
    "tool-index-from-one",
    "indices start at 1",
    several=True,
    fragment=lambda one, head, position: one.update(index=position + 1),
)
_add(
    "tool-index-gap",
    "indices have gaps",
    several=True,
    fragment=lambda one, head, position: one.update(index=position * 3),
)
_add("tool-id-never", "ids are empty", fragment=lambda one, head, position: one.update(id=""))
_add("tool-type-empty", "types are empty", fragment=lambda one, head, position: one.update(type=""))
_add(
    "tool-no-index",
    "fragments have no index",
    several=True,
    fragment=lambda one, head, position: one.pop("index", None),
)
_add("tool-id-repeated", "id and name in every fragment", several=True, fragment=_repeat_identity)
_add(
    "tool-name-empty-later",
    "later fragments have an empty name",
    several=True,
    fragment=lambda one, head, position: one is head or one["function"].update(name=""),
)
_add(
    "tool-empty-id",
    "later fragments have an empty id",
    several=True,
    fragment=lambda one, head, position: one is head or one.update(id=""),
)
_add("tool-args-whole", "a call in one fragment", whole=lambda one: None)
_add("tool-args-object", "arguments are an object instead of JSON text", whole=_as_object)
_add("tool-args-null", "arguments are null", whole=_arguments(None))
_add("tool-args-empty", "arguments are an empty string", whole=_arguments(""))
_add("tool-args-invalid", "arguments are not JSON, though the call counts as complete", whole=_broken_arguments)
_add(
    "tool-args-truncated",
    "the output limit cuts the arguments, finish reason length",
    whole=_broken_arguments,
    finish="length",
)
_add("tool-finish-stop", "calls, yet the finish reason is stop", finish="stop")
_add("tool-text-before", "text comes before the call", text="Let me look that up.")
