"""The cost of calls by the gateway's list of models, in USD. No network. See docs/gateway.md, "Models" and "Usage".

Amounts are floats, as the gateway's own `cost` is; they are computed from the listed prices, which are Decimal.
Counts of tokens are bounds, not estimates: no tokenizer makes more tokens of a text than it has bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from kilo_gateway import routing
from kilo_gateway.call import Call
from kilo_gateway.conversation import (
    Audio,
    Document,
    File,
    Image,
    Opaque,
    Part,
    Refusal,
    SpokenAnswer,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    Video,
)
from kilo_gateway.encoding import lenient_json
from kilo_gateway.models import known as known_models
from kilo_gateway.usage import Usage

if TYPE_CHECKING:
    from kilo_gateway.models.info import ModelInfo

TOKENS_PER_BYTE: Final = 1
"""Of UTF-8, at most: byte-level tokenizers start from single bytes, and others fall back to them.

Those that first normalize a text (NFC at Qwen) can make more of a few rare characters, such as musical symbols.
"""
TOKENS_PER_MESSAGE: Final = 16
"""At most, for the marks of a message's beginning, role and end."""
TOKENS_PER_REQUEST: Final = 64
"""At most, for the text that a provider writes around the messages."""
TOKENS_FOR_TOOLS: Final = 1_000
"""At most, for the text with which a provider explains tools in the prompt."""
TOKENS_PER_IMAGE: Final = 6_000
"""More than any documented provider counts for an image. Other attachments count their bytes, and at least as much."""

_MILLION: Final = Decimal(10) ** 6


@dataclass(frozen=True, slots=True)
class Size:
    """Upper limits of the tokens of a request."""

    prompt: int
    answer: int | None
    """Of all answers together; None if the request sets no limit."""
    answers: int = 1


NOTHING: Final = Size(0, 0)


def size_of(call: Call) -> Size:
    """Return the size of a chat request."""
    answers = max(1, int(lenient_json.number(call.answers) or 1))
    limit = call.max_tokens
    return Size(_prompt_tokens(call), None if limit is None else limit * answers, answers)


def size_of_texts(texts: Sequence[str]) -> Size:
    """Return the size of a request for embeddings."""
    return Size(sum(map(tokens_of_text, texts)) + TOKENS_PER_MESSAGE * len(texts), 0)


def tokens_of_text(text: str) -> int:
    """Return the most tokens that a text can have."""
    # A lone surrogate is sent as U+FFFD, which has three bytes too.
    return len(text.encode("utf-8", "surrogatepass")) * TOKENS_PER_BYTE


def _prompt_tokens(call: Call) -> int:
    count = TOKENS_PER_REQUEST
    for message in call.conversation:
        count += TOKENS_PER_MESSAGE + tokens_of_text(message.name or "") + sum(map(_tokens_of, message.parts))
    if call.tools:
        count += TOKENS_FOR_TOOLS
    return count + sum(_tokens_of_json(schema) for schema in (call.tools, call.output_schema) if schema)


def _tokens_of(part: Part) -> int:
    match part:
        case Text() | Refusal():
            return tokens_of_text(part.text)
        case Image():
            return TOKENS_PER_IMAGE
        case Thought():
            # One of the two is sent.
            return max(tokens_of_text(part.text), _tokens_of_json(list(part.details)))
        case ToolCall():
            return _tokens_of_json(part.wire())
        case Document():
            return sum(map(_tokens_of, part.plain()))
        case ToolResult():
            return TOKENS_PER_MESSAGE + tokens_of_text(part.call_id) + sum(map(_tokens_of, part.parts))
        case Audio() | Video() | File() | SpokenAnswer():
            return max(TOKENS_PER_IMAGE, _tokens_of_json(asdict(part)))
        case Opaque():
            return max(TOKENS_PER_IMAGE, _tokens_of_json(part.value))


def _tokens_of_json(value: Any) -> int:
    return tokens_of_text(json.dumps(value, default=str))


def estimate(call: Call, *, base_url: str | None = None) -> float | None:
    """Return the most that the call may cost, in USD, or None if it is not known; see `at_most`."""
    return at_most(call.model, size_of(call), base_url=base_url)


def at_most(model: str, size: Size, *, base_url: str | None = None) -> float | None:
    """Return the most that a request of this size may cost, in USD, or None if it is not known.

    That is the prompt, and an answer as long as the request allows, else as the model can give, at the prices of the
    list of models that was fetched last (`kilo_gateway.list_models`). Free models are 0.0. For an auto tier, the most
    expensive model counts that it can reach by the list.
    """
    return _dearest([_at_most(info, size) for info in _candidates(model, base_url)])


def of_usage(model: str, usage: Usage, *, base_url: str | None = None) -> float | None:
    """Return the most that `usage` costs by the listed prices of `model`, in USD, or None if they are not known."""
    return _dearest([price(info, usage) for info in _candidates(model, base_url)])


def price(info: ModelInfo | None, usage: Usage) -> float | None:
    """Return the cost of `usage` by the listed prices, in USD, or None if they are not known.

    Prices of the built-in table do not count: a limit on costs cannot rest on prices that may have risen since.
    """
    if info is None:
        return None
    if _is_free(info):
        return 0.0
    if info.as_of is not None:
        return None
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
    # A provider may write the whole prompt into its cache, which can cost more than reading it.
    cached = Usage(prompt_tokens=size.prompt, completion_tokens=answer, cache_write_tokens=size.prompt)
    return _dearest([plain_prompt, price(info, cached)])


def _dearest(costs: list[float | None]) -> float | None:
    known = [cost for cost in costs if cost is not None]
    return max(known) if costs and len(known) == len(costs) else None


def _is_free(info: ModelInfo) -> bool:
    return info.free is True and not (info.prompt_price or info.completion_price)
