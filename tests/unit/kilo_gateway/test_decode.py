"""Decoding of answers: the odd ones are repaired, everything that is not a whole answer raises."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilo_gateway import KiloError, KiloResponseError, KiloStreamInterruptedError, Reply
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.chat_completions import ChatCompletions

FINISH = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def frame(delta: Any, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, **more}]}


def call(index: Any = None, call_id: Any = None, name: Any = None, arguments: Any = None) -> dict[str, Any]:
    fragment: dict[str, Any] = {"function": {}}
    if index is not None:
        fragment["index"] = index
    if call_id is not None:
        fragment["id"] = call_id
    if name is not None:
        fragment["function"]["name"] = name
    if arguments is not None:
        fragment["function"]["arguments"] = arguments
    return fragment


def calls(*fragments: Any) -> dict[str, Any]:
    return frame({"tool_calls": list(fragments)})


def decode_frames(*frames: Any) -> Reply:
    decoder, reply = ChatCompletions().decoder(), Reply()
    for item in frames:
        for delta in decoder.feed(b"data: " + json.dumps(item).encode() + b"\n\n"):
            reply.add(delta)
    for delta in decoder.finish():
        reply.add(delta)
    return reply


def message(reply: Reply) -> list[tuple[str, str, str]]:
    return [(c.id, c.name, c.arguments) for c in reply.tool_calls]


A, B = ("a", "add", '{"x": 1}'), ("b", "mul", '{"y": 2}')


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        pytest.param([calls(call(0, "a", "add", '{"x": 1}'), call(1, "b", "mul", '{"y": 2}'))], [A, B], id="one chunk"),
        pytest.param(
            [
                calls(call(0, "a", "add", "")),
                calls(call(1, "b", "mul", '{"y')),
                calls(call(0, arguments='{"x": 1}')),
                calls(call(1, arguments='": 2}')),
            ],
            [A, B],
            id="interleaved",
        ),
        pytest.param(
            [calls(call(0, "a", "add", '{"x": 1}')), calls(call(0, "b", "mul", '{"y": 2}'))], [A, B], id="same index"
        ),
        pytest.param([calls(call(1, "a", "add", '{"x": 1}'))], [A], id="index from one"),
        pytest.param([calls(call(None, "a", "add", '{"x"')), calls(call(arguments=": 1}"))], [A], id="no index"),
        pytest.param(
            [
                calls(call(None, "a", "add", '{"x"')),
                calls(call(None, "b", "mul", '{"y": 2}')),
                calls(call(None, "a", arguments=": 1}")),
            ],
            [A, B],
            id="no index, by id",
        ),
        pytest.param(
            [calls(call(0, "a", "add", '{"x"')), calls(call(0, "a", "add", ": 1}"))], [A], id="id and name repeated"
        ),
        pytest.param([calls(call(0, "a", "add", '{"x"')), calls(call(0, "", "", ": 1}"))], [A], id="emptied later"),
        pytest.param(
            [calls(call(0, "a", arguments='{"x"')), calls(call(0, name="add", arguments=": 1}"))], [A], id="name later"
        ),
        pytest.param([calls(call(0, "a", "add", {"x": 1}))], [A], id="object arguments"),
        pytest.param([calls(call(0, "a", "add", "nu")), calls(call(0, arguments="ll"))], [("a", "add", "")], id="null"),
        pytest.param([calls(call(0, "a", "add"))], [("a", "add", "")], id="no arguments"),
        pytest.param([calls(call(0, "a", "add", "nul"))], [("a", "add", "nul")], id="truncated null stays"),
        pytest.param([calls({"index": 0, "id": "a"}), calls(call(0, None, "add", '{"x": 1}'))], [A], id="no function"),
    ],
)
def test_tool_call_oddities(frames: list[dict[str, Any]], expected: list[tuple[str, str, str]]) -> None:
    assert message(decode_frames(*frames, FINISH)) == expected


def test_a_call_without_any_id_gets_one() -> None:
    reply = decode_frames(calls(call(0, "", "add", '{"x": 1}')), FINISH)
    assert reply.tool_calls[0].id.startswith("call_")
    assert decode_frames(calls(call(0, None, "add", "{}")), FINISH).tool_calls[0].id != reply.tool_calls[0].id


def test_a_call_without_a_name_is_no_answer() -> None:
    with pytest.raises(KiloResponseError, match="without a function name"):
        decode_frames(calls(call(0, "a", None, "{}")), FINISH)


@pytest.mark.parametrize("arguments", [None, "", " ", "null"])
def test_a_fragment_without_name_and_arguments_fails_only_an_answer_that_calls_tools(arguments: str | None) -> None:
    fragment, text = calls(call(0, "a", None, arguments)), frame({"content": "whole"})
    for reason in ("stop", "length"):
        reply = decode_frames(text, fragment, frame({}, finish_reason=reason))
        assert (reply.text, reply.tool_calls) == ("whole", [])
    with pytest.raises(KiloResponseError, match="without a function name"):
        decode_frames(text, fragment, frame({}, finish_reason="tool_calls"))
    with pytest.raises(KiloResponseError, match="without a function name"):
        decode_frames(text, calls(call(0, "a", None, "{")), frame({}, finish_reason="stop"))


@pytest.mark.parametrize(
    ("text", "parsed"),
    [("", {}), ("null", {}), (" {} ", {}), ('{"a": 1}', {"a": 1}), ("[1]", None), ('{"a"', None), ("[" * 9999, None)],
)
def test_parsed_arguments(text: str, parsed: Any) -> None:
    body = {"choices": [{"message": {"tool_calls": [call(0, "a", "f", text)]}, "finish_reason": "tool_calls"}]}
    assert Reply.of(ChatCompletions().whole(json.dumps(body).encode())).tool_calls[0].parsed() == parsed


def test_reasoning_that_comes_in_several_fields_counts_once() -> None:
    details = [{"type": "reasoning.text", "text": "think", "index": 0}]
    everywhere = {"reasoning": "think", "reasoning_content": "think", "reasoning_details": details, "content": "x"}
    assert decode_frames(frame(everywhere), FINISH).reasoning == "think"
    assert decode_frames(frame({"reasoning_content": "think"}), FINISH).reasoning == "think"
    assert decode_frames(frame({"reasoning_details": details}), FINISH).reasoning == "think"
    assert decode_frames(frame({"content": [{"type": "thinking", "thinking": "think"}]}), FINISH).reasoning == "think"


def test_reasoning_details_keep_signature_format_and_ids() -> None:
    signed = {"type": "reasoning.text", "text": "ab", "signature": "s", "format": "anthropic-claude-v1", "index": 0}
    encrypted = {"type": "reasoning.encrypted", "data": "xx", "id": "rs_1", "format": "openai-responses-v1", "index": 0}
    second = {"type": "reasoning.text", "text": "c", "index": 0}
    fragments: list[dict[str, Any]] = [
        {"type": "reasoning.text", "text": "a", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": "b", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "signature": "s", "format": "anthropic-claude-v1", "index": 0},
        encrypted,
        second,
    ]
    reply = decode_frames(*(frame({"reasoning_details": [f]}) for f in fragments), FINISH)
    assert reply.ending.reasoning_details == [signed, encrypted, second]
    whole = {"choices": [{"message": {"content": "", "reasoning_details": fragments}, "finish_reason": "stop"}]}
    assert Reply.of(ChatCompletions().whole(json.dumps(whole).encode())).ending.reasoning_details == fragments


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"choices": []},
        {"choices": None},
        {"choices": [{"index": 0}]},
        {"choices": [{"delta": None}]},
        {"choices": [None]},
        frame({"content": None}),
        frame({"content": []}),
        {"error": None, "choices": []},
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 1}},
        frame({"tool_calls": None}),
        frame({"tool_calls": [None]}),
    ],
)
def test_odd_frames_add_nothing(odd: dict[str, Any]) -> None:
    reply = decode_frames(odd, frame({"content": "a"}), odd, FINISH, odd)
    assert (reply.text, reply.ending.finish_reason, reply.tool_calls) == ("a", "stop", [])


def test_content_as_a_list_and_without_an_index() -> None:
    reply = decode_frames({"choices": [{"delta": {"content": [{"type": "text", "text": "a"}, "b"]}}]}, FINISH)
    assert reply.text == "ab"


def test_the_last_usage_and_the_first_finish_reason_count() -> None:
    one = {"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "cost": 0.1}, "choices": []}
    two = {"usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6, "cost": 0.5}, "choices": []}
    ending = decode_frames(one, FINISH, two, frame({"content": ""}, finish_reason=None), FINISH).ending
    assert ending.usage is not None
    assert (ending.usage.completion_tokens, ending.usage.total_tokens, ending.usage.cost) == (5, 6, 0.5)
    assert ending.finish_reason == "stop"


def test_done_is_not_required() -> None:
    decoder = ChatCompletions().decoder()
    finish = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2}}\n\n'
    deltas = [*decoder.feed(finish + usage), *decoder.finish()]
    assert "".join(d.text for d in deltas) == "a"
    assert deltas[-1].ending is not None
    assert deltas[-1].ending.usage is not None
    assert [d.ending for d in deltas[:-1]] == [None, None]


def test_done_ends_a_complete_answer_at_once_and_no_other() -> None:
    decoder = ChatCompletions().decoder()
    body = b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    assert [d.ending is not None for d in decoder.feed(body)] == [False, True]
    assert decoder.ended
    assert [*decoder.feed(b'data: {"choices":[{"delta":{"content":"b"}}]}\n\ndata: x\n\n'), *decoder.finish()] == []
    cut = ChatCompletions().decoder()
    assert len(list(cut.feed(b'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: [DONE]\n\n'))) == 1
    with pytest.raises(KiloStreamInterruptedError):
        list(cut.finish())


@pytest.mark.parametrize(
    ("pieces", "whole"),
    [
        (["a\ud83d", "\ude00b"], "a\U0001f600b"),
        (["\ud83d", "", "\ude00"], "\U0001f600"),
        (["a\ud83d", "b"], "a\ufffdb"),
        (["\ude00a"], "\ufffda"),
        (["a\ud83d"], "a\ufffd"),
        (["e\u0301", "\u2028"], "e\u0301\u2028"),
    ],
)
def test_characters_that_were_cut_in_two(pieces: list[str], whole: str) -> None:
    fields = ("content", "reasoning", "refusal")
    frames = [frame(dict.fromkeys(fields, piece)) for piece in pieces]
    reply = decode_frames(*frames, FINISH)
    assert (reply.text, reply.reasoning, reply.refusal) == (whole, whole, whole)
    arguments = [calls(call(0, "i", "f", piece)) for piece in ['{"x": "', *pieces, '"}']]
    assert decode_frames(*arguments, FINISH).tool_calls[0].parsed() == {"x": whole}
    body = {"choices": [{"message": {"content": "".join(pieces)}, "finish_reason": "stop"}]}
    assert Reply.of(ChatCompletions().whole(json.dumps(body).encode())).text == whole


@pytest.mark.parametrize(
    ("frames", "error", "message"),
    [
        ([frame({"content": "par"})], KiloStreamInterruptedError, "finish_reason"),
        ([], KiloResponseError, "empty"),
        ([frame({"content": "par"}), [1]], KiloResponseError, "not an object"),
        ([frame({"content": "par"}), {"error": {"code": 502, "message": "lost"}}], KiloError, "lost"),
        ([frame({"content": "par"}), frame({}, finish_reason="error")], KiloError, "without a message"),
        ([frame({"content": "par"}), frame({}, error={"code": 429, "message": "slow"})], KiloError, "slow"),
    ],
)
def test_what_is_no_whole_stream_raises(frames: list[Any], error: type[KiloError], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        decode_frames(*frames)
    assert caught.value.partial_text == ("par" if frames else "")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b"<html>", "not JSON: <html>"),
        (b"[1]", "not a JSON object"),
        (b"{}", "no choices"),
        (b'{"choices": []}', "no choices"),
        (b'{"choices": null}', "no choices"),
        (b'{"choices": [{"message": {"content": ""}, "finish_reason": null}]}', "neither content"),
    ],
)
def test_what_is_no_answer_raises(body: bytes, message: str) -> None:
    with pytest.raises(KiloResponseError, match=message):
        Reply.of(ChatCompletions().whole(body))


def test_an_event_stream_in_place_of_a_body() -> None:
    reply = Reply.of(
        ChatCompletions().whole(b'data: {"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n')
    )
    assert reply.text == "a"


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([10**400, float("inf"), "\ud83d"])
    | st.text(max_size=5)
    | st.sampled_from(["stop", "error"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "index",
                    "id",
                    "error",
                    "finish_reason",
                    "usage",
                    "reasoning_details",
                    "text",
                    "type",
                    "code",
                    "metadata",
                    "cost",
                    "provider_metadata",
                    "gateway",
                    "images",
                    "annotations",
                    "audio",
                    "logprobs",
                    "citations",
                    "refusal",
                ]
            ),
            inner,
            max_size=6,
        )
    ),
    max_leaves=25,
)


@given(st.lists(_JSON | st.builds(lambda d: {"choices": [{"delta": d}]}, _JSON), max_size=6))
def test_any_sequence_of_frames_decodes_or_is_a_kilo_error(frames: list[Any]) -> None:
    try:
        reply = decode_frames(*frames)
    except KiloError:
        return
    assert reply.ending.finish_reason


@given(_JSON | st.builds(lambda m: {"choices": [{"message": m, "finish_reason": "stop"}]}, _JSON))
def test_any_body_decodes_or_is_a_kilo_error(body: Any) -> None:
    try:
        reply = Reply.of(ChatCompletions().whole(json.dumps(body).encode()))
    except KiloError:
        return
    assert isinstance(reply.text, str)


def choices(*entries: tuple[int, str, str | None]) -> bytes:
    message = [{"index": i, "delta": {"content": text}, "finish_reason": finish} for i, text, finish in entries]
    return b"data: " + json.dumps({"choices": message}).encode() + b"\n\n"


def decode_choices(stream: bytes, *, several: bool) -> Reply:
    decoder, reply = ChatCompletions().decoder(sent=Sent(several=several)), Reply()
    for delta in [*decoder.feed(stream), *decoder.finish()]:
        reply.add(delta)
    return reply


def test_choices_are_kept_apart_and_each_must_end() -> None:
    interleaved = choices((0, "a", None), (1, "x", None)) + choices((1, "y", None)) + choices((0, "b", "stop"))
    with pytest.raises(KiloStreamInterruptedError) as caught:
        decode_choices(interleaved + b"data: [DONE]\n\n", several=True)
    assert caught.value.partial_text == "ab"
    reply = decode_choices(interleaved + choices((1, "z", "length")) + b"data: [DONE]\n\n", several=True)
    assert (reply.text, reply.ending.finish_reason) == ("ab", "stop")
    assert {i: (r.text, r.ending.finish_reason) for i, r in reply.others.items()} == {1: ("xyz", "length")}


def test_choices_nobody_asked_for_are_left_out() -> None:
    reply = decode_choices(choices((0, "a", "stop"), (1, "x", None)), several=False)
    assert (reply.text, reply.others) == ("a", {})


def test_an_id_that_was_told_before_continues_its_call() -> None:
    """Two calls share an index, and the first goes on after the second has begun."""
    frames = [calls(call(0, "a", "f", '{"x":')), calls(call(0, "b", "g", '{"y": 2}')), calls(call(0, "a", None, "1}"))]
    reply = decode_frames(*frames, FINISH)
    assert message(reply) == [("a", "f", '{"x":1}'), ("b", "g", '{"y": 2}')]


def test_reasoning_details_keep_every_member_that_was_told() -> None:
    signed = {"type": "reasoning.text", "text": "", "signature": "S", "id": None, "format": None, "index": 0}
    reply = decode_frames(frame({"reasoning_details": [signed]}), FINISH)
    assert reply.ending.reasoning_details == [signed]


def test_reasoning_details_of_two_indices_may_take_turns() -> None:
    pieces = [(0, "a"), (1, "x"), (0, "b"), (1, "y")]
    told_in_turns = [
        frame({"reasoning_details": [{"type": "reasoning.text", "text": text, "index": index}]})
        for index, text in pieces
    ]
    details = decode_frames(*told_in_turns, FINISH).ending.reasoning_details
    assert [(detail["index"], detail["text"]) for detail in details] == [(0, "ab"), (1, "xy")]
