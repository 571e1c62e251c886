"""Any JSON anywhere in a Messages answer is an answer or a KiloError, and any split of its bytes gives the same."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilo_gateway import KiloError, Reply
from kilo_gateway.interfaces.messages import Messages
from kilo_gateway.reply import Delta
from tests.unit.interfaces.messages_events import (
    CITATION,
    FOUND,
    INPUT,
    SEARCH,
    STARTED,
    STOPPED,
    as_body,
    call,
    deltas_of,
    ends,
    grows,
    starts,
    stops,
    text,
    thought,
    wire,
)
from tests.unit.test_any_answer import JSON, Path, nested, paths, replaced

COUNTS = {
    **INPUT,
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 1},
    "cache_creation": {"ephemeral_5m_input_tokens": 2},
    "cost": 0.5,
    "service_tier": "standard",
}
METADATA = {"gateway": {"cost": "0.5", "routing": {"finalProvider": "bedrock"}}}
EVENTS: list[Any] = [
    STARTED,
    *thought(0, "because", signature="sig"),
    *text(1, "Hello, ", "Zoë 😀"),
    grows(1, "citations_delta", citation=CITATION),
    starts(2, **SEARCH),
    grows(2, "input_json_delta", partial_json="{}"),
    stops(2),
    starts(3, **FOUND),
    starts(4, type="compaction", content=None),
    grows(4, "compaction_delta", content="short"),
    starts(5, type="redacted_thinking", data="xx"),
    starts(6, type="fallback", to={"model": "other"}),
    *call(7, "t1", "add", '{"a"', ": 1}"),
    starts(8, type="tool_use", id="t2", name="show", input={"b": 2}),
    {
        **ends("tool_use", COUNTS, stop_details={"explanation": "no"}),
        "provider_metadata": METADATA,
    },
    STOPPED,
]
BODY = json.loads(
    as_body(
        {"type": "thinking", "thinking": "because", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xx"},
        {"type": "text", "text": "Hello, Zoë 😀", "citations": [CITATION]},
        SEARCH,
        FOUND,
        {"type": "tool_use", "id": "t1", "name": "add", "input": {"a": 1}},
        usage=COUNTS,
        provider_metadata=METADATA,
        stop_details={"explanation": "no"},
    )
)
FAILURE = {
    "type": "error",
    "error": {"type": "api_error", "message": "no", "error_type": "timeout", "code": 500, "metadata": {"raw": "x"}},
    "request_id": "req_1",
    "id": "gen-1",
    "usage": COUNTS,
}


def used(deltas: list[Delta]) -> Reply:
    """Return the sum of deltas after checking that it can be sent on, written and counted."""
    reply = Reply.of(deltas)
    ending = reply.ending
    shown = [reply.text, reply.reasoning, reply.refusal, ending.layout, ending.annotations, ending.reasoning_details]
    facts = [ending.id, ending.model, ending.provider, ending.service_tier, ending.finish_reason]
    json.dumps([*shown, *facts, [delta.raw for delta in deltas]], ensure_ascii=False).encode()
    assert [delta.ending is not None for delta in deltas].count(True) == 1
    assert reply.tool_calls == ending.tool_calls
    assert len({call.id for call in reply.tool_calls}) == len(reply.tool_calls)
    details = sum(piece.get("details", 0) for piece in ending.layout)
    characters = sum(piece.get("characters", 0) for piece in ending.layout)
    assert not ending.layout or (details, characters) == (len(ending.reasoning_details), len(reply.text))
    for call_ in reply.tool_calls:
        call_.parsed()
    return reply


def test_the_answer_that_the_others_are_made_of() -> None:
    reply = used(deltas_of(wire(*EVENTS)))
    assert (reply.text, reply.reasoning, len(reply.tool_calls)) == ("Hello, Zoë 😀", "because", 2)
    assert used(list(Messages().whole(json.dumps(BODY).encode()))).text == "Hello, Zoë 😀"


@given(st.sampled_from(list(paths(EVENTS))), JSON)
def test_any_stream_is_an_answer_or_a_kilo_error(path: Path, value: Any) -> None:
    events = replaced(EVENTS, path, value)
    frames = events if isinstance(events, list) else [events]
    stream = "".join(f"data: {json.dumps(frame)}\n\n" for frame in frames).encode()
    with contextlib.suppress(KiloError):
        used(deltas_of(stream))


@given(st.sampled_from(list(paths(BODY))), JSON)
def test_any_body_is_an_answer_or_a_kilo_error(path: Path, value: Any) -> None:
    with contextlib.suppress(KiloError):
        used(list(Messages().whole(json.dumps(replaced(BODY, path, value)).encode())))


@given(st.sampled_from([path for path in paths(FAILURE) if path]), JSON)
def test_any_error_is_a_kilo_error(path: Path, value: Any) -> None:
    error = replaced(FAILURE, path, value)
    content = json.dumps(error).encode()
    for stream in (wire(STARTED) + b"data: " + content + b"\n\n", content):
        with pytest.raises(KiloError) as caught:
            list(Messages().whole(stream))
        str(caught.value).encode()


@given(st.permutations(EVENTS), st.integers(0, len(EVENTS)))
def test_events_in_any_order_are_an_answer_or_a_kilo_error(events: list[Any], count: int) -> None:
    with contextlib.suppress(KiloError):
        used(deltas_of(wire(*events[:count])))


@given(st.integers(1, 100))
def test_any_split_gives_the_same_answer(size: int) -> None:
    for stream in (wire(*EVENTS), wire(*EVENTS, named=False).replace(b"\n", b"\r\n")):
        assert used(deltas_of(stream, size)) == used(deltas_of(stream))


@given(st.integers(0, len(wire(*EVENTS[:-2]))))
def test_a_cut_stream_raises_or_shows_that_its_end_was_inferred(length: int) -> None:
    try:
        reply = Reply.of(deltas_of(wire(*EVENTS)[:length]))
    except KiloError:
        return
    # Cut between two blocks: it looks like a stream of Vercel, which never sends the last two events.
    assert (reply.ending.native_finish_reason, reply.ending.usage) == (None, None)


@pytest.mark.parametrize("depth", [150, 250, 900])
def test_deep_json_is_an_answer_or_a_kilo_error(depth: int) -> None:
    for path in paths(EVENTS):
        with contextlib.suppress(KiloError):
            used(
                deltas_of(
                    b"".join(b"data: %b\n\n" % json.dumps(e).encode() for e in replaced([*EVENTS], path, nested(depth)))
                )
            )
    for path in paths(BODY):
        with contextlib.suppress(KiloError):
            used(list(Messages().whole(json.dumps(replaced(BODY, path, nested(depth))).encode())))
