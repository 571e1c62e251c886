"""Streams and bodies of Responses: the usual order of events, and each oddity that was seen in the field."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kilo_gateway.errors import KiloStreamInterruptedError
from kilo_gateway.interfaces.reasoning import OPENAI
from kilo_gateway.interfaces.responses import Responses
from kilo_gateway.reply import Reply
from tests.unit.interfaces.responses_events import (
    ADD,
    CALL,
    MESSAGE,
    REASONING,
    USAGE,
    USUAL,
    Event,
    completed,
    deltas_of,
    done,
    reply_of,
    text,
    thought,
)


def test_the_usual_stream() -> None:
    reply = reply_of(*USUAL)
    ending, usage = reply.ending, reply.ending.usage
    assert (reply.reasoning, reply.text, reply.tool_calls) == ("I think.", "Hello", [ADD])
    assert (ending.finish_reason, ending.native_finish_reason) == ("tool_calls", "completed")
    assert (ending.id, ending.model, ending.created) == ("resp_1", "vendor/model", 7)
    assert ending.tool_calls == [ADD]
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (10, 5, 15)
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (4, 1, 2)
    assert (usage.cost, usage.is_byok, usage.raw) == (0.0, False, USAGE)
    assert ending.layout == []  # the order in which parts are read anyway
    assert ending.reasoning_details == [
        {"type": "reasoning.summary", "summary": "I think.", "format": OPENAI, "index": 0},
        {"type": "reasoning.encrypted", "data": "gAAAA", "format": OPENAI, "index": 0},
    ]
    assert reply.raw == USUAL[-1]


def test_deltas_arrive_as_they_come() -> None:
    deltas = deltas_of(USUAL)
    assert [delta.text for delta in deltas if delta.text] == ["Hel", "lo"]
    assert [delta.reasoning for delta in deltas if delta.reasoning] == ["I th", "ink."]
    calls = [call for delta in deltas for call in delta.tool_calls]
    assert [(call.position, call.id, call.name, call.arguments) for call in calls] == [
        (0, "call_1", "add", '{"a"'),
        (0, None, None, ": 1}"),
    ]
    assert [delta.raw for delta in deltas] == USUAL
    assert [delta.ending is not None for delta in deltas] == [False] * 13 + [True]


def test_a_body_is_what_its_stream_is() -> None:
    body = {**completed(REASONING, MESSAGE, CALL)["response"], "model": "vendor/model", "created_at": 7}
    reply = Reply.of(Responses().whole(json.dumps(body).encode()))
    streamed = reply_of(*USUAL)
    assert reply.parts == streamed.parts
    assert reply.ending == streamed.ending
    assert reply.raw == body


def test_nothing_after_the_last_event_counts() -> None:
    decoder = Responses().decoder()
    for event in USUAL:
        list(decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n"))
    assert decoder.ended
    assert list(decoder.feed(b'data: {"type": "error", "message": "late"}\n\ndata: {not JSON\n\n')) == []
    assert list(decoder.finish()) == []


# Oddities, by what was seen. The tests of requests have those of requests.


def test_no_id_of_a_reasoning_item_is_kept_to_be_sent_back() -> None:  # vercel/ai#7543
    assert all("id" not in entry for entry in reply_of(*USUAL).ending.reasoning_details)
    named = {**REASONING, "format": OPENAI}
    details = reply_of(done(named), done(MESSAGE, 1), completed()).ending.reasoning_details
    assert [entry["id"] for entry in details] == [None, None]  # so that the format goes back


def test_a_whole_answer_without_its_last_event() -> None:  # moeru-ai/airi#2589
    reply = reply_of(*USUAL[:-1])
    assert reply.tool_calls == [ADD]
    assert (reply.ending.finish_reason, reply.ending.native_finish_reason) == ("tool_calls", None)
    assert reply.ending.usage is None
    assert Reply.of(deltas_of(USUAL[:9], end=b"data: [DONE]\n\n")).ending.finish_reason == "stop"


@pytest.mark.parametrize(
    "events",
    [
        USUAL[:1],
        USUAL[:5],  # reasoning announces something
        USUAL[:8],
        USUAL[:12],
        [done({**MESSAGE, "phase": "commentary"})],
        [done({**MESSAGE, "status": "incomplete"})],
    ],
)
@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n", b'data: {"type": "response.comp'])
def test_a_cut_stream_is_an_error(events: list[Event], end: bytes) -> None:
    with pytest.raises(KiloStreamInterruptedError) as caught:
        deltas_of(events, end=end)
    assert caught.value.partial_text in ("", "Hello")


def test_done_may_come_before_the_last_event() -> None:
    events = [json.dumps(event).encode() for event in USUAL]
    events.insert(-1, b"[DONE]")
    decoder = Responses().decoder()
    reply = Reply.of(delta for event in events for delta in decoder.feed(b"data: " + event + b"\n\n"))
    assert reply == reply_of(*USUAL)


@pytest.mark.parametrize("output", [[], None, "absent", {"a": 1}])
@pytest.mark.parametrize("usage", [USAGE, None])
def test_an_empty_last_event(output: Any, usage: Any) -> None:  # QuantumNous/new-api#4362, openai/openai-python#3312
    last = completed(usage=usage)
    last["response"]["output"] = output
    reply = reply_of(*USUAL[:-1], last)
    assert (reply.reasoning, reply.text, reply.tool_calls) == ("I think.", "Hello", [ADD])
    assert (reply.ending.usage is None) == (usage is None)


@pytest.mark.parametrize("seen", range(len(USUAL) - 1))
def test_the_last_event_has_what_never_came_before(seen: int) -> None:
    whole = reply_of(*USUAL)
    reply = reply_of(*USUAL[:seen], USUAL[-1])
    assert (reply.reasoning, reply.text, reply.tool_calls) == (whole.reasoning, whole.text, whole.tool_calls)
    assert reply.ending.reasoning_details == whole.ending.reasoning_details


def test_the_last_event_does_not_repeat_items_whose_places_differ() -> None:
    reply = reply_of(*USUAL[5:9], completed(MESSAGE))  # at 1 in the stream, and at 0 in the end
    assert reply.text == "Hello"
    other = {**MESSAGE, "id": "msg_2", "content": [{"type": "output_text", "text": " again"}]}
    assert reply_of(done(MESSAGE), completed(MESSAGE, other)).text == "Hello again"
    assert reply_of(done(MESSAGE, 1), completed(other, MESSAGE)).text == "Hello again"


@pytest.mark.parametrize(
    ("details", "finish_reason"),
    [({"reason": "max_output_tokens"}, "length"), ({"reason": "content_filter"}, "content_filter"), (None, "length")],
)
def test_an_incomplete_answer(details: Any, finish_reason: str) -> None:  # langchain-ai/langchain#33840
    response = {"status": "incomplete", "incomplete_details": details, "output": [MESSAGE], "usage": USAGE}
    native = details["reason"] if details else "incomplete"
    for kind in ("response.incomplete", "response.completed", "response.done"):
        ending = reply_of(*USUAL[5:8], {"type": kind, "response": response}).ending
        assert (ending.finish_reason, ending.native_finish_reason) == (finish_reason, native)
    assert Reply.of(Responses().whole(json.dumps(response).encode())).ending.finish_reason == finish_reason


def test_reasoning_that_ends_after_the_text() -> None:  # rikkahub/rikkahub#855
    order = [0, 1, 2, 5, 6, 3, 7, 8, 4]
    reply = reply_of(*(USUAL[place] for place in order), completed())
    assert (reply.reasoning, reply.text) == ("I think.", "Hello")
    assert reply.ending.reasoning_details == reply_of(*USUAL).ending.reasoning_details


@pytest.mark.parametrize(
    "events",
    [
        [{"type": "response.reasoning_text.delta", "output_index": 0, "content_index": 0, "delta": "Hm"}],
        [{"type": "response.reasoning_text.done", "output_index": 0, "content_index": 0, "text": "Hm"}],
        [{"type": "response.reasoning.delta", "output_index": 0, "delta": "Hm"}],
        [done({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm"}], "summary": []})],
        [done({"type": "reasoning", "content": None, "summary": ["Hm"]})],
        [thought("Hm"), done({"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm"}]})],
        [
            {
                "type": "response.reasoning_summary_part.done",
                "output_index": 0,
                "summary_index": 0,
                "part": {"type": "summary_text", "text": "Hm"},
            }
        ],
    ],
)
def test_reasoning_wherever_it_is(events: list[Event]) -> None:  # felinics/twilight#40
    reply = reply_of(*events, text("Hi", 1), completed())
    assert (reply.reasoning, reply.text) == ("Hm", "Hi")
    assert reply.ending.reasoning_details


def test_parts_of_reasoning_are_apart() -> None:
    second = {**REASONING, "id": "rs_2", "encrypted_content": "B"}
    reply = reply_of(thought("One"), thought("Two", part=1), done(second, 1), done(MESSAGE, 2), completed())
    assert reply.reasoning == "One\n\nTwo\n\nI think."
    assert [(entry["type"], entry["index"]) for entry in reply.ending.reasoning_details] == [
        ("reasoning.summary", 0),
        ("reasoning.summary", 0),
        ("reasoning.summary", 1),
        ("reasoning.encrypted", 1),
    ]
    assert reply.ending.layout == [
        {"type": "reasoning", "details": 2},
        {"type": "reasoning", "details": 2},
        {"type": "text", "characters": 5},
    ]


def test_a_signature_is_on_the_text_that_it_signs() -> None:
    item = {
        "type": "reasoning",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "Hm"}],
        "signature": "sig",
        "format": "anthropic-claude-v1",
    }
    common = {"id": None, "format": "anthropic-claude-v1", "index": 0}
    assert reply_of(done(item), done(MESSAGE, 1), completed()).ending.reasoning_details == [
        {"type": "reasoning.text", "text": "Hm", **common, "signature": "sig"}
    ]
    [entry] = reply_of(done({**item, "content": []}), done(MESSAGE, 1), completed()).ending.reasoning_details
    assert entry == {"type": "reasoning.text", "text": "", **common, "signature": "sig"}
