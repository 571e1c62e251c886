"""Tools and tool choices, which this interface writes flat. Pure."""

from __future__ import annotations

from typing import Any

from kilo_gateway.encoding.lenient_json import mapping


def tool(definition: Any) -> Any:
    """Return a tool in the form of this interface; one that a provider runs itself stays as it is."""
    match definition:
        case {"type": "function", "function": {**function}, **rest}:
            if not function.get("parameters"):
                function["parameters"] = {"type": "object", "properties": {}}
            # Here a function without `strict` is a strict one, which makes optional parameters required.
            return {"type": "function", "strict": False, **function, **rest}
        case {"type": "custom", "custom": {"format": {"type": "grammar", "grammar": {**grammar}}, **custom}, **rest}:
            return {"type": "custom", **custom, "format": {"type": "grammar", **grammar}, **rest}
        case {"type": "custom", "custom": {**custom}, **rest}:
            return {"type": "custom", **custom, **rest}
    return definition


def choice(value: Any) -> Any:
    """Return a tool choice in the form of this interface."""
    match value:
        case {"type": "function" | "custom" as kind, **rest} if kind in rest:
            return {"type": kind, "name": mapping(rest[kind]).get("name")}
        case {"type": "allowed_tools", "allowed_tools": {"tools": [*tools], **allowed}}:
            return {"type": "allowed_tools", **allowed, "tools": [choice(tool) for tool in tools]}
    return value
