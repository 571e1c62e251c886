"""What calls cost by the gateway's list of models, in USD. No network. See docs/gateway.md, "Models" and "Usage".

Amounts are floats, as the gateway's own `cost` is; only the listed prices (`ModelInfo.prompt_price`) are Decimal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from kilo_gateway import known_models, plain
from kilo_gateway.usage import Usage

if TYPE_CHECKING:
    from kilo_gateway.model_info import ModelInfo

BYTES_PER_TOKEN: Final = 4
"""Of UTF-8 in prose; each model has a tokenizer of its own, so this is an estimate."""
TOKENS_PER_MESSAGE: Final = 4
TOKENS_PER_ATTACHMENT: Final = 1000
"""An image of medium size; what files and sounds count is not known."""

_MILLION: Final = 1e6


def tokens_of_text(text: str) -> int:
    """Return an estimate of the tokens of a text."""
    return -(-len(text.encode("utf-8", "replace")) // BYTES_PER_TOKEN)


def tokens_of(payload: Mapping[str, Any]) -> int:
    """Return an estimate of the prompt tokens of a request body, chat or embeddings, tools included."""
    count = sum(map(tokens_of_text, payload.get("input", ())))
    for message in payload.get("messages", ()):
        count += TOKENS_PER_MESSAGE + sum(map(_tokens_of_part, _parts(message)))
    if told := [payload[name] for name in ("tools", "response_format") if payload.get(name)]:
        count += tokens_of_text(json.dumps(told, default=str))
    return count


def _parts(message: Mapping[str, Any]) -> Iterator[Any]:
    content = message.get("content")
    yield from content if isinstance(content, list) else [content]
    for call in plain.dicts(message.get("tool_calls")):
        yield json.dumps(call.get("function"), default=str)


def _tokens_of_part(part: Any) -> int:
    if isinstance(part, dict) and part.get("type") != "text":
        return TOKENS_PER_ATTACHMENT
    return tokens_of_text(part if isinstance(part, str) else plain.string(plain.mapping(part).get("text")))


def most_tokens(payload: Mapping[str, Any]) -> int | None:
    """Return how many tokens a request lets all its answers have together, or None when it sets no limit."""
    limits = (plain.number(payload.get(name)) for name in ("max_tokens", "max_completion_tokens"))
    limit = next((limit for limit in limits if limit is not None), None)
    return None if limit is None else int(limit * (plain.number(payload.get("n")) or 1))


def estimate(payload: Mapping[str, Any], *, base_url: str | None = None) -> float | None:
    """Return what the request may cost at most, in USD, or None when it is not known.

    That is the prompt, whose tokens are estimated, and an answer as long as `max_tokens`, else as the model can
    give, at the prices of the list of models that was fetched last (`kilo_gateway.list_models`). Free models are 0.0;
    a model whose price is not known in advance, as of most auto tiers, is None.
    """
    info = known_models.known(str(payload.get("model")), base_url=base_url)
    if info is None:
        return None
    answer = most_tokens(payload)
    if answer is None and info.max_output_tokens is not None:
        answer = int(info.max_output_tokens * (plain.number(payload.get("n")) or 1))
    if answer is None:
        return 0.0 if _is_free(info) else None
    return price(info, Usage(prompt_tokens=tokens_of(payload), completion_tokens=answer))


def price(info: ModelInfo | None, usage: Usage) -> float | None:
    """Return what `usage` costs by the listed prices, in USD, or None when they are not known."""
    if info is None:
        return None
    if _is_free(info):
        return 0.0
    per_prompt, per_completion = info.prompt_price, info.completion_price
    if per_prompt is None or (per_completion is None and usage.completion_tokens):
        return None
    cached = min(usage.cached_tokens, usage.prompt_tokens)
    per_cached = per_prompt if info.cache_read_price is None else info.cache_read_price
    total = (
        (usage.prompt_tokens - cached) * float(per_prompt)
        + cached * float(per_cached)
        + usage.completion_tokens * float(per_completion or 0)
    ) / _MILLION
    per_request = plain.number((info.pricing or {}).get("request")) or 0.0
    return total + max(0.0, per_request)


def _is_free(info: ModelInfo) -> bool:
    return info.free is True and not (info.prompt_price or info.completion_price)
