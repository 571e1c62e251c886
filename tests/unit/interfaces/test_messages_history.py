"""Conversations as the messages of a Messages request."""

from __future__ import annotations

from typing import Any

import pytest

from kilo_gateway.conversation import (
    Audio,
    File,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    SpokenAnswer,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    arranged,
    broken_arguments,
)
from kilo_gateway.interfaces.messages import history
from kilo_gateway.interfaces.reasoning import ANTHROPIC, OPENAI
from tests.unit.interfaces.messages_events import (
    HIDDEN,
    SEARCH,
    SIGNED,
    call,
    decoded,
    starts,
    stops,
    text,
    thought,
    whole,
)

MARK = {"type": "ephemeral"}
HELLO = Message("user", [Text("Hello")])
ADD, SHOW = ToolCall("t1", "add", '{"a": 1}'), ToolCall("t2", "show", "")
USED = [
    {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
    {"type": "tool_use", "id": "t2", "name": "show", "input": {}},
]


def written(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def result(call_id: str, *content: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, **({"content": list(content)} if content else {})}


def not_run(call_id: str) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call_id, "content": "The tool was not run.", "is_error": True}


def turns(*messages: Message) -> list[tuple[str, Any]]:
    return [(message["role"], message["content"]) for message in history.messages(messages)]


def assistant(*parts: Part) -> Any:
    """Return the blocks of an assistant message with these parts, after a user message."""
    first, second, *_ = turns(HELLO, Message("assistant", parts))
    assert (first[0], second[0]) == ("user", "assistant")
    return second[1]


def test_system_and_developer_messages_are_system_blocks() -> None:
    conversation = [
        Message("system", [Text("Be short."), Text("  "), Text("Be kind.", MARK)]),
        HELLO,
        Message("developer", [Text("Be quick.")]),
    ]
    assert history.system(conversation) == [
        written("Be short."),
        {**written("Be kind."), "cache_control": MARK},
        written("Be quick."),
    ]
    assert turns(*conversation) == [("user", [written("Hello")])]
    assert history.system([HELLO]) == []


@pytest.mark.parametrize("role", ["system", "developer"])
def test_nothing_but_text_in_system(role: str) -> None:
    with pytest.raises(ValueError, match=f"a {role} message contains a block of type 'image'.*move it to a user"):
        history.system([Message(role, [Image("https://example.com/a.png")])])


def test_turns_alternate() -> None:
    assert turns(HELLO, HELLO, Message("assistant", [Text("a")]), Message("assistant", [Text("b")]), HELLO) == [
        ("user", [written("Hello"), written("Hello")]),
        ("assistant", [written("a"), written("b")]),
        ("user", [written("Hello")]),
    ]


def test_empty_messages_are_left_out() -> None:
    empty = Message("assistant", [Text(" \n"), Image("https://example.com/a.png")])
    assert turns(HELLO, empty, HELLO) == [("user", [written("Hello"), written("Hello")])]
    for nothing in ([], [Message("user", [Text("")])], [Message("system", [Text("Be short.")])]):
        with pytest.raises(ValueError, match=r"no message with content.*add a user message"):
            history.messages(nothing)


@pytest.mark.parametrize("role", ["function", "tool", "user"])
def test_a_result_comes_at_the_front_of_the_next_turn(role: str) -> None:
    image = Image("data:image/png;base64,AAAA")
    shown = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    used = ToolCall("function_add", "add", "{}") if role == "function" else ADD
    parts: list[Part] = [Text("2", MARK), image]
    answered = Message("function", parts, "add") if role == "function" else Message(role, [ToolResult("t1", parts)])
    conversation = [HELLO, Message("assistant", [used]), Message("user", [Text("And?")]), answered]
    assert turns(*conversation)[-1] == (
        "user",
        [result(used.id, {**written("2"), "cache_control": MARK}, shown), written("And?")],
    )


def test_results_have_the_order_of_their_calls() -> None:
    conversation = [
        HELLO,
        Message("assistant", [ADD, SHOW]),
        Message("tool", [ToolResult("t2", [Text("shown")])]),
        Message("tool", [ToolResult("t1", [])]),
    ]
    assert turns(*conversation)[1:] == [
        ("assistant", USED),
        ("user", [result("t1"), result("t2", written("shown"))]),
    ]


def test_a_late_result_moves_to_its_call() -> None:
    conversation = [
        HELLO,
        Message("assistant", [ADD]),
        Message("user", [Text("Wait.")]),
        Message("assistant", [Text("Yes?")]),
        Message("tool", [ToolResult("t1", [Text("2")])]),
        Message("assistant", [Text("2")]),
    ]
    assert turns(*conversation)[1:] == [
        ("assistant", USED[:1]),
        ("user", [result("t1", written("2")), written("Wait.")]),
        ("assistant", [written("Yes?"), written("2")]),
    ]


def test_a_call_without_a_result_was_not_run() -> None:
    for conversation in (
        [HELLO, Message("assistant", [ADD])],
        [HELLO, Message("assistant", [ADD]), Message("system", [Text("x")])],
    ):
        assert turns(*conversation)[-1] == ("user", [not_run("t1")])
    assert turns(HELLO, Message("assistant", [ADD, SHOW]), Message("tool", [ToolResult("t2", [])]), HELLO)[-1] == (
        "user",
        [not_run("t1"), result("t2"), written("Hello")],
    )


def test_a_result_without_a_call_is_text() -> None:
    orphan = written("The result of a tool call 't9' that is not shown:")
    assert turns(HELLO, Message("tool", [ToolResult("t9", [Text("2")])])) == [
        ("user", [written("Hello"), orphan, written("2")])
    ]
    answer = Message("tool", [ToolResult("t1", [Text("2")])])
    [*_, (_, content)] = turns(HELLO, Message("assistant", [ADD]), answer, answer)
    assert content[0] == result("t1", written("2"))
    assert len(content) == 3  # a second result of the same call has no call either


def test_ids_are_unique_in_a_turn_and_of_characters_that_anthropic_takes() -> None:
    same = [ToolCall("a.b:0", "f", "{}"), ToolCall("a.b:0", "g", "{}"), ToolCall("", "h", "{}")]
    results = [Message("tool", [ToolResult(call.id, [Text(call.name)])]) for call in same]
    for _ in range(2):
        (_, used), (_, answered) = turns(HELLO, Message("assistant", same), *results)[1:]
        assert [block["id"] for block in used] == ["a_b_0", "a_b_0_2", "call"]
        assert answered == [
            result("a_b_0", written("f")),
            result("a_b_0_2", written("g")),
            result("call", written("h")),
        ]


def test_an_id_that_is_used_again_in_a_later_turn() -> None:
    conversation = [
        HELLO,
        Message("assistant", [ADD]),
        HELLO,
        Message("assistant", [ADD]),
        Message("tool", [ToolResult("t1", [Text("2")])]),
    ]
    assert turns(*conversation)[2] == ("user", [not_run("t1"), written("Hello")])
    assert turns(*conversation)[4] == ("user", [result("t1", written("2"))])


def test_arguments_that_are_not_an_object_are_wrapped() -> None:
    [used] = assistant(ToolCall("t", "f", '{"city": "Par'))
    assert used["input"] == broken_arguments('{"city": "Par')


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        (SIGNED, [{"type": "thinking", "thinking": "because", "signature": "sig"}]),
        ({**SIGNED, "text": ""}, [{"type": "thinking", "thinking": "", "signature": "sig"}]),
        ({**SIGNED, "text": None, "index": 5}, [{"type": "thinking", "thinking": "", "signature": "sig"}]),
        (HIDDEN, [{"type": "redacted_thinking", "data": "xx"}]),
        ({**SIGNED, "signature": None}, []),
        ({**SIGNED, "format": "unknown"}, []),
        ({**HIDDEN, "format": OPENAI}, []),
        ({"type": "reasoning.summary", "summary": "s", "format": ANTHROPIC}, []),
        ({}, []),
    ],
)
def test_thoughts(detail: dict[str, Any], expected: list[Any]) -> None:
    assert assistant(Thought("because", [detail]), Text("Hello")) == [*expected, written("Hello")]


def test_thoughts_come_before_the_tool_use_of_their_turn() -> None:
    first, second = Thought(details=[SIGNED]), Thought(details=[HIDDEN])
    thinking, redacted = (
        {"type": "thinking", "thinking": "because", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xx"},
    )
    assert assistant(first, ADD, second, SHOW) == [thinking, USED[0], redacted, USED[1]]
    assert assistant(Text("x"), first, ADD, SHOW, second) == [written("x"), thinking, redacted, *USED]
    assert assistant(ADD, Text("x"), first) == [thinking, USED[0], written("x")]


def test_an_answer_goes_back_as_it_came() -> None:
    reply = decoded(
        *whole(
            thought(0, "because", signature="sig"),
            text(1, "Let me ", "look."),
            [starts(2, **SEARCH), stops(2)],
            [starts(3, type="web_search_tool_result", tool_use_id="srv_1", content=[]), stops(3)],
            thought(4, signature="other"),
            [starts(5, type="redacted_thinking", data="xx"), stops(5)],
            thought(6, "not signed"),
            call(7, "t1", "add", '{"a": 1}'),
        )
    )
    parts: list[Part] = [Thought(reply.reasoning, reply.ending.reasoning_details), Text(reply.text), *reply.tool_calls]
    assert assistant(*arranged(parts, reply.ending.layout)) == [
        {"type": "thinking", "thinking": "because", "signature": "sig"},
        written("Let me look."),
        SEARCH,
        {"type": "web_search_tool_result", "tool_use_id": "srv_1", "content": []},
        {"type": "thinking", "thinking": "", "signature": "other"},
        {"type": "redacted_thinking", "data": "xx"},
        USED[0],
    ]


def test_other_parts_of_an_answer() -> None:
    parts: list[Part] = [
        Text("a"),
        Text(" "),
        Text("b"),
        Text("c", MARK),
        Refusal("No."),
        Image("https://example.com/a.png"),
        Audio("AAAA", "audio/wav"),
        File(file_id="f"),
        SpokenAnswer("audio_1"),
        Opaque({"type": "image_url"}, "images"),
        Opaque({"type": "reasoning"}, "output"),
        Opaque({"type": "compaction", "content": "short"}, "block"),
    ]
    assert assistant(*parts) == [
        written("a b"),
        {**written("c"), "cache_control": MARK},
        written("No."),
        {"type": "compaction", "content": "short"},
    ]


OLD = {"name": "add", "arguments": '{"a": 1}'}
SQL = {"id": "t1", "type": "custom", "custom": {"name": "sql", "input": "select"}}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (Opaque({"id": "t1", "type": "function", "function": OLD}, "tool_calls"), ("t1", "add", {"a": 1})),
        (Opaque({"function": {"name": "add"}}, "tool_calls"), ("call", "add", {})),
        (Opaque(SQL, "tool_calls"), ("t1", "sql", {"input": "select"})),
        (Opaque(OLD, "function_call"), ("function_add", "add", {"a": 1})),
    ],
)
def test_calls_in_the_form_of_openai(part: Part, expected: tuple[Any, ...]) -> None:
    [used] = assistant(part)
    assert (used["type"], used["id"], used["name"], used["input"]) == ("tool_use", *expected)


@pytest.mark.parametrize("part", [Opaque({"type": "new"}, "tool_calls"), Opaque("x", "function_call")])
def test_calls_of_an_unknown_form(part: Part) -> None:
    with pytest.raises(ValueError, match=r"a tool call of type .* without a function has no place"):
        assistant(part)


def test_an_unknown_role() -> None:
    with pytest.raises(ValueError, match="role 'chatbot' has no place in the Messages interface; use 'system'"):
        turns(Message("chatbot", [Text("x")]))
