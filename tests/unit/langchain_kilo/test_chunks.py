"""Chunks: broken tool arguments never parse, whatever they are."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, message_chunk_to_message
from langchain_core.utils.json import parse_partial_json

from kilo_gateway.conversation import ToolCall, tool_call
from kilo_gateway.reply import Delta, Ending, Reply, ToolCallDelta
from langchain_kilo import ChatKilo
from langchain_kilo.from_gateway import invalid_calls, spoiler, to_chunk, to_message
from tests.support.bodies import of_langchain as to_wire

_OBJECTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.text(max_size=4), st.recursive(st.integers() | st.text(max_size=6), st.lists, max_leaves=5), max_size=4
)
_BROKEN = st.tuples(_OBJECTS, st.integers(0, 60)).map(lambda pair: json.dumps(pair[0])[: pair[1]])


def is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


@given((_BROKEN | st.text(alphabet='{}[]",:\\\\ab1 ', max_size=20)).filter(lambda t: t.strip() and not is_object(t)))
@example('{"city": "Par')
@example('{"city": "Par\\\\')
@example('{"a": [1, {"b": "c"')
@example('{"a": 1} and more')
@example("[1, 2]")
def test_broken_arguments_stay_broken(arguments: str) -> None:
    spoiled = arguments + spoiler(arguments)
    with contextlib.suppress(json.JSONDecodeError):  # refused is as good as no dict
        assert not isinstance(parse_partial_json(spoiled), dict)
    chunk = AIMessageChunk(
        content="", tool_call_chunks=[{"name": "f", "args": spoiled, "id": "1", "index": 0, "type": "tool_call_chunk"}]
    )
    assert chunk.tool_calls == []
    assert len(chunk.invalid_tool_calls) == 1


@pytest.mark.parametrize("written", ['{"city": "Par', '{"a": [1, {"b": "c"', '["raced"]'])
def test_a_broken_streamed_call_goes_back_as_the_model_wrote_it(written: str) -> None:
    call = ChatKilo()._call([], None, None, {}, stream=True)
    ending = Ending(finish_reason="length", tool_calls=[ToolCall("1", "f", written)])
    deltas = [Delta(tool_calls=[ToolCallDelta(0, "1", "f", written)]), Delta(ending=ending)]
    first, last = (to_chunk(delta, call) for delta in deltas)
    message = message_chunk_to_message(first + last)
    assert isinstance(message, AIMessage)
    assert message.tool_calls == []
    whole = to_message(Reply(tool_calls=ending.tool_calls), call)
    assert invalid_calls(message) == whole.invalid_tool_calls
    assert invalid_calls(message)[0]["error"] == "The arguments of 'f' are not a JSON object"
    copies = (message, AIMessage(**message.model_dump()), whole)
    assert [to_wire([copy])[0]["tool_calls"] for copy in copies] == [[tool_call("1", "f", written).wire()]] * 3


def test_an_invalid_call_that_was_edited_goes_back_as_edited() -> None:
    kept = {"id": "1", "name": "f", "args": '{"a', "error": None, "type": "invalid_tool_call"}
    edited = {**kept, "args": '{"b'}
    message = AIMessage("", invalid_tool_calls=[edited], additional_kwargs={"invalid_tool_calls": [kept]})
    assert invalid_calls(message) == [edited]
