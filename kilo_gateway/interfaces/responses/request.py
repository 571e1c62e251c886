"""A call as the body of `POST /responses`. Pure. See docs/gateway.md, "Responses"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kilo_gateway.call import Call
from kilo_gateway.encoding.lenient_json import mapping
from kilo_gateway.interfaces import fields, routes
from kilo_gateway.interfaces.responses import history
from kilo_gateway.interfaces.responses.tools import choice, tool
from kilo_gateway.settings import places
from kilo_gateway.settings.chat import GatewaySettings

API: Final = "responses"
_ENCRYPTED: Final = "reasoning.encrypted_content"

_OTHER_NAMES: Final = {
    "max_completion_tokens": "max_output_tokens",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
}
"""Where fields of Chat Completions go that the constructor does not have."""

_CHAT_ONLY: Final = frozenset({"functions", "function_call", "include_reasoning"})
"""Older fields that only Chat Completions has."""

_NOWHERE: Final = frozenset({"input", "previous_response_id"})
"""Fields that the gateway refuses, or that are the request itself."""

_ASKING_FOR_NOTHING: Final[Mapping[str, Any]] = {
    "n": 1,
    "logprobs": False,
    "logit_bias": {},
    "transforms": [],
    "include_reasoning": True,
    "usage": {"include": True},
    "store": False,
    "previous_response_id": "",
}
"""Values that ask for what this interface does anyway: they are not sent."""


def body(call: Call) -> dict[str, Any]:
    """Return the request body. Raises ValueError for a field, message part or tool that has no place on this wire."""
    options = routes.adapt(dict(call.options), call.model)
    names = places.body_names(GatewaySettings, API)
    request: dict[str, Any] = {}
    # A field of this interface itself comes first, so that one of the constructor's is put into it.
    for field in sorted(options, key=lambda field: field in names or field in _OTHER_NAMES):
        value = options[field]
        if field in _ASKING_FOR_NOTHING and value == _ASKING_FOR_NOTHING[field]:
            continue
        path = names.get(field, _OTHER_NAMES.get(field, field))
        if path is None or field in _CHAT_ONLY or field in _NOWHERE or not fields.has(field, API):
            raise fields.misplaced(field, value, API)
        if (converted := _converted(field, value)) is not None:
            _put(request, path, converted)
    included = request.pop("include", None) or []
    return {
        **request,
        "model": call.model,
        "input": history.items(call.conversation, call.model),
        "stream": call.stream,
        # The gateway refuses to store anything; what it returns encrypted is all that a next request has.
        "store": False,
        "include": [*included, *([] if _ENCRYPTED in included else [_ENCRYPTED])],
    }


def _converted(field: str, value: Any) -> Any:
    """Return the value of a field as this interface has it, or None for one that says nothing here."""
    match field, value:
        case "stream_options", {**options}:
            # A stream reports its usage always.
            options.pop("include_usage", None)
            return options or None
        case "reasoning", {"exclude": True}:
            raise fields.misplaced(field, value, API)
        case "reasoning", {**reasoning}:
            return {name: inner for name, inner in reasoning.items() if name != "exclude"}
        case "tools", list():
            return [tool(entry) for entry in value]
        case "tool_choice", _:
            return choice(value)
        case "response_format", {"type": "json_schema", "json_schema": {**schema}}:
            return {"type": "json_schema", **schema}
    return value


def _put(request: dict[str, Any], path: str, value: Any) -> None:
    """Put a value at a path such as `text.verbosity`, beside what is there. The caller's own objects do not change."""
    name, _, inner = path.partition(".")
    if inner:
        holder = dict(mapping(request.get(name)))
        _put(holder, inner, value)
        value = holder
    elif isinstance(value, Mapping):
        value = {**mapping(request.get(name)), **value}
    request[name] = value
