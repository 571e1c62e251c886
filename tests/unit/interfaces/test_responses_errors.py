"""Errors of Responses: in a stream, in a body, and where the provider puts them."""

from __future__ import annotations

import json

import pytest

from kilo_gateway import KiloError
from kilo_gateway.errors import (
    KiloContextLengthError,
    KiloProviderTimeoutError,
    KiloRateLimitError,
    KiloResponseError,
    KiloServerError,
)
from kilo_gateway.interfaces.responses import Responses
from kilo_gateway.reply import Reply
from tests.unit.interfaces.responses_events import MESSAGE, USAGE, USUAL, Event, reply_of

ERROR = {"message": "slow down", "code": 429}


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        ({"id": "x", "object": "chat.completion.chunk", "choices": [], "error": ERROR}, KiloRateLimitError),
        ({"type": "error", "error": ERROR}, KiloRateLimitError),
        ({"type": "response.output_text.delta", "delta": "x", "error": ERROR}, KiloRateLimitError),
        ({"type": "error", "code": "timeout", "message": "slow down", "param": None}, KiloProviderTimeoutError),
        (
            {"type": "error", "error": {"type": "timeout", "code": "504", "message": "slow down"}},
            KiloProviderTimeoutError,
        ),
        ({"type": "error", "error": None, "message": "slow down"}, KiloServerError),
        ({"type": "error", "error": "slow down"}, KiloServerError),
        ({"type": "response.failed", "response": {"status": "failed", "error": ERROR}}, KiloRateLimitError),
        (
            {"type": "response.failed", "response": {"error": {"type": "rate_limit_exceeded", "message": "slow down"}}},
            KiloRateLimitError,
        ),
        (
            {
                "type": "response.failed",
                "response": {"error": {"message": "slow down"}, "error_type": "context_length_exceeded"},
            },
            KiloContextLengthError,
        ),
        ({"type": "response.completed", "response": {"status": "failed", "error": ERROR}}, KiloRateLimitError),
        ({"type": "response.created", "response": {"status": "failed", "error": ERROR}}, KiloRateLimitError),
    ],
)
def test_an_error_wherever_it_is(
    event: Event, kind: type[KiloError]
) -> None:  # mrexodia/kilo-pi-provider#29 and others
    with pytest.raises(kind, match="slow down") as caught:
        reply_of(*USUAL[:7], event)
    assert caught.value.partial_text == "Hel"
    if event.get("response", {}).get("error", ERROR).get("type"):
        assert caught.value.code == "rate_limit_exceeded"


def test_a_failure_keeps_its_usage() -> None:
    failed = {"type": "response.failed", "response": {"status": "failed", "error": None, "usage": USAGE}}
    with pytest.raises(KiloServerError, match="failed, without a reason") as caught:
        reply_of(*USUAL[:7], failed)
    assert caught.value.usage is not None
    assert caught.value.usage.prompt_tokens == 10


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({"status": "failed", "error": ERROR, "output": []}, KiloRateLimitError, "slow down"),
        ({"status": "failed", "error": None, "output": []}, KiloServerError, "failed, without a reason"),
        ({"status": "cancelled", "output": [MESSAGE]}, KiloServerError, "was cancelled"),
        ({"error": "no", "error_type": "rate_limit_exceeded", "message": "slow down"}, KiloRateLimitError, "slow down"),
        ({"detail": "slow down"}, KiloServerError, "slow down"),
        ({"status": "queued", "output": []}, KiloResponseError, "'queued'"),
        ({"status": "completed", "output": None}, KiloResponseError, "no output"),
        ({}, KiloResponseError, "no output"),
    ],
)
def test_a_body_without_an_answer(body: Event, kind: type[KiloError], words: str) -> None:
    with pytest.raises(kind, match=words):
        Reply.of(Responses().whole(json.dumps(body).encode()))
