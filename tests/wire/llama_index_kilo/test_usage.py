"""Test KiloUsageHandler in all places where LlamaIndex reports the usage of a call."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager
from llama_index.core.llms.mock import MockLLM
from llama_index_instrumentation import get_dispatcher

from kilo_gateway import KiloError
from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM, KiloUsageHandler
from tests.support.ways import ENDPOINTS, collect

USER = [ChatMessage(role="user", content="Tell me about rivers")]  # words: keep -- a model receives it


def call(llm: Any, endpoint: str) -> Any:
    """Return the last response of one call."""
    text = "Tell me about rivers"  # words: keep -- a model receives it
    return collect(getattr(llm, endpoint)(USER if "chat" in endpoint else text))[-1]


@pytest.mark.parametrize("way", ["with", "instrumentation", "callbacks", "both"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_each_answer_counts_once(llm: KiloLLM, endpoint: str, way: str) -> None:
    handler, dispatcher = KiloUsageHandler(), get_dispatcher()
    if way in ("callbacks", "both"):
        llm.callback_manager = CallbackManager([handler])
    if way == "with":
        with handler:
            last = call(llm, endpoint)
    elif way == "callbacks":
        last = call(llm, endpoint)
    else:
        dispatcher.add_event_handler(handler)
        try:
            last = call(llm, endpoint)
        finally:
            dispatcher.event_handlers.remove(handler)
    extra, total = last.additional_kwargs, handler.usage.total
    assert (total.calls, total.cost) == (1, pytest.approx(extra["cost"]))
    assert (total.prompt_tokens, total.completion_tokens) == (extra["prompt_tokens"], extra["completion_tokens"])
    assert list(handler.usage.by_model) == [extra["model"]]


def test_usage_is_counted_for_the_served_model(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(tier="frontier", base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    with KiloUsageHandler() as used:
        served = [llm.with_mode(mode).chat(USER).additional_kwargs["model"] for mode in ("plan", "code")]
        MockLLM().complete("somebody else's")
    llm.chat(USER)
    assert set(used.usage.by_model) == set(served)
    assert len(set(served)) == 2
    assert "kilo-auto/frontier" not in str(used.usage)


def test_engines_and_threads(llm: KiloLLM) -> None:
    engine = SummaryIndex.from_documents([Document(text="The Danube flows.")]).as_query_engine(llm=llm)
    with KiloUsageHandler() as used, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: engine.query("What flows?"), range(8)))
    assert used.usage.total.calls == 8


def test_failures_and_streams_left_early_count_nothing(scenario: Any, llm: KiloLLM) -> None:
    with KiloUsageHandler() as used:
        with pytest.raises(KiloError):
            scenario("finish-error").chat(USER)
        stream = llm.stream_chat(USER)
        next(stream)
        stream.close()
    assert used.usage.total.calls == 0


def test_a_handler_counts_one_block_at_a_time(llm: KiloLLM) -> None:
    with KiloUsageHandler() as used:
        with pytest.raises(RuntimeError, match="create a new one"), used:
            pass
        with KiloUsageHandler() as inner:
            llm.chat(USER)
    with used:
        llm.chat(USER)
    assert (used.usage.total.calls, inner.usage.total.calls) == (2, 1)


def test_a_model_with_a_handler_can_be_copied_and_pickled(llm: KiloLLM) -> None:
    handler = KiloUsageHandler()
    llm.callback_manager = CallbackManager([handler])
    llm.chat(USER)
    for twin in (copy.deepcopy(llm), llm.model_copy(deep=True), llm.with_mode("ask")):
        twin.chat(USER)
    assert handler.usage.total.calls == 4
    twin = pickle.loads(pickle.dumps(llm))  # noqa: S301 -- this line made it
    twin.chat(USER)
    assert handler.usage.total.calls == 4
    assert twin.callback_manager.handlers[0].usage.total.calls == 1
