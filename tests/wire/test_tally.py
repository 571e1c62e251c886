"""Test what a tally counts of calls that a framework makes."""

import asyncio
import threading
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from kilo_gateway import KiloError, KiloServerError
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.tally import Tally, current, tallied
from langchain_kilo import ChatKilo, KiloEmbeddings, KiloUsageCallback
from llama_index_kilo import KiloEmbedding, KiloLLM
from tests.support.ways import collect

PAID = "anthropic/claude-sonnet-4.6"


@pytest.fixture
def account(kilo_sandbox: Sandbox) -> dict[str, Any]:
    return {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}


def user() -> list[ChatMessage]:
    return [ChatMessage(role="user", content="hi")]


CALLS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "invoke": lambda a: ChatKilo(model=PAID, **a).invoke("hi"),
    "ainvoke": lambda a: collect(ChatKilo(model=PAID, **a).ainvoke("hi")),
    "stream": lambda a: list(ChatKilo(model=PAID, **a).stream("hi")),
    "astream": lambda a: collect(ChatKilo(model=PAID, **a).astream("hi")),
    "chat": lambda a: KiloLLM(model=PAID, **a).chat(user()),
    "acomplete": lambda a: collect(KiloLLM(model=PAID, **a).acomplete("hi")),
    "stream_chat": lambda a: list(KiloLLM(model=PAID, **a).stream_chat(user())),
    "messages": lambda a: ChatKilo(model=PAID, api="messages", **a).invoke("hi"),
}


@pytest.mark.parametrize("way", CALLS)
def test_calls_of_chat_models(account: dict[str, Any], way: str) -> None:
    with KiloUsageCallback() as expected, tallied() as tally:
        CALLS[way](account)
    total = tally.usage.total
    assert (tally.attempts, total.calls, tally.finish_reason) == (1, 1, "stop")
    assert list(tally.usage.by_model) == [PAID]
    assert total.cost > 0
    assert total.completion_tokens > 0
    if expected.usage.total.calls:  # the handler of LangChain counts its calls only
        assert total == expected.usage.total
    assert current() is None


def test_embeddings(account: dict[str, Any]) -> None:
    for embed in (
        KiloEmbeddings(batch_size=2, **account).embed_documents,
        KiloEmbedding(embed_batch_size=2, **account).get_text_embedding_batch,
    ):
        with tallied() as tally:
            embed(["one", "two", "three"])
        total = tally.usage.total
        assert (tally.attempts, total.calls, total.completion_tokens, tally.finish_reason) == (2, 2, 0, None)
        assert total.prompt_tokens > 0


def test_failures_and_retries(account: dict[str, Any], kilo_sandbox: Sandbox) -> None:
    with tallied() as tally, pytest.raises(KiloServerError):
        ChatKilo(model="sandbox/error-503", max_retries=2, **account).invoke("hi")
    assert tally.attempts == len(kilo_sandbox.requests) == 3
    assert tally.usage.total.calls == 0
    with tallied() as tally, pytest.raises(KiloError):
        list(ChatKilo(model="sandbox/cut-stream", **account).stream("hi"))
    assert (tally.attempts, tally.finish_reason) == (1, None)


def test_only_the_innermost_block_of_a_context_counts(account: dict[str, Any]) -> None:
    llm = ChatKilo(**account)

    def in_a_thread() -> None:
        thread = threading.Thread(target=copy_context().run, args=(llm.invoke, "hi"))
        thread.start()
        thread.join()

    async def counted(calls: int) -> Tally:
        with tallied() as tally:
            await asyncio.gather(*(llm.ainvoke("hi") for _ in range(calls)))
        return tally

    async def both() -> list[Tally]:
        return list(await asyncio.gather(counted(1), counted(2)))

    with tallied() as outer:
        in_a_thread()
        assert [tally.attempts for tally in asyncio.run(both())] == [1, 2]
    llm.invoke("hi")
    assert outer.attempts == outer.usage.total.calls == 1
