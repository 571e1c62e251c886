"""A setting that the requested model does not take is named before the request is sent."""

from __future__ import annotations

import time
import warnings
from typing import Any

import pytest

from kilo_gateway import GatewaySettings, unsupported
from kilo_gateway.models import known as known_models
from kilo_gateway.models.store import ListFile, Stored

GATEWAY = "https://gateway.example"
LISTED = {
    "id": "vendor/listed",
    "supported_parameters": ["tools", "reasoning"],
    "opencode": {"variants": {"low": {"reasoning": {"effort": "low"}}, "high": {"reasoning": {"effort": "high"}}}},
}


def warned(model: str, **keywords: Any) -> list[str]:
    settings = GatewaySettings(model=model, base_url=GATEWAY)
    call = settings.prepare("Hi", stream=False, keywords=keywords)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        unsupported.warn_once(call, base_url=GATEWAY)
    return [str(warning.message) for warning in caught]


@pytest.fixture(autouse=True)
def _a_list() -> None:
    ListFile.of(GATEWAY, "").write(Stored(time.time(), [LISTED]))
    known_models.forget()


@pytest.mark.parametrize(
    ("model", "keywords", "parts"),
    [
        ("openai/gpt-5.5", {"temperature": 0}, ("temperature=0.0", "models.dev of 2026-", "leave it out")),
        ("vendor/listed", {"temperature": 0.5}, ("temperature=0.5", "the gateway's list of models")),
        ("ai21/jamba-large-1.7", {"reasoning": "low"}, ("reasoning", "takes no reasoning settings")),
        ("ai21/jamba-large-1.7", {"reasoning_effort": "low"}, ("reasoning", "takes no reasoning settings")),
        ("vendor/listed", {"reasoning": "xhigh"}, ("reasoning effort 'xhigh'", "low, high")),
        (
            "kilo-auto/free",
            {"mode": "plan"},
            ("mode='plan'", "tier='frontier'", "leave the mode out"),
        ),
    ],
)
def test_a_setting_that_the_model_does_not_take_is_named_once(
    model: str, keywords: dict[str, Any], parts: tuple[str, ...]
) -> None:
    (text,) = warned(model, **keywords)
    assert all(part in text for part in (model, *parts))
    assert warned(model, **keywords) == []


@pytest.mark.parametrize(
    ("model", "keywords"),
    [
        ("openai/gpt-5.5", {"temperature": 1}),
        ("openai/gpt-5.5", {"reasoning": "xhigh"}),
        ("anthropic/claude-sonnet-4.6", {"temperature": 0}),
        ("ai21/jamba-large-1.7", {"reasoning": "none"}),
        ("ai21/jamba-large-1.7", {"reasoning": {"enabled": False}}),
        ("vendor/listed", {"reasoning": {"max_tokens": 100}}),
        ("kilo-auto/frontier", {"temperature": 0, "reasoning": "max"}),
        *((f"kilo-auto/{tier}", {"mode": "plan"}) for tier in ("frontier", "org", "balanced", "efficient")),
        ("vendor/listed", {"mode": "plan"}),
        ("nobody/knows-this", {"temperature": 0, "reasoning": "max"}),
    ],
)
def test_a_setting_that_may_be_taken_is_not(model: str, keywords: dict[str, Any]) -> None:
    assert warned(model, **keywords) == []
