"""Refuse fields of a wrong type, as upstream providers do, so that tests show the mistakes of a client."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call

Test = Callable[[Any], bool]


class UpstreamRefusal(Exception):  # noqa: N818 - an answer to the client, not a failure of the sandbox
    """A request that a provider would refuse with status 400; `raw` is the provider's text and names the field."""

    def __init__(self, raw: str) -> None:
        super().__init__(raw)
        self.raw = raw


def check(call: Call) -> None:
    """Raise UpstreamRefusal for the first field of a wrong type."""
    for field, expected, test in _FIELDS:
        value = call.effective.get(field)
        if value is not None and not test(value):
            raise UpstreamRefusal(f"{field}: expected {expected}")
    for place, expected in _faults(call.effective):
        raise UpstreamRefusal(f"{place}: expected {expected}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(least: int, most: float = float("inf")) -> Test:
    return lambda value: isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _is(kind: type) -> Test:
    return lambda value: isinstance(value, kind)


def _stop(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


_FIELDS: tuple[tuple[str, str, Test], ...] = (
    ("temperature", "a number", _number),
    ("top_p", "a number", _number),
    ("max_tokens", "a positive integer", _count(1)),
    ("max_completion_tokens", "a positive integer", _count(1)),
    ("n", "an integer from 1 to 16", _count(1, 16)),
    ("top_logprobs", "an integer from 0 to 20", _count(0, 20)),
    ("logprobs", "a boolean", _is(bool)),
    ("stream", "a boolean", _is(bool)),
    ("parallel_tool_calls", "a boolean", _is(bool)),
    ("stop", "a string or a list of strings", _stop),
    ("stream_options", "an object", _is(dict)),
    ("response_format", "an object", _is(dict)),
    ("reasoning", "an object", _is(dict)),
    ("reasoning_effort", "a string", _is(str)),
    ("tool_choice", "a string or an object", lambda value: isinstance(value, str | dict)),
    ("tools", "a list", _is(list)),
    ("functions", "a list", _is(list)),
)


def _faults(body: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the place of each fault in messages, tools and response format, and the value expected there."""
    for number, message in enumerate(body["messages"]):
        yield from _message_faults(f"messages[{number}]", message)
    for number, tool in enumerate(body.get("tools") or body.get("functions") or []):
        place = f"tools[{number}]"
        function = tool.get("function", tool) if isinstance(tool, dict) else None
        if not isinstance(function, dict):
            yield place, "an object with a function"
        elif tool.get("type", "function") == "function" and not _named(function):
            yield f"{place}.function.name", "a string"
        elif not isinstance(function.get("parameters") or {}, dict):
            yield f"{place}.function.parameters", "a JSON schema"
    response_format = body.get("response_format") or {}
    if response_format.get("type") == "json_schema":
        schema = response_format.get("json_schema")
        if not isinstance(schema, dict) or not isinstance(schema.get("schema"), dict):
            yield "response_format.json_schema.schema", "a JSON schema"


def _message_faults(place: str, message: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        yield f"{place}.role", "a string"
        return
    content = message.get("content")
    if not isinstance(content, str | list | None):
        yield f"{place}.content", "a string or a list of parts"
    calls = message.get("tool_calls")
    if not isinstance(calls, list | None):
        yield f"{place}.tool_calls", "a list"
        return
    for number, call in enumerate(calls or []):
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not _named(function):
            yield f"{place}.tool_calls[{number}].function.name", "a string"
        elif not isinstance(function.get("arguments", ""), str):
            yield f"{place}.tool_calls[{number}].function.arguments", "JSON text"


def _named(function: dict[str, Any]) -> bool:
    return isinstance(function.get("name"), str) and bool(function["name"])
