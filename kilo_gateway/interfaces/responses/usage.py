"""Tokens and cost as this interface reports them. Pure. See docs/gateway.md, "Usage"."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kilo_gateway.usage import Usage, parse_usage

_IN_CHAT: Final = {
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "input_tokens_details": "prompt_tokens_details",
    "output_tokens_details": "completion_tokens_details",
}


def parse(usage: Any, provider_metadata: Any = None) -> Usage | None:
    """Read the `usage` of a response; None if it reports neither tokens nor cost.

    `input_tokens` includes the cached ones, as `prompt_tokens` does, so that only the names differ.
    """
    raw = usage if isinstance(usage, dict) else {}
    parsed = parse_usage({_IN_CHAT.get(name, name): value for name, value in raw.items()}, provider_metadata)
    return parsed and replace(parsed, raw=raw)
