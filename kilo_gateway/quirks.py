"""What single routes need and the gateway does not do for them. See docs/gateway.md, "Routes with habits". No I/O."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, Final

from kilo_gateway.callers import user_stacklevel
from kilo_gateway.plain import mapping

_DEFINITIONS: Final = ("$defs", "definitions")
_NAMED_SCHEMAS: Final = ("properties", "patternProperties")
_SCHEMAS: Final = ("items", "prefixItems", "additionalProperties", "anyOf", "allOf", "oneOf", "not")


def adapt(body: dict[str, Any], model: str) -> dict[str, Any]:
    """Return `body` as the route of `model` takes it; warn about what the route would drop without a word."""
    if model.removeprefix("~").startswith("google/"):
        return _without_references(body)
    if _drops_reasoning(body, model):
        warnings.warn(
            f"{model} does not reason while tool_choice forces a tool: use tool_choice='auto' (for structured output "
            "method='json_schema'), or leave reasoning out",
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
        told = {**form["json_schema"], "schema": plain_schema(schema, "response_format")}
        adapted["response_format"] = {**form, "json_schema": told}
    return adapted


def _plain_tool(tool: Any) -> Any:
    function = mapping(mapping(tool).get("function"))
    if not (parameters := function.get("parameters")):
        return tool
    plain = plain_schema(parameters, str(function.get("name")))
    return {**tool, "function": {**function, "parameters": plain}}


def plain_schema(schema: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return a JSON schema without references, and with `nullable` for unions with null.

    A schema that contains itself cannot be written out: there it becomes a plain object, with a warning
    that calls it `name`.
    """
    return _Plain(schema, name).node(schema, ())


class _Plain:
    def __init__(self, root: Mapping[str, Any], name: str) -> None:
        self._root = root
        self._name = name

    def node(self, node: Mapping[str, Any], inside: tuple[str, ...]) -> dict[str, Any]:
        reference = node.get("$ref")
        if isinstance(reference, str):
            if reference in inside:
                warnings.warn(
                    f"the schema of {self._name!r} contains itself at {reference!r}, and Google's models take no "
                    "references: deeper levels are sent as a plain object",
                    UserWarning,
                    stacklevel=user_stacklevel(),
                )
                target: Mapping[str, Any] = {"type": "object"}
            else:
                target = self._resolved(reference)
            beside = {key: value for key, value in node.items() if key != "$ref"}
            return self.node({**target, **beside}, (*inside, reference))
        return _nullable({k: self._value(k, v, inside) for k, v in node.items() if k not in _DEFINITIONS})

    def _value(self, key: str, value: Any, inside: tuple[str, ...]) -> Any:
        # Everything else may be data that only looks like a schema: const, enum, default, examples.
        if key in _NAMED_SCHEMAS and isinstance(value, Mapping):
            return {name: self._inner(schema, inside) for name, schema in value.items()}
        return self._inner(value, inside) if key in _SCHEMAS else value

    def _inner(self, schema: Any, inside: tuple[str, ...]) -> Any:
        if isinstance(schema, list):
            return [self._inner(each, inside) for each in schema]
        return self.node(schema, inside) if isinstance(schema, Mapping) else schema

    def _resolved(self, reference: str) -> Mapping[str, Any]:
        found: Any = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            found = mapping(found).get(step.replace("~1", "/").replace("~0", "~"))
        if not isinstance(found, Mapping):
            raise ValueError(f"the schema of {self._name!r} refers to {reference!r}, which it does not define")
        return found


def _nullable(node: dict[str, Any]) -> dict[str, Any]:
    kinds, options = node.get("type"), node.get("anyOf")
    if isinstance(kinds, list):
        others: list[Any] = [{"type": kind} for kind in kinds if kind != "null"]
        null = len(others) < len(kinds)
    elif isinstance(options, list):
        others = [option for option in options if mapping(option).get("type") != "null"]
        null = len(others) < len(options)
    else:
        return node
    rest = {key: value for key, value in node.items() if key not in ("type", "anyOf")}
    if null:
        rest = {key: value for key, value in rest.items() if (key, value) != ("default", None)} | {"nullable": True}
    return {**others[0], **rest} if len(others) == 1 else {"anyOf": others, **rest}
