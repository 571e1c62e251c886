"""Every scenario of the sandbox through both classes, sync and async, streamed and not: one outcome for all."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import openai
import pytest
from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, AIMessageChunk
from llama_index.core.base.llms.types import ChatResponse

from kilo_gateway import (
    KiloAuthenticationError,
    KiloConnectionError,
    KiloContextLengthError,
    KiloCreditsError,
    KiloDataCollectionError,
    KiloError,
    KiloInvalidRequestError,
    KiloModelNotFoundError,
    KiloPermissionError,
    KiloProviderTimeoutError,
    KiloRateLimitError,
    KiloResponseError,
    KiloServerError,
    KiloSignInRequiredError,
    KiloStatusError,
    KiloStreamInterruptedError,
)
from kilo_gateway.sandbox import SCENARIOS, Sandbox
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.tools import FUNCTION_TOOLS, add, greet
from tests.support.ways import STREAMED, TOOLS_TEXT, WAYS, collect, messages, said

SUCCESSES = sorted(name for name, s in SCENARIOS.items() if s.kind == "success" and not s.transient)
WITHOUT_TEXT = ("empty-answer", "refusal", "audio", "reasoning-only")
ERRORS = sorted(name for name, s in SCENARIOS.items() if s.kind == "error")


BROKEN = "no JSON object"


@dataclass
class Outcome:
    text: str
    reasoning: str
    calls: list[tuple[str, Any]]
    usage: tuple[int, int, int] | None
    cost: float | None
    finish_reason: str | None
    details: list[dict[str, Any]]


def from_langchain(message: AIMessage | AIMessageChunk) -> Outcome:
    usage = message.usage_metadata
    calls = [(c["name"], c["args"]) for c in message.tool_calls]
    calls += [(c["name"] or "", BROKEN) for c in message.invalid_tool_calls]
    return Outcome(
        text=message.text,
        reasoning=message.additional_kwargs.get("reasoning_content", ""),
        calls=sorted(calls, key=repr),
        usage=(usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) if usage else None,
        cost=message.response_metadata.get("cost"),
        finish_reason=message.response_metadata.get("finish_reason"),
        details=message.additional_kwargs.get("reasoning_details", []),
    )


def from_llama_index(response: ChatResponse) -> Outcome:
    blocks, extra = response.message.blocks, response.additional_kwargs
    thoughts = [b for b in blocks if b.block_type == "thinking"]
    tokens = tuple(extra.get(k) for k in ("prompt_tokens", "completion_tokens", "total_tokens"))
    return Outcome(
        text=response.message.content or "",
        reasoning="".join(b.content or "" for b in thoughts),
        calls=sorted(((b.tool_name, parsed(b.tool_kwargs)) for b in blocks if b.block_type == "tool_call"), key=repr),
        usage=None if None in tokens else tokens,
        cost=extra.get("cost"),
        finish_reason=extra.get("finish_reason"),
        details=[d for b in thoughts for d in b.additional_information.get("reasoning_details", [])],
    )


def parsed(arguments: str) -> Any:
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        return BROKEN
    return value if isinstance(value, dict) else BROKEN


Run = Callable[[Sandbox, str, bool], Outcome]


def langchain(gateway: Sandbox, model: str, tools: bool) -> Any:
    llm = ChatKilo(model=model, base_url=gateway.base_url, api_key=gateway.api_key, max_retries=0)
    return llm.bind_tools([add, greet]) if tools else llm


def llama_index(gateway: Sandbox, model: str, tools: bool, method: str) -> ChatResponse:
    llm = KiloLLM(model=model, base_url=gateway.base_url, api_key=gateway.api_key, max_retries=0)
    if not tools:
        return collect(getattr(llm, method)(messages(TOOLS_TEXT)))[-1]
    ask = getattr(llm, f"{method}_with_tools")
    return collect(ask(FUNCTION_TOOLS, TOOLS_TEXT, allow_parallel_tool_calls=True))[-1]


def run_of(way: str) -> Run:
    framework, method = way.split()
    if framework == "langchain":
        return lambda g, model, tools: from_langchain(said(method, langchain(g, model, tools), TOOLS_TEXT))
    return lambda g, model, tools: from_llama_index(llama_index(g, model, tools, method))


RUNS = {way: run_of(way) for way in WAYS}


@pytest.mark.parametrize("tools", [False, True], ids=["text", "tools"])
@pytest.mark.parametrize("model", SUCCESSES)
def test_one_outcome_for_all(kilo_sandbox: Sandbox, model: str, tools: bool) -> None:
    outcomes = {name: run(kilo_sandbox, model, tools) for name, run in RUNS.items()}
    for outcome in outcomes.values():
        if model == "sandbox/null-finish":
            outcome.finish_reason = None  # streams must have one, bodies may not
        if tools and outcome.usage:
            # The frameworks describe the same tools in different words, which the prompt's tokens and price count.
            outcome.usage, outcome.cost = (0, outcome.usage[1], 0), None
    first = outcomes["langchain stream"]
    assert {name for name, outcome in outcomes.items() if outcome != first} == set(), outcomes
    assert first.text or first.calls or first.usage == (0, 1, 0) or model.partition("/")[2] in WITHOUT_TEXT
    for record in kilo_sandbox.requests:
        assert record.json["model"] == model


@pytest.mark.parametrize("model", ["parallel-same-index", "parallel-interleaved", "tool-no-index", "tool-id-repeated"])
def test_parallel_calls_are_told_apart(kilo_sandbox: Sandbox, model: str) -> None:
    for run in RUNS.values():
        calls = run(kilo_sandbox, f"sandbox/{model}", True).calls
        assert calls == [("add", {"a": 2, "b": 3}), ("greet", {"name": "Zoë"})][: len(calls)]
        assert len(calls) == (2 if model.startswith("parallel") else len(calls)) > 0


def test_broken_arguments_are_never_taken_for_good_ones(kilo_sandbox: Sandbox) -> None:
    message = langchain(kilo_sandbox, "sandbox/tool-args-invalid", True).invoke(TOOLS_TEXT)
    assert message.tool_calls == []
    assert message.invalid_tool_calls[0]["name"] == "add"
    assert "not a JSON object" in message.invalid_tool_calls[0]["error"]


CLASSES: dict[str, type[KiloError]] = {
    "error-400": KiloInvalidRequestError,
    "error-401": KiloAuthenticationError,
    "error-402": KiloCreditsError,
    "error-403": KiloPermissionError,
    "error-404": KiloModelNotFoundError,
    "error-408": KiloProviderTimeoutError,
    "error-413": KiloInvalidRequestError,
    "error-422": KiloInvalidRequestError,
    "error-429": KiloRateLimitError,
    "error-500": KiloServerError,
    "error-502": KiloServerError,
    "error-503": KiloServerError,
    "error-504": KiloProviderTimeoutError,
    "error-invalid-path": KiloInvalidRequestError,
    "error-malformed-json": KiloInvalidRequestError,
    "error-invalid-request": KiloInvalidRequestError,
    "error-unsupported-field": KiloInvalidRequestError,
    "error-unsupported-store": KiloInvalidRequestError,
    "error-missing-client-ip": KiloInvalidRequestError,
    "error-api-kind-not-supported": KiloInvalidRequestError,
    "error-data-collection": KiloDataCollectionError,
    "error-organization-auto": KiloInvalidRequestError,
    "error-byok-connection": KiloInvalidRequestError,
    "error-invalid-token": KiloAuthenticationError,
    "error-paid-model": KiloSignInRequiredError,
    "error-promotion-limit": KiloRateLimitError,
    "error-authentication-required": KiloAuthenticationError,
    "error-no-balance": KiloCreditsError,
    "error-low-credit": KiloCreditsError,
    "error-top-up": KiloServerError,
    "error-account-restricted": KiloPermissionError,
    "error-abuse-blocked": KiloPermissionError,
    "error-provider-not-allowed": KiloPermissionError,
    "error-feature-exclusive": KiloPermissionError,
    "error-model-missing": KiloModelNotFoundError,
    "error-model-not-found": KiloModelNotFoundError,
    "error-model-not-allowed": KiloPermissionError,
    "error-no-provider": KiloPermissionError,
    "error-unavailable-model": KiloModelNotFoundError,
    "error-discontinued": KiloModelNotFoundError,
    "error-upgrade": KiloStatusError,
    "error-rate-limit": KiloRateLimitError,
    "error-throttled": KiloRateLimitError,
    "error-free-model-limit": KiloRateLimitError,
    "error-no-free-models": KiloServerError,
    "error-auto-routing": KiloPermissionError,
    "error-unavailable": KiloServerError,
    "error-byok-401": KiloAuthenticationError,
    "error-byok-402": KiloCreditsError,
    "error-byok-403": KiloPermissionError,
    "error-byok-404": KiloModelNotFoundError,
    "error-byok-429": KiloRateLimitError,
    "error-context-length": KiloContextLengthError,
    "error-context-length-500": KiloContextLengthError,
    "error-upstream-error": KiloServerError,
    "error-upstream-disconnect": KiloServerError,
    "error-upstream-timeout": KiloProviderTimeoutError,
    "error-200-credits": KiloCreditsError,
    "error-200-string": KiloServerError,
    "error-empty-405": KiloStatusError,
    "error-html-502": KiloServerError,
    "error-html-200": KiloResponseError,
    "error-empty-body-200": KiloResponseError,
    "error-not-json-200": KiloResponseError,
    "error-no-choices-200": KiloResponseError,
    "error-null-choices-200": KiloResponseError,
    "error-choices-empty-200": KiloResponseError,
    "stream-error-upstream": KiloRateLimitError,
    "stream-error-finish": KiloServerError,
    "stream-error-disconnect": KiloServerError,
    "stream-error-timeout": KiloProviderTimeoutError,
    "stream-error-invalid-response": KiloServerError,
    "stream-error-string": KiloServerError,
    "stream-error-first": KiloRateLimitError,
    "error-choice-error": KiloServerError,
    "finish-error": KiloServerError,
    "cut-stream": KiloStreamInterruptedError,
    "drop-connection": KiloStreamInterruptedError,
    "empty-stream": KiloResponseError,
    "bad-json-frame": KiloResponseError,
    "cut-character": KiloStreamInterruptedError,
}

NOT_STREAMED: dict[str, type[KiloError]] = {
    "cut-stream": KiloResponseError,
    "cut-character": KiloResponseError,
    "drop-connection": KiloConnectionError,
}
"""Where an answer that is not streamed can only fail in another way."""

OPENAI_CLASSES: dict[int, type[openai.APIError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    502: openai.InternalServerError,
    503: openai.InternalServerError,
}
ELSEWHERE = ("error-promotion-limit", "error-model-not-allowed", "error-no-provider", "error-auto-routing")
"""Statuses that do not say what is wrong: the daily limit is no bad key, a forbidden model is not a missing one."""


def test_every_error_scenario_has_its_class() -> None:
    assert {f"sandbox/{name}" for name in CLASSES} == set(ERRORS)


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("model", ERRORS)
def test_errors(kilo_sandbox: Sandbox, model: str, run: str) -> None:
    scenario, name = SCENARIOS[model], model.removeprefix("sandbox/")
    with pytest.raises(KiloError) as caught:
        RUNS[run](kilo_sandbox, model, False)
    error = caught.value
    streamed = run in STREAMED
    expected = CLASSES[name] if streamed else NOT_STREAMED.get(name, CLASSES[name])
    assert isinstance(error, expected)
    assert type(error).__name__ == expected.__name__
    assert isinstance(error, ModelError) == run.startswith("langchain")
    assert str(error).endswith((".", ". "))
    assert kilo_sandbox.api_key not in str(error)
    if scenario.status >= 400:
        assert error.status_code == scenario.status
        if scenario.status in OPENAI_CLASSES and name not in ELSEWHERE:
            assert isinstance(error, OPENAI_CLASSES[scenario.status]) or name.startswith("error-context-length")
    if scenario.error_type:
        assert error.error_type == scenario.error_type
    for text in (scenario.message, scenario.detail):
        if text:
            assert text.rstrip(".") in str(error)
    assert len(kilo_sandbox.requests) == 1


@pytest.mark.parametrize("run", STREAMED)
@pytest.mark.parametrize("name", ["cut-stream", "drop-connection", "finish-error", "stream-error-string"])
def test_a_failed_stream_tells_what_had_arrived(kilo_sandbox: Sandbox, name: str, run: str) -> None:
    with pytest.raises(KiloError) as caught:
        RUNS[run](kilo_sandbox, f"sandbox/{name}", False)
    assert caught.value.partial_text.startswith(f"sandbox/{name}")


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("name", ["flaky-503", "flaky-429"])
def test_retries(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, name: str, run: str) -> None:
    model = f"sandbox/{name}"
    with pytest.raises(KiloError):
        RUNS[run](kilo_sandbox, model, False)
    assert len(kilo_sandbox.requests) == 1
    kilo_sandbox.clear()
    monkeypatch.setattr("openai._base_client.INITIAL_RETRY_DELAY", 0.001)
    llm = ChatKilo(model=model, base_url=kilo_sandbox.base_url, max_retries=1)
    assert llm.invoke("hi").text
    assert [record.status for record in kilo_sandbox.requests] == [int(name[-3:]), 200]
