"""Paths, and the order of checks: a request with several faults shows only the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from tests.support.plain_client import CHAT, chat, post, request

Body = dict[str, Any]

EVERY_FAULT: Body = {
    "providerOptions": {},
    "model": " ",
    "messages": "Hi",
    "provider": {"data_collection": "maybe"},
    "store": True,
    "max_tokens": 10**12,
}

# Each step mends the fault just seen; the next answer shows the next fault.
LADDER: list[tuple[str, Callable[[Body, dict[str, str]], Any], int, str]] = [
    ("providerOptions", lambda body, headers: None, 400, "unsupported_field"),
    ("model", lambda body, headers: body.pop("providerOptions"), 404, "model_not_found"),
    ("messages", lambda body, headers: body.update(model="kilo-auto/org"), 400, "invalid_request"),
    ("provider", lambda body, headers: body.update(messages=[]), 400, "invalid_request"),
    ("zdr", lambda body, headers: body.update(provider={"zdr": 1}), 400, "invalid_request"),
    (
        "organisation",
        lambda body, headers: body.update(provider={"data_collection": "deny"}),
        400,
        "organization_auto_configuration",
    ),
    (
        "token",
        lambda body, headers: body.update(model="google/gemma-4-31b-it:free"),
        401,
        "authentication_required",
    ),
    (
        "store",
        lambda body, headers: headers.update(authorization="Bearer anonymous"),
        400,
        "unsupported_field",
    ),
    ("max_tokens", lambda body, headers: body.update(store=None), 503, "temporarily_unavailable"),
    ("unavailable", lambda body, headers: body.update(max_tokens=99), 404, "unavailable_model"),
    ("deny", lambda body, headers: body.update(model="made/up:free"), 400, "data_collection_required"),
    ("unknown", lambda body, headers: body.update(provider={}), 404, "model_not_found"),
]


def test_the_first_fault_is_the_one_shown(gw: Sandbox) -> None:
    body, headers = dict(EVERY_FAULT), {"authorization": "Bearer public"}
    for name, mend, status, error_type in LADDER:
        mend(body, headers)
        answer = post(gw, CHAT, body, headers=headers)
        assert (name, answer.status, answer.json["error_type"]) == (name, status, error_type)
    body["model"] = "openrouter/free"
    assert post(gw, CHAT, body, headers=headers).status == 200


def test_paid_models_ask_for_balance_before_anything_about_the_model(gw: Sandbox) -> None:
    assert chat(gw, "made/up", key=None).status == 401
    assert chat(gw, "made/up", key=gw.poor_api_key).status == 402
    missing = chat(gw, "made/up", key=gw.api_key)
    assert missing.status == 404
    assert missing.json["message"].startswith("The requested model 'made/up' does not exist.")


def test_a_misspelled_scenario_is_an_unknown_model(gw: Sandbox) -> None:
    assert chat(gw, "sandbox/no-such-scenario").status == 404


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[1, 2"])
def test_malformed_json(gw: Sandbox, body: bytes) -> None:
    answer = post(gw, CHAT, body)
    assert answer.status == 400
    assert answer.json["error"] == "Malformed JSON"
    assert answer.json["message"].startswith("Request body is not valid JSON: ")


@pytest.mark.parametrize("body", [[], "text", 3, None])
def test_json_that_is_no_object(gw: Sandbox, body: Any) -> None:
    assert post(gw, CHAT, body).json["error"] == "Invalid request"


@pytest.mark.parametrize("root", ["/api/gateway", "/api/openrouter"])
@pytest.mark.parametrize("path", ["/chat/completions", "/v1/chat/completions"])
def test_chat_paths(gw: Sandbox, root: str, path: str) -> None:
    assert post(gw, root + path, {"model": "sandbox/echo", "messages": []}).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/api/gateway/completions",
        "/api/gateway/chat/completions/",
        "/api/gateway/v1/embeddings",
        "/api/gateway/images/generations",
        "/api/gateway/v1/v1/chat/completions",
        "/chat/completions",
    ],
)
def test_other_posts_are_invalid_paths(gw: Sandbox, path: str) -> None:
    answer = post(gw, path, {"model": "sandbox/echo", "messages": []})
    assert answer.status == 400
    assert answer.json == {
        "error": "Invalid path",
        "error_type": "invalid_path",
        "message": "This endpoint only accepts the path `/chat/completions`.",
    }


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", CHAT),
        ("GET", "/api/gateway/models/openai%2Fgpt-5.4"),
        ("GET", "/other"),
        ("DELETE", CHAT),
        ("OPTIONS", "/api/gateway/models"),
    ],
)
def test_everything_else_is_405_without_a_body(gw: Sandbox, method: str, path: str) -> None:
    answer = request(gw, method, path)
    assert (answer.status, answer.data) == (405, b"")


@pytest.mark.parametrize(("path", "kind"), [("/v1/messages", "messages"), ("/responses", "responses")])
def test_scenarios_of_chat_completions_are_declined_on_the_other_interfaces(gw: Sandbox, path: str, kind: str) -> None:
    answer = post(
        gw, f"/api/gateway{path}", {"model": "sandbox/null-finish", "messages": [], "max_tokens": 9}, gw.api_key
    )
    assert answer.status == 400
    assert answer.json["error_type"] == "api_kind_not_supported"
    assert f"the {kind} API" in answer.json["message"]


def test_what_goes_upstream_is_recorded(gw: Sandbox) -> None:
    chat(
        gw,
        "openai/gpt-5.4",
        stream=True,
        stream_options={"x": 1},
        models=["a/b"],
        user="me",
        temperature=0,
        headers={"x-kilocode-taskid": "t1"},
    )
    sent = gw.last.effective
    assert sent["stream_options"] == {"x": 1, "include_usage": True}
    assert "models" not in sent
    assert sent["user"] not in ("me", None)
    assert sent["temperature"] == 0
    assert sent["prompt_cache_key"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"stop": True}, "stop: expected"),
        ({"n": 0}, "n: expected"),
        ({"max_tokens": "9"}, "max_tokens: expected"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name: expected"),
        ({"messages": [{"role": "user", "content": 3}]}, "messages[0].content: expected"),
        (
            {
                "messages": [
                    {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": {}}}]}
                ]
            },
            "messages[0].tool_calls[0].function.arguments: expected JSON text",
        ),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema: expected"),
    ],
)
def test_wrong_types_are_refused_as_upstream_does(gw: Sandbox, fields: dict[str, Any], named: str) -> None:
    answer = post(gw, CHAT, {"model": "openai/gpt-5.4", "messages": [], **fields}, gw.api_key)
    assert answer.status == 400
    assert answer.json["error"]["metadata"]["raw"].startswith(named)
