"""A call as the body of `POST /messages`. Pure. See docs/gateway.md, "Messages"."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from kilo_gateway.call import Call
from kilo_gateway.interfaces.messages import history, output, tools
from kilo_gateway.settings import places
from kilo_gateway.settings.chat import GatewaySettings

DEFAULT_MAX_TOKENS: Final = 8192
"""Limit of an answer if neither the call nor the model sets one: Anthropic refuses a request without a limit."""

_APIS: Final = ("completions", "responses", "messages")
_COMPLETIONS: Final = ("completions",)

_ELSEWHERE: Final[Mapping[str, tuple[str, ...]]] = {
    "n": _COMPLETIONS,
    "audio": _COMPLETIONS,
    "modalities": ("completions", "responses"),
    "prediction": _COMPLETIONS,
    "store": _COMPLETIONS,
    "prompt_cache_key": ("completions", "responses"),
    "safety_identifier": ("completions", "responses"),
    "top_a": _COMPLETIONS,
    "min_p": _COMPLETIONS,
    "repetition_penalty": _COMPLETIONS,
    "web_search_options": _COMPLETIONS,
    "structured_outputs": _COMPLETIONS,
    "enable_thinking": _COMPLETIONS,
    "usage": _COMPLETIONS,
}
"""Request fields without a constructor field that Messages lacks, and the interfaces that have them."""

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
    options = call.options
    limit = _limit(call)
    rendered: dict[str, Any] = {"model": call.model, "max_tokens": limit}
    if system := history.system(call.conversation):
        rendered["system"] = system
    rendered["messages"] = history.messages(call.conversation)
    rendered["stream"] = call.stream
    if call.tools:
        rendered["tools"] = tools.offered(call.tools)
        if choice := tools.choice(options.get("tool_choice"), call.parallel_tool_calls):
            rendered["tool_choice"] = choice
    if stop := options.get("stop"):
        rendered["stop_sequences"] = [stop] if isinstance(stop, str) else stop
    reasoning = _reasoning(options)
    if thinking := output.thinking(reasoning, limit):
        rendered["thinking"] = thinking
    form = None if call.output_schema is None else output.output_format(call.output_schema)
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
    return limit if limit is not None else getattr(call, "output_limit", None) or DEFAULT_MAX_TOKENS


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
        name = None if field in _ELSEWHERE else names.get(field, field)
        if name is None:
            raise ValueError(
                f"{field}={value!r:.200} has no place in the Messages interface; leave it out, or use {_having(field)}"
            )
        own[name] = value
    return own


def _having(field: str) -> str:
    """Return the settings of `api` that have a field."""
    apis = _ELSEWHERE.get(field) or [api for api in _APIS if places.body_names(GatewaySettings, api)[field]]
    return " or ".join(f"api={api!r}" for api in apis)
