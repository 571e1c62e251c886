"""Every scenario that ends badly, and the table of errors behind most of them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kilo_gateway.sandbox import SCENARIOS, Sandbox, Scenario
from kilo_gateway.sandbox.gateway.error_bodies import ERRORS
from tests.support.plain_client import chat, finishes, joined

ERROR_SCENARIOS = [s for s in SCENARIOS.values() if s.kind == "error" and "chat_completions" in s.apis]
WHOLE = [s for s in ERROR_SCENARIOS if s.refuse]
STREAMED = [s for s in ERROR_SCENARIOS if not s.refuse]

# Every row of the gateway's table, written down a second time: status, error_type, error.code.
TABLE: dict[str, tuple[int, str | None, str | int | None]] = {
    "invalid-path": (400, "invalid_path", None),
    "malformed-json": (400, "invalid_request", None),
    "invalid-request": (400, "invalid_request", None),
    "unsupported-field": (400, "unsupported_field", None),
    "unsupported-store": (400, "unsupported_field", None),
    "missing-client-ip": (400, "missing_client_ip", None),
    "api-kind-not-supported": (400, "api_kind_not_supported", None),
    "data-collection": (400, "data_collection_required", None),
    "organization-auto": (400, "organization_auto_configuration", None),
    "byok-connection": (400, "byok_error", None),
    "invalid-token": (401, "authentication_required", "INVALID_TOKEN"),
    "paid-model": (401, "paid_model_auth_required", "PAID_MODEL_AUTH_REQUIRED"),
    "promotion-limit": (401, "promotion_limit_reached", "PROMOTION_MODEL_LIMIT_REACHED"),
    "authentication-required": (401, "authentication_required", None),
    "no-balance": (402, "usage_limit_exceeded", None),
    "low-credit": (402, "usage_limit_exceeded", None),
    "top-up": (503, "top_up_in_progress", None),
    "account-restricted": (403, "account_restricted", None),
    "abuse-blocked": (403, "abuse_blocked", None),
    "provider-not-allowed": (403, "provider_not_allowed", None),
    "feature-exclusive": (403, "feature_exclusive_model", None),
    "model-missing": (404, "model_not_found", None),
    "model-not-found": (404, "model_not_found", None),
    "model-not-allowed": (404, "model_not_allowed", None),
    "no-provider": (404, "provider_not_allowed", None),
    "unavailable-model": (404, "unavailable_model", None),
    "discontinued": (404, "discontinued_free_model", None),
    "upgrade": (426, "upgrade_required", None),
    "rate-limit": (429, "rate_limit_exceeded", None),
    "throttled": (429, "rate_limit_exceeded", None),
    "free-model-limit": (429, "rate_limit_exceeded", None),
    "no-free-models": (503, "no_free_models_available", None),
    "auto-routing": (503, "model_not_allowed", None),
    "unavailable": (503, "temporarily_unavailable", None),
    "byok-401": (401, "byok_error", None),
    "byok-402": (402, "byok_error", None),
    "byok-403": (403, "byok_error", None),
    "byok-404": (404, "byok_error", None),
    "byok-429": (429, "byok_error", None),
    "context-length": (400, "context_length_exceeded", 400),
    "context-length-500": (500, "context_length_exceeded", None),
    "upstream-error": (500, "upstream_error", None),
    "upstream-disconnect": (503, "upstream_disconnect", None),
    "upstream-timeout": (503, "timeout", None),
}


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(ERRORS)
    assert {f"sandbox/error-{name}" for name in TABLE} <= {scenario.id for scenario in WHOLE}


@pytest.mark.parametrize("scenario", WHOLE, ids=lambda s: s.id)
def test_a_refusal_is_what_it_says_streamed_and_not(gw: Sandbox, scenario: Scenario) -> None:
    for stream in (False, True):
        answer = chat(gw, scenario.id, stream=stream)
        assert answer.status == scenario.status == gw.last.status
        for text in (scenario.error_type, scenario.message, scenario.detail, scenario.code):
            assert text is None or str(text) in answer.data.decode()
        if (row := TABLE.get(scenario.id.removeprefix("sandbox/error-"))) is not None:
            error = answer.json["error"]
            code = error.get("code") if isinstance(error, dict) else None
            assert (answer.status, answer.json["error_type"], code) == row
            assert answer.headers["content-type"] == "application/json"
            assert "<" not in answer.data.decode()


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 502, 503, 504, 524, 529])
def test_upstream_errors_have_upstreams_shape(gw: Sandbox, status: int) -> None:
    answer = chat(gw, f"sandbox/error-{status}")
    assert answer.status == status
    assert answer.json["error"]["code"] == status
    assert answer.json["error"]["metadata"]["provider_name"] == "Sandbox"
    assert "error_type" not in answer.json


def test_byok_texts_are_marked(gw: Sandbox) -> None:
    for name in [name for name in TABLE if name.startswith("byok")]:
        body = chat(gw, f"sandbox/error-{name}").json
        assert body["error"] == body["message"]
        assert body["error"].startswith("[BYOK] ")


def test_retry_headers_exist_in_two_cases_only(gw: Sandbox) -> None:
    found = {}
    for scenario in WHOLE:
        headers = chat(gw, scenario.id).headers
        if named := {name: value for name, value in headers.items() if name.startswith("retry")}:
            found[scenario.id] = named
    assert found == {
        "sandbox/error-top-up": {"retry-after": "5"},
        "sandbox/error-throttled": {"retry-after": "1", "retry-after-ms": "40"},
    }


ODD_BODIES: dict[str, tuple[int, str | None, bytes]] = {
    "error-empty-405": (405, None, b""),
    "error-html-502": (502, "text/html", b"<!doctype html>"),
    "error-html-200": (200, "text/html", b"<!doctype html>"),
    "error-empty-body-200": (200, "application/json", b""),
    "error-not-json-200": (200, "application/json", b'{"id":'),
}


@pytest.mark.parametrize("name", ODD_BODIES)
def test_odd_bodies(gw: Sandbox, name: str) -> None:
    answer = chat(gw, f"sandbox/{name}")
    status, kind, start = ODD_BODIES[name]
    assert (answer.status, answer.headers.get("content-type")) == (status, kind)
    assert answer.data.startswith(start)
    assert bool(answer.data) == bool(start)
    with pytest.raises(json.JSONDecodeError):
        _ = answer.json


MISSING = object()


@pytest.mark.parametrize(
    ("name", "choices"),
    [("error-no-choices-200", MISSING), ("error-null-choices-200", None), ("error-choices-empty-200", [])],
)
def test_answers_without_choices(gw: Sandbox, name: str, choices: Any) -> None:
    body = chat(gw, f"sandbox/{name}").json
    assert body.get("choices", MISSING) == choices
    assert body["usage"]["prompt_tokens"] > 0


def test_a_success_status_with_an_error(gw: Sandbox) -> None:
    assert chat(gw, "sandbox/error-200-credits").json["error"]["title"] == "Paid Model - Credits Required"
    assert chat(gw, "sandbox/error-200-string").json["error"] == "Service Unavailable"


# Streams that break off.
@pytest.mark.parametrize("scenario", STREAMED, ids=lambda s: s.id)
def test_no_failing_stream_ends_like_a_good_one(gw: Sandbox, scenario: Scenario) -> None:
    answer = chat(gw, scenario.id, stream=True)
    assert answer.status == 200
    assert "[DONE]" not in answer.events
    if scenario.id != "sandbox/bad-json-frame":
        assert set(finishes(answer.chunks)) <= {"error"}
        assert not any(chunk.get("usage") for chunk in answer.chunks)


@pytest.mark.parametrize("scenario", STREAMED, ids=lambda s: s.id)
def test_no_failing_stream_is_a_good_answer_either(gw: Sandbox, scenario: Scenario) -> None:
    answer = chat(gw, scenario.id)
    if not answer.complete:
        assert scenario.id == "sandbox/drop-connection"
        return
    choices = answer.json.get("choices")
    assert "error" in answer.json or not choices or choices[0]["finish_reason"] == "error"
    if scenario.message:
        assert scenario.message in answer.data.decode()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("stream-error-upstream", {"code": 429, "message": "Provider returned error"}),
        ("stream-error-finish", {"code": 502, "message": "Upstream connection lost"}),
        ("stream-error-disconnect", {"code": 503, "type": "upstream_disconnect"}),
        ("stream-error-timeout", {"code": 504, "type": "timeout"}),
        ("stream-error-invalid-response", {"code": 502, "type": "invalid_response"}),
        ("stream-error-first", {"code": 429, "message": "Provider returned error"}),
    ],
)
def test_error_frames(gw: Sandbox, name: str, error: dict[str, Any]) -> None:
    chunks = chat(gw, f"sandbox/{name}", stream=True).chunks
    assert chunks[-1]["error"].items() >= error.items()
    assert [chunk for chunk in chunks[:-1] if "error" in chunk] == []
    assert (len(chunks) == 1) == (name == "stream-error-first")
    if error.get("type"):
        assert "choices" not in chunks[-1]
        assert chunks[-1]["id"] == chunks[0]["id"]


def test_a_string_error_in_a_frame(gw: Sandbox) -> None:
    last = chat(gw, "sandbox/stream-error-string", stream=True).chunks[-1]
    assert last["error"] == "Upstream error"
    assert last["message"] == "The sandbox cut you off."
    assert last["error_type"] == "upstream_error"


def test_errors_within_a_choice(gw: Sandbox) -> None:
    for answer in (
        chat(gw, "sandbox/error-choice-error").json,
        chat(gw, "sandbox/error-choice-error", stream=True).chunks[-1],
    ):
        assert answer["choices"][0]["finish_reason"] == "error"
        assert answer["choices"][0]["error"]["code"] == 502
    last = chat(gw, "sandbox/finish-error", stream=True).chunks[-1]
    assert last["choices"][0]["finish_reason"] == "error"
    assert "error" not in last


def test_cut_and_dropped_streams(gw: Sandbox) -> None:
    cut = chat(gw, "sandbox/cut-stream", stream=True)
    assert cut.complete
    assert joined(cut.chunks) == "Canned sandbox answer"
    assert finishes(cut.chunks) == []
    dropped = chat(gw, "sandbox/drop-connection", stream=True)
    assert not dropped.complete
    assert b"data: {" in dropped.data.rpartition(b"\n\n")[2]  # half a frame
    assert chat(gw, "sandbox/empty-stream", stream=True).events == []
    with pytest.raises(json.JSONDecodeError):
        _ = chat(gw, "sandbox/bad-json-frame", stream=True).chunks


# Calls that fail once.
@pytest.mark.parametrize("status", [503, 429])
def test_a_flaky_model_fails_once_a_reset(gw: Sandbox, status: int) -> None:
    for _ in range(2):
        gw.clear()
        assert [chat(gw, f"sandbox/flaky-{status}").status for _ in range(3)] == [status, 200, 200]


def test_scenarios_describe_themselves() -> None:
    for name, scenario in SCENARIOS.items():
        assert name == scenario.id
        assert scenario.id.startswith("sandbox/")
        assert scenario.description
        assert "\n" not in scenario.description
    with pytest.raises(TypeError):
        SCENARIOS["sandbox/x"] = SCENARIOS["sandbox/echo"]  # type: ignore[index] # what is refused
