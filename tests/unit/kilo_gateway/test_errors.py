"""The error table: every shape of body, and what each exception promises."""

import pickle
from typing import Any

import openai
import pytest

from kilo_gateway import (
    KiloAuthenticationError,
    KiloConnectionError,
    KiloContextLengthError,
    KiloCreditsError,
    KiloError,
    KiloInvalidRequestError,
    KiloNotFoundError,
    KiloPermissionError,
    KiloProviderTimeoutError,
    KiloRateLimitError,
    KiloServerError,
    KiloStatusError,
    KiloTimeoutError,
)
from kilo_gateway.errors.connection import from_transport
from kilo_gateway.errors.sent import Sent
from kilo_gateway.errors.translate import from_body, unreadable


class Response:
    request = None
    status_code = 500

    def __init__(self, **headers: str) -> None:
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("status", "body", "cls", "expected"),
    [
        (
            429,
            {"error": "Rate limit exceeded", "error_type": "rate_limit_exceeded", "message": "Slow."},
            KiloRateLimitError,
            "Rate limit exceeded: Slow. (HTTP 429, rate_limit_exceeded)",
        ),
        (
            503,
            {"error": "Same.", "error_type": "temporarily_unavailable", "message": "Same."},
            KiloServerError,
            "Same. (HTTP",
        ),
        (401, {"error": {"code": "INVALID_TOKEN", "message": "Bad."}}, KiloAuthenticationError, "INVALID_TOKEN"),
        (401, {"error": {"code": "PROMOTION_MODEL_LIMIT_REACHED", "message": "x"}}, KiloRateLimitError, "daily limit"),
        (
            402,
            {"error": {"title": "Low Credit Warning!", "message": "Add.", "balance": -1, "buyCreditsUrl": "http://b"}},
            KiloCreditsError,
            "Low Credit Warning: Add. (HTTP 402). Add credits at http://b",
        ),
        (
            402,
            {"error": {"message": "m", "code": 402, "metadata": {"buyCreditsUrl": "http://c"}}},
            KiloCreditsError,
            "http://c",
        ),
        (
            429,
            {
                "error": {
                    "code": 429,
                    "message": "Provider returned error",
                    "metadata": {"provider_name": "X", "raw": "too many"},
                }
            },
            KiloRateLimitError,
            "Provider returned error: too many (HTTP 429, provider X)",
        ),
        (500, {"error": {"message": "m", "metadata": {"raw": {"detail": "inner"}}}}, KiloServerError, "inner"),
        (
            400,
            {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}},
            KiloInvalidRequestError,
            "Busy",
        ),
        (
            400,
            {"error": {"message": "m", "type": "invalid_request_error", "param": "dimensions", "code": None}},
            KiloInvalidRequestError,
            "m (HTTP 400)",
        ),
        (405, None, KiloStatusError, "no text (HTTP 405)"),
        (405, "", KiloStatusError, "check base_url"),
        (502, "<html>Bad\x1b[31m</html>", KiloServerError, r"<html>Bad\x1b[31m</html>"),
        (404, "<html>nginx</html>", KiloNotFoundError, "check base_url"),
        (
            400,
            {"error": {"message": "This endpoint's maximum context length is 10 tokens.", "code": 400}},
            KiloContextLengthError,
            "Shorten the conversation",
        ),
        (413, {"error": "prompt is too long"}, KiloContextLengthError, "Shorten"),
        (404, {"error": "No.", "error_type": "model_not_allowed"}, KiloPermissionError, "administrator"),
        (418, {"error": "teapot"}, KiloStatusError, "teapot"),
        (529, {"error": {"message": "Overloaded"}}, KiloServerError, "Overloaded"),
        (400, {"error": "new", "error_type": "something_new"}, KiloInvalidRequestError, "something_new"),
        (None, {"error": {"code": 503, "message": "lost", "type": "upstream_disconnect"}}, KiloServerError, "HTTP 503"),
        (
            None,
            {"error": {"code": "504", "message": "late", "type": "timeout"}},
            KiloProviderTimeoutError,
            "reasoning effort",
        ),
        (None, {"error": "odd"}, KiloServerError, "odd (in the answer)"),
        (None, {"error": True}, KiloServerError, "no text"),
        (None, {"error": {"title": "Paid", "message": "m", "buyCreditsUrl": "http://b"}}, KiloCreditsError, "http://b"),
        (400, [1, 2], KiloInvalidRequestError, "no text"),
        (400, {"error": {"code": {"x": 1}, "message": ["m"], "metadata": "z"}}, KiloInvalidRequestError, "no text"),
    ],
)
def test_shapes(status: int | None, body: Any, cls: type[KiloError], expected: str) -> None:
    error = from_body(body, status=status)
    assert type(error) is cls
    assert expected in str(error)
    assert error.body == body


def test_attributes() -> None:
    response = Response(request_id="req_1", retry_after="5")
    body = {
        "error": {"title": "t", "message": "m", "balance": -0.5, "buyCreditsUrl": "http://b"},
        "error_type": "usage_limit_exceeded",
        "id": "gen-1",
    }
    error = from_body(body, status=402, response=response, sent=Sent(model="a/b"), partial="so far")
    assert isinstance(error, openai.APIStatusError)
    assert (error.status_code, error.error_type, error.request_id) == (402, "usage_limit_exceeded", "req_1")
    assert (error.balance, error.buy_credits_url, error.generation_id) == (-0.5, "http://b", "gen-1")
    assert (error.retry_after, error.partial_text) == (5.0, "so far")
    assert "model a/b, request req_1" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7.0),
        ({"retry_after_ms": "1500", "retry_after": "9"}, 1.5),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "-1"}, None),
        ({"retry_after": "inf"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    error = from_body({"error": "x"}, status=429, response=Response(**headers))
    assert error.retry_after == seconds
    assert (f"Try again in {seconds:g} seconds" if seconds else "Wait a little") in str(error)


@pytest.mark.parametrize(
    ("status", "error_type", "retryable"),
    [
        (400, "invalid_request", False),
        (401, "authentication_required", False),
        (401, "promotion_limit_reached", False),
        (402, "usage_limit_exceeded", False),
        (403, "account_restricted", False),
        (404, "model_not_found", False),
        (500, "context_length_exceeded", False),
        (503, "no_free_models_available", False),
        (503, "model_not_allowed", False),
        (401, "byok_error", False),
        (429, "byok_error", True),
        (408, None, True),
        (429, "rate_limit_exceeded", True),
        (502, None, True),
        (503, "top_up_in_progress", True),
    ],
)
def test_what_may_succeed_later(status: int, error_type: str | None, retryable: bool) -> None:
    assert from_body({"error": "x", "error_type": error_type}, status=status).retryable is retryable


def test_long_texts_are_cut_and_control_characters_shown() -> None:
    error = from_body("x" * 5000 + "end", status=500)
    assert len(str(error)) < 2200
    assert "end" not in str(error)
    shown = str(unreadable("odd", body="a\x00b\u202e\x1b[2J"))
    assert all(c.isprintable() for c in shown)


def test_a_rejected_organisation_is_suspected_only_when_one_was_sent() -> None:
    body = {"error": {"code": "PAID_MODEL_AUTH_REQUIRED", "message": "Sign in."}}
    assert "organization_id" not in str(from_body(body, status=401, sent=Sent(keyed=True)))
    assert "organization_id" in str(from_body(body, status=401, sent=Sent(keyed=True, organization=True)))
    assert 'tier="free"' in str(from_body(body, status=401, sent=Sent()))


def test_transport_failures() -> None:
    class TimeoutException(Exception):  # noqa: N818 -- the name that both HTTP libraries use
        pass

    for failure in (TimeoutException("x"), TimeoutError("x"), TimeoutError()):
        error = from_transport(failure, Sent(timeout=3))
        assert type(error) is KiloTimeoutError
        assert "within 3 seconds" in str(error)
        assert isinstance(error, openai.APITimeoutError)
    broken = from_transport(OSError("reset"), Sent())
    assert type(broken) is KiloConnectionError
    assert broken.retryable


def test_errors_travel_to_other_processes() -> None:
    error = from_body({"error": "x"}, status=429, response=Response(request_id="r"), partial="so far")
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 -- made on this line
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert (copy.status_code, copy.request_id, copy.partial_text) == (429, "r", "so far")
