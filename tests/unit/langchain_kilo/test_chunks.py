"""Chunks: broken tool arguments never parse, whatever they are."""

import contextlib
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk
from langchain_core.utils.json import parse_partial_json

from langchain_kilo.from_gateway import spoiler

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
