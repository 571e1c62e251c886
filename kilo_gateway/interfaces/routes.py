"""Needs of single routes that the gateway does not meet. See docs/gateway.md, "Routes with habits". No I/O."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from kilo_gateway import json_schema
from kilo_gateway._frames import user_stacklevel
from kilo_gateway.encoding.lenient_json import mapping


def adapt(body: dict[str, Any], model: str) -> dict[str, Any]:
    """Return `body` in the form that the route of `model` takes; warn about options that it would drop silently."""
    if model.removeprefix("~").startswith("google/"):
        return _without_references(body)
    if _drops_reasoning(body, model):
        warnings.warn(
            f"{model} does not reason while tool_choice forces a tool: use tool_choice='auto', for structured output "
            "the method 'json_schema', or leave reasoning out",
            UserWarning,
            stacklevel=user_stacklevel(),
        )
    return body


def _drops_reasoning(body: Mapping[str, Any], model: str) -> bool:
    if not (model.startswith("anthropic/") or model == "kilo-auto/frontier"):
        return False
    choice = body.get("tool_choice")
    reasoning = mapping(body.get("reasoning"))
    effort = reasoning.get("effort", body.get("reasoning_effort"))
    wanted = reasoning.get("enabled", bool(effort or reasoning.get("max_tokens"))) and effort != "none"
    return bool(wanted and (choice == "required" or isinstance(choice, Mapping)))


def _without_references(body: dict[str, Any]) -> dict[str, Any]:
    adapted = dict(body)
    if tools := body.get("tools"):
        adapted["tools"] = [_plain_tool(tool) for tool in tools]
    form = mapping(body.get("response_format"))
    if schema := mapping(form.get("json_schema")).get("schema"):
        adapted_schema = {**form["json_schema"], "schema": json_schema.for_google(schema, "response_format")}
        adapted["response_format"] = {**form, "json_schema": adapted_schema}
    return adapted


def _plain_tool(tool: Any) -> Any:
    function = mapping(mapping(tool).get("function"))
    if not (parameters := function.get("parameters")):
        return tool
    plain = json_schema.for_google(parameters, str(function.get("name")))
    return {**tool, "function": {**function, "parameters": plain}}
