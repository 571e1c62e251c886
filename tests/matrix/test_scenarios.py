"""Test every scenario of the sandbox in both classes, sync and async, streamed and not: the outcome is the same.

These tests use no socket. tests/wire/test_scenarios_over_http.py tests each scenario once over HTTP.
"""

import asyncio
from typing import Any

import pytest
from langchain_core.exceptions import ModelError
from langchain_core.messages import AIMessage, HumanMessage

from kilo_gateway import KiloError
from tests.support.errors import CLASSES, check
from tests.support.expected import expected
from tests.support.in_process import InProcess
from tests.support.outcomes import (
    BREAKING,
    ERRORS,
    SUCCESSES,
    SUCCESSES_BY_API,
    langchain,
    llama_index,
    of_message,
    of_response,
    outcome,
)
from tests.support.ways import LANGCHAIN, LLAMA_INDEX, STREAMED, TOOLS_TEXT, WAYS, said

WITHOUT_TEXT = ("empty-answer", "refusal", "audio", "reasoning-only")


@pytest.fixture(scope="session")
def _gateway() -> InProcess:
    return InProcess()


@pytest.fixture
def gateway(_gateway: InProcess) -> InProcess:
    """A gateway with an empty record."""
    _gateway.clear()
    return _gateway


async def _aevents(llm: Any) -> AIMessage:
    output: AIMessage = await (await llm.astream_events(TOOLS_TEXT, version="v3")).output
    return output


def answers(gateway: InProcess, model: str, tools: bool) -> dict[str, AIMessage]:
    """Return LangChain's message from each way to call the model."""
    v0, v1 = (langchain(gateway, model, tools, output_version=version) for version in ("v0", "v1"))
    return {
        **{f"langchain {method}": said(method, v0, TOOLS_TEXT) for method in LANGCHAIN},
        **{f"{method} v1": said(method, v1, TOOLS_TEXT) for method in ("invoke", "stream", "astream")},
        "v3": v0.stream_events(TOOLS_TEXT, version="v3").output,
        "async v3": asyncio.run(_aevents(v0)),
    }


def plain(blocks: Any) -> list[Any]:
    """Return blocks without ids, which differ from run to run, and without index and order, which depend on the way."""
    comparable: list[Any] = []
    for block in blocks:
        if block["type"] in ("invalid_tool_call", "tool_call_chunk"):
            comparable.append(("broken", block["name"]))
            continue
        if "extras" in block:
            block["extras"].pop("expires_at", None)
        comparable.append({k: v for k, v in block.items() if k not in ("id", "index")})
    return sorted(comparable, key=repr)


@pytest.mark.filterwarnings("ignore::langchain_core._api.beta_decorator.LangChainBetaWarning")  # v3 is beta in core
@pytest.mark.parametrize("tools", [False, True], ids=["text", "tools"])
@pytest.mark.parametrize("model", SUCCESSES)
def test_one_outcome_for_all(gateway: InProcess, model: str, tools: bool) -> None:
    """All eight ways return the same text, reasoning, calls, tokens and cost; LangChain's nine return equal blocks."""
    results = answers(gateway, model, tools)
    outcomes = {way: of_message(message) for way, message in results.items() if way in WAYS}
    for method in LLAMA_INDEX:
        outcomes[f"llama_index {method}"] = of_response(llama_index(gateway, model, tools, method))
    for result in outcomes.values():
        if model == "sandbox/null-finish":
            result.finish_reason = None  # a stream must have one; a body need not
        if tools and result.usage:
            # The frameworks describe the same tools in different words, so the prompt's tokens and price differ.
            result.usage, result.cost = (0, result.usage[1], 0), None
    first = outcomes["langchain stream"]
    assert {way for way, result in outcomes.items() if result != first} == set(), outcomes
    assert first.text or first.calls or first.usage == (0, 1, 0) or model.partition("/")[2] in WITHOUT_TEXT
    if model.startswith("sandbox/reasoning") and "tokens" not in model and not tools:
        assert first.reasoning or first.details, "the scenario sends reasoning, and all ways lose it"
    assert all(record.json["model"] == model for record in gateway.requests)

    texts = {way: message.text for way, message in results.items()}
    assert set(texts.values()) == {first.text}, texts
    blocks = {way: plain(message.content_blocks) for way, message in results.items()}
    assert {way for way, result in blocks.items() if result != blocks["langchain invoke"]} == set(), blocks


@pytest.mark.parametrize(("api", "model"), [(api, model) for api, model in SUCCESSES_BY_API if api != "completions"])
def test_the_outcome_on_the_other_interfaces(gateway: InProcess, api: str, model: str) -> None:
    """All eight ways return what the scenario sends: text, reasoning, calls, tokens, cost, finish reason."""
    outcomes = {way: outcome(way, gateway, model, False, api=api) for way in WAYS}
    wanted = expected(api, model)
    assert {way: result for way, result in outcomes.items() if result != wanted} == {}, wanted


SIGNED = {
    "messages": ("reasoning", "signature-apart", "signature-late", "signature-at-start", "thinking-omitted"),
    "responses": ("reasoning", "reasoning-late", "reasoning-text", "output-index-reused", "summary-strings"),
}


@pytest.mark.parametrize("method", ["invoke", "stream"])
@pytest.mark.parametrize(("api", "name"), [(api, name) for api, names in SIGNED.items() for name in names])
def test_signed_reasoning_goes_back_as_it_came(gateway: InProcess, api: str, name: str, method: str) -> None:
    """The sandbox refuses thinking that differs from its signature, and text beside encrypted reasoning."""
    llm = langchain(gateway, f"sandbox/{name}", False, api=api)
    first = said(method, llm, "Hello")
    second = llm.invoke([HumanMessage("Hello"), first, HumanMessage("And now?")])
    assert [record.status for record in gateway.requests] == [200, 200]
    assert "reasoning_left_out" not in second.response_metadata
    assert "signature" in str(gateway.last.json) or "encrypted_content" in str(gateway.last.json["input"])


@pytest.mark.parametrize(
    ("api", "name", "kind"),
    [("responses", "annotations", "text"), ("messages", "annotations", "text"), ("responses", "images", "image")],
)
def test_citations_and_images_on_the_other_interfaces(gateway: InProcess, api: str, name: str, kind: str) -> None:
    llm = langchain(gateway, f"sandbox/{name}", False, api=api)
    for message in (llm.invoke(TOOLS_TEXT), said("stream", llm, TOOLS_TEXT)):
        [block] = [block for block in message.content_blocks if block["type"] == kind]
        if kind == "image":
            assert block["base64"]
        else:
            assert [note["url"] for note in block["annotations"]] == ["https://example.com/sandbox"]


@pytest.mark.parametrize("model", ["parallel-same-index", "parallel-interleaved", "tool-no-index", "tool-id-repeated"])
def test_parallel_calls_stay_apart(gateway: InProcess, model: str) -> None:
    for way in WAYS:
        calls = outcome(way, gateway, f"sandbox/{model}", True).calls
        assert calls == [("add", {"a": 2, "b": 3}), ("greet", {"name": "Zoë"})][: len(calls)]
        assert len(calls) == (2 if model.startswith("parallel") else len(calls)) > 0


def test_broken_arguments_are_never_accepted(gateway: InProcess) -> None:
    message = langchain(gateway, "sandbox/tool-args-invalid", True).invoke(TOOLS_TEXT)
    assert [call["name"] for call in message.tool_calls] == ["add"]
    [invalid] = message.invalid_tool_calls
    assert invalid["name"] == "greet"
    assert "not a JSON object" in str(invalid["error"])


# One scenario for each exception, and all that break off, because each driver detects those itself. All other errors
# take the same way from their row to the caller; tests/matrix/test_decoded_scenarios.py classifies each of them.
KINDS = {error: f"sandbox/{name}" for name, error in CLASSES.items() if f"sandbox/{name}" in ERRORS}
EMPTY = {f"sandbox/{name}" for name in ("empty-stream", "stream-error-first", "tool-unconfirmed")}
"""Errors that come before any text."""


@pytest.mark.parametrize(("api", "model"), sorted({*(("completions", model) for model in KINDS.values()), *BREAKING}))
def test_one_error_for_all(gateway: InProcess, api: str, model: str) -> None:
    for number, way in enumerate(WAYS, 1):
        with pytest.raises(KiloError) as caught:
            outcome(way, gateway, model, False, api=api)
        check(model, caught.value, streamed=way in STREAMED)
        if way in STREAMED and (api, model) in BREAKING:
            assert caught.value.partial_text.startswith("Canned") != (model in EMPTY)
        assert isinstance(caught.value, ModelError) == way.startswith("langchain")
        assert gateway.api_key not in str(caught.value)
        assert len(gateway.requests) == number
