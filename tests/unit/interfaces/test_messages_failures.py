"""Answers of Messages that are not whole, and errors: each raises."""

from __future__ import annotations

import json

import pytest

from kilo_gateway import (
    KiloAuthenticationError,
    KiloContextLengthError,
    KiloCreditsError,
    KiloError,
    KiloInvalidRequestError,
    KiloModelNotFoundError,
    KiloPermissionError,
    KiloRateLimitError,
    KiloResponseError,
    KiloServerError,
    KiloStreamInterruptedError,
)
from kilo_gateway.errors import KiloProviderTimeoutError
from kilo_gateway.interfaces.messages import Messages
from kilo_gateway.reply import Reply
from tests.unit.interfaces.messages_events import (
    SEARCH,
    STARTED,
    STOPPED,
    Event,
    call,
    decoded,
    deltas_of,
    ends,
    starts,
    stops,
    text,
    thought,
    wire,
)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(text(0, "Hello"), "stop", id="text"),
        pytest.param([*text(0, "Hello"), *call(1, "t", "f", "{}")], "tool_calls", id="call"),
    ],
)
def test_a_stream_without_its_last_events_is_whole_if_all_blocks_are(content: list[Event], reason: str) -> None:
    for events in ([STARTED, *content], [STARTED, *content, STOPPED]):
        reply = decoded(*events)
        assert (reply.ending.finish_reason, reply.ending.native_finish_reason) == (reason, None)
        assert reply.ending.usage is None


@pytest.mark.parametrize(
    "events",
    [
        pytest.param([STARTED], id="nothing"),
        pytest.param([STARTED, STOPPED], id="nothing but an end"),
        pytest.param([STARTED, *text(0, "Hello")[:-1]], id="open text"),
        pytest.param([STARTED, *text(0, "Hello")[:-1], STOPPED], id="open text before an end without a reason"),
        pytest.param([STARTED, *thought(0, "because", signature="s")], id="only a thought"),
        pytest.param([STARTED, starts(0, **SEARCH), stops(0)], id="only a server tool"),
        pytest.param([STARTED, *text(0, "Hello"), *call(1, "t", "f", '{"x')], id="call with half its input"),
        pytest.param([STARTED, *call(0, "t", "f", "{}"), starts(1, type="text", text="")], id="next block begun"),
    ],
)
def test_a_stream_that_is_cut_off_raises(events: list[Event]) -> None:
    with pytest.raises(KiloStreamInterruptedError) as caught:
        decoded(*events)
    assert caught.value.partial_text == ("Hello" if any("Hello" in json.dumps(event) for event in events) else "")


def test_a_cut_stream_without_a_reason_does_not_count_as_finished_when_the_connection_breaks() -> None:
    decoder = Messages().decoder()
    list(decoder.feed(wire(STARTED, *text(0, "Hello"))))
    assert not decoder.finished


def test_an_empty_stream_and_half_a_frame() -> None:
    with pytest.raises(KiloResponseError, match="empty"):
        deltas_of(b"")
    with pytest.raises(KiloStreamInterruptedError, match="cut off"):
        deltas_of(wire(STARTED, *text(0, "Hello")) + b'data: {"type": "message_de')


@pytest.mark.parametrize(
    ("kind", "cls"),
    [
        ("invalid_request_error", KiloInvalidRequestError),
        ("authentication_error", KiloAuthenticationError),
        ("billing_error", KiloCreditsError),
        ("permission_error", KiloPermissionError),
        ("not_found_error", KiloModelNotFoundError),
        ("request_too_large", KiloInvalidRequestError),
        ("rate_limit_error", KiloRateLimitError),
        ("api_error", KiloServerError),
        ("timeout_error", KiloProviderTimeoutError),
        ("overloaded_error", KiloServerError),
        ("something_new", KiloServerError),
    ],
)
def test_an_error_inside_a_200_answer_has_the_class_of_its_type(kind: str, cls: type[KiloError]) -> None:
    error = {"type": "error", "error": {"type": kind, "message": "It failed"}, "request_id": "req_1"}
    with pytest.raises(cls, match="It failed") as caught:
        decoded(STARTED, *text(0, "Hello"), error)
    assert (caught.value.partial_text, caught.value.request_id) == ("Hello", "req_1")
    with pytest.raises(cls, match="It failed"):
        Reply.of(Messages().whole(json.dumps(error).encode()))


@pytest.mark.parametrize(
    ("error", "cls", "message"),
    [
        pytest.param(
            {"type": "error", "error": {"type": "api_error", "message": "slow", "error_type": "timeout"}},
            KiloProviderTimeoutError,
            "slow",
            id="of the gateway, nested",
        ),
        pytest.param(
            {"type": "error", "message": "gone", "error_type": "upstream_disconnect"},
            KiloServerError,
            "gone",
            id="of the gateway, flat",
        ),
        pytest.param(
            {"error": {"code": 429, "message": "later", "metadata": {"provider_name": "Vendor"}}},
            KiloRateLimitError,
            "later.*provider Vendor",
            id="in the form of chat",
        ),
        pytest.param({"type": "error", "error": "broken"}, KiloServerError, "broken", id="a text"),
        pytest.param({"type": "error"}, KiloServerError, "without a message", id="nothing"),
        pytest.param({"type": "ping", "error": {"message": "no"}}, KiloServerError, "no", id="another type"),
        pytest.param(
            {"type": "error", "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 > 8"}},
            KiloContextLengthError,
            "too long",
            id="context",
        ),
    ],
)
def test_errors_of_all_forms(error: Event, cls: type[KiloError], message: str) -> None:
    with pytest.raises(cls, match=message):
        decoded(STARTED, error)
    if error.get("type") != "ping":
        with pytest.raises(cls, match=message):
            Reply.of(Messages().whole(json.dumps(error).encode()))


def test_an_error_keeps_the_usage_reported_before_it() -> None:
    error = {"type": "error", "error": {"type": "api_error", "message": "late"}}
    with pytest.raises(KiloServerError) as caught:
        decoded(STARTED, *text(0, "x"), ends(usage={"output_tokens": 5, "cost": 0.5}), error)
    assert caught.value.usage is not None
    assert caught.value.usage.cost == 0.5
