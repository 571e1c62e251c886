"""Answers of Messages: framing, ends, usage and whole bodies; each oddity is repaired."""

from __future__ import annotations

from typing import Any

import pytest

from kilo_gateway import (
    KiloResponseError,
    Reply,
)
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.messages import Messages
from tests.unit.interfaces.messages_events import (
    FOUND,
    HIDDEN,
    INPUT,
    SEARCH,
    SIGNED,
    STARTED,
    STOPPED,
    Event,
    as_body,
    call,
    calls_of,
    decoded,
    deltas_of,
    ends,
    grows,
    starts,
    stops,
    text,
    thought,
    whole,
    wire,
)


def test_a_whole_stream() -> None:
    reply = decoded(
        *whole(
            thought(0, "be", "cause", signature="sig"), text(1, "Hello", ", Zoë"), call(2, "t1", "add", '{"a"', ":1}")
        )
    )
    assert (reply.reasoning, reply.text) == ("because", "Hello, Zoë")
    assert calls_of(reply) == [("t1", "add", '{"a":1}')]
    ending = reply.ending
    assert (ending.finish_reason, ending.native_finish_reason) == ("tool_calls", "tool_use")
    assert (ending.id, ending.model, ending.provider) == ("msg_1", "anthropic/claude-sonnet-4.6", "Anthropic")
    assert ending.reasoning_details == [{**SIGNED, "index": 0}]
    assert ending.layout == []  # a thought, a text, calls: the order that everybody assumes
    assert ending.usage is not None
    assert (ending.usage.prompt_tokens, ending.usage.completion_tokens) == (10, 5)


def test_the_last_delta_alone_has_the_ending_and_each_delta_its_event() -> None:
    events = whole(text(0, "a", "b"))
    deltas = deltas_of(wire(*events))
    assert [delta.raw for delta in deltas] == [*events, None]
    assert [delta.ending is not None for delta in deltas] == [False] * len(events) + [True]


def test_nothing_counts_after_the_end() -> None:
    decoder = Messages().decoder()
    list(decoder.feed(wire(*whole(text(0, "a")))))
    assert decoder.ended
    assert list(decoder.feed(wire(*text(1, "b"), {"type": "error", "error": {}}))) == []
    assert list(decoder.finish()) == []


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(wire(*whole(text(0, "Hello")), named=False), id="no event lines"),
        pytest.param(wire(*whole(text(0, "Hello"))).replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(wire(*whole(text(0, "Hello"))).replace(b"\n\n", b"\n\n: KILO PROCESSING\n\n"), id="comments"),
        pytest.param(wire(*whole(text(0, "Hello"))).rstrip(), id="no last blank line"),
        pytest.param(wire({"type": "ping"}, *whole(text(0, "Hello"))), id="ping"),
        pytest.param(wire({"type": "new_event", "delta": 1}, *whole(text(0, "Hello"))), id="unknown event"),
        pytest.param(wire(*whole(text(0, "Hello"))[:-1]), id="no message_stop"),
        pytest.param(wire(*whole(text(0, "Hello"))[:-1]) + b"data: [DONE]\n\n", id="[DONE] in place of it"),
        pytest.param(wire(*whole(text(0, "Hello"))) + b"event: data\ndata: [DONE]\n\n", id="[DONE] after it"),
        pytest.param(wire(*whole([grows(0, "text_delta", text="Hello"), stops(0)])), id="no start"),
        pytest.param(wire(*whole([starts(0, type="text", text="Hello"), stops(0)])), id="all in the start"),
        pytest.param(wire(*whole(text(0, "Hello")[:-1])), id="no stop"),
        pytest.param(wire(*whole([starts(None, type="text"), grows(None, "text_delta", text="Hello")])), id="no index"),
        pytest.param(wire(*whole(text(0, "Hello"), [grows(0, "new_delta", x=1)])), id="unknown delta"),
        pytest.param(
            wire(*whole([starts(0, type="thinking"), grows(0, "text_delta", text="Hello")])), id="text in a thought"
        ),
    ],
)
def test_framing_and_order_oddities(stream: bytes) -> None:
    reply = Reply.of(deltas_of(stream))
    assert (reply.text, reply.ending.finish_reason, reply.ending.native_finish_reason) == ("Hello", "stop", "end_turn")
    assert reply.ending.usage is not None


@pytest.mark.parametrize(
    ("native", "neutral"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "pause_turn"),
        ("compaction", "compaction"),
        ("something_new", "something_new"),
    ],
)
def test_stop_reasons(native: str, neutral: str) -> None:
    for reply in (
        decoded(STARTED, *text(0, "x"), ends(native), STOPPED),
        Reply.of(Messages().whole(as_body({"type": "text", "text": "x"}, stop_reason=native))),
    ):
        assert (reply.ending.finish_reason, reply.ending.native_finish_reason) == (neutral, native)
        assert reply.refusal == ""


def test_the_explanation_of_a_refusal() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "I cannot."}
    reply = decoded(STARTED, ends("refusal", stop_details=details), STOPPED)
    assert (reply.text, reply.refusal, reply.ending.finish_reason) == ("", "I cannot.", "content_filter")
    assert Reply.of(Messages().whole(as_body(stop_reason="refusal", stop_details=details))).refusal == "I cannot."


@pytest.mark.parametrize(
    ("at_the_start", "at_the_end", "expected"),
    [
        pytest.param({**INPUT, "output_tokens": 1}, {"output_tokens": 7}, (15, 7, 3, 2), id="input at the start"),
        pytest.param(
            {"input_tokens": 0, "output_tokens": 0},
            {**INPUT, "output_tokens": 7},
            (15, 7, 3, 2),
            id="Vercel: at the end",
        ),
        pytest.param(
            {**INPUT, "output_tokens": 1},
            {"input_tokens": 0, "cache_read_input_tokens": None, "output_tokens": 7},
            (15, 7, 3, 2),
            id="zero and null at the end",
        ),
        pytest.param(
            {**INPUT, "output_tokens": 1}, {**INPUT, "output_tokens": 7}, (15, 7, 3, 2), id="cumulative, not added"
        ),
        pytest.param(
            {"input_tokens": 1},
            {"input_tokens": 10, "cache_creation": {"ephemeral_5m_input_tokens": 2}, "output_tokens": 7},
            (12, 7, 0, 2),
            id="only the breakdown of the cache",
        ),
        pytest.param({"input_tokens": "x"}, {"input_tokens": -1, "output_tokens": 7}, (0, 7, 0, 0), id="nonsense"),
    ],
)
def test_usage(at_the_start: Any, at_the_end: Any, expected: tuple[int, ...]) -> None:
    started = {**STARTED, "message": {**STARTED["message"], "usage": at_the_start}}
    usage = decoded(started, *text(0, "x"), ends(usage=at_the_end), STOPPED).ending.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens, usage.cache_write_tokens) == expected
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_cost_of_both_routes_and_the_native_counts() -> None:
    counts = {**INPUT, "output_tokens": 7, "output_tokens_details": {"thinking_tokens": 4}, "service_tier": "standard"}
    priced = {**counts, "cost": 0.25, "is_byok": False, "cost_details": {"upstream_inference_cost": 0.2}}
    ending = decoded(STARTED, *text(0, "x"), ends(usage=priced), STOPPED).ending
    assert ending.usage is not None
    assert (ending.usage.cost, ending.usage.is_byok, ending.usage.reasoning_tokens) == (0.25, False, 4)
    assert ending.usage.cost_details == {"upstream_inference_cost": 0.2}
    assert ending.usage.raw == priced
    assert ending.service_tier == "standard"
    metadata = {"gateway": {"cost": "0.5", "marketCost": "0.5", "routing": {"finalProvider": "bedrock"}}}
    events = [STARTED, *text(0, "x"), {**ends(usage=counts), "provider_metadata": metadata}, STOPPED]
    for ending in (
        decoded(*events).ending,
        Reply.of(
            Messages().whole(as_body({"type": "text", "text": "x"}, usage=counts, provider_metadata=metadata))
        ).ending,
    ):
        assert ending.usage is not None
        assert (ending.usage.cost, ending.usage.completion_tokens, ending.provider) == (0.5, 7, "bedrock")


def test_the_placeholder_at_the_start_is_not_the_usage_of_an_answer() -> None:
    decoder = Messages().decoder()
    list(decoder.feed(wire(STARTED, *text(0, "a long answer"))))
    assert decoder.usage is None
    assert decoder.hidden_bytes == 0
    list(decoder.feed(wire(ends())))
    assert decoder.usage is not None
    assert decoder.finished


def test_hidden_bytes() -> None:
    decoder = Messages().decoder()
    events = [*thought(0, "ab", signature="sig"), *text(1, "xyz"), *call(2, "t", "add", "{}")]
    list(decoder.feed(wire(STARTED, *events)))
    assert decoder.hidden_bytes == len("sig" + "add" + "{}")


def test_progress_leaves_out_what_carries_nothing() -> None:
    decoder = Messages().decoder()
    list(decoder.feed(wire(STARTED, *text(0, "x"))))
    before = decoder.progress
    idle = [{"type": "ping"}, grows(0, "text_delta", text=""), stops(0), {"type": "new"}]
    list(decoder.feed(wire(*idle)))
    assert decoder.progress == before
    list(decoder.feed(wire(*text(1, "y"))))
    assert decoder.progress > before


def test_a_whole_body() -> None:
    content: list[Event] = [
        {"type": "thinking", "thinking": "because", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xx"},
        {"type": "text", "text": "Hello"},
        SEARCH,
        FOUND,
        {"type": "tool_use", "id": "t", "name": "add", "input": {"a": 1}},
    ]
    reply = Reply.of(Messages().whole(as_body(*content, stop_reason="tool_use", usage={**INPUT, "output_tokens": 7})))
    assert (reply.text, reply.reasoning, reply.ending.finish_reason) == ("Hello", "because", "tool_calls")
    assert calls_of(reply) == [("t", "add", '{"a": 1}')]
    assert reply.ending.reasoning_details == [{**SIGNED, "index": 0}, {**HIDDEN, "index": 1}]
    assert [piece["type"] for piece in reply.ending.layout] == [
        "reasoning",
        "reasoning",
        "text",
        "opaque",
        "opaque",
        "tool_call",
    ]
    assert reply.ending.usage is not None
    assert reply.ending.usage.total_tokens == 22


def test_bodies_that_are_answers() -> None:
    assert Reply.of(Messages().whole(wire(*whole(text(0, "Hello"))))).text == "Hello"  # an event stream in disguise
    assert Reply.of(Messages().whole(as_body())).text == ""
    assert Reply.of(Messages().whole(as_body(content="Hello"))).text == "Hello"
    reply = Reply.of(Messages().whole(as_body({"type": "text", "text": "Hello"}, stop_reason=None)))
    assert (reply.text, reply.ending.finish_reason, reply.ending.native_finish_reason) == ("Hello", "stop", None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b"<html>", "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no content"),
        (as_body(content=None), "no content"),
        (as_body(stop_reason=None), "neither content nor a stop_reason"),
        (as_body({"type": "text", "text": ""}, stop_reason=None), "neither content nor a stop_reason"),
    ],
)
def test_bodies_that_are_not(body: bytes, message: str) -> None:
    with pytest.raises(KiloResponseError, match=message):
        Reply.of(Messages().whole(body))


def test_the_model_that_answered_in_place_of_another() -> None:
    fallback = {"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}}
    assert decoded(*whole([starts(0, **fallback), stops(0)], text(1, "x"))).ending.model == "b"


def test_characters_cut_in_two() -> None:
    half = [grows(0, "text_delta", text="a\ud83d"), grows(0, "text_delta", text="\ude00b\ud83d")]
    reply = decoded(*whole([starts(0, type="text"), *half, stops(0)], text(1, "c")))
    assert reply.text == "a😀b\ufffdc"
    reply = decoded(*whole([starts(0, type="text"), *half, stops(0)]))
    assert (reply.text, reply.ending.layout) == ("a😀b\ufffd", [])


def test_the_interface_offers_both_ways() -> None:
    interface = Messages()
    stream = wire(*whole(text(0, "Hello")))
    sent = Sent()
    decoder = interface.decoder(None, sent)
    assert Reply.of([*decoder.feed(stream), *decoder.finish()]).text == "Hello"
    assert Reply.of(interface.whole(as_body({"type": "text", "text": "Hello"}), None, sent)).text == "Hello"
    assert interface.path == "/messages"
