"""Framing of server-sent events: any split of the bytes gives the same events."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kilo_gateway.encoding.sse import EventDecoder, looks_like_events


def decode(pieces: list[bytes]) -> list[bytes]:
    decoder = EventDecoder()
    events = [event for piece in pieces for event in decoder.feed(piece)]
    return [*events, *decoder.finish()]


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\r\n\r\ndata:b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b": KILO PROCESSING\n\ndata: a\n\n: x\n\n", [b"a"]),
        (b"event: error\ndata: a\nid: 1\n\n", [b"a"]),
        (b"data: a\ndata: b\n\n", [b"a\nb"]),
        (b"data\n\n", [b""]),
        (b"data:  a\n\n", [b" a"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b"data: a", [b"a"]),
        (b"data: \xe2\x80\xa8\n\n", [b"\xe2\x80\xa8"]),
        (b"", []),
        (b"\n\n\n", []),
        (b"\xef\xbb", []),
    ],
)
def test_events(body: bytes, events: list[bytes]) -> None:
    assert decode([body]) == events
    assert decode([body[i : i + 1] for i in range(len(body))]) == events


_LINES = st.sampled_from(
    [b"data: x", b"data:y", b": c", b"event: e", b"", b"", b"data: \xf0\x9f\x98\x80", b"\xef\xbb\xbfdata: z", b"data"]
)
_BODIES = st.lists(st.tuples(_LINES, st.sampled_from([b"\n", b"\r\n", b"\r"]))).map(
    lambda lines: b"".join(line + end for line, end in lines)
)


@given(body=_BODIES, cuts=st.lists(st.integers(0, 200)))
@example(body=b"data: a\r\n\r\n", cuts=[8])
def test_any_split_gives_the_same_events(body: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(body), *(c for c in cuts if c < len(body))})
    pieces = [body[a:b] for a, b in itertools.pairwise(edges)]
    assert decode(pieces) == decode([body])


def test_what_looks_like_an_event_stream() -> None:
    assert looks_like_events(b"\n: KILO PROCESSING\n\ndata: {}")
    assert looks_like_events(b"\xef\xbb\xbfdata: {}")
    assert not looks_like_events(b'{"data": 1}')
