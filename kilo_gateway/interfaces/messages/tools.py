"""Tools and the choice among them, from OpenAI's form into the one of Messages. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kilo_gateway.encoding.lenient_json import mapping

_CHOICES: Final = {"auto": "auto", "required": "any", "any": "any", "none": "none"}
_NATIVE_CHOICES: Final = frozenset({"auto", "any", "none", "tool"})


def offered(given: Any) -> list[dict[str, Any]]:
    """Return the tools; one that is not a function (a server tool, say) is passed on as it is. Raises ValueError."""
    if not isinstance(given, list | tuple):
        raise ValueError(f"tools={given!r:.100} must be a list of tools")
    return [_tool(tool) for tool in given]


def _tool(given: Any) -> dict[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"tools contains {given!r:.100}; each tool must be a dict")
    if given.get("type") == "custom" and "custom" in given:
        raise ValueError(
            f"the tool {mapping(given['custom']).get('name')!r} takes free text, which has no place in the Messages "
            "interface; use a function, or use api='completions' or api='responses'"
        )
    if "function" not in given and given.get("type") != "function":
        return dict(given)
    # What stands beside the function (cache_control) and in it (strict) has the same place here.
    beside = {name: value for name, value in given.items() if name not in ("type", "function")}
    function = {**mapping(given.get("function")), **beside}
    parameters = mapping(function.pop("parameters", None))
    rendered = {name: value for name, value in function.items() if value not in (None, "")}
    return {**rendered, "input_schema": {"type": "object", "properties": {}, **parameters}}


def choice(given: Any, parallel: Any) -> dict[str, Any] | None:
    """Return the tool choice, or None for the model's own; `parallel` is `parallel_tool_calls`. Raises ValueError."""
    chosen = _choice(given)
    if parallel is not False or (chosen and chosen.get("type") == "none"):
        return chosen
    return {"disable_parallel_tool_use": True, **(chosen or {"type": "auto"})}


def _choice(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    if isinstance(given, str) and given in _CHOICES:
        return {"type": _CHOICES[given]}
    match given:
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            return {"type": "tool", "name": name}
        case {"type": str(kind)} if kind in _NATIVE_CHOICES:
            return dict(given)
    raise ValueError(
        f"tool_choice={given!r:.200} has no place in the Messages interface; use 'auto', 'required', 'none' or the "
        "name of a tool"
    )
