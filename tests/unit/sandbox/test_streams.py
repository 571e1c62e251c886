"""Streams: the plain one, and every scenario that ends well."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support.in_process import InProcess
from tests.support.outcomes import SUCCESSES
from tests.support.plain_client import Response, calls, chat, deltas, finishes, joined, tool

TEXT = "Compare Paris with Rome"
WEATHER = tool("get_weather", "Weather of a city", city={"type": "string"})


def streamed(gateway: Sandbox, model: str, **fields: Any) -> Response:
    answer = chat(gateway, model, TEXT, stream=True, **fields)
    assert answer.status == 200
    assert answer.complete
    return answer


def usages(answer: Response) -> list[dict[str, Any]]:
    return [chunk["usage"] for chunk in answer.chunks if chunk.get("usage")]


# The plain stream.
def test_the_bytes_of_a_stream(gw: Sandbox) -> None:
    text = streamed(gw, "openai/gpt-5.4").data.decode()
    events = text.split("\n\n")
    assert events[0] == ": KILO PROCESSING"
    assert events[1].startswith('data: {"id":"gen-')
    assert events[-2:] == ["data: [DONE]", ""]


def test_the_chunks_of_the_first_upstream(gw: Sandbox) -> None:
    answer = streamed(gw, "openai/gpt-5.4")
    chunks = answer.chunks
    assert len({chunk["id"] for chunk in chunks}) == 1
    for chunk in chunks:
        assert chunk["object"] == "chat.completion.chunk"
        assert chunk["model"] == "openai/gpt-5.4"
        assert chunk["provider"] == "Sandbox"
        assert chunk["choices"][0].keys() >= {
            "index",
            "delta",
            "finish_reason",
            "native_finish_reason",
            "logprobs",
        }
    assert finishes(chunks) == ["stop"]
    assert finishes(chunks[-2:-1]) == ["stop"]
    assert chunks[-1]["usage"]["cost"] > 0
    assert [chunk.get("usage") for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert len(chunks) > 6


def test_the_chunks_of_the_second_upstream() -> None:
    with InProcess(upstream="vercel") as gateway:
        answer = streamed(gateway, "openai/gpt-5.4")
        whole = chat(gateway, "openai/gpt-5.4").json
    chunks = answer.chunks
    assert chunks[0]["id"].startswith("gen_01")
    assert all("provider" not in chunk for chunk in chunks)
    [finish] = [delta for delta in deltas(chunks) if "provider_metadata" in delta]
    assert float(finish["provider_metadata"]["gateway"]["cost"]) > 0
    assert isinstance(finish["provider_metadata"]["gateway"]["cost"], str)
    assert "cost" not in chunks[-1]["usage"]
    assert chunks[-1]["choices"] == []
    assert whole["choices"][0]["message"]["provider_metadata"]["gateway"]["routing"]["finalProvider"] == "openai"
    assert "cost" not in whole["usage"]


@pytest.mark.parametrize("model", ["kilo-auto/free", "openrouter/free"])
def test_free_models_have_no_cost(gw: Sandbox, model: str) -> None:
    usage = chat(gw, model).json["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0
    assert not usage.keys() & {"cost", "cost_details", "is_byok"}


def test_reasoning_comes_first_and_its_signature_last(gw: Sandbox) -> None:
    made = deltas(streamed(gw, "kilo-auto/frontier").chunks)
    thinking = [delta for delta in made if "reasoning_details" in delta]
    assert made[: len(thinking)] == thinking
    assert "".join(delta["reasoning"] or "" for delta in thinking) == "".join(
        delta["reasoning_details"][0].get("text", "") for delta in thinking
    )
    assert thinking[-1]["reasoning_details"][0]["signature"]
    assert thinking[-1]["reasoning_details"][0]["format"] == "anthropic-claude-v1"


@pytest.mark.parametrize(
    ("switch", "comment", "last"),
    [
        ({"keepalive": ""}, "data: {", "data: [DONE]"),
        ({"keepalive": "OPENROUTER PROCESSING"}, ": OPENROUTER PROCESSING\n\n", "data: [DONE]"),
        ({"done": False}, ": KILO PROCESSING\n\n", "}"),
        ({"era": "E1"}, ": OPENROUTER PROCESSING\n\n", "data: [DONE]"),
    ],
)
def test_switches_of_the_stream(switch: dict[str, Any], comment: str, last: str) -> None:
    with InProcess(**switch) as gateway:
        text = streamed(gateway, "openrouter/free").data.decode()
    assert text.startswith(comment)
    assert text.rstrip("\n").endswith(last)


# Scenarios.
@pytest.mark.parametrize("model", SUCCESSES)
def test_a_scenario_says_the_same_streamed_and_not(gw: Sandbox, model: str) -> None:
    fields: dict[str, Any] = {"tools": [WEATHER]} if "tool" in model or "parallel" in model else {}
    whole = chat(gw, model, TEXT, **fields)
    answer = streamed(gw, model, **fields)
    message, chunks = whole.message, answer.chunks
    content = message["content"]
    if isinstance(content, list):
        content = content[0]["text"]
    assert joined(chunks) == (content or "")
    assert joined(chunks, "refusal") == (message.get("refusal") or "")
    for field in ("reasoning", "reasoning_content"):
        assert joined(chunks, field) == (message.get(field) or "")
    assert set(finishes(chunks)[:1]) == {whole.json["choices"][0]["finish_reason"] or "stop"}
    names = [call["function"]["name"] for call in message.get("tool_calls") or []]
    assert [call["name"] for call in calls(chunks)] == names
    if usages(answer):
        assert usages(answer)[-1] == whole.json["usage"]
    for chunk in chunks:
        assert chunk.get("model", model) == model


Check = Callable[[Response], object]


def _ids(answer: Response) -> list[list[dict[str, Any]]]:
    return [delta["tool_calls"] for delta in deltas(answer.chunks) if delta.get("tool_calls")]


def _indices(answer: Response) -> list[Any]:
    return [one.get("index") for ones in _ids(answer) for one in ones]


def _roles(answer: Response) -> list[Any]:
    return [delta.get("role", "-") for delta in deltas(answer.chunks)]


def _details(answer: Response) -> list[dict[str, Any]]:
    return [entry for delta in deltas(answer.chunks) for entry in delta.get("reasoning_details") or []]


CHECKS: dict[str, Check] = {
    "role-every-delta": lambda a: set(_roles(a)) == {"assistant"},
    "role-first-only": lambda a: _roles(a)[0] == "assistant" and set(_roles(a)[1:]) == {"-"},
    "no-role": lambda a: set(_roles(a)) == {"-"},
    "role-null": lambda a: _roles(a)[0] == "assistant" and set(_roles(a)[1:]) == {None},
    "usage-empty-choices": lambda a: a.chunks[-1]["choices"] == [] and a.chunks[-1]["usage"],
    "usage-on-finish": lambda a: finishes(a.chunks[-1:]) == ["stop"] and a.chunks[-1]["usage"],
    "usage-missing": lambda a: not usages(a),
    "usage-twice": lambda a: (
        len(usages(a)) == 2 and usages(a)[0]["completion_tokens"] < usages(a)[1]["completion_tokens"]
    ),
    "finish-twice": lambda a: finishes(a.chunks) == ["stop", "stop"],
    "finish-reset": lambda a: [c["choices"][0]["finish_reason"] for c in a.chunks][-4:] == ["stop", None, None, None],
    "no-done": lambda a: a.events[-1] != "[DONE]",
    "no-choices-chunk": lambda a: "choices" not in a.chunks[-1] and a.chunks[-1]["usage"],
    "first-chunk-empty-choices": lambda a: a.chunks[0]["choices"] == [],
    "delta-null": lambda a: any(c.get("delta", 0) is None for k in a.chunks for c in k["choices"]),
    "choice-without-delta": lambda a: any("delta" not in c for k in a.chunks for c in k["choices"]),
    "empty-answer": lambda a: joined(a.chunks) == "" and finishes(a.chunks) == ["stop"],
    "error-null": lambda a: all(chunk["error"] is None for chunk in a.chunks),
    "content-list": lambda a: any(isinstance(d["content"], list) for d in deltas(a.chunks)),
    "keepalive": lambda a: a.data.count(b": KILO PROCESSING\n\n") > 40,
    "unicode": lambda a: "\u2028".encode() in a.data and "👩\u200d👩\u200d👧".encode() in a.data,
    "crlf": lambda a: b"\r\n\r\n" in a.data and a.data.count(b"\n") == a.data.count(b"\r\n"),
    "cr-only": lambda a: b"\r\r" in a.data and b"\n" not in a.data,
    "no-space": lambda a: b"data: " not in a.data and b"data:{" in a.data and b"data:[DONE]" in a.data,
    "bom": lambda a: a.data.startswith(b"\xef\xbb\xbf: KILO"),
    "multi-line-data": lambda a: a.data.count(b"data:") > 5 * len(a.chunks),
    "last-event-unterminated": lambda a: a.data.endswith(b"data: [DONE]"),
    "parallel-tools": lambda a: sorted(set(_indices(a))) == [0, 1] and _indices(a) == sorted(_indices(a)),
    "parallel-same-index": lambda a: set(_indices(a)) == {0} and len(calls(a.chunks)) == 2,
    "parallel-interleaved": lambda a: _indices(a)[:4] == [0, 1, 0, 1],
    "tool-index-from-one": lambda a: sorted(set(_indices(a))) == [1, 2],
    "tool-no-index": lambda a: set(_indices(a)) == {None},
    "tool-id-repeated": lambda a: (
        len(_ids(a)) > 4 and all(one["id"] and one["function"]["name"] for ones in _ids(a) for one in ones)
    ),
    "tool-name-empty-later": lambda a: [one["function"]["name"] for [one] in _ids(a)][:2] == ["get_weather", ""],
    "tool-empty-id": lambda a: [bool(one["id"]) for [one] in _ids(a)][:2] == [True, False],
    "tool-args-object": lambda a: isinstance(calls(a.chunks)[0]["parts"][0], dict),
    "tool-args-null": lambda a: calls(a.chunks)[0]["parts"] == [None],
    "tool-args-empty": lambda a: calls(a.chunks)[0]["parts"] == [""],
    "tool-args-whole": lambda a: json.loads(calls(a.chunks)[0]["parts"][0]) == {"city": "Paris"},
    "tool-two-in-one-chunk": lambda a: {len(ones) for ones in _ids(a)} == {2},
    "tool-args-truncated": lambda a: finishes(a.chunks) == ["length"],
    "tool-text-before": lambda a: joined(a.chunks) == "Let me look that up.",
    "refusal": lambda a: joined(a.chunks, "refusal").startswith("I can't"),
    "images": lambda a: any(d.get("images") for d in deltas(a.chunks)),
    "annotations": lambda a: any(d.get("annotations") for d in deltas(a.chunks)),
    "audio": lambda a: any(d.get("audio") for d in deltas(a.chunks)),
    "length": lambda a: finishes(a.chunks) == ["length"] and not joined(a.chunks).endswith("Rome"),
    "content-filter": lambda a: finishes(a.chunks) == ["content_filter"],
    "cost-string": lambda a: isinstance(usages(a)[0]["cost"], str),
    "byok": lambda a: usages(a)[0]["cost"] == 0 < usages(a)[0]["cost_details"]["upstream_inference_cost"],
    "cost-top-level": lambda a: "cost" not in usages(a)[0] and a.chunks[-1]["provider_metadata"]["gateway"]["cost"],
    "cached-tokens": lambda a: usages(a)[0]["prompt_tokens_details"]["cached_tokens"] > 0,
    "reasoning": lambda a: any(d.get("reasoning") and d.get("reasoning_details") for d in deltas(a.chunks)),
    "reasoning-string": lambda a: joined(a.chunks, "reasoning") and not _details(a),
    "reasoning-content": lambda a: joined(a.chunks, "reasoning_content") and not joined(a.chunks, "reasoning"),
    "reasoning-details-only": lambda a: _details(a) and not joined(a.chunks, "reasoning"),
    "reasoning-encrypted": lambda a: (
        [e["type"] for e in _details(a)][-2:] == ["reasoning.encrypted", "reasoning.summary"]
        and {e["index"] for e in _details(a)} == {0}
    ),
    "vercel": lambda a: a.chunks[0]["id"].startswith("gen_"),
    "no-id": lambda a: not {"id", "model", "created"} & a.chunks[0].keys(),
    "more-fields": lambda a: a.chunks[0]["service_tier"] and a.chunks[0]["x_groq"],
    "usage-details-null": lambda a: usages(a)[0]["completion_tokens_details"] is None,
    "usage-details-missing": lambda a: "completion_tokens_details" not in usages(a)[0],
    "usage-total-off": lambda a: (
        usages(a)[0]["total_tokens"] != usages(a)[0]["prompt_tokens"] + usages(a)[0]["completion_tokens"]
    ),
    "cost-zero": lambda a: usages(a)[0]["cost"] == 0,
    "reasoning-tokens-exceed": lambda a: (
        usages(a)[0]["completion_tokens_details"]["reasoning_tokens"] > usages(a)[0]["completion_tokens"]
    ),
    "finish-with-text": lambda a: a.chunks[-2]["choices"][0]["delta"]["content"],
    "finish-changes": lambda a: finishes(a.chunks) == ["stop", "length"],
    "finish-unknown": lambda a: finishes(a.chunks) == ["end_turn"],
    "tool-finish-stop": lambda a: calls(a.chunks) and finishes(a.chunks) == ["stop"],
    "leading-whitespace": lambda a: joined(a.chunks) != joined(a.chunks).strip(),
    "think-tags": lambda a: joined(a.chunks).startswith("<think>"),
    "leaked-call": lambda a: joined(a.chunks).endswith("</tool_call>"),
    "sparse-deltas": lambda a: all(value for delta in deltas(a.chunks) for value in delta.values()),
    "reasoning-hidden": lambda a: [e["type"] for e in _details(a)] == ["reasoning.encrypted"],
    "reasoning-mixed": lambda a: any(d.get("reasoning") and d.get("content") for d in deltas(a.chunks)),
    "reasoning-only": lambda a: joined(a.chunks, "reasoning") and not joined(a.chunks),
    "tool-index-gap": lambda a: len(calls(a.chunks)) > 1 and 3 in _indices(a) and 1 not in _indices(a),
    "tool-id-never": lambda a: {one["id"] for ones in _ids(a) for one in ones} == {""},
    "tool-type-empty": lambda a: {one["type"] for ones in _ids(a) for one in ones} == {""},
    "annotations-file": lambda a: [d["annotations"][0]["type"] for d in deltas(a.chunks) if "annotations" in d],
    "gzip": lambda a: a.headers["content-encoding"] == "gzip",
    "content-type-html": lambda a: a.headers["content-type"].startswith("text/html"),
    "content-type-json": lambda a: a.headers["content-type"] == "application/json",
}


@pytest.mark.parametrize("name", CHECKS)
def test_a_scenario_shows_its_oddity(gw: Sandbox, name: str) -> None:
    fields = {"tools": [WEATHER]} if "tool" in name or "parallel" in name else {}
    assert CHECKS[name](streamed(gw, f"sandbox/{name}", **fields))


@pytest.mark.parametrize("name", CHECKS)
def test_the_usual_answer_does_not_show_it(gw: Sandbox, name: str) -> None:
    """Guards the checks above: each must be able to fail."""
    answer = streamed(gw, "sandbox/echo")
    try:
        shown = bool(CHECKS[name](answer))
    except (IndexError, KeyError, StopIteration):
        shown = False
    assert shown == (name == "role-every-delta")


def test_spoiled_arguments_are_no_json(gw: Sandbox) -> None:
    for name in ("tool-args-invalid", "tool-args-truncated"):
        [call] = calls(streamed(gw, f"sandbox/{name}", tools=[WEATHER]).chunks)
        with pytest.raises(json.JSONDecodeError):
            json.loads("".join(call["parts"]))


@pytest.mark.parametrize("name", [s for s in SUCCESSES if "tool" in s or "parallel" in s])
def test_tool_scenarios_end_once_the_tools_have_answered(gw: Sandbox, name: str) -> None:
    called = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    conversation: list[dict[str, Any]] = [
        {"role": "user", "content": TEXT},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "c1", "content": "rainy"},
    ]
    answer = chat(gw, name, conversation, tools=[WEATHER])
    assert answer.json["choices"][0]["finish_reason"] == "stop"
    assert "rainy" in answer.text


def test_tool_scenarios_call_all_offered_tools(gw: Sandbox) -> None:
    other = tool("book_hotel", nights={"type": "integer"})
    assert [name for name, _ in chat(gw, "sandbox/parallel-tools", TEXT, tools=[WEATHER, other]).arguments] == [
        "get_weather",
        "book_hotel",
    ]
    assert [name for name, _ in chat(gw, "sandbox/parallel-tools", TEXT).arguments] == [
        "get_weather",
        "get_time",
    ]
