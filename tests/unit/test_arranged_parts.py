"""The parts of an answer go back in the order in which they came, whatever a framework made of them."""

from __future__ import annotations

from typing import Any

from kilo_gateway.conversation import Message, Opaque, Part, Refusal, Text, Thought, ToolCall, arranged
from kilo_gateway.interfaces.chat_completions import history

FIRST, SECOND = {"type": "reasoning.text", "text": "a"}, {"type": "reasoning.text", "text": "b"}
ADD, SHOW = ToolCall("1", "add", "{}"), ToolCall("2", "show", "{}")
SEARCH = {"type": "web_search_call", "id": "ws"}
LAYOUT: list[dict[str, Any]] = [
    {"type": "reasoning", "details": 1},
    {"type": "text", "characters": 3},
    {"type": "opaque", "place": "output", "value": SEARCH},
    {"type": "tool_call", "id": "1"},
    {"type": "reasoning", "details": 1},
    {"type": "tool_call", "id": "2"},
    {"type": "text", "characters": 4},
]
PARTS: list[Part] = [Thought("ab", [FIRST, SECOND]), Text("onetwo!"), ADD, SHOW]


def test_parts_find_their_places() -> None:
    assert arranged(PARTS, LAYOUT) == [
        Thought(details=[FIRST]),
        Text("one"),
        Opaque(SEARCH, "output"),
        ADD,
        Thought(details=[SECOND]),
        SHOW,
        Text("two!"),
    ]


def test_a_text_of_another_length_stays_whole_at_its_first_place() -> None:
    parts: list[Part] = [Thought("ab", [FIRST, SECOND]), Text("changed it"), SHOW, Refusal("no")]
    assert arranged(parts, LAYOUT) == [
        Thought(details=[FIRST]),
        Text("changed it"),
        Opaque(SEARCH, "output"),
        Thought(details=[SECOND]),
        SHOW,
        Refusal("no"),
    ]


def test_texts_have_the_citations_of_exactly_their_place() -> None:
    cited = [{"start_index": start, "end_index": end} for start, end in ((3, 7), (0, 3), (0, 7), (3, 7))]
    odd: list[Any] = [{"start_index": [0], "end_index": {}}, {"start_index": None}, {}]
    texts = [part for part in arranged(PARTS, LAYOUT, [*cited, *odd]) if isinstance(part, Text)]
    assert texts == [Text("one", citations=[cited[1]]), Text("two!", citations=[cited[0], cited[3]])]
    assert arranged([Text("changed it")], LAYOUT, cited) == [Text("changed it"), Opaque(SEARCH, "output")]


def test_parts_without_a_place_are_kept() -> None:
    assert arranged(PARTS, []) == PARTS
    assert arranged([Thought("ab"), Text("x")], LAYOUT[2:4]) == [Thought("ab"), Text("x"), Opaque(SEARCH, "output")]
    odd: list[Any] = [
        None,
        {"type": "text"},
        {"type": "reasoning", "details": "1"},
        {"type": "opaque", "place": "images"},
    ]
    assert arranged([Text("x"), ADD], odd) == [Text("x"), ADD]  # as in JSON that a user has edited


def test_chat_completions_leaves_out_the_items_of_other_interfaces() -> None:
    [message] = history.messages([Message("assistant", arranged(PARTS, LAYOUT))])
    assert message["content"] == "onetwo!"
    assert [call["id"] for call in message["tool_calls"]] == ["1", "2"]
    assert message["reasoning_details"] == [FIRST, SECOND]
