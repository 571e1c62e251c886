"""Other names of fields, request fields without a field, and hints for unknown names. No I/O."""

from __future__ import annotations

from typing import Final

from kilo_gateway import routing

ALIASES: Final = {
    "auto_tier": "tier",
    "model_name": "model",
    "stop_sequences": "stop",
    "request_timeout": "timeout",
    "api_base": "base_url",
    "chunk_size": "batch_size",
    "show_progress_bar": "show_progress",
}
"""Names of the same fields in the frameworks and their OpenAI classes, which the constructors accept."""

DEFAULTS: Final = ("model_kwargs", "additional_kwargs")
"""The frameworks' arguments for further request fields, which any other argument overrides."""

RESERVED_CALL_NAMES: Final = frozenset({"messages", "stream"})

REQUEST_FIELDS: Final = frozenset(
    {
        "tools",
        "tool_choice",
        "response_format",
        "extra_headers",
        "extra_query",
        "stream_options",
        "n",
        "user",
        "max_completion_tokens",
        "reasoning_effort",
        "include_reasoning",
        "thinking",
        "enable_thinking",
        "modalities",
        "audio",
        "prediction",
        "metadata",
        "service_tier",
        "store",
        "prompt_cache_key",
        "safety_identifier",
        "models",
        "top_k",
        "top_a",
        "min_p",
        "repetition_penalty",
        "web_search_options",
        "route",
        "usage",
        "structured_outputs",
        "trace",
    }
)
"""Further request fields that the gateway or its providers know, which are therefore not typing errors."""


_PREFERENCES: Final = frozenset(
    {"order", "only", "ignore", "sort", "allow_fallbacks", "require_parameters", "quantizations", "zdr"}
)
"""Routing preferences, which some classes for OpenRouter take as arguments of their own."""


_ELSEWHERE: Final = {
    "additional_kwargs": "model_kwargs",
    "app_title": "project_id",
    "async_http_client": "http_async_client",
    "extra_headers": "default_headers",
    "extra_query": "default_query",
    "headers": "default_headers",
    "max_completion_tokens": "max_tokens",
    "model_kwargs": "additional_kwargs",
    "openai_api_base": "base_url",
    "openai_organization": "organization_id",
    "openrouter_provider": "provider",
    "organization": "organization_id",
    "reasoning_effort": "reasoning",
    "session_id": "task_id",
    "stream_chunk_timeout": "stream_idle_timeout",
    "system": "system_prompt",
    "thread_id": "task_id",
}
"""Arguments of other packages, and the field here that has their meaning (docs/migrating.md)."""

_REMEDIES: Final = {
    "app_url": "leave it out: the gateway has no place for it",
    "is_chat_model": "leave it out: each model is a chat model",
    "openai_proxy": "give a client that uses the proxy: http_client=httpx.Client(proxy=...)",
    "reuse_client": "leave it out: connections are always shared",
    "should_use_structured_outputs": "write structured_output_method='json_schema'",
    "stream_usage": "leave it out: usage is always requested",
    "system": "put it into the messages, as the first one",
    "system_prompt": "put it into the messages, as the first one",
    "tiktoken_model_name": "leave it out: tokens are estimated offline",
    "tokenizer": "leave it out: tokens are estimated offline",
}
"""Arguments of other packages that have no field here, and the remedy."""


def hint(name: str, known: frozenset[str], call_keywords: frozenset[str]) -> str:
    """Return a hint for a constructor argument or a field that does not exist."""
    if name.endswith("api_key"):
        return "did you mean 'api_key'?"
    if (field := ALIASES.get(name, _ELSEWHERE.get(name))) in known:
        return f"did you mean {field!r}?"
    if name in _REMEDIES:
        return _REMEDIES[name]
    if name in _PREFERENCES:
        return f"it is a routing preference: provider={{{name!r}: ...}}"
    if name in call_keywords:
        return f"it is a keyword of a call; for all calls use extra_body={{{name!r}: ...}}"
    names = [*known, *(alias for alias, field in ALIASES.items() if field in known)]
    return routing.did_you_mean(name, names, "send other request fields with extra_body={...}")
