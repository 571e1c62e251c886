"""The sandbox on Responses and Messages: shapes, checks, changes on the way upstream, refused histories."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.gateway.signatures import sign
from tests.support.in_process import InProcess
from tests.support.plain_client import Response, post, request

RESPONSES, MESSAGES = "/api/gateway/responses", "/api/gateway/v1/messages"
GPT, CLAUDE = "openai/gpt-5.4", "anthropic/claude-sonnet-4.6"
ADD = {
    "name": "add",
    "description": "Add two numbers",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
}


def respond(gw: Sandbox, text: Any = "Hello", **fields: Any) -> Response:
    return post(gw, RESPONSES, {"model": GPT, "input": text, **fields}, gw.api_key)


def message(gw: Sandbox, content: Any = "Hello", **fields: Any) -> Response:
    turns = content if isinstance(content, list) else [{"role": "user", "content": content}]
    return post(gw, MESSAGES, {"model": CLAUDE, "max_tokens": 500, "messages": turns, **fields}, gw.api_key)


def test_a_body_of_responses(gw: Sandbox) -> None:
    answer = respond(gw, reasoning={"effort": "low"}, include=["reasoning.encrypted_content"]).json
    reasoning, said = answer["output"]
    assert (answer["object"], answer["status"], answer["model"]) == ("response", "completed", GPT)
    assert reasoning["type"] == "reasoning"
    assert reasoning["encrypted_content"]
    assert "Hello" in said["content"][0]["text"]
    usage = answer["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["cost"] > 0


def test_a_body_of_messages(gw: Sandbox) -> None:
    answer = message(gw, thinking={"type": "adaptive"}).json
    thinking, said = answer["content"]
    assert (answer["type"], answer["stop_reason"], answer["model"]) == ("message", "end_turn", CLAUDE)
    assert thinking["signature"]
    assert "Hello" in said["text"]
    assert answer["usage"]["cost"] > 0


def test_events_of_responses_end_with_the_whole_answer(gw: Sandbox) -> None:
    answer = respond(gw, stream=True, reasoning={"effort": "low"})
    events = [json.loads(event) for event in answer.events]
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert (events[0]["type"], events[-1]["type"]) == ("response.created", "response.completed")
    text = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert text == events[-1]["response"]["output"][-1]["content"][0]["text"]
    assert b"[DONE]" not in answer.data


def test_events_of_messages_carry_usage_at_both_ends(gw: Sandbox) -> None:
    events = [json.loads(event) for event in message(gw, stream=True, thinking={"type": "adaptive"}).events]
    assert [event["type"] for event in events[:2]] == ["message_start", "ping"]
    assert [event["type"] for event in events[-2:]] == ["message_delta", "message_stop"]
    assert events[0]["message"]["usage"]["input_tokens"] > 0
    assert events[-2]["usage"]["output_tokens"] > 0
    kinds = {event["delta"]["type"] for event in events if event["type"] == "content_block_delta"}
    assert kinds == {"thinking_delta", "signature_delta", "text_delta"}


def test_tools_are_called_on_both(gw: Sandbox) -> None:
    [call] = respond(gw, "Add 2 and 3", tools=[{"type": "function", **ADD}]).json["output"]
    assert (call["type"], call["name"], json.loads(call["arguments"])) == ("function_call", "add", {"a": 2, "b": 3})
    tool = {"name": "add", "description": ADD["description"], "input_schema": ADD["parameters"]}
    answer = message(gw, "Add 2 and 3", tools=[tool]).json
    assert answer["stop_reason"] == "tool_use"
    assert answer["content"][-1]["input"] == {"a": 2, "b": 3}


def test_an_answer_at_the_limit(gw: Sandbox) -> None:
    answer = respond(gw, "word " * 50, max_output_tokens=2).json
    assert (answer["status"], answer["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})
    assert message(gw, "word " * 50, max_tokens=2).json["stop_reason"] == "max_tokens"


def test_a_stored_answer_is_refused_after_the_credentials(gw: Sandbox) -> None:
    body = {"model": GPT, "input": "Hello", "store": True}
    assert post(gw, RESPONSES, body).status == 401
    assert post(gw, RESPONSES, body, gw.api_key).json["error_type"] == "unsupported_field"


@pytest.mark.parametrize("fields", [{"input": 5}, {"input": {}}, {"input": True}])
def test_inputs_of_a_wrong_type(gw: Sandbox, fields: dict[str, Any]) -> None:
    assert post(gw, RESPONSES, {"model": GPT, **fields}, gw.api_key).json["error_type"] == "invalid_request"


@pytest.mark.parametrize(
    "path", ["messages/count_tokens", "v1/messages/count_tokens", "responses/resp_1/cancel", "messages/", "typesafe/v1"]
)
def test_other_paths_are_not_served(gw: Sandbox, path: str) -> None:
    answer = post(gw, f"/api/gateway/{path}", {"model": CLAUDE, "messages": []}, gw.api_key)
    assert (answer.status, answer.json["error_type"]) == (400, "invalid_path")


@pytest.mark.parametrize("path", [f"{RESPONSES}?beta=true", "/api/openrouter/v1/responses"])
def test_aliases_and_queries(gw: Sandbox, path: str) -> None:
    assert post(gw, path, {"model": GPT, "input": "Hello"}, gw.api_key).json["object"] == "response"
    assert request(gw, "GET", f"{RESPONSES}/resp_1").status == 405


def test_a_key_in_another_header_is_anonymous(gw: Sandbox) -> None:
    body: dict[str, Any] = {"model": CLAUDE, "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
    assert post(gw, MESSAGES, body, headers={"x-api-key": gw.api_key}).status == 401


def test_the_fields_of_a_tier_on_each_interface() -> None:
    gateway = InProcess()
    text = {"format": {"type": "text"}}
    body: dict[str, Any] = {"model": "kilo-auto/frontier", "input": "Hi", "reasoning": {"effort": "high"}, "text": text}
    post(gateway, RESPONSES, body, gateway.api_key)
    sent = gateway.last.effective
    assert sent["reasoning"] == {"enabled": True, "effort": "medium", "summary": "auto"}
    assert sent["text"] == {**text, "verbosity": "medium"}
    turns = [{"role": "user", "content": "Hi"}]
    thinking = {"type": "enabled", "budget_tokens": 2000}
    body = {"model": "kilo-auto/frontier", "max_tokens": 5000, "messages": turns, "thinking": thinking}
    post(gateway, MESSAGES, body, gateway.api_key)
    sent = gateway.last.effective
    assert sent["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert sent["output_config"] == {"effort": "medium"}


def test_balanced_depends_on_the_interface() -> None:
    gateway = InProcess(catalog_ids="mid-2026")
    body: dict[str, Any] = {
        "model": "kilo-auto/balanced",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    served = {}
    for path in (RESPONSES, MESSAGES, "/api/gateway/chat/completions"):
        reply = post(gateway, path, {**body, "input": "Hi"}, gateway.api_key)
        served[path.rpartition("/")[2]] = reply.json["model"]
    assert served == {
        "responses": "openai/gpt-5.5",
        "messages": "anthropic/claude-sonnet-4.6",
        "completions": "qwen/qwen3.6-plus",
    }


CALL = {"type": "function_call", "call_id": "1", "name": "add", "arguments": "{}"}
SAID = {"type": "message", "role": "assistant", "status": "completed", "content": "Hello"}


@pytest.mark.parametrize(
    ("items", "fault"),
    [
        ([{"role": "user", "content": "Hi"}], "type"),
        ([{**SAID, "id": "msg_1"}], "not found"),
        ([CALL], "No tool output found"),
        ([{"type": "function_call_output", "call_id": "1", "output": "5"}], "No tool call found"),
        ([{"type": "reasoning", "summary": []}], "required following item"),
        ([{"type": "reasoning", "encrypted_content": "e", "content": [{}]}, SAID], "array too long"),
    ],
)
def test_histories_that_responses_refuses(gw: Sandbox, items: list[Any], fault: str) -> None:
    answer = respond(gw, items)
    assert answer.status == 400
    assert fault in answer.data.decode()


USER = {"role": "user", "content": "Hi"}
USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "1", "name": "add", "input": {}}]}
UNSIGNED = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""}]}

CHANGED = {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm ", "signature": sign("hm")}]}


@pytest.mark.parametrize(
    ("turns", "fault"),
    [
        ([USER, USER], "alternate"),
        ([USER, UNSIGNED, USER], "Invalid `signature`"),
        ([USER, CHANGED, USER], "Invalid `signature`"),
        ([{"role": "system", "content": "Hi"}], "expected user or assistant"),
        ([{"role": "user", "content": ""}], "non-empty"),
        ([{"role": "user", "content": [{"type": "text", "text": ""}]}], "non-empty"),
    ],
)
def test_histories_that_messages_refuses(gw: Sandbox, turns: list[Any], fault: str) -> None:
    answer = message(gw, turns)
    assert answer.status == 400
    assert fault in answer.data.decode()


def test_messages_takes_a_tool_call_without_its_result(gw: Sandbox) -> None:
    assert message(gw, [USER, USE, USER]).status == 200


def test_the_oldest_servers_have_one_interface() -> None:
    gateway = InProcess(era="E1")
    for path in (RESPONSES, MESSAGES, "/api/gateway/v1/chat/completions", "/api/gateway/embeddings"):
        body = {"model": GPT, "messages": [USER], "max_tokens": 5}
        answer = post(gateway, path, body, gateway.api_key)
        assert (answer.status, "path" in answer.data.decode().lower()) == (400, True)
    for path in ("/v1/models", "/embedding-models"):
        assert gateway.exchange("GET", f"/api/gateway{path}").status == 405
