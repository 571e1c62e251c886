"""Tokens and cost, from every place the two upstream routes put them."""

from typing import Any

import pytest

from kilo_gateway.interfaces.messages import usage as messages
from kilo_gateway.interfaces.responses import usage as responses
from kilo_gateway.usage import parse_usage

TOKENS = {"prompt_tokens": 21, "completion_tokens": 14, "total_tokens": 35}


@pytest.mark.parametrize(
    ("usage", "metadata", "cost"),
    [
        ({**TOKENS, "cost": 0.5}, None, 0.5),
        ({**TOKENS, "cost": 0}, None, 0.0),
        ({**TOKENS, "cost": "0.25"}, None, 0.25),
        (TOKENS, {"gateway": {"cost": "0.0042"}}, 0.0042),
        ({**TOKENS, "cost": None}, {"gateway": {"cost": "0.1"}}, 0.1),
        (None, {"gateway": {"cost": "0.1"}}, 0.1),
        (TOKENS, None, None),
        ({**TOKENS, "cost": "free"}, None, None),
        ({**TOKENS, "cost": True}, None, None),
        ({**TOKENS, "cost": "nan"}, {"gateway": "x"}, None),
    ],
)
def test_cost(usage: Any, metadata: Any, cost: float | None) -> None:
    parsed = parse_usage(usage, metadata)
    assert parsed is not None
    assert parsed.cost == cost
    assert parsed.counted == (usage is not None)


def test_details() -> None:
    parsed = parse_usage(
        {
            **TOKENS,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 4, "audio_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 9, "audio_tokens": None},
            "cost_details": {"upstream_inference_cost": 0.1},
            "is_byok": False,
        }
    )
    assert parsed is not None
    assert (parsed.cached_tokens, parsed.cache_write_tokens, parsed.audio_input_tokens) == (3, 4, 5)
    assert (parsed.reasoning_tokens, parsed.audio_output_tokens) == (9, 0)
    assert parsed.reported == {"cached_tokens", "cache_write_tokens", "audio_input_tokens", "reasoning_tokens"}
    assert (parsed.cost_details, parsed.is_byok) == ({"upstream_inference_cost": 0.1}, False)


@pytest.mark.parametrize(
    "native",
    [
        responses.parse({"input_tokens": 7, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 0}}),
        messages.read({"input_tokens": 7, "output_tokens": 2, "cache_read_input_tokens": 0}),
        parse_usage({"prompt_tokens": 7, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 0}}),
    ],
)
def test_usage_of_each_interface_in_the_form_of_chat(native: Any) -> None:
    totals = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
    assert native.as_chat() == {**totals, "prompt_tokens_details": {"cached_tokens": 0}}


def test_a_cost_without_tokens_in_the_form_of_chat() -> None:
    parsed = parse_usage({"cost": 0.5})
    assert parsed is not None
    assert parsed.as_chat() == {"cost": 0.5}


@pytest.mark.parametrize("nothing", [None, {}, [], "x", {"prompt_tokens": None}])
def test_nothing_told(nothing: Any) -> None:
    assert parse_usage(nothing) is None


def test_a_missing_total_is_the_sum() -> None:
    parsed = parse_usage({"prompt_tokens": 2, "completion_tokens": 3})
    assert parsed is not None
    assert parsed.total_tokens == 5
