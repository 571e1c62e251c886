"""A call as the body of `POST /messages`. Pure. See docs/gateway.md, "Messages"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kilo_gateway.call import Call
from kilo_gateway.interfaces import routes
from kilo_gateway.interfaces.fields import has, misplaced
from kilo_gateway.interfaces.messages import history, output, tools
from kilo_gateway.settings import places
from kilo_gateway.settings.chat import GatewaySettings

DEFAULT_MAX_TOKENS: Final = 8192
"""Limit of an answer if neither the call nor the model sets one: Anthropic refuses a request without a limit."""

_ASKING_FOR_NOTHING: Final[Mapping[str, Any]] = {
    "n": 1,
    "store": False,
    "modalities": ["text"],
    "logprobs": False,
    "frequency_penalty": 0,
    "presence_penalty": 0,
    "logit_bias": {},
    "transforms": [],
    "usage": {"include": True},
}
"""Values that ask for what Messages does anyway: they are not sent."""

_RENDERED: Final = frozenset(
    {
        "max_tokens",
        "max_completion_tokens",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "reasoning_effort",
        "include_reasoning",
        "verbosity",
        "response_format",
        "stop",
        "stream_options",
    }
)
"""Fields that are more than renamed. A stream always reports its usage, so that its options ask for nothing."""


def body(call: Call) -> dict[str, Any]:
    """Return the request body. Raises ValueError for a field or message part that has no form on this wire."""
    options = routes.adapt(dict(call.options), call.model)
    limit = _limit(call)
    rendered: dict[str, Any] = {"model": call.model, "max_tokens": limit}
    if system := history.system(call.conversation):
        rendered["system"] = system
    rendered["messages"] = history.messages(call.conversation)
    rendered["stream"] = call.stream
    if options.get("tools"):
        rendered["tools"] = tools.offered(options["tools"])
        if choice := tools.choice(options.get("tool_choice"), call.parallel_tool_calls):
            rendered["tool_choice"] = choice
    if stop := options.get("stop"):
        rendered["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    reasoning = _reasoning(options)
    if thinking := output.thinking(reasoning, limit):
        rendered["thinking"] = thinking
    form = None if options.get("response_format") is None else output.output_format(options["response_format"])
    asked = {"effort": output.effort(reasoning, options.get("verbosity")), "format": form}
    if config := {name: value for name, value in asked.items() if value is not None}:
        rendered["output_config"] = config
    # Fields of Messages itself, which the caller gives under their own names, replace what stands for them above.
    own = _own_fields(options)
    if isinstance(given := own.get("output_config"), Mapping):
        own["output_config"] = {**config, **given}
    return {**rendered, **own}


def _limit(call: Call) -> Any:
    given = (call.max_tokens, *map(call.options.get, ("max_tokens", "max_completion_tokens")))
    limit = next((limit for limit in given if limit is not None), None)
    return limit if limit is not None else call.output_limit or DEFAULT_MAX_TOKENS


def _reasoning(options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the reasoning that a call asks for, its older names included. Raises ValueError."""
    given = options.get("reasoning")
    if given is not None and not isinstance(given, str | Mapping):
        raise ValueError(f"reasoning={given!r:.200} must be an effort or a dict such as {{'effort': 'low'}}")
    reasoning = {"effort": given} if isinstance(given, str) else dict(given or {})
    if (effort := options.get("reasoning_effort")) is not None:
        if reasoning.get("effort", effort) != effort:
            raise ValueError(
                f"reasoning_effort={effort!r} contradicts reasoning={options['reasoning']!r}: give one of them"
            )
        reasoning["effort"] = effort
    if options.get("include_reasoning") is False:
        reasoning["exclude"] = True
    return reasoning


def _own_fields(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that are sent as they are, by their names here. Raises ValueError for one without a place."""
    names = places.body_names(GatewaySettings, "messages")
    own = {}
    for field, value in options.items():
        if field in _RENDERED or (field in _ASKING_FOR_NOTHING and value == _ASKING_FOR_NOTHING[field]):
            continue
        name = names.get(field, field) if has(field, "messages") else None
        if name is None:
            raise misplaced(field, value, "messages")
        own[name] = value
    return own
