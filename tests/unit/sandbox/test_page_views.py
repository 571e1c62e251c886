"""Test what the page shows of a request: conversation, answer, time line, tokens, errors and differences."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kilo_gateway.sandbox import SCENARIOS, Sandbox, Scenario
from kilo_gateway.sandbox.gateway.error_bodies import ERRORS, render
from kilo_gateway.sandbox.page import conversation
from kilo_gateway.sandbox.page.answers import Reading, error_of
from kilo_gateway.sandbox.page.remedies import remedy
from kilo_gateway.sandbox.page.values import differences, marked
from kilo_gateway.sandbox.page.views import Views
from tests.support.in_process import InProcess
from tests.support.plain_client import CHAT, PATHS, ask, chat, post, request, tool

PNG = "data:image/png;base64,iVBORw0KGgo="
Json = dict[str, Any]

# The same conversation on each interface.
ASKED: dict[str, Json] = {
    "completions": {
        "messages": [
            {"role": "system", "content": "Be short."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "Look"}, {"type": "image_url", "image_url": {"url": PNG}}],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning": "I add.",
                "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}],
            },
            {"role": "tool", "tool_call_id": "c1", "content": "5"},
        ],
    },
    "responses": {
        "instructions": "Be short.",
        "input": [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": "Look"}, {"type": "input_image", "image_url": PNG}],
            },
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "I add."}]},
            {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 2}'},
            {"type": "function_call_output", "call_id": "c1", "output": "5"},
        ],
    },
    "messages": {
        "max_tokens": 100,
        "system": [{"type": "text", "text": "Be short."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "Look"},
                    {
                        "type": "image",
                        "source": {"type": "base64", "media_type": "image/png", "data": PNG.partition(",")[2]},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "I add.", "signature": "s"},
                    {"type": "tool_use", "id": "c1", "name": "add", "input": {"a": 2}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1", "content": "5"}]},
        ],
    },
}
APIS = {"completions": "chat_completions", "responses": "responses", "messages": "messages"}


def details(gateway: Sandbox) -> Json:
    return Views().details(gateway.last)


def parts(turns: list[Json]) -> list[tuple[str, str, str]]:
    return [(part["kind"], part.get("name", ""), part["text"]) for turn in turns for part in turn["parts"]]


@pytest.mark.parametrize("api", ASKED)
def test_a_conversation_reads_the_same_on_each_interface(api: str) -> None:
    turns = conversation.of_request(APIS[api], ASKED[api])
    assert parts(turns) == [
        ("text", "", "Be short."),
        ("text", "", "Look"),
        ("image", "", f"image, {len(PNG)} characters"),
        ("reasoning", "", "I add."),
        ("tool call", "add", '{\n  "a": 2\n}'),
        ("tool result", "add", "5"),
    ]
    assert [part["url"] for turn in turns for part in turn["parts"] if part["kind"] == "image"] == [PNG]


@pytest.mark.parametrize(
    "url",
    ["https://host.example/a.png", "data:image/svg+xml;base64,PHN2Zz4=", "data:text/html,<b>", "javascript:alert(1)"],
)
def test_only_images_in_the_request_itself_are_shown(url: str) -> None:
    message = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}
    (part,) = conversation.of_message(message)["parts"]
    assert part == {"kind": "other", "name": "image", "text": url}


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_read_with_its_calls_tokens_and_cost(gw: Sandbox, api: str, stream: bool) -> None:
    adder = tool("add", "Add.", a={"type": "integer"}, b={"type": "integer"})
    ask(gw, api, "anthropic/claude-sonnet-4.6", "add(2, 3)", tools=[adder], stream=stream)
    shown = details(gw)
    assert ("tool call", "add", '{\n  "a": 2,\n  "b": 3\n}') in [
        (kind, name, json.dumps(json.loads(text), indent=2) if kind == "tool call" else text)
        for kind, name, text in parts(shown["answer"])
    ]
    row = shown["row"]
    assert (row["interface"], row["state"], row["status"]) == (APIS[api], "ok", 200)
    assert row["requested"] == row["served"] == "anthropic/claude-sonnet-4.6"
    assert row["tokens"]["input"] > 10
    assert row["tokens"]["output"] > 5
    assert 0 < row["cost"] < 0.01
    assert [offered["name"] for offered in shown["tools"]] == ["add"]
    kinds = [frame["kind"] for frame in shown["frames"]]
    assert ("tool call" in kinds and "finish" in kinds) if stream else kinds == ["body"]
    times = [frame["at"] for frame in shown["frames"]]
    assert times == sorted(times)
    assert times[0] > 0


@pytest.mark.parametrize("api", PATHS)
def test_a_tier_shows_its_mode_and_what_the_gateway_changes(gw: Sandbox, api: str) -> None:
    fields: Json = (
        {"input": "Hi"} if api == "responses" else {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9000}
    )
    headers = {"x-kilocode-mode": "plan", "x-kilocode-taskid": "trip"}
    post(gw, PATHS[api], {"model": "kilo-auto/frontier", **fields}, gw.api_key, headers)
    shown = details(gw)
    row, changes = shown["row"], {change["path"]: change for change in shown["changes"]}
    assert (row["tier"], row["mode"], row["task"], row["preview"]) == ("frontier", "plan", "trip", "Hi")
    assert "".join(changes["model"]["before"]) == "kilo-auto/frontier"
    assert "".join(changes["model"]["after"]) == row["served"] == "anthropic/claude-opus-4.7"
    assert changes["thinking" if api == "messages" else "reasoning"]["before"] is None
    named = dict(shown["facts"])
    assert named["Tier"] == "frontier"
    assert named["Cost"].startswith("$0.00")


def test_a_stream_under_way_is_read_on_from_where_the_last_look_ended() -> None:
    gateway = InProcess()
    chat(gateway, "sandbox/reasoning", stream=True)
    whole, record, views = Views().details(gateway.last), gateway.last, Views()
    writes, record.finished = list(record.written), False
    seen: list[Json] = []
    for count in (1, 4, 5, len(writes)):
        record.written = writes[:count]
        shown = views.details(record, len(seen))
        assert shown["row"]["state"] == "running"
        assert shown["raw_answer"] == ""
        seen += shown["frames"]
        assert len(seen) >= count
    assert seen == whole["frames"]
    assert shown["answer"] == whole["answer"]
    assert "conversation" not in shown  # only the first look needs it


# The client completes these answers from what it has, or waits for what never comes; the page shows what came.
READ_OTHERWISE = {"sandbox/no-last-event", "sandbox/prose-events", "sandbox/tool-unconfirmed"}
READ_OTHERWISE |= {"sandbox/flaky-503", "sandbox/flaky-429"}  # only the first call fails
STATES = {"success": "ok", "error": "failed"}
SHOWN = [s for s in SCENARIOS.values() if s.kind in STATES and s.id not in READ_OTHERWISE]


@pytest.mark.parametrize("scenario", SHOWN, ids=lambda scenario: scenario.id)
def test_every_scenario_looks_as_it_is(gw: Sandbox, scenario: Scenario) -> None:
    for streamed in (True,) if scenario.stream_only else (False, True):
        ask(gw, {value: name for name, value in APIS.items()}[scenario.apis[0]], scenario.id, "Hi", stream=streamed)
        shown = details(gw)
        row = shown["row"]
        assert row["state"] == STATES[scenario.kind], row["error"]
        if scenario.kind == "error":
            assert row["error"]["message"]
            assert row["error"]["remedy"]
        elif scenario.id != "sandbox/empty-answer":
            assert shown["answer"]
            assert "unreadable" not in [frame["kind"] for frame in shown["frames"]]


@pytest.mark.parametrize(
    ("model", "state", "message"),
    [
        ("sandbox/cut-stream", "failed", "without the event that completes it"),
        ("sandbox/drop-connection", "failed", "The connection broke"),
        ("sandbox/stream-error-upstream", "failed", "Provider returned error"),
        ("sandbox/error-429", "failed", "too many requests"),
        ("sandbox/echo", "ok", None),
    ],
)
def test_an_answer_that_is_not_whole_never_looks_whole(
    gw: Sandbox, model: str, state: str, message: str | None
) -> None:
    chat(gw, model, stream=True)
    row = details(gw)["row"]
    assert row["state"] == state
    if message is None:
        assert row["error"] is None
    else:
        assert message in row["error"]["message"]
        assert row["error"]["remedy"]


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_of_the_gateway_has_its_text_and_a_remedy(gw: Sandbox, name: str) -> None:
    status, body, _ = render(name, gw.options)
    error = error_of(body, json.dumps(body))
    assert error["message"]
    assert "{" not in error["message"]
    assert error["type"] == body.get("error_type", "")
    assert remedy(error, status)


def test_a_page_of_a_proxy_is_shown_as_its_text() -> None:
    reading = Reading("chat_completions", {"content-type": "text/html"})
    reading.feed(0.5, b"<h1>Bad gateway</h1>")
    reading.finish(502)
    assert reading.error is not None
    assert reading.error["message"] == "<h1>Bad gateway</h1>"


def test_requests_that_are_no_chat_have_a_row_too(gw: Sandbox) -> None:
    request(gw, "GET", "/api/gateway/models?page=1")
    shown = details(gw)
    assert (shown["row"]["interface"], shown["row"]["label"]["model"]) == ("other", "GET /api/gateway/models")
    assert shown["address"] == "GET /api/gateway/models?page=1"
    post(gw, "/api/gateway/embeddings", {"model": "mistral-embed-2312", "input": ["one", "two"]}, gw.api_key)
    assert parts(details(gw)["conversation"]) == [("text", "", "one"), ("text", "", "two")]


def test_two_requests_are_compared_at_each_place(gw: Sandbox) -> None:
    chat(gw, "sandbox/echo", "Name a river", temperature=0)
    chat(gw, "sandbox/echo", "Name a lake", top_p=1)
    rows = {row["path"]: row for row in Views().compared(*gw.requests)}
    assert rows["Requested model"]["same"]
    assert rows["body.messages[0].content"]["before"] == ["Name a ", "river", ""]
    assert rows["body.messages[0].content"]["after"] == ["Name a ", "lake", ""]
    assert (rows["body.temperature"]["before"], rows["body.temperature"]["after"]) == (["", "0", ""], None)
    assert not rows["answer"]["same"]


def test_differences_take_json_as_json() -> None:
    assert differences({"a": 1, "b": [1, 2]}, {"a": True, "b": [1]}) == [
        {"path": "a", "before": "1", "after": "true"},
        {"path": "b[1]", "before": "2", "after": None},
    ]
    assert marked([{"path": "p", "before": "aXa", "after": "aa"}])[0]["before"] == ["a", "X", "a"]


def test_texts_are_found_in_any_case(gw: Sandbox) -> None:
    chat(gw, "sandbox/echo", "Name a RIVER", temperature=0.25)
    text = Views().text(gw.last)
    assert all(word in text for word in ("river", "sandbox/echo", "0.25"))
    assert gw.api_key not in text


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["role", "content", "type", "text", "tool_calls", "function", "output", "error", "choices"])
            | st.sampled_from(
                ["delta", "usage", "message", "item", "response", "input", "name", "id", "summary", "source"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(value=VALUES, api=st.sampled_from(sorted(APIS.values())), kind=st.sampled_from(["", "error", "message_delta"]))
def test_any_json_can_be_shown(value: Any, api: str, kind: str) -> None:
    body = dict.fromkeys(("messages", "input", "instructions", "system", "tools", "choices", "output"), value)
    assert json.dumps(conversation.of_request(api, body))
    assert json.dumps(conversation.tools(body))
    payload = {
        **(value if isinstance(value, dict) else {"usage": value, "choices": value, "delta": value}),
        "type": kind,
    }
    for content_type in ("text/event-stream", "application/json"):
        reading = Reading(api, {"content-type": content_type})
        data = json.dumps(payload)
        reading.feed(0.1, f"data: {data}\n\n".encode() if "stream" in content_type else data.encode())
        reading.finish(200)
        assert json.dumps([reading.turns, reading.tokens, reading.frames, reading.error], allow_nan=False)


def test_a_deeply_nested_body_is_shown(gw: Sandbox) -> None:
    content = '{"model":"sandbox/echo","messages":[{"role":"user","content":' + "[" * 900 + "]" * 900 + "}]}"
    request(gw, "POST", CHAT, content.encode())
    assert json.dumps(details(gw))
