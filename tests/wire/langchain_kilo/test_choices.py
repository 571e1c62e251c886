"""Test several answers to one request (n > 1): they stay apart, streamed or not."""

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloUsageCallback
from tests.support.tools import weather
from tests.support.ways import collect, summed

QUESTION = "Say something about 'Oslo'."


@pytest.fixture
def llm(kilo_sandbox: Sandbox) -> ChatKilo:
    return ChatKilo(model="deepseek/deepseek-v3.2", base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_each_answer_is_a_generation(llm: ChatKilo, asynchronous: bool) -> None:
    messages: list[list[Any]] = [[HumanMessage(QUESTION)]]
    result = asyncio.run(llm.agenerate(messages, n=3)) if asynchronous else llm.generate(messages, n=3)
    generations: list[Any] = [*result.generations[0]]
    answers = [generation.message for generation in generations]
    assert [answer.text.rpartition(" (choice ")[2] for answer in answers[1:]] == ["2)", "3)"]
    assert "(choice" not in answers[0].text
    for answer in answers:
        assert answer.response_metadata["model_name"] == "deepseek/deepseek-v3.2"
        assert answer.response_metadata["finish_reason"] == "stop"
    assert [answer.usage_metadata is None for answer in answers] == [False, True, True]
    assert [choice["content"] for choice in answers[0].additional_kwargs["choices"]] == [a.text for a in answers[1:]]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_streamed_answers_do_not_mix(llm: ChatKilo, asynchronous: bool) -> None:
    stream = llm.astream if asynchronous else llm.stream
    chunks = collect(stream(QUESTION, n=3, reasoning="low"))
    invoked = llm.invoke(QUESTION, n=3, reasoning="low")
    total = summed(chunks)
    assert (total.content, total.usage_metadata) == (invoked.content, invoked.usage_metadata)
    assert total.additional_kwargs == invoked.additional_kwargs
    assert [choice["index"] for choice in total.additional_kwargs["choices"]] == [1, 2]
    assert all(choice["reasoning_content"] for choice in total.additional_kwargs["choices"])
    assert total.chunk_position == "last"
    assert sum("choices" in chunk.additional_kwargs for chunk in chunks) > 6, "other answers stream too"


def test_the_content_blocks_are_the_first_answer(llm: ChatKilo) -> None:
    for version in ("v0", "v1"):
        model = llm.model_copy(update={"output_version": version})
        total, invoked = summed(list(model.stream(QUESTION, n=2))), model.invoke(QUESTION, n=2)
        assert total.text == invoked.text
        assert [block["type"] for block in total.content_blocks] == ["text"]
    run = llm.stream_events(QUESTION, version="v3", n=2)
    assert run.output.text == invoked.text


def test_tool_calls_of_other_answers(llm: ChatKilo) -> None:
    bound = llm.bind_tools([weather])
    question = "What is the weather in 'Oslo'?"
    total, invoked = summed(list(bound.stream(question, n=2))), bound.invoke(question, n=2)
    for message in (total, invoked):
        assert [call["name"] for call in message.tool_calls] == ["weather"]
        (other,) = message.additional_kwargs["choices"]
        assert [call["function"]["name"] for call in other["tool_calls"]] == ["weather"]
        assert other["finish_reason"] == "tool_calls"


def test_tokens_and_cost_of_all_answers_count_once(llm: ChatKilo) -> None:
    for streaming in (False, True):
        with KiloUsageCallback() as used:
            message = llm.model_copy(update={"streaming": streaming}).invoke(QUESTION, n=3)
        assert message.usage_metadata is not None
        assert used.usage.total.calls == 1
        assert used.usage.total.completion_tokens == message.usage_metadata["output_tokens"]
        assert used.usage.total.cost == message.response_metadata["cost"] > 0


def test_other_answers_do_not_go_back_to_the_gateway(llm: ChatKilo, kilo_sandbox: Sandbox) -> None:
    first: AIMessage = llm.invoke(QUESTION, n=2)
    llm.invoke([HumanMessage(QUESTION), first, HumanMessage("Go on")])
    assert kilo_sandbox.last.json["messages"][1] == {"role": "assistant", "content": first.text}


def test_each_answer_must_be_complete(llm: ChatKilo, kilo_sandbox: Sandbox) -> None:
    limited = llm.invoke(QUESTION, n=2, max_tokens=3)
    (other,) = limited.additional_kwargs["choices"]
    assert (limited.response_metadata["finish_reason"], other["finish_reason"]) == ("length", "length")
