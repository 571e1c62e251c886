"""Test for defects of LlamaIndex's other LLM classes with the same gateway; each docstring describes one.

"OpenAILike" stands for OpenAILike and OpenRouter, whose answers are the same; "LiteLLM" for its class in
LlamaIndex. Observed with llama-index-llms-openai-like 0.7.2, -openrouter 0.6.0 and -litellm 0.8.0.
"""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.base.llms.types import ChatMessage

from kilo_gateway import (
    KiloAuthenticationError,
    KiloCreditsError,
    KiloError,
    KiloResponseError,
    KiloServerError,
    KiloStreamInterruptedError,
)
from kilo_gateway.interfaces.chat_completions import ChatCompletions
from kilo_gateway.reply import Reply
from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM, from_gateway
from tests.support.tools import FUNCTION_TOOLS as TOOLS
from tests.support.ways import LLAMA_INDEX, collect

USER = [ChatMessage(role="user", content="Tell me about rivers")]  # words: keep -- a model receives it
QUESTION = "add(2, 3), and greet('Zoë')"


BOTH = [("add", {"a": 2, "b": 3}), ("greet", {"name": "Zoë"})]


async def _agent(llm: KiloLLM) -> str:
    return str(await FunctionAgent(tools=TOOLS, llm=llm).run("Hello"))


Way = Callable[[KiloLLM], Any]


def _asked(method: str) -> Way:
    return lambda llm: collect(getattr(llm, method)(USER))


WAYS: dict[str, Way] = {method: _asked(method) for method in LLAMA_INDEX}
AGENT: dict[str, Way] = {"agent": lambda llm: asyncio.run(_agent(llm))}
STREAMS = {name: way for name, way in WAYS.items() if "stream" in name} | AGENT

every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
every_stream = pytest.mark.parametrize("way", STREAMS.values(), ids=STREAMS)
every_way_and_the_agent = pytest.mark.parametrize("way", (WAYS | AGENT).values(), ids=WAYS | AGENT)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # LlamaIndex's agents use pydantic's old names


def fails(way: Callable[[KiloLLM], Any], llm: KiloLLM) -> KiloError:
    with pytest.raises(KiloError) as caught:
        way(llm)
    return caught.value


@every_stream
def test_an_error_object_in_a_stream(scenario: Any, way: Any) -> None:
    """OpenAILike raises "Provider disconnected" without the cause; LiteLLM prints a banner to stdout."""
    error = fails(way, scenario("stream-error-disconnect"))
    assert isinstance(error, KiloServerError)
    assert error.partial_text
    assert str(error)


@every_stream
def test_a_string_error_in_a_stream(scenario: Any, way: Any) -> None:
    """Both report "An error occurred during streaming", and lose the message beside the string."""
    error = fails(way, scenario("stream-error-string"))
    assert error.error_type
    assert "An error occurred during streaming" not in str(error)


@every_stream
def test_a_finish_reason_error(scenario: Any, way: Any) -> None:
    """OpenAILike accepts the partial text as the answer, and its agent answers with it."""
    assert isinstance(fails(way, scenario("finish-error")), KiloServerError)


@every_way
def test_an_error_inside_the_choice(scenario: Any, way: Any) -> None:
    """OpenAILike returns an empty message; LiteLLM returns an empty text if it does not stream."""
    assert isinstance(fails(way, scenario("error-choice-error")), KiloServerError)


@every_way_and_the_agent
def test_an_error_with_status_200(scenario: Any, way: Any) -> None:
    """OpenAILike raises "NoneType is not subscriptable"; its streams have no chunk at all, so agents answer ""."""
    error = fails(way, scenario("error-200-credits"))
    assert isinstance(error, KiloCreditsError)
    assert error.buy_credits_url


@every_way_and_the_agent
@pytest.mark.parametrize("name", ["error-choices-empty-200", "error-null-choices-200", "error-no-choices-200"])
def test_no_choices(scenario: Any, name: str, way: Any) -> None:
    """OpenAILike raises IndexError or TypeError, LiteLLM raises InternalServerError."""
    assert isinstance(fails(way, scenario(name)), KiloResponseError)


@every_stream
def test_a_stream_that_ends_early(scenario: Any, way: Any) -> None:
    """Both accept the partial answer as complete."""
    error = fails(way, scenario("cut-stream"))
    assert isinstance(error, KiloStreamInterruptedError)
    assert error.partial_text


@every_stream
def test_a_broken_connection(scenario: Any, way: Any) -> None:
    """OpenAILike raises httpx.RemoteProtocolError."""
    error = fails(way, scenario("drop-connection"))
    assert isinstance(error, KiloStreamInterruptedError)
    assert error.partial_text


@every_stream
def test_an_empty_stream(scenario: Any, way: Any) -> None:
    """An agent on OpenAILike answers ""."""
    assert isinstance(fails(way, scenario("empty-stream")), KiloResponseError)


@every_way
def test_the_message_of_a_rejected_key(kilo_sandbox: Sandbox, way: Any) -> None:
    """With openai 3, OpenAILike's error says only "Error code: 401"."""
    llm = KiloLLM(model="anthropic/claude-sonnet-4.6", base_url=kilo_sandbox.base_url, api_key="wrong", max_retries=0)
    error = fails(way, llm)
    assert isinstance(error, KiloAuthenticationError)
    assert "Error code" not in str(error)
    assert "wrong" not in str(error)


@every_way
@pytest.mark.parametrize("name", ["keepalive", "usage-empty-choices", "usage-on-finish", "usage-twice"])
def test_usage(scenario: Any, name: str, way: Any) -> None:
    """OpenAILike never requests usage in streams; LiteLLM loses it there even if it arrives."""
    last = way(scenario(name))[-1]
    assert last.additional_kwargs["total_tokens"] == last.raw["usage"]["total_tokens"] > 0


@every_way
def test_cost_and_details_of_usage(scenario: Any, way: Any) -> None:
    """Both leave cost, cached and reasoning tokens in `raw`, where each caller must search for them."""
    cached, thinking = way(scenario("cached-tokens"))[-1], way(scenario("reasoning"))[-1]
    assert cached.additional_kwargs["cached_tokens"] > 0
    assert cached.additional_kwargs["cache_write_tokens"] > 0
    assert thinking.additional_kwargs["reasoning_tokens"] > 0
    assert all(response.additional_kwargs["cost"] is not None for response in (cached, thinking))


@pytest.mark.parametrize(
    "name",
    [
        "parallel-tools",
        "tool-two-in-one-chunk",
        "parallel-interleaved",
        "tool-id-repeated",
        "tool-no-index",
        "parallel-same-index",
        "tool-index-from-one",
        "tool-empty-id",
        "tool-name-empty-later",
    ],
)
def test_calls_in_streams(scenario: Any, name: str) -> None:
    """OpenAILike loses, splits, renames and merges calls.

    It drops the second of two calls in one chunk, makes six calls of two interleaved ones, repeats ids and names
    as `addaddadd`, and merges calls whose index is missing or reused. LiteLLM has the last two defects too.
    """
    llm = scenario(name)
    for stream in (llm.stream_chat_with_tools, llm.astream_chat_with_tools):
        for response in collect(stream(TOOLS, QUESTION, allow_parallel_tool_calls=True)):
            selections = llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)
            assert {call.tool_name for call in selections} <= {"add", "greet"}
        assert [(call.tool_name, call.tool_kwargs) for call in selections] == BOTH
        assert len({call.tool_id for call in selections} - {""}) == 2


def test_calls_without_ids() -> None:
    """OpenAILike sends two tool results with the id ""; LiteLLM merges the calls."""
    function = {"name": "add", "arguments": "{}"}
    body = {"choices": [{"message": {"tool_calls": [{"id": "", "function": function}, {"function": function}]}}]}
    llm = KiloLLM(base_url="http://127.0.0.1:1")
    response = from_gateway.response_of(
        Reply.of(ChatCompletions().whole(json.dumps(body).encode())), llm.prepare([], stream=False)
    )
    assert len({call.tool_id for call in llm.get_tool_calls_from_response(response)} - {""}) == 2


@pytest.mark.parametrize("arguments", ["[1, 2]", '"text"', "7", '{"a": 1 oops'])
def test_arguments_that_are_not_an_object(arguments: str) -> None:
    """Both call the tool with {}, and OpenAILike sends the invalid JSON back, which strict providers refuse."""
    calls = [{"id": "c", "function": {"name": "add", "arguments": arguments}}]
    body = {"choices": [{"message": {"tool_calls": calls}}]}
    llm = KiloLLM(base_url="http://127.0.0.1:1")
    response = from_gateway.response_of(
        Reply.of(ChatCompletions().whole(json.dumps(body).encode())), llm.prepare([], stream=False)
    )
    [call] = llm.get_tool_calls_from_response(response)
    assert call.tool_kwargs["invalid_arguments"] == arguments


@pytest.mark.parametrize("name", ["tool-args-truncated", "tool-args-invalid"])
def test_cut_arguments_are_not_executed(scenario: Any, kilo_sandbox: Sandbox, name: str) -> None:
    """Both run the tool: OpenAILike with the arguments received so far, LiteLLM with {}."""
    executed: list[str] = []

    def note(text: str = "nothing") -> None:
        """Note a text."""
        executed.append(text)

    agent = FunctionAgent(tools=[note], llm=scenario(name))

    async def run() -> str:
        return str(await agent.run("note('a long text to be cut')"))

    assert asyncio.run(run())
    assert executed == []
    replayed = [c for m in kilo_sandbox.last.json["messages"] for c in m.get("tool_calls") or ()]
    assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in replayed)


@every_way
@pytest.mark.parametrize("name", ["reasoning", "reasoning-string", "reasoning-content", "reasoning-details-only"])
def test_thoughts(scenario: Any, name: str, way: Any) -> None:
    """OpenAILike loses the first thought of async streams; LiteLLM loses all of them."""
    responses = way(scenario(name))
    block = responses[-1].message.blocks[0]
    assert block.content.startswith("The user wrote: Tell me about rivers")  # words: keep -- a prompt
    if len(responses) > 1:
        assert "".join(r.additional_kwargs.get("thinking_delta", "") for r in responses) == block.content


@every_way
def test_signed_thoughts_go_back(scenario: Any, kilo_sandbox: Sandbox, way: Any) -> None:
    """OpenAILike omits the details that signed and encrypted thoughts need; LiteLLM raises."""
    llm = scenario("reasoning-encrypted")
    answer = way(llm)[-1].message
    llm.chat([*USER, answer, *USER])
    sent = kilo_sandbox.last.json["messages"][1]["reasoning_details"]
    assert [detail["type"] for detail in sent] == ["reasoning.text", "reasoning.encrypted", "reasoning.summary"]


def test_an_agent_needs_no_flags(scenario: Any) -> None:
    """OpenRouter with a FunctionAgent raises "LLM must be a FunctionCallingLLM" until a flag is set."""
    assert asyncio.run(_agent(scenario("echo"))).endswith("you said: Hello")


@every_way
def test_retries_are_not_multiplied(kilo_sandbox: Sandbox, way: Any) -> None:
    """OpenAILike with max_retries=2 sends six requests for a chat and three for a stream."""
    fails(way, KiloLLM(model="sandbox/error-503", base_url=kilo_sandbox.base_url, max_retries=2))
    assert len(kilo_sandbox.requests) == 3


def test_nothing_is_limited_by_default(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    """OpenRouter cuts every answer at 256 tokens, and OpenAILike always sends temperature 0.1."""
    llm.chat(USER)
    assert set(kilo_sandbox.last.json) == {"model", "messages", "stream"}
    assert llm.metadata.context_window >= 128_000


def test_reasoning_effort_is_sent_for_every_model(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    """OpenAILike drops it silently unless its own list contains the model's id."""
    llm.chat(USER, reasoning="high")
    assert kilo_sandbox.last.json["reasoning"] == {"effort": "high"}
    llm.chat(USER, reasoning_effort="low")
    assert kilo_sandbox.last.json["reasoning_effort"] == "low"


def test_a_misspelt_field_is_named() -> None:
    """Both ignore unknown fields."""
    with pytest.raises(ValueError, match="did you mean 'temperature'"):
        KiloLLM(temprature=0)  # type: ignore[call-arg] # what is refused
