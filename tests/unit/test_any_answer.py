"""Any JSON in any field of an answer is an answer or a KiloError, and decoration never costs the text."""

from __future__ import annotations

import contextlib
import copy
import functools
import json
import operator
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from langchain_core.messages import AIMessageChunk

from kilo_gateway import KiloError, Reply
from kilo_gateway.embeddings import decode as decode_embeddings
from kilo_gateway.encoding.lenient_json import DEPTH
from kilo_gateway.errors.sent import Sent
from kilo_gateway.interfaces.chat_completions import ChatCompletions
from kilo_gateway.reply import Delta
from langchain_kilo.from_gateway import to_chunk, to_message
from llama_index_kilo import KiloLLM, from_gateway

TEXT = "Hello, Zoë"
DETAIL = {"type": "reasoning.text", "text": "because", "index": 0, "format": "x", "id": "r", "signature": "s"}
TOKEN = {"token": "Hello", "logprob": -0.5, "bytes": [72, 101]}
CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
MESSAGE: dict[str, Any] = {
    "role": "assistant",
    "content": TEXT,
    "reasoning": "because",
    "reasoning_content": "because",
    "reasoning_details": [DETAIL, {**DETAIL, "index": 1}],
    "refusal": "no",
    "images": [{"type": "image_url", "index": 0, "image_url": {"url": "https://example.com/a.png"}}],
    "annotations": [{"type": "url_citation", "url_citation": {"url": "https://example.com", "title": "t"}}],
    "audio": {"id": "a", "data": "AAAA", "transcript": "t", "format": "wav", "expires_at": 1},
    "tool_calls": [CALL],
    "provider_metadata": {"gateway": {"cost": "0.1"}},
}
USAGE = {
    "prompt_tokens": 1,
    "completion_tokens": 2,
    "total_tokens": 3,
    "cost": 0.5,
    "is_byok": False,
    "cost_details": {"upstream_inference_cost": 0.1},
    "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0, "cache_write_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 1, "audio_tokens": 0},
}
ANSWER: dict[str, Any] = {
    "id": "gen-1",
    "object": "chat.completion",
    "model": "vendor/model",
    "provider": "Vendor",
    "created": 1,
    "system_fingerprint": "f",
    "service_tier": "default",
    "citations": ["https://example.com"],
    "provider_metadata": {"gateway": {"cost": "0.1"}},
    "usage": USAGE,
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "native_finish_reason": "STOP",
            "logprobs": {"content": [{**TOKEN, "top_logprobs": [TOKEN]}], "refusal": [TOKEN]},
            "message": MESSAGE,
        }
    ],
}
FAILURE = {
    "error": {
        "message": "no",
        "code": 429,
        "type": "t",
        "title": "T",
        "balance": 1,
        "buyCreditsUrl": "https://example.com",
        "metadata": {"provider_name": "Vendor", "raw": {"a": 1}, "buyCreditsUrl": "https://example.com"},
    },
    "error_type": "rate_limit_exceeded",
    "message": "no",
    "id": "gen-1",
}
# Without these an answer says something else, or nothing.
MATTERS = {"choices", "index", "finish_reason", "message", "content", "refusal", "tool_calls"}

Path = tuple[str | int, ...]


def paths(value: Any, here: Path = ()) -> Iterator[Path]:
    yield here
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from paths(inner, (*here, key))


def is_decoration(path: Path) -> bool:
    """Return whether the text can do without the value at `path`."""
    if not path or path[0] != "choices":
        return bool(path)
    names = [key for key in path if isinstance(key, str)]
    return len(names) > 1 and MATTERS.isdisjoint(names[1:] if names[1] != "message" else names[2:] or ["message"])


def replaced(value: Any, path: Path, new: Any) -> Any:
    if not path:
        return new
    changed = copy.copy(value)
    changed[path[0]] = replaced(value[path[0]], path[1:], new)
    return changed


STRANGE = st.sampled_from(
    [
        "http://",
        "https://[",
        "data:",
        "data:;base64,\x00",
        "\ud83d",
        "\ude00",
        "https://example.com/\ud800",
        "\x1b[2J",
        float("nan"),
        float("-inf"),
        10**400,
        -(10**400),
        10**4000,
        {"\ud800": "\udfff"},
        {"index": {"a": []}},
        [[[]]],
    ]
)
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=5) | STRANGE
JSON = st.recursive(
    SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["index", "type", "text", "id", "url", "content", "bytes", "token", "error", "function"])
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
REQUEST = KiloLLM(model="vendor/model").prepare([], stream=False)


def streamed(answer: Any) -> list[Delta]:
    """Return the deltas of a stream that sends everything in one frame, its details in two."""
    frames = [answer]
    if isinstance(answer, dict) and isinstance(answer.get("choices"), list):
        frames = [{**answer, "choices": [_as_delta(choice) for choice in answer["choices"]]}]
    decoder = ChatCompletions().decoder()
    deltas: list[Delta] = []
    for frame in frames:
        deltas += decoder.feed(b"data: " + json.dumps(frame).encode() + b"\n\n")
    return deltas + list(decoder.finish())


def _as_delta(choice: Any) -> Any:
    if not isinstance(choice, dict) or "message" not in choice:
        return choice
    return {("delta" if key == "message" else key): value for key, value in choice.items()}


def whole(answer: Any) -> list[Delta]:
    return list(ChatCompletions().whole(json.dumps(answer).encode()))


def texts_of(deltas: list[Delta]) -> set[str]:
    """Return the text that each class gives, after using everything that a user may use of its answer."""
    reply, steps = Reply(), Reply()
    responses = []
    for delta in deltas:
        reply.add(delta)
        responses.append(from_gateway.step(steps, delta, REQUEST))
    llm = KiloLLM()
    for response in [*responses, from_gateway.response_of(reply, REQUEST)]:
        response.model_dump_json()
        from_gateway.completion(response).model_dump_json()
        llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    message = to_message(reply, REQUEST)
    total: AIMessageChunk = functools.reduce(operator.add, [to_chunk(delta, REQUEST) for delta in deltas])
    for shown in (message, total):
        shown.model_dump_json()
        json.dumps(shown.content_blocks).encode()
        shown.pretty_repr().encode()
    return {reply.text, message.text, total.text, responses[-1].message.content or ""}


@pytest.mark.parametrize("way", [streamed, whole])
def test_the_answer_that_the_others_are_made_of(way: Any) -> None:
    assert texts_of(way(ANSWER)) == {TEXT}


@given(st.sampled_from([path for path in paths(ANSWER) if is_decoration(path)]), JSON)
@example(("choices", 0, "logprobs", "content", 0, "bytes"), "abc")
@example(("choices", 0, "logprobs", "content", 0, "top_logprobs", 0, "bytes"), [1.5])
@example(("choices", 0, "message", "images", 0, "image_url", "url"), "http://")
@example(("choices", 0, "message", "images", 0, "image_url", "url"), "https://example.com/\ud800")
@example(("choices", 0, "message", "reasoning_details", 0, "index"), {"a": 1})
def test_decoration_never_costs_the_text(path: Path, value: Any) -> None:
    answer = replaced(ANSWER, path, value)
    for way in (streamed, whole):
        assert texts_of(way(answer)) == {TEXT}, way


@given(st.sampled_from(list(paths(ANSWER))), JSON)
@example(("choices", 0, "message", "content"), [{"type": "text", "text": "\ud83d"}])
def test_anything_else_is_an_answer_or_a_kilo_error(path: Path, value: Any) -> None:
    answer = replaced(ANSWER, path, value)
    for way in (streamed, whole):
        try:
            deltas = way(answer)
        except KiloError:
            continue
        texts_of(deltas)


@given(st.sampled_from(list(paths(FAILURE))), JSON)
def test_any_error_is_a_kilo_error(path: Path, value: Any) -> None:
    answer = replaced(FAILURE, path, value)
    for way in (streamed, whole):
        with pytest.raises(KiloError) as caught:
            way(answer)
        str(caught.value).encode()


DEEP = [150, 250, 900]


def nested(depth: int) -> Any:
    value: Any = {}
    for _ in range(depth // 2):
        value = {"a": [value]}
    return value


@pytest.mark.parametrize("depth", DEEP)
def test_deep_decoration_costs_no_text(depth: int) -> None:
    for path in paths(ANSWER):
        if is_decoration(path):
            for way in (streamed, whole):
                assert texts_of(way(replaced(ANSWER, path, nested(depth)))) == {TEXT}, path


@pytest.mark.parametrize("depth", DEEP)
def test_deep_arguments_are_a_call_that_cannot_run(depth: int) -> None:
    path = ("choices", 0, "message", "tool_calls", 0, "function", "arguments")
    for way in (streamed, whole):
        reply = Reply()
        for delta in way(replaced(ANSWER, path, nested(depth))):
            reply.add(delta)
        arguments = reply.tool_calls[0].parsed()
        assert arguments == (nested(depth) if depth < DEPTH else None)


@pytest.mark.parametrize("depth", DEEP)
def test_a_deep_error_is_a_kilo_error(depth: int) -> None:
    for path in paths(FAILURE):
        for way in (streamed, whole):
            with pytest.raises(KiloError):
                way(replaced(FAILURE, path, nested(depth)))


@pytest.mark.parametrize("depth", DEEP)
def test_a_deep_embedding_is_vectors_or_a_kilo_error(depth: int) -> None:
    for path in paths(EMBEDDED):
        content = json.dumps(replaced(EMBEDDED, path, nested(depth))).encode()
        with contextlib.suppress(KiloError):
            decode_embeddings(content, None, Sent(), texts=2, length=None)


EMBEDDED = {
    "data": [{"index": 0, "embedding": [0.5, 1.0]}, {"index": 1, "embedding": [0.5, 2.0]}],
    "model": "vendor/model",
    "usage": {"prompt_tokens": 1, "total_tokens": 1, "cost": 0.1},
    "provider_metadata": {"gateway": {"cost": "0.1"}},
}


@given(st.sampled_from(list(paths(EMBEDDED))), JSON)
def test_any_embedding_is_vectors_or_a_kilo_error(path: Path, value: Any) -> None:
    content = json.dumps(replaced(EMBEDDED, path, value)).encode()
    try:
        embedded = decode_embeddings(content, None, Sent(), texts=2, length=None)
    except KiloError:
        return
    assert [len(vector) for vector in embedded.vectors] == [len(embedded.vectors[0])] * 2
    embedded.model.encode()
