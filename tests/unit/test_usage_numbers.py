"""Numbers of an answer that cannot be amounts: they count as not reported, wherever they stand."""

import json
from typing import Any

import pytest

from kilo_gateway.interfaces.chat_completions import ChatCompletions
from kilo_gateway.reply import Reply
from kilo_gateway.usage import parse_usage

TOKENS = {"prompt_tokens": 21, "completion_tokens": 14, "total_tokens": 35}
NOT_AMOUNTS = [-1, -0.01, "-5", float("nan"), "NaN", float("inf"), "-Infinity", True, None, "free", [], {}]


@pytest.mark.parametrize("cost", NOT_AMOUNTS)
def test_a_cost_that_is_not_an_amount_was_not_reported(cost: Any) -> None:
    usage = parse_usage({**TOKENS, "cost": cost})
    assert usage is not None
    assert usage.cost is None
    usage = parse_usage({**TOKENS, "cost": cost}, {"gateway": {"cost": "0.25"}})
    assert usage is not None
    assert usage.cost == 0.25
    assert parse_usage({"cost": cost}) is None


@pytest.mark.parametrize("count", NOT_AMOUNTS)
@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "total_tokens"])
def test_a_count_that_is_not_an_amount_was_not_reported(name: str, count: Any) -> None:
    usage = parse_usage({**TOKENS, name: count})
    assert usage is not None
    left = {**TOKENS, name: 0}
    assert (usage.prompt_tokens, usage.completion_tokens) == (left["prompt_tokens"], left["completion_tokens"])
    assert usage.total_tokens == (left["total_tokens"] or 35)
    assert parse_usage({"prompt_tokens": count, "completion_tokens": count}) is None


@pytest.mark.parametrize("count", NOT_AMOUNTS)
def test_a_detail_that_is_not_an_amount_is_zero(count: Any) -> None:
    details = {
        "prompt_tokens_details": dict.fromkeys(("cached_tokens", "cache_write_tokens", "audio_tokens"), count),
        "completion_tokens_details": dict.fromkeys(("reasoning_tokens", "audio_tokens"), count),
    }
    usage = parse_usage({**TOKENS, **details})
    assert usage is not None
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.audio_input_tokens) == (0, 0, 0)
    assert (usage.reasoning_tokens, usage.audio_output_tokens) == (0, 0)


def test_minus_zero_is_zero() -> None:
    usage = parse_usage({**TOKENS, "cost": -0.0})
    assert usage is not None
    assert str(usage.cost) == "0.0"


def test_an_answer_with_a_negative_cost_is_an_answer() -> None:
    choice = {"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    reply = Reply.of(
        ChatCompletions().whole(json.dumps({"choices": [choice], "usage": {**TOKENS, "cost": -5}}).encode())
    )
    assert reply.text == "hi"
    assert reply.ending.usage is not None
    assert reply.ending.usage.cost is None
