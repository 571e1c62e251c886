"""The faster parser of JSON answers as Python's own does, value for value."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kilo_gateway.encoding import lenient_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(alphabet="\ud83d\ude00\ud800x\u2028"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=10,
)
PIECES = st.sampled_from(
    [*(piece.encode() for piece in '{}[]",:\\ \n\t0123456789.-+eENaIfnity'), b"true", b"null", b"\\u", b"d83d", b'"a"']
)


def told(parse: Any, data: bytes) -> str:
    try:
        return repr(parse(data))
    except (ValueError, RecursionError) as error:
        return f"{type(error).__name__} {error}"


@given(JSON, st.booleans(), st.sampled_from([None, 1]))
def test_values(value: Any, ascii_only: bool, indent: int | None) -> None:
    data = json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode("utf-8", "surrogatepass")
    assert told(lenient_json.parse, data) == told(json.loads, data)


@given(st.lists(PIECES).map(b"".join) | st.binary())
@example(b"-0")
@example(b"1e400")
@example(b"9" * 5000)
@example(b'{"a": 1, "a": 2}')
@example(b"\xef\xbb\xbf{}")
@example('{"a": "b"}'.encode("utf-16"))
@example(b'"\xed\xa0\x80"')
@example(b"[" * 300 + b"]" * 300)
def test_bytes(data: bytes) -> None:
    assert told(lenient_json.parse, data) == told(json.loads, data)


def test_nesting_beyond_the_limit_of_python() -> None:
    with pytest.raises(RecursionError):
        lenient_json.parse(b"[" * 100_000)
