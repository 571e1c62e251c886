"""Any JSON in any event of Responses is an answer or a KiloError, and no split of the bytes changes an answer."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kilo_gateway import KiloError
from kilo_gateway.conversation import Message, Text, arranged
from kilo_gateway.interfaces.responses import Responses, history
from kilo_gateway.reply import Delta, Reply
from tests.unit.interfaces.responses_events import CALL, MESSAGE, REASONING, USUAL, added, completed, done
from tests.unit.test_any_answer import JSON, nested, paths, replaced

SEARCH = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "x"}}
IMAGE = {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "AAAA", "output_format": "png"}
SIGNED = {
    **REASONING,
    "content": [{"type": "reasoning_text", "text": "Hm"}],
    "signature": "s",
    "format": "anthropic-claude-v1",
}
CITED = {
    **MESSAGE,
    "content": [
        {
            "type": "output_text",
            "text": "Hello",
            "annotations": [{"type": "url_citation", "url": "https://example.com"}],
            "logprobs": [{"token": "Hello", "logprob": -0.5}],
        },
        {"type": "refusal", "refusal": "no"},
    ],
}
EVENTS: list[Any] = [
    *USUAL[:-1],
    added(SEARCH, 3),
    done(SEARCH, 3),
    done(IMAGE, 4),
    done(SIGNED, 5),
    {"type": "response.output_text.annotation.added", "output_index": 1, "annotation": {"url": "x"}},
    {"type": "response.custom_tool_call_input.delta", "output_index": 6, "delta": "x"},
    {"type": "response.content_part.done", "output_index": 1, "content_index": 0, "part": CITED["content"][0]},
    completed(REASONING, CITED, CALL, SEARCH, IMAGE, SIGNED, provider_metadata={"gateway": {"cost": "0.1"}}),
]
FAILED = {
    "type": "response.failed",
    "response": {"status": "failed", "error": {"code": "server_error", "message": "no"}, "error_type": "server"},
}


def decoded(events: Any) -> list[Delta]:
    decoder = Responses().decoder()
    deltas: list[Delta] = []
    for event in events if isinstance(events, list) else [events]:
        deltas += decoder.feed(b"data: " + json.dumps(event).encode() + b"\n\n")
        decoder.partial_text.encode()
        assert decoder.hidden_bytes >= 0
        assert decoder.finished in (True, False)
    return deltas + list(decoder.finish())


def use(deltas: list[Delta]) -> None:
    """Do with an answer what its users do, and send it back."""
    reply = Reply.of(deltas)
    json.dumps([reply.text, reply.reasoning, reply.refusal, reply.raw, reply.ending.layout]).encode()
    json.dumps([reply.ending.reasoning_details, reply.ending.annotations, reply.ending.images]).encode()
    assert reply.tool_calls == reply.ending.tool_calls
    characters = [piece["characters"] for piece in reply.ending.layout if piece["type"] == "text"]
    assert sum(characters) in (len(reply.text), 0)
    entries = [piece["details"] for piece in reply.ending.layout if piece["type"] == "reasoning"]
    assert sum(entries) in (len(reply.ending.reasoning_details), 0)
    parts = arranged(reply.parts, reply.ending.layout) if reply.ending.layout else reply.parts
    sent = history.items([Message("assistant", parts), Message("user", [Text("Go on")])], "vendor/model")
    json.dumps(sent).encode()
    assert not any("id" in item for item in sent)


def works(events: Any) -> bool:
    try:
        deltas = decoded(events)
    except KiloError as error:
        str(error).encode()
        return False
    use(deltas)
    return True


def test_the_answer_that_the_others_are_made_of() -> None:
    assert works(EVENTS)


@given(st.sampled_from(list(paths(EVENTS))), JSON)
@example((7, "delta"), "\ud83d")
@example((-1, "response", "output"), [{"type": "message", "content": [None, "x", {"type": "output_text"}]}])
def test_any_json_is_an_answer_or_a_kilo_error(path: tuple[str | int, ...], value: Any) -> None:
    works(replaced(EVENTS, path, value))


@given(st.sampled_from(list(paths(EVENTS[-1]["response"]))), JSON)
def test_any_body_is_an_answer_or_a_kilo_error(path: tuple[str | int, ...], value: Any) -> None:
    try:
        deltas = list(Responses().whole(json.dumps(replaced(EVENTS[-1]["response"], path, value)).encode()))
    except KiloError as error:
        str(error).encode()
        return
    use(deltas)


@given(st.sampled_from([path for path in paths(FAILED) if path[:1] != ("type",)][1:]), JSON)
def test_any_failure_is_a_kilo_error(path: tuple[str | int, ...], value: Any) -> None:
    with pytest.raises(KiloError) as caught:
        decoded([replaced(FAILED, path, value)])
    str(caught.value).encode()


@given(st.permutations(EVENTS[:-1]))
def test_any_order_of_events_is_an_answer_or_a_kilo_error(events: list[Any]) -> None:
    works([*events, EVENTS[-1]])


@given(st.lists(st.sampled_from(EVENTS), max_size=12))
def test_any_choice_of_events_is_an_answer_or_a_kilo_error(events: list[Any]) -> None:
    works(events)


@pytest.mark.parametrize("depth", [150, 250, 900])
def test_deep_json_is_an_answer_or_a_kilo_error(depth: int) -> None:
    for path in paths(EVENTS):
        if path:
            works(replaced(EVENTS, path, nested(depth)))


STREAM = b"".join(b": KILO PROCESSING\r\n\r\ndata: " + json.dumps(event).encode() + b"\r\n\r\n" for event in EVENTS)


def pieces(cuts: list[int]) -> Iterator[bytes]:
    places = [0, *sorted(cuts), len(STREAM)]
    return (STREAM[start:end] for start, end in itertools.pairwise(places))


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_no_split_changes_an_answer(cuts: list[int]) -> None:
    decoder = Responses().decoder()
    deltas = [delta for piece in pieces(cuts) for delta in decoder.feed(piece)]
    assert Reply.of(deltas + list(decoder.finish())) == Reply.of(decoded(EVENTS))


@given(st.integers(0, len(STREAM) - 5))
def test_no_cut_stream_looks_whole_unless_it_is(cut: int) -> None:
    decoder = Responses().decoder()
    try:
        reply = Reply.of([*decoder.feed(STREAM[:cut]), *decoder.finish()])
    except KiloError:
        return
    assert reply.ending.usage is None  # the last event is missing, and each item before it was complete
    assert reply.text == "Hello"


def test_long_answers_take_time_in_proportion() -> None:
    """A text is not joined for each delta: the calls per delta stay the same."""
    decoder = Responses().decoder()
    event = b"data: " + json.dumps({"type": "response.output_text.delta", "output_index": 0, "delta": "x"}).encode()
    for _ in range(50_000):
        for delta in decoder.feed(event + b"\n\n"):
            assert delta.text == "x"
    assert len(decoder.partial_text) == 50_000
