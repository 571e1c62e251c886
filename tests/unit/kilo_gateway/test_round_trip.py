"""Any answer that the gateway can put on the wire is decoded to what it was, however its bytes are split."""

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from kilo_gateway import KiloError, ToolCall
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.chat_completions import ChatCompletions
from kilo_gateway.reply import Delta, Reply

SENT = Sent(several=True)
# Characters beyond the BMP, combining marks, line separators that do not end a line of an event stream, and NUL.
TEXT = st.text(
    st.sampled_from('a \n\r\t"\\\u0301\u00e9\u2028\u2029\x85\x00\U0001f469\u200d\U0001d518{}[]:')
    | st.characters(codec="utf-8"),
    max_size=12,
)
ARGUMENTS = st.dictionaries(
    TEXT, st.none() | st.booleans() | st.integers() | TEXT | st.lists(TEXT, max_size=2), max_size=3
)
NAMES = st.text("abcdefgh_", min_size=1, max_size=5)
CALLS = st.lists(st.tuples(NAMES, ARGUMENTS), max_size=3).map(
    lambda calls: [
        ToolCall(f"call_{i}", name, json.dumps(arguments, ensure_ascii=i % 2 == 0))
        for i, (name, arguments) in enumerate(calls)
    ]
)
DETAILS = st.lists(TEXT.filter(bool), max_size=2).map(
    lambda data: [
        {"type": "reasoning.encrypted", "data": one, "id": f"rs_{i}", "index": 0} for i, one in enumerate(data)
    ]
)
CHOICE = st.fixed_dictionaries(
    {
        "text": TEXT,
        "reasoning": TEXT,
        "refusal": TEXT,
        "tool_calls": CALLS,
        "details": DETAILS,
        "finish_reason": st.sampled_from(["stop", "length", "tool_calls", "content_filter"]),
    }
)
ANSWER = st.lists(CHOICE, min_size=1, max_size=3)
CUTS = st.lists(st.integers(0, 4000), max_size=8)


def expected(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "text": one.text,
            "reasoning": one.reasoning,
            "refusal": one.refusal,
            "tool_calls": one.tool_calls,
            "details": one.ending.reasoning_details,
            "finish_reason": one.ending.finish_reason,
        }
        for one in (reply, *(other for _, other in sorted(reply.others.items())))
    ]


def wire_call(position: int, call: ToolCall, arguments: str) -> dict[str, Any]:
    return {"index": position, "id": call.id, "function": {"name": call.name, "arguments": arguments}}


def body(answer: list[dict[str, Any]]) -> bytes:
    choices = [
        {
            "index": index,
            "finish_reason": said["finish_reason"],
            "message": {
                "content": said["text"],
                "reasoning": said["reasoning"],
                "refusal": said["refusal"] or None,
                "reasoning_details": said["details"],
                "tool_calls": [wire_call(i, call, call.arguments) for i, call in enumerate(said["tool_calls"])],
            },
        }
        for index, said in enumerate(answer)
    ]
    return json.dumps({"choices": choices, "usage": {"prompt_tokens": 1, "completion_tokens": 1}}).encode()


def deltas(said: dict[str, Any], size: int) -> Iterator[dict[str, Any]]:
    """The fields of one choice in pieces of `size` UTF-16 units, which cut characters in two as JavaScript does."""
    for name in ("reasoning", "text", "refusal"):
        for piece in _pieces(said[name], size):
            yield {"content" if name == "text" else name: piece}
    for detail in said["details"]:
        yield {"content": "", "reasoning": None, "reasoning_details": [detail]}
    calls = [
        [wire_call(i, call, piece) for piece in _pieces(call.arguments, size) or [""]]
        for i, call in enumerate(said["tool_calls"])
    ]
    for row in itertools.zip_longest(*calls):  # parallel calls take turns
        yield {"tool_calls": [one for one in row if one]}


def _pieces(text: str, size: int) -> list[str]:
    units = text.encode("utf-16-le", "surrogatepass")
    step = 2 * size
    return [units[i : i + step].decode("utf-16-le", "surrogatepass") for i in range(0, len(units), step)]


def stream(answer: list[dict[str, Any]], size: int) -> bytes:
    rows = itertools.zip_longest(*(list(deltas(said, size)) for said in answer))
    frames: list[dict[str, Any]] = [
        {"choices": [{"index": i, "delta": delta} for i, delta in enumerate(row) if delta]} for row in rows
    ]
    frames += [
        {"choices": [{"index": i, "delta": {}, "finish_reason": said["finish_reason"]}]}
        for i, said in enumerate(answer)
    ]
    frames.append({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}})
    return b"".join(b"data: " + json.dumps(frame).encode() + b"\n\n" for frame in frames) + b"data: [DONE]\n\n"


def decoded(pieces: list[bytes], sent: Sent = SENT) -> list[Delta]:
    decoder = ChatCompletions().decoder(sent=sent)
    return [*(delta for piece in pieces for delta in decoder.feed(piece)), *decoder.finish()]


def summed(made: list[Delta]) -> Reply:
    reply = Reply()
    for delta in made:
        reply.add(delta)
    return reply


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
    return [data[a:b] for a, b in itertools.pairwise(edges)]


@given(ANSWER)
def test_a_body(answer: list[dict[str, Any]]) -> None:
    assert expected(Reply.of(ChatCompletions().whole(body(answer), sent=SENT))) == answer


@given(ANSWER, st.integers(1, 5), CUTS)
def test_a_stream(answer: list[dict[str, Any]], size: int, cuts: list[int]) -> None:
    assert expected(summed(decoded(split(stream(answer, size), cuts)))) == answer


@given(ANSWER, st.integers(1, 5), CUTS)
def test_the_deltas_do_not_depend_on_the_split(answer: list[dict[str, Any]], size: int, cuts: list[int]) -> None:
    data = stream(answer, size)
    whole = decoded([data])
    assert decoded(split(data, cuts)) == whole
    assert decoded([data[i : i + 1] for i in range(len(data))]) == whole


PIECES = st.lists(
    st.sampled_from(
        [
            b"data: ",
            b"data:",
            b"\n",
            b"\r\n",
            b"\r",
            b"\n\n",
            b": c",
            b"[DONE]",
            b'{"choices":[{"delta":{"content":"\xc3\xa9"}}]}',
            b'{"choices":[{"delta":{"content":"\\ud83d"}}]}',
            b'{"choices":[{"delta":{"content":"\\ude00"}}]}',
            b'{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{"}}]}}]}',
            b'{"choices":[{"delta":{},"finish_reason":"stop"}]}',
            b'{"choices":[],"usage":{"prompt_tokens":1}}',
            b'{"error":{"message":"x","code":502}}',
            b"\xef\xbb\xbf",
            b"\xff",
        ]
    )
    | st.binary(max_size=3),
    max_size=14,
).map(b"".join)


def outcome(pieces: list[bytes]) -> Any:
    """The deltas up to the end or the error, and the error's text."""
    decoder = ChatCompletions().decoder()
    made: list[Delta] = []
    try:
        for piece in pieces:
            made.extend(decoder.feed(piece))
        made.extend(decoder.finish())
    except KiloError as error:
        return made, type(error), str(error), error.partial_text
    # A call to which nobody gave an id has a random one.
    return [replace(delta, ending=None) for delta in made], decoder.ended, decoder.partial_text


@given(PIECES, CUTS)
@example(b'data: {"choices":[{"delta":{"content":"\xc3\xa9"}}]}\r\n\r\n', [36, 37, 50])
def test_any_split_of_any_bytes_has_one_outcome(data: bytes, cuts: list[int]) -> None:
    whole = outcome([data])
    assert outcome(split(data, [cut % (len(data) + 1) for cut in cuts])) == whole
    assert outcome([data[i : i + 1] for i in range(len(data))]) == whole
