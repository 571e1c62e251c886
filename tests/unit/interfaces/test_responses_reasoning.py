"""Reasoning goes back to the provider that can read it, before what followed it, and otherwise not at all."""

from __future__ import annotations

from typing import Any

import pytest

from kilo_gateway.conversation import Image, Message, SpokenAnswer, Text, Thought, arranged
from kilo_gateway.interfaces.reasoning import ANTHROPIC, OPENAI
from tests.unit.interfaces.responses_events import CALL, MESSAGE, REASONING, completed, done, reply_of
from tests.unit.interfaces.test_responses_history import (
    ADD,
    assistant,
    called,
    items,
    kinds,
    result,
    returned,
    said,
    user,
)


def summary(text: str, index: int = 0) -> dict[str, Any]:
    return {"type": "reasoning.summary", "summary": text, "format": OPENAI, "index": index}


def encrypted(data: str, index: int = 0, own_format: str = OPENAI) -> dict[str, Any]:
    return {"type": "reasoning.encrypted", "data": data, "format": own_format, "index": index}


def item(data: str, *summaries: str) -> dict[str, Any]:
    parts = [{"type": "summary_text", "text": text} for text in summaries]
    return {"type": "reasoning", "summary": parts, "encrypted_content": data}


def test_reasoning_goes_back_before_what_followed_it() -> None:
    layout: list[dict[str, Any]] = [
        {"type": "reasoning", "details": 3},
        {"type": "text", "characters": 4},
        {"type": "reasoning", "details": 1},
        {"type": "tool_call", "id": "call_1"},
    ]
    details = [summary("a"), summary("b"), encrypted("X"), encrypted("Y", 1)]
    parts = arranged([Thought("ab", details), Text("Well"), ADD], layout)
    sent = items(assistant(*parts), result("call_1"))
    assert sent == [item("X", "a", "b"), said("Well"), item("Y"), called(ADD), returned("call_1")]
    # Without a layout the entries alone say which belong together.
    assert items(assistant(Thought("ab", details), ADD))[:2] == [item("X", "a", "b"), item("Y")]


@pytest.mark.parametrize(
    "messages",
    [
        [assistant(Thought(details=[encrypted("X")]))],
        [assistant(Thought(details=[encrypted("X")])), user(Text("Go on"))],
        [assistant(ADD, Thought(details=[encrypted("X")])), result("call_1"), assistant(Text("x"))],
        [assistant(Thought(details=[encrypted("X")]), Image("data:x"), SpokenAnswer("a")), user(Text("Go on"))],
    ],
)
def test_reasoning_that_nothing_follows_is_left_out(messages: list[Message]) -> None:
    assert "reasoning" not in kinds(items(*messages))


def test_reasoning_before_the_next_message_of_the_model_is_kept() -> None:
    assert items(assistant(Thought(details=[encrypted("X")])), assistant(Text("Hi"))) == [item("X"), said("Hi")]


@pytest.mark.parametrize(
    "details",
    [
        [],
        [summary("only text")],
        [{"type": "reasoning.text", "text": "only text", "format": OPENAI}],
        [{"type": "reasoning.encrypted", "data": None}],
        [{"type": "reasoning.encrypted", "data": "X", "format": ANTHROPIC}],
        [{"type": "reasoning.text", "text": "t", "signature": "s", "format": ANTHROPIC}],
        [{"type": "reasoning.encrypted", "data": "X", "format": "google-gemini-v1"}],
        [{}],
    ],
)
def test_reasoning_that_openai_cannot_read_is_left_out(details: list[dict[str, Any]]) -> None:
    assert items(assistant(Thought("text", details), Text("Hi"))) == [said("Hi")]


@pytest.mark.parametrize("model", ["anthropic/claude-opus-5.5", "kilo-auto/frontier", "claude-opus-5.5"])
def test_signed_reasoning_goes_back_to_its_vendor(model: str) -> None:
    text = {"type": "reasoning.text", "text": "t", "signature": "s", "format": ANTHROPIC, "index": 0}
    sent = items(assistant(Thought("t", [text, encrypted("X", 1, ANTHROPIC)]), Text("Hi")), model=model)
    assert sent == [
        {
            "type": "reasoning",
            "summary": [],
            "content": [{"type": "reasoning_text", "text": "t"}],
            "signature": "s",
            "format": ANTHROPIC,
        },
        {"type": "reasoning", "summary": [], "encrypted_content": "X", "format": ANTHROPIC},
        said("Hi"),
    ]


def test_google_signs_after_the_text() -> None:
    thought = Thought(details=[encrypted("X", 0, "google-gemini-v1")])
    assert kinds(items(assistant(Text("Hi"), thought), model="google/gemini-3")) == ["assistant", "reasoning"]


def test_encrypted_reasoning_has_no_content() -> None:  # musistudio/claude-code-router#1783
    text = {"type": "reasoning.text", "text": "t", "format": OPENAI, "index": 0}
    assert items(assistant(Thought("t", [text, encrypted("X")]), Text("Hi"))) == [item("X"), said("Hi")]


def test_the_format_goes_back_where_the_provider_named_it() -> None:
    chat = [{**summary("a"), "id": None}, {**encrypted("X"), "id": "rs_1"}]  # as OpenRouter has them in chat
    [sent, _] = items(assistant(Thought("a", chat), Text("Hi")))
    assert sent == {**item("X", "a"), "format": OPENAI}


@pytest.mark.parametrize("named", [{}, {"format": OPENAI}, {"format": "xai-responses-v1"}])
def test_an_answer_goes_back_as_it_came(named: dict[str, Any]) -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}}
    compaction = {"type": "compaction", "id": "cmp", "encrypted_content": "C"}
    output = [{**REASONING, **named}, search, MESSAGE, compaction, CALL]
    reply = reply_of(*(done(value, place) for place, value in enumerate(output)), completed(*output))
    parts = arranged(reply.parts, reply.ending.layout)
    sent = items(user(Text("Hi")), assistant(*parts), result("call_1"))
    without_ids = [{name: inner for name, inner in value.items() if name != "id"} for value in output]
    without_ids[4].pop("status")
    assert sent[1:-1] == without_ids
