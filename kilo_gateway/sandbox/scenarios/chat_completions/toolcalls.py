"""Register tool calls that providers number, split, repeat or break. See docs/gateway.md, "Tool calls".

These scenarios call each offered tool. If they need several calls and the request offers one tool, they call it twice.
If it offers no tool, they call two canned tools. After the tool results, they answer in text as usual.
"""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.options import APIS, Api
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.scenarios.base import Json, Registry, deltas
from kilo_gateway.sandbox.scenarios.replies import call_tools
from kilo_gateway.sandbox.wire import chat_completions as wire

REGISTRY = Registry("chat_completions")

Change = Callable[[Json], Any]
Arrange = Callable[[Call, list[list[Json]]], list[list[Json]]]


def _add(
    name: str,
    description: str,
    *,
    several: bool = False,
    text: str = "",
    finish: str | None = None,
    arguments: Callable[[str], str] | None = None,
    fragment: Callable[[Json, Json, int], Any] | None = None,
    whole: Change | None = None,
    arrange: Arrange | None = None,
    apis: tuple[Api, ...] = APIS,
) -> None:
    """Register a scenario of tool calls.

    `arguments` changes the JSON text of the last call, on any interface. The others are changes of Chat Completions:
    `fragment` changes one fragment; its arguments are the fragment, the first fragment of the same call, and the
    call's position. `whole` changes a complete call, which is then sent in one fragment. `arrange` turns the
    fragments, in one list for each call, into lists of the fragments in each chunk.
    """

    def reply(call: Call, reply: Reply) -> None:
        call_tools(call, reply, several=several, text=text)
        if reply.calls and finish:
            reply.finish = finish
        if reply.calls and arguments:
            reply.calls[-1].arguments = arguments(reply.calls[-1].arguments)

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

    edits: dict[str, Any] = {"body": body, "frames": frames} if fragment or whole or arrange else {"apis": apis}
    REGISTRY.add(name, description, reply=reply, **edits)


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


def _cut(arguments: str) -> str:
    return arguments[: max(1, len(arguments) * 2 // 3)]


def _as_object(tool_call: Json) -> None:
    tool_call["function"]["arguments"] = json.loads(tool_call["function"]["arguments"])


_add("parallel-tools", "several calls, one after the other", several=True)
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
_add("tool-args-empty", "the arguments of the last call are an empty string", arguments=lambda arguments: "")
_add(
    "tool-args-invalid",
    "the arguments of the last call are not JSON, although the finish reason is tool_calls",
    arguments=_cut,
    apis=("chat_completions", "responses"),  # Messages has no place for them in a body
)
_add(
    "tool-args-truncated",
    "the output limit cuts the arguments of the last call, finish reason length",
    arguments=_cut,
    finish="length",
)
_add("tool-finish-stop", "tool calls with finish reason stop", finish="stop", apis=("chat_completions", "messages"))
_add("tool-text-before", "text comes before the call", text="Let me look that up.")
