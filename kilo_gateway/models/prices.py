"""What calls cost by the gateway's list of models, in USD. No network. See docs/gateway.md, "Models" and "Usage".

Amounts are floats, as the gateway's own `cost` is; they are computed from the listed prices, which are Decimal.
Counts of tokens are bounds, not estimates: no tokenizer makes more tokens of a text than it has bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from kilo_gateway import routing
from kilo_gateway.encoding import lenient_json
from kilo_gateway.models import known as known_models
from kilo_gateway.usage import Usage

if TYPE_CHECKING:
    from kilo_gateway.models.info import ModelInfo

TOKENS_PER_BYTE: Final = 1
"""Of UTF-8, at most: byte-level tokenizers start from single bytes, and others fall back to them."""
TOKENS_PER_MESSAGE: Final = 16
"""At most, for the marks of a message's beginning, role and end."""
TOKENS_PER_REQUEST: Final = 64
"""At most, for what a provider writes around the messages."""
TOKENS_FOR_TOOLS: Final = 1_000
"""At most, for what a provider writes into the prompt to explain tools."""
TOKENS_PER_IMAGE: Final = 6_000
"""More than any documented provider counts for an image. Other attachments count their bytes, and at least as much."""

_MILLION: Final = Decimal(10) ** 6


@dataclass(frozen=True, slots=True)
class Size:
    """How many tokens a request may have at most."""

    prompt: int
    answer: int | None
    """Of all answers together; None if the request sets no limit."""
    answers: int = 1


NOTHING: Final = Size(0, 0)


def size_of(payload: Mapping[str, Any]) -> Size:
    """Return the size of a request body, chat or embeddings."""
    if "messages" not in payload:
        texts = payload.get("input", ())
        return Size(sum(map(tokens_of_text, texts)) + TOKENS_PER_MESSAGE * len(texts), 0)
    answers = max(1, int(lenient_json.number(payload.get("n")) or 1))
    limits = (lenient_json.number(payload.get(name)) for name in ("max_tokens", "max_completion_tokens"))
    limit = next((limit for limit in limits if limit is not None), None)
    return Size(_prompt_tokens(payload), None if limit is None else int(limit) * answers, answers)


def tokens_of_text(text: str) -> int:
    """Return how many tokens a text has at most."""
    return len(text.encode("utf-8", "replace")) * TOKENS_PER_BYTE


def _prompt_tokens(payload: Mapping[str, Any]) -> int:
    count = TOKENS_PER_REQUEST
    for message in payload["messages"]:
        count += TOKENS_PER_MESSAGE + sum(map(_tokens_of_part, _parts(message)))
    if payload.get("tools"):
        count += TOKENS_FOR_TOOLS
    schemas = [payload[name] for name in ("tools", "response_format") if payload.get(name)]
    return count + (tokens_of_text(json.dumps(schemas, default=str)) if schemas else 0)


def _parts(message: Mapping[str, Any]) -> Iterator[Any]:
    content = message.get("content")
    yield from content if isinstance(content, list) else [content]
    for name in ("tool_calls", "function_call", "reasoning_details", "reasoning", "refusal", "name", "tool_call_id"):
        if value := message.get(name):
            yield value if isinstance(value, str) else json.dumps(value, default=str)
    yield from message.get("images") or ()


def _tokens_of_part(part: Any) -> int:
    if isinstance(part, Mapping) and part.get("type") == "image_url":
        return TOKENS_PER_IMAGE
    if isinstance(part, Mapping) and part.get("type") != "text":
        return max(TOKENS_PER_IMAGE, tokens_of_text(json.dumps(part, default=str)))
    return tokens_of_text(
        part if isinstance(part, str) else lenient_json.string(lenient_json.mapping(part).get("text"))
    )


def estimate(payload: Mapping[str, Any], *, base_url: str | None = None) -> float | None:
    """Return what the request may cost at most, in USD, or None when it is not known; see `at_most`."""
    return at_most(str(payload.get("model")), size_of(payload), base_url=base_url)


def at_most(model: str, size: Size, *, base_url: str | None = None) -> float | None:
    """Return what a request of this size may cost at most, in USD, or None when it is not known.

    That is the prompt, and an answer as long as the request allows, else as the model can give, at the prices of the
    list of models that was fetched last (`kilo_gateway.list_models`). Free models are 0.0. For an auto tier the
    dearest model counts that the list says it can reach.
    """
    return _dearest([_at_most(info, size) for info in _candidates(model, base_url)])


def of_usage(model: str, usage: Usage, *, base_url: str | None = None) -> float | None:
    """Return what `usage` costs at most by the listed prices of `model`, in USD, or None when they are not known."""
    return _dearest([price(info, usage) for info in _candidates(model, base_url)])


def price(info: ModelInfo | None, usage: Usage) -> float | None:
    """Return what `usage` costs by the listed prices, in USD, or None when they are not known."""
    if info is None:
        return None
    if _is_free(info):
        return 0.0
    per_prompt, per_completion = info.prompt_price, info.completion_price
    if per_prompt is None or (per_completion is None and usage.completion_tokens):
        return None
    read = min(usage.cached_tokens, usage.prompt_tokens)
    written = min(usage.cache_write_tokens, usage.prompt_tokens - read)
    per_read = per_prompt if info.cache_read_price is None else info.cache_read_price
    per_written = per_prompt if info.cache_write_price is None else info.cache_write_price
    total = (
        (usage.prompt_tokens - read - written) * per_prompt
        + read * per_read
        + written * per_written
        + usage.completion_tokens * (per_completion or 0)
    ) / _MILLION
    per_request = lenient_json.number((info.pricing or {}).get("request")) or 0.0
    return float(total + Decimal(repr(max(0.0, per_request))))


def _candidates(model: str, base_url: str | None) -> list[ModelInfo | None]:
    """Return the models that may serve: the requested one, or those that an auto tier without a price can reach."""
    info = known_models.known(model, base_url=base_url)
    if info is None or routing.tier_of(model) is None or _is_free(info) or info.prompt_price is not None:
        return [info]
    reached = (info.auto_routing or {}).get("models")
    return [
        known_models.known(name, base_url=base_url)
        for name in (reached if isinstance(reached, list) else ())
        if isinstance(name, str)
    ]


def _at_most(info: ModelInfo | None, size: Size) -> float | None:
    if info is None:
        return None
    if _is_free(info):
        return 0.0
    limit = info.max_output_tokens or info.context_length
    answer = size.answer if size.answer is not None else limit and limit * size.answers
    if answer is None:
        return None
    plain_prompt = price(info, Usage(prompt_tokens=size.prompt, completion_tokens=answer))
    # A provider may write the whole prompt into its cache, which can be dearer than reading it.
    cached = Usage(prompt_tokens=size.prompt, completion_tokens=answer, cache_write_tokens=size.prompt)
    return _dearest([plain_prompt, price(info, cached)])


def _dearest(costs: list[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return max(known) if costs and len(known) == len(costs) else None


def _is_free(info: ModelInfo) -> bool:
    return info.free is True and not (info.prompt_price or info.completion_price)
