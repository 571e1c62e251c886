"""Deltas that arrived together are joined, nothing is lost, and nothing waits."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilo_gateway import KiloError, freeze_imports
from kilo_gateway.interfaces.chat_completions import ChatCompletions
from kilo_gateway.merging import merged
from kilo_gateway.reply import Delta, Ending, Reply, ToolCallDelta
from tests.support.server import DONE, FINISH, TEXT

PIECE = st.text("ab", min_size=1, max_size=3)
CONTINUED = st.builds(ToolCallDelta, st.integers(0, 1), arguments=PIECE)
STARTED = st.builds(ToolCallDelta, st.integers(0, 1), id=PIECE, name=PIECE, arguments=PIECE)
RAW = st.fixed_dictionaries({"n": st.integers()})
DELTA = st.one_of(
    st.builds(Delta, text=PIECE, raw=RAW),
    st.builds(Delta, reasoning=PIECE, raw=RAW),
    st.builds(Delta, text=PIECE, reasoning=PIECE, raw=RAW),
    st.builds(Delta, refusal=PIECE, raw=RAW),
    st.builds(Delta, text=PIECE, choice=st.just(1), raw=RAW),
    st.builds(Delta, tool_calls=st.lists(CONTINUED, min_size=1, max_size=2), raw=RAW),
    st.builds(Delta, tool_calls=st.lists(STARTED, min_size=1, max_size=1), raw=RAW),
    st.builds(Delta, ending=st.builds(Ending, id=PIECE), raw=RAW),
)
BOTH_STARTED = Delta(tool_calls=[ToolCallDelta(0, "1", "f"), ToolCallDelta(1, "2", "g")])


@given(st.lists(DELTA, max_size=12))
def test_the_sum_is_the_same(deltas: list[Delta]) -> None:
    deltas = [BOTH_STARTED, *deltas]
    joined = list(merged(iter(deltas)))
    assert Reply.of(joined) == Reply.of(deltas)
    assert Reply.of(joined).parts == Reply.of(deltas).parts
    for delta in deltas:
        if delta.ending or delta.refusal or delta.choice or any(call.id for call in delta.tool_calls):
            assert any(delta is kept for kept in joined)


@given(st.lists(DELTA, max_size=6))
def test_deltas_that_come_one_by_one_stay_as_they_are(deltas: list[Delta]) -> None:
    assert [list(merged(iter([delta]))) for delta in deltas] == [[delta] for delta in deltas]


def test_what_continues_the_same_is_one_delta() -> None:
    deltas = [
        Delta(reasoning="h", raw={"n": 1}),
        Delta(reasoning="m", raw={"n": 2}),
        Delta(text="a", raw={"n": 3}),
        Delta(text="b", raw={"n": 4}),
        BOTH_STARTED,
        Delta(tool_calls=[ToolCallDelta(0, arguments="{")]),
        Delta(tool_calls=[ToolCallDelta(0, arguments="}")]),
        Delta(tool_calls=[ToolCallDelta(1, arguments="{}")]),
    ]
    assert list(merged(iter(deltas))) == [
        Delta(reasoning="hm", raw={"n": 2}),
        Delta(text="ab", raw={"n": 4}),
        BOTH_STARTED,
        Delta(tool_calls=(ToolCallDelta(0, arguments="{}"),)),
        Delta(tool_calls=[ToolCallDelta(1, arguments="{}")]),
    ]


def test_text_before_an_error_comes_before_it() -> None:
    def broken() -> Iterator[Delta]:
        yield Delta(text="a")
        yield Delta(text="b")
        raise KiloError("no")

    joined = merged(broken())
    assert next(joined).text == "ab"
    with pytest.raises(KiloError, match="no"):
        next(joined)


def test_one_read_is_one_delta_and_the_ending_another() -> None:
    first, second = (list(merged(ChatCompletions().decoder().feed(TEXT * number))) for number in (1, 5))
    assert [delta.text for delta in first + second] == ["whole", "whole" * 5]
    decoder = ChatCompletions().decoder()
    everything = [*merged(decoder.feed(TEXT * 3 + FINISH + DONE)), *decoder.finish()]
    assert [delta.text for delta in everything if delta.text] == ["whole" * 3]
    assert everything[-1].ending is not None


def test_what_is_imported_is_not_collected_again() -> None:
    before = gc.get_freeze_count()
    try:
        freeze_imports()
        assert gc.get_freeze_count() > before + 10_000
    finally:
        gc.unfreeze()
