"""Test the sums of tokens and cost in both frameworks."""

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.mock import MockLLM

from kilo_gateway import Spent
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloUsageCallback
from llama_index_kilo import KiloLLM, KiloUsageHandler
from tests.support.ways import collect

PAID = "anthropic/claude-sonnet-4.6"


def expected(*answers: Any) -> Spent:
    total = Spent()
    for tokens, cost in answers:
        total.add(Spent(calls=1, prompt_tokens=tokens[0], completion_tokens=tokens[1], cost=cost))
    return total


def same(counted: Spent, reported: Spent) -> None:
    assert counted.cost == pytest.approx(reported.cost)
    assert counted.cost > 0
    counts = ("calls", "prompt_tokens", "completion_tokens", "unpriced")
    assert [getattr(counted, name) for name in counts] == [getattr(reported, name) for name in counts]


def of_message(message: Any) -> Any:
    usage = message.usage_metadata
    return (usage["input_tokens"], usage["output_tokens"]), message.response_metadata["cost"]


def of_response(response: Any) -> Any:
    extra = response.additional_kwargs
    return (extra["prompt_tokens"], extra["completion_tokens"]), extra["cost"]


def test_langchain(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    with KiloUsageCallback() as used:
        answers = [llm.invoke("one"), *collect(llm.ainvoke("two")), *llm.batch(["three", "four"])]
        answers += [list(llm.stream("five"))[-1], collect(llm.astream("six"))[-1]]
        with KiloUsageCallback() as inner:
            answers.append(llm.invoke("seven"))
    llm.invoke("not counted")
    assert used.usage.by_model == {PAID: used.usage.total}
    same(used.usage.total, expected(*map(of_message, answers)))
    assert inner.usage.total.calls == 1
    with inner:
        with pytest.raises(RuntimeError, match="create a new one"), inner:
            pass
        llm.invoke("eight")
    assert (inner.usage.total.calls, used.usage.total.calls) == (2, 7)
    as_callback = KiloUsageCallback()
    llm.invoke("hi", config={"callbacks": [as_callback]})
    assert as_callback.usage.total.calls == 1


def test_llama_index(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    user = [ChatMessage(role="user", content="one")]
    with KiloUsageHandler() as used:
        answers = [llm.chat(user), llm.complete("two"), list(llm.stream_chat(user))[-1]]
        answers += [*collect(llm.achat(user)), list(llm.stream_complete("three"))[-1]]
        MockLLM().complete("somebody else's")
    llm.chat(user)
    assert used.usage.by_model == {PAID: used.usage.total}
    same(used.usage.total, expected(*map(of_response, answers)))


def test_unreported_costs_are_counted(kilo_sandbox: Sandbox) -> None:
    with KiloUsageCallback() as used:
        ChatKilo(base_url=kilo_sandbox.base_url).invoke("hi")
    total = used.usage.total
    assert (total.calls, total.unpriced, total.cost) == (1, 1, 0.0)
    assert "(1 not reported)" in str(used.usage)
