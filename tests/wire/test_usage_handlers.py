"""Tokens and cost added up, in both frameworks."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.llms.mock import MockLLM

from kilo_gateway import Ledger, Spent
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


def same(seen: Spent, told: Spent) -> None:
    assert seen.cost == pytest.approx(told.cost)
    assert seen.cost > 0
    counts = ("calls", "prompt_tokens", "completion_tokens", "unpriced")
    assert [getattr(seen, name) for name in counts] == [getattr(told, name) for name in counts]


def of_message(message: Any) -> Any:
    usage = message.usage_metadata
    return (usage["input_tokens"], usage["output_tokens"]), message.response_metadata["cost"]


def of_response(response: Any) -> Any:
    told = response.additional_kwargs
    return (told["prompt_tokens"], told["completion_tokens"]), told["cost"]


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
        with pytest.raises(RuntimeError, match="use another one"), inner:
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


def test_what_is_not_told_is_counted(kilo_sandbox: Sandbox) -> None:
    with KiloUsageCallback() as used:
        ChatKilo(base_url=kilo_sandbox.base_url).invoke("hi")
    total = used.usage.total
    assert (total.calls, total.unpriced, total.cost) == (1, 1, 0.0)
    assert "(1 not told)" in str(used.usage)


def test_a_table_and_threads() -> None:
    ledger = Ledger()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: ledger.add(f"m{i % 2}", Spent(1, 1000, 1, cost=0.001)), range(1000)))
    assert {model: spent.calls for model, spent in ledger.by_model.items()} == {"m0": 500, "m1": 500}
    assert ledger.total.total_tokens == 1_001_000
    header, first, _, total = str(ledger).splitlines()
    assert header.split() == ["model", "calls", "prompt", "completion", "USD"]
    assert first.split() == ["m0", "500", "500,000", "500", "0.500000"]
    assert total.split() == ["total", "1,000", "1,000,000", "1,000", "1.000000"]


def test_a_ledger_is_copied_and_pickled() -> None:
    for filled in (False, True):
        ledger = Ledger()
        if filled:
            ledger.add("a/b", Spent(calls=1, cost=0.5))
        pickles = [pickle.dumps(ledger, protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
        copies = [copy.copy(ledger), copy.deepcopy(ledger), *map(pickle.loads, pickles)]
        for other in copies:
            other.add("a/b", Spent(calls=1))
            assert other.total.calls == filled + 1
        assert ledger.total.calls == filled
