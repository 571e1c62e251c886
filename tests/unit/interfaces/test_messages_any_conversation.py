"""Any conversation becomes one that Anthropic accepts: turns that alternate, and a result for each tool call."""

from __future__ import annotations

import itertools
import json

from hypothesis import given
from hypothesis import strategies as st

from kilo_gateway.conversation import Message, Opaque, Refusal, Text, Thought, ToolCall, ToolResult
from kilo_gateway.interfaces.messages import history
from tests.unit.interfaces.messages_events import SEARCH, SIGNED

HELLO = Message("user", [Text("Hello")])
ADD, SHOW = ToolCall("t1", "add", '{"a": 1}'), ToolCall("t2", "show", "")
PARTS = st.sampled_from(
    [
        Text("a"),
        Text(""),
        Thought("b", [SIGNED]),
        Thought("b", [{**SIGNED, "format": "unknown"}]),
        ADD,
        SHOW,
        ADD,
        Refusal("no"),
        Opaque(SEARCH, "block"),
    ]
)
GIVEN = st.sampled_from(
    [Text("a"), Text(" "), *(ToolResult(i, [Text("r")]) for i in ("t1", "t2", "t3")), ToolResult("t1", [])]
)
MESSAGES = st.one_of(
    st.builds(Message, st.just("assistant"), st.lists(PARTS, max_size=5)),
    st.builds(Message, st.sampled_from(["user", "tool"]), st.lists(GIVEN, max_size=4)),
    st.builds(Message, st.just("system"), st.just([Text("s")])),
)


@given(st.lists(MESSAGES, max_size=8))
def test_any_conversation_is_one_that_anthropic_takes(conversation: list[Message]) -> None:
    messages = history.messages([*conversation, HELLO])
    json.dumps(messages)
    assert {first["role"] != second["role"] for first, second in itertools.pairwise(messages)} <= {True}
    unanswered: list[str] = []
    for message in messages:
        kinds = [block["type"] for block in message["content"]]
        assert kinds
        assert all(block["text"].strip() for block in message["content"] if block["type"] == "text")
        if message["role"] == "user":
            answers = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
            assert kinds[: len(answers)] == ["tool_result"] * len(answers)
            assert answers == unanswered
            unanswered = []
        else:
            unanswered = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
            assert len(set(unanswered)) == len(unanswered)
    assert unanswered == []
