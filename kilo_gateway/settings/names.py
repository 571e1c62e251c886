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
    }
)
"""Further request fields that the gateway or its providers know, which are therefore not typing errors."""


_PREFERENCES: Final = frozenset(
    {"order", "only", "ignore", "sort", "allow_fallbacks", "require_parameters", "quantizations", "zdr"}
)
"""Routing preferences, which some classes for OpenRouter take as arguments of their own."""


def hint(name: str, known: frozenset[str], call_keywords: frozenset[str]) -> str:
    """Return a hint for a constructor argument that does not exist."""
    if name.endswith("api_key"):
        return "did you mean 'api_key'?"
    if name == "max_completion_tokens" and "max_tokens" in known:
        return "did you mean 'max_tokens'?"
    if name in _PREFERENCES:
        return f"it is a routing preference: provider={{{name!r}: ...}}"
    if name in call_keywords:
        return f"it is a keyword of a call; for all calls use extra_body={{{name!r}: ...}}"
    names = [*known, *(alias for alias, field in ALIASES.items() if field in known)]
    return routing.did_you_mean(name, names, "send other request fields with extra_body={...}")
