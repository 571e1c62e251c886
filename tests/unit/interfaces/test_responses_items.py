"""What the items of Responses become: refusals, citations, images, and what has no class."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kilo_gateway.conversation import Text, Thought
from kilo_gateway.interfaces.responses import Responses
from kilo_gateway.reply import Reply
from tests.unit.interfaces.responses_events import (
    ADD,
    CALL,
    MESSAGE,
    REASONING,
    USUAL,
    Event,
    added,
    completed,
    created,
    deltas_of,
    done,
    kinds,
    reply_of,
    text,
    thought,
)


def test_a_refusal() -> None:
    refused = {**MESSAGE, "content": [{"type": "refusal", "refusal": "I will not."}]}
    piece = {"type": "response.refusal.delta", "output_index": 0, "content_index": 0, "delta": "I will"}
    for events in ([done(refused)], [piece, done(refused)]):
        deltas = deltas_of([*events, completed(refused)])
        assert [delta.refusal for delta in deltas if delta.refusal] == ["I will not."]
        assert deltas[-1].refusal


CITATION = {"type": "url_citation", "url": "https://example.com", "title": "t", "start_index": 0, "end_index": 5}
ANNOTATED: Event = {"type": "response.output_text.annotation.added", "output_index": 0, "annotation": CITATION}


def test_annotations_are_reported_once() -> None:
    cited = {**MESSAGE, "content": [{"type": "output_text", "text": "Hello", "annotations": [CITATION]}]}
    for events in ([done(cited)], [text("Hello"), ANNOTATED], [text("Hello"), ANNOTATED, done(cited)]):
        assert reply_of(*events, completed(cited)).ending.annotations == [CITATION]


def test_indices_of_annotations_count_in_the_text_of_the_answer() -> None:
    """The provider counts from the start of each text."""
    texts = ("Oh. ", "Hello")
    second = {**MESSAGE, "content": [{"type": "output_text", "text": "Hello", "annotations": [CITATION]}]}
    streamed = [
        *(text(value, content_index=place) for place, value in enumerate(texts)),
        {**ANNOTATED, "content_index": 1},
    ]
    parts: list[Event] = [{"type": "output_text", "text": value, "annotations": []} for value in texts]
    first = {**MESSAGE, "id": "msg_0", "content": [parts[0], {**parts[1], "annotations": [CITATION]}]}
    for reply in (reply_of(*streamed, done(second, 1), completed()), reply_of(completed(first, second))):
        assert [(cited["start_index"], cited["end_index"]) for cited in reply.ending.annotations] == [(4, 9), (9, 14)]
        assert reply.text == "Oh. HelloHello"


def test_phases_of_messages_are_in_the_layout() -> None:
    comment, final = {**MESSAGE, "id": "msg_0", "phase": "commentary"}, {**MESSAGE, "phase": "final_answer"}
    reply = reply_of(added(comment), text("Hello"), done(comment), done(final, 1), completed())
    assert reply.message().parts == [Text("Hello", phase="commentary"), Text("Hello", phase="final_answer")]
    [only] = reply_of(done(final), completed()).message().parts
    assert only == Text("Hello", phase="final_answer")


def test_what_the_provider_ran_keeps_its_place() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}}
    reply = reply_of(done(REASONING), added(search, 1), done(search, 1), done(MESSAGE, 2), completed())
    assert kinds(reply) == ["reasoning", "opaque", "text"]
    assert reply.ending.layout[1] == {"type": "opaque", "place": "output", "value": search}
    assert reply.tool_calls == []


def test_custom_calls_have_free_text() -> None:
    custom = {"type": "custom_tool_call", "id": "ctc", "call_id": "call_9", "name": "sql", "input": ""}
    piece = {"type": "response.custom_tool_call_input.delta", "output_index": 0, "delta": "select 1"}
    reply = reply_of(added(custom), piece, completed())
    [opaque] = reply.ending.layout
    assert opaque["value"] == {**custom, "input": "select 1"}
    assert (reply.tool_calls, reply.ending.finish_reason) == ([], "tool_calls")


@pytest.mark.parametrize(("kind", "mime"), [("webp", "image/webp"), (None, "image/png")])
def test_images(kind: Any, mime: str) -> None:
    image = {"type": "image_generation_call", "id": "ig", "result": "AAAA", "output_format": kind}
    partial = {"type": "response.image_generation_call.partial_image", "output_index": 0, "partial_image_b64": "AA"}
    ending = reply_of(
        added({"type": "image_generation_call", "id": "ig"}), partial, done(image), completed(image)
    ).ending
    assert ending.images == [{"type": "image_url", "image_url": {"url": f"data:{mime};base64,AAAA"}}]
    assert "AAAA" not in json.dumps(ending.layout)
    assert ending.layout[0]["value"]["id"] == "ig"


def test_texts_that_interleave_are_one() -> None:
    reply = reply_of(text("a", 0), text("b", 1), text("c", 0), done(CALL, 2), completed())
    assert reply.text == "abc"
    assert reply.ending.layout == []


def test_a_text_after_a_call_keeps_its_place() -> None:
    reply = reply_of(done(CALL), done(MESSAGE, 1), completed())
    assert reply.parts == [ADD, Text("Hello")]
    assert reply.ending.layout == [{"type": "tool_call", "id": "call_1"}, {"type": "text", "characters": 5}]


def test_the_provider_of_the_vercel_route() -> None:
    metadata = {"gateway": {"cost": "0.25", "routing": {"finalProvider": "openai"}}}
    ending = reply_of(done(MESSAGE), completed(provider_metadata=metadata, usage={"input_tokens": 1})).ending
    assert ending.usage is not None
    assert (ending.provider, ending.usage.cost) == ("openai", 0.25)


def test_unknown_things_are_left_out() -> None:
    odd: list[Event] = [
        {"type": "response.fusion.delta", "delta": "x", "output_index": 9},
        {"type": "keepalive", "sequence_number": 2},
        {"delta": "x"},
        text("", 1),
        {"type": "response.output_text.delta", "delta": {"a": 1}},
        done({"type": "message", "role": "user", "content": [{"type": "output_text", "text": "echo"}]}, 7),
    ]
    reply = reply_of(*USUAL[:7], *odd, *USUAL[7:])
    assert reply.parts == reply_of(*USUAL).parts


def test_progress_and_what_is_hidden() -> None:
    decoder = Responses().decoder()
    counts = []
    for event in [
        created(),
        {"type": "keepalive"},
        {"type": "response.in_progress"},
        text("x"),
        text(""),
        done(CALL, 1),
    ]:
        list(decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n"))
        counts.append(decoder.progress)
    assert counts == [0, 0, 0, 1, 1, 2]
    assert decoder.hidden_bytes == len("add") + len(CALL["arguments"])
    assert decoder.partial_text == "x"
    assert not decoder.ended


def test_halves_of_characters_are_joined() -> None:
    halves = [json.dumps("😀")[1:7], json.dumps("😀")[7:13]]
    decoder = Responses().decoder()
    reply = Reply()
    for half in halves:
        frame = '{"type": "response.output_text.delta", "output_index": 0, "delta": "' + half + '"}'
        for delta in decoder.feed(f"data: {frame}\n\n".encode()):
            reply.add(delta)
    for delta in decoder.feed(b"data: " + json.dumps(completed()).encode() + b"\n\n"):
        reply.add(delta)
    assert reply.text == "😀"


def test_reasoning_alone() -> None:
    reply = reply_of(thought("Hm"), completed())
    assert reply.parts == [Thought("Hm", reply.ending.reasoning_details)]
