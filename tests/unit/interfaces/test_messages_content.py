"""Content blocks of Messages: tool calls, reasoning, server tools and citations, each oddity repaired."""

from __future__ import annotations

from typing import Any

import pytest

from kilo_gateway import (
    KiloResponseError,
)
from kilo_gateway.conversation import broken_arguments
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.messages import Messages
from kilo_gateway.interfaces.messages.answer import Answer
from kilo_gateway.reply import Reply
from tests.unit.interfaces.messages_events import (
    CITATION,
    FOUND,
    HIDDEN,
    SEARCH,
    SIGNED,
    STARTED,
    STOPPED,
    Event,
    as_body,
    call,
    calls_of,
    decoded,
    ends,
    grows,
    starts,
    stops,
    text,
    thought,
    whole,
)
from tests.unit.test_long_answers import Counted


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(call(0, "a", "f"), [("a", "f", "{}")], id="no input"),
        pytest.param(call(0, "a", "f", ""), [("a", "f", "{}")], id="empty piece"),
        pytest.param(
            [starts(0, type="tool_use", id="a", name="f", input={"x": 1}), stops(0)],
            [("a", "f", '{"x": 1}')],
            id="input in the start",
        ),
        pytest.param(
            [starts(0, type="tool_use", id="a", name="f", input={"x": 1})],
            [("a", "f", '{"x": 1}')],
            id="input in the start, no stop",
        ),
        pytest.param(
            [
                starts(0, type="tool_use", id="a", name="f", input={"x": 1}),
                grows(0, "input_json_delta", partial_json='{"x": 2}'),
            ],
            [("a", "f", '{"x": 2}')],
            id="input in both",
        ),
        pytest.param(
            [starts(0, type="tool_use", id="a", name="f", input='{"x": 1}'), stops(0)],
            [("a", "f", '{"x": 1}')],
            id="input as text",
        ),
        pytest.param(
            [starts(0, type="tool_use", id="a", name="f", input=None), stops(0)], [("a", "f", "{}")], id="null"
        ),
        pytest.param(
            [
                *call(0, "a", "f")[:1],
                *call(1, "b", "g")[:1],
                grows(0, "input_json_delta", partial_json='{"x'),
                grows(1, "input_json_delta", partial_json='{"y'),
                grows(0, "input_json_delta", partial_json='": 1}'),
                grows(1, "input_json_delta", partial_json='": 2}'),
            ],
            [("a", "f", '{"x": 1}'), ("b", "g", '{"y": 2}')],
            id="interleaved",
        ),
        pytest.param(
            [*call(0, "a", "f", "{}"), *call(1, "a", "g", "{}")], [("a", "f", "{}"), ("a_2", "g", "{}")], id="same id"
        ),
        pytest.param(
            [*call(0, "a", "f", '{"x": 1}'), *call(0, "b", "g", '{"y": 2}')],
            [("a", "f", '{"x": 1}'), ("b", "g", '{"y": 2}')],
            id="same index",
        ),
        pytest.param(call(0, "a", "f", '{"x": '), [("a", "f", '{"x": ')], id="cut off"),
    ],
)
def test_tool_call_oddities(events: list[Event], expected: list[tuple[str, str, str]]) -> None:
    assert calls_of(decoded(*whole(events))) == expected


def test_a_call_without_an_id_gets_one() -> None:
    assert decoded(*whole(call(0, None, "f"))).tool_calls[0].id.startswith("call_")


@pytest.mark.parametrize("events", [call(0, "a", None), [grows(0, "input_json_delta", partial_json="{}")]])
def test_a_call_without_a_name_is_not_an_answer(events: list[Event]) -> None:
    with pytest.raises(KiloResponseError, match="without a name"):
        decoded(*whole(events))


def test_a_call_cut_off_before_its_input_cannot_run() -> None:
    events = [STARTED, *call(0, "a", "f", "{}"), *call(1, "b", "f"), ends("max_tokens"), STOPPED]
    assert [call.parsed() for call in decoded(*events).tool_calls] == [{}, None]


@pytest.mark.parametrize(
    ("events", "details"),
    [
        pytest.param(thought(0, "because", signature="sig"), [SIGNED], id="signed"),
        pytest.param(
            [starts(0, type="thinking", thinking="because", signature="sig"), stops(0)], [SIGNED], id="all in the start"
        ),
        pytest.param(
            [
                starts(0, type="thinking", thinking="because", signature="sig"),
                grows(0, "signature_delta", signature="sig"),
            ],
            [SIGNED],
            id="signature in start and delta",
        ),
        pytest.param(
            [
                *thought(0, "because")[:-1],
                grows(0, "signature_delta", signature="s"),
                grows(0, "signature_delta", signature="ig"),
            ],
            [SIGNED],
            id="signature in pieces",
        ),
        pytest.param([*thought(0, "because"), *thought(1, signature="sig")], [SIGNED], id="signature in its own block"),
        pytest.param(
            [*thought(0, "because"), *text(1, "x"), grows(1, "signature_delta", signature="sig")],
            [SIGNED],
            id="signature after the text",
        ),
        pytest.param(
            [*thought(0, "because"), *text(1, "x"), grows(0, "signature_delta", signature="sig")],
            [SIGNED],
            id="signature after the block",
        ),
        pytest.param(
            [*thought(0, "because", signature="sig"), *thought(1, signature="other")],
            [SIGNED, {**SIGNED, "text": "", "signature": "other"}],
            id="omitted text after a signed block",
        ),
        pytest.param(thought(0, signature="sig"), [{**SIGNED, "text": ""}], id="omitted text"),
        pytest.param(
            thought(0, "because"),
            [{"type": "reasoning.text", "text": "because", "format": "unknown"}],
            id="unsigned, of another vendor's model",
        ),
        pytest.param(
            [starts(0, type="redacted_thinking", data="xx"), stops(0), *thought(1, "because", signature="sig")],
            [HIDDEN, SIGNED],
            id="redacted",
        ),
        pytest.param(thought(0), [], id="empty"),
        pytest.param([grows(0, "signature_delta", signature="sig")], [], id="signature of nothing"),
    ],
)
def test_reasoning(events: list[Event], details: list[dict[str, Any]]) -> None:
    reply = decoded(*whole(events, text(7, "Hello")))
    assert reply.ending.reasoning_details == [{**detail, "index": i} for i, detail in enumerate(details)]
    assert reply.reasoning == "".join(detail.get("text", "") for detail in details)


def test_blocks_of_the_provider_keep_their_place() -> None:
    search = [
        starts(1, **{**SEARCH, "input": {}}),
        grows(1, "input_json_delta", partial_json='{"query"'),
        grows(1, "input_json_delta", partial_json=': "kilo"}'),
        stops(1),
        starts(2, **FOUND),
        stops(2),
    ]
    compaction = [starts(5, type="compaction"), grows(5, "compaction_delta", content="short"), stops(5)]
    reply = decoded(*whole(text(0, "One"), search, text(3, "Two!"), call(4, "t", "f"), compaction, text(6, "Three")))
    assert reply.text == "OneTwo!Three"
    assert [call.id for call in reply.tool_calls] == ["t"]
    assert reply.ending.layout == [
        {"type": "text", "characters": 3},
        {"type": "opaque", "place": "block", "value": SEARCH},
        {"type": "opaque", "place": "block", "value": FOUND},
        {"type": "text", "characters": 4},
        {"type": "tool_call", "id": "t"},
        {"type": "opaque", "place": "block", "value": {"type": "compaction", "content": "short"}},
        {"type": "text", "characters": 5},
    ]


def test_the_order_of_interleaved_thinking() -> None:
    reply = decoded(
        *whole(thought(0, "a", signature="s"), text(1, "x"), thought(2, "b", signature="t"), call(3, "t", "f"))
    )
    assert [piece["type"] for piece in reply.ending.layout] == ["reasoning", "text", "reasoning", "tool_call"]


def test_the_input_of_a_server_tool_that_was_cut_off_looks_invalid() -> None:
    events = [starts(0, **{**SEARCH, "input": {}}), grows(0, "input_json_delta", partial_json='{"query')]
    [piece] = decoded(STARTED, *events, ends("max_tokens"), STOPPED).ending.layout
    assert piece["value"]["input"] == broken_arguments('{"query')


def test_citations_are_annotations_with_the_place_of_their_text() -> None:
    cited = [starts(1, type="text", text="", citations=[]), grows(1, "citations_delta", citation=CITATION)]
    reply = decoded(*whole(text(0, "So: "), cited, [grows(1, "text_delta", text="One."), stops(1)]))
    assert reply.ending.annotations == [{**CITATION, "start_index": 4, "end_index": 8}]
    body = Reply.of(Messages().whole(as_body({"type": "text", "text": "One.", "citations": [CITATION]})))
    assert body.ending.annotations == [{**CITATION, "start_index": 0, "end_index": 4}]


def test_a_long_answer_is_joined_once() -> None:
    counted = Counted()
    answer, many = Answer(None, Sent()), 2_000
    kinds = [("text", "text"), ("thinking", "thinking"), ("tool_use", "partial_json")]
    deltas = {"text": "text_delta", "thinking": "thinking_delta", "tool_use": "input_json_delta"}
    for index, (kind, field) in enumerate(kinds):
        answer.frame(starts(index, type=kind, name="f", id="t"))
        for _ in range(many):
            answer.frame(grows(index, deltas[kind], **{field: counted.text("x")}))
    for index in range(many):
        answer.frame(starts(index, type="tool_use", name="f", id=counted.text("t")))
    [last] = answer.finish()
    assert last.ending is not None
    assert (answer.partial_text, last.ending.tool_calls[0].arguments) == ("x" * many, "x" * many)
    assert counted.steps < 8 * 4 * many
