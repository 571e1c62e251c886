"""Test that LangChain's general features work with ChatKilo: limits, caches, callbacks, copies, compositions."""

import asyncio
import copy
import pickle
import threading
from typing import Any

import openai
import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.rate_limiters import InMemoryRateLimiter
from langchain_core.runnables import ConfigurableField, RunnableParallel, RunnablePassthrough

from kilo_gateway import KiloError, KiloServerError
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloUsageCallback
from tests.support.tools import add
from tests.support.ways import TOOLS_TEXT, every_langchain_stream, every_langchain_way, said
from tests.wire.langchain_kilo.conftest import Scenario


class CountingLimiter(InMemoryRateLimiter):
    def __init__(self) -> None:
        super().__init__(requests_per_second=1000, check_every_n_seconds=0.001, max_bucket_size=100)
        self.acquired = 0

    def acquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return super().acquire(blocking=blocking)

    async def aacquire(self, *, blocking: bool = True) -> bool:
        self.acquired += 1
        return await super().aacquire(blocking=blocking)


@every_langchain_way
def test_a_rate_limiter_is_asked_once_per_call(scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
    limiter = CountingLimiter()
    llm = scenario("echo", rate_limiter=limiter)
    for calls in (1, 2):
        said(way, llm, "hi")
        assert limiter.acquired == len(kilo_sandbox.requests) == calls
    llm.batch(["one", "two"])
    asyncio.run(llm.abatch(["one", "two"]))
    assert limiter.acquired == len(kilo_sandbox.requests) == 6


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_a_cached_answer_needs_no_request(scenario: Scenario, kilo_sandbox: Sandbox, way: str, streaming: bool) -> None:
    llm = scenario("reasoning", cache=InMemoryCache(), streaming=streaming)
    first, again = said(way, llm, "hi"), said(way, llm, "hi")
    assert len(kilo_sandbox.requests) == 1
    assert (again.content, again.additional_kwargs) == (first.content, first.additional_kwargs)
    assert again.response_metadata == first.response_metadata
    said(way, llm, "something else")
    assert len(kilo_sandbox.requests) == 2


def test_a_cached_answer_costs_nothing(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(
        model="anthropic/claude-sonnet-4.6",
        base_url=kilo_sandbox.base_url,
        api_key=kilo_sandbox.api_key,
        cache=InMemoryCache(),
    )
    with KiloUsageCallback() as used:
        first = llm.invoke("hi")
        llm.invoke("hi")
    assert len(kilo_sandbox.requests) == 1
    assert used.usage.total.cost == first.response_metadata["cost"]


def test_a_cached_answer_does_not_ask_the_limiter(scenario: Scenario) -> None:
    limiter = CountingLimiter()
    llm = scenario("echo", cache=InMemoryCache(), rate_limiter=limiter)
    llm.invoke("hi")
    llm.invoke("hi")
    assert limiter.acquired == 1


@every_langchain_stream
def test_a_stream_neither_reads_nor_fills_the_cache(scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
    llm = scenario("echo", cache=InMemoryCache())
    llm.invoke("hi")
    for sent in (2, 3):
        said(way, llm, "hi")
        assert len(kilo_sandbox.requests) == sent
    said(way, llm, "ho")
    llm.invoke("ho")
    assert len(kilo_sandbox.requests) == 5


@pytest.mark.parametrize("per_call", [False, True])
@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_another_request_is_not_answered_from_the_cache(kilo_sandbox: Sandbox, way: str, per_call: bool) -> None:
    settings: list[dict[str, Any]] = [
        {"tier": "free"},
        {"tier": "small"},
        {"tier": "free", "mode": "plan"},
        {"tier": "free", "mode": "code"},
        {"tier": "free", "temperature": 0.5},
        {"tier": "free", "max_tokens": 50},
        {"model": "sandbox/echo"},
        {"model": "sandbox/reasoning"},
    ]
    cache = InMemoryCache()
    for setting in settings * 2:
        fields, call = ({}, setting) if per_call else (setting, {})
        said(way, ChatKilo(base_url=kilo_sandbox.base_url, cache=cache, **fields).bind(**call), "hi")
    assert len(kilo_sandbox.requests) == len(settings)


@every_langchain_stream
def test_streaming_can_be_turned_off(scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
    def was_streamed(llm: Any) -> bool:
        said(way, llm, TOOLS_TEXT)
        return bool(kilo_sandbox.last.json["stream"])

    assert was_streamed(scenario("echo"))
    assert not was_streamed(scenario("echo", disable_streaming=True))
    with_tools = scenario("echo", disable_streaming="tool_calling")
    assert was_streamed(with_tools)
    assert not was_streamed(with_tools.bind_tools([add]))


class Log(BaseCallbackHandler):
    """Record the events of a call and their data, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.data: list[dict[str, Any]] = []

    def note(self, event: str, **data: Any) -> None:
        self.events.append(event)
        self.data.append(data)

    def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.note("start", **kwargs)

    def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.note("token", token=token, **kwargs)

    def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.note("end", response=response, **kwargs)

    def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.note("error", error=error, **kwargs)


class AsyncLog(AsyncCallbackHandler):
    """Do the same for async calls."""

    def __init__(self) -> None:
        self.log = Log()

    async def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
        self.log.on_chat_model_start(*args, **kwargs)

    async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.log.on_llm_new_token(token, **kwargs)

    async def on_llm_end(self, response: Any, **kwargs: Any) -> None:
        self.log.on_llm_end(response, **kwargs)

    async def on_llm_error(self, error: BaseException, **kwargs: Any) -> None:
        self.log.on_llm_error(error, **kwargs)


def logs(way: str) -> list[Any]:
    return [Log(), AsyncLog()] if way.startswith("a") else [Log()]


@every_langchain_way
def test_callbacks_come_in_order(scenario: Scenario, way: str) -> None:
    for handler in logs(way):
        message = said(way, scenario("echo", callbacks=[handler]), "hi")
        log = getattr(handler, "log", handler)
        assert log.events[0] == "start"
        assert log.events[-1] == "end"
        assert log.events.count("token") == len(log.events) - 2
        assert (len(log.events) > 4) == ("stream" in way)
        assert log.data[-1]["response"].generations[0][0].message.content == message.content
        if "stream" in way:
            assert "".join(data["token"] for data in log.data[1:-1]) == message.content
        assert len({data["run_id"] for data in log.data}) == 1


@every_langchain_way
def test_an_error_ends_the_callbacks(scenario: Scenario, way: str) -> None:
    for handler in logs(way):
        with pytest.raises(KiloError) as caught:
            said(way, scenario("cut-stream", callbacks=[handler]), "hi")
        log = getattr(handler, "log", handler)
        assert (log.events[0], log.events[-1], "end" in log.events) == ("start", "error", False)
        assert log.data[-1]["error"] is caught.value
        if "stream" in way:
            [partial] = log.data[-1]["response"].generations[0]
            assert partial.text == caught.value.partial_text == "".join(data["token"] for data in log.data[1:-1])
            assert partial.text


@every_langchain_way
def test_tags_and_metadata_reach_callbacks(scenario: Scenario, way: str) -> None:
    log = Log()
    llm = scenario("echo", tags=["mine"], metadata={"team": "blue"}, temperature=0.5)
    config: Any = {"callbacks": [log], "tags": ["call"], "metadata": {"user": "zoe"}, "run_name": "greeting"}
    said(way, llm.with_config(config), "hi")
    start = log.data[0]
    assert {"mine", "call"} <= set(start["tags"])
    assert (start["metadata"]["team"], start["metadata"]["user"]) == ("blue", "zoe")
    assert (start["metadata"]["ls_provider"], start["metadata"]["ls_temperature"]) == ("kilo", 0.5)
    assert (start["name"], start["invocation_params"]["model"]) == ("greeting", "sandbox/echo")


class InFlight:
    """Count requests under way; each waits until another is under way too."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self._lock = threading.Lock()
        self._two = threading.Barrier(2)
        self._atwo = asyncio.Barrier(2)

    def _count(self, change: int) -> None:
        with self._lock:
            self.now += change
            self.most = max(self.most, self.now)

    def sent(self, _request: Any) -> None:
        self._count(1)
        self._two.wait(5)

    def answered(self, _response: Any) -> None:
        self._count(-1)

    async def asent(self, _request: Any) -> None:
        self._count(1)
        await asyncio.wait_for(self._atwo.wait(), 5)

    async def aanswered(self, _response: Any) -> None:
        self._count(-1)


def test_a_batch_respects_its_limit(scenario: Scenario, kilo_sandbox: Sandbox) -> None:
    flight = InFlight()
    with openai.DefaultHttpxClient(event_hooks={"request": [flight.sent], "response": [flight.answered]}) as own:
        answers = scenario("echo", http_client=own).batch([f"{n}!" for n in range(8)], {"max_concurrency": 2})
    assert flight.most == 2
    assert [answer.text[-2:] for answer in answers] == [f"{n}!" for n in range(8)]
    assert len(kilo_sandbox.requests) == 8


async def test_an_async_batch_respects_its_limit(scenario: Scenario, kilo_sandbox: Sandbox) -> None:
    flight = InFlight()
    hooks: Any = {"request": [flight.asent], "response": [flight.aanswered]}
    async with openai.DefaultAsyncHttpxClient(event_hooks=hooks) as own:
        llm = scenario("echo", http_async_client=own)
        answers = await llm.abatch([f"{n}!" for n in range(8)], {"max_concurrency": 2})
    assert flight.most == 2
    assert [answer.text[-2:] for answer in answers] == [f"{n}!" for n in range(8)]
    assert len(kilo_sandbox.requests) == 8


@every_langchain_way
def test_copies_are_equal_and_independent(scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
    llm = scenario("echo", mode="plan", default_headers={"x-team": "blue"})
    for twin in (
        llm.model_copy(),
        llm.model_copy(deep=True),
        copy.copy(llm),
        copy.deepcopy(llm),
        pickle.loads(pickle.dumps(llm)),  # noqa: S301 -- our own data
    ):
        assert twin == llm
        said(way, twin, "hi")
        record = kilo_sandbox.last
        assert (record.headers["x-kilocode-mode"], record.headers["x-team"]) == ("plan", "blue")
        twin.mode = "code"
    assert llm.mode == "plan"
    said(way, llm.model_copy(update={"mode": "ask"}), "hi")
    assert kilo_sandbox.last.headers["x-kilocode-mode"] == "ask"


@every_langchain_way
def test_fields_and_models_can_be_chosen_by_config(scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
    llm: Any = scenario("echo").configurable_fields(
        model=ConfigurableField(id="model"), temperature=ConfigurableField(id="temperature")
    )
    said(way, llm.with_config(configurable={"model": "sandbox/reasoning", "temperature": 0.5}), "hi")
    assert (kilo_sandbox.last.json["model"], kilo_sandbox.last.json["temperature"]) == ("sandbox/reasoning", 0.5)
    either: Any = scenario("echo").configurable_alternatives(
        ConfigurableField(id="which"), default_key="echo", thinker=scenario("reasoning")
    )
    said(way, either, "hi")
    said(way, either.with_config(configurable={"which": "thinker"}), "hi")
    assert [r.json["model"] for r in kilo_sandbox.requests[1:]] == ["sandbox/echo", "sandbox/reasoning"]


@pytest.mark.parametrize("way", ["invoke", "ainvoke"])
def test_retries(scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
    again: Any = scenario("flaky-503").with_retry(
        retry_if_exception_type=(KiloServerError,), wait_exponential_jitter=False, stop_after_attempt=2
    )
    assert said(way, again, "hi").text
    assert [record.status for record in kilo_sandbox.requests] == [503, 200]


@every_langchain_way
def test_fallbacks_also_of_streams(scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
    llm: Any = scenario("stream-error-first").with_fallbacks([scenario("echo")])
    assert said(way, llm, "hi").response_metadata["model_name"] == "sandbox/echo"
    assert said(way, llm.with_config(tags=["x"]), "hi").response_metadata["model_name"] == "sandbox/echo"
    tools: Any = scenario("error-502").bind_tools([add]).with_fallbacks([scenario("echo").bind_tools([add])])
    assert [call["name"] for call in said(way, tools, "Call add(2, 3).").tool_calls] == ["add"]
    assert [record.json["model"] for record in kilo_sandbox.requests][-2:] == ["sandbox/error-502", "sandbox/echo"]


@every_langchain_way
def test_compositions(scenario: Scenario, kilo_sandbox: Sandbox, way: str) -> None:
    llm = scenario("echo")
    prompt = ChatPromptTemplate.from_template("About {topic}")
    chain = RunnablePassthrough.assign(answer=prompt | llm | StrOutputParser()) | RunnableParallel(
        text=lambda state: state["answer"], planned=lambda state: state["answer"].upper()
    )
    result = said(way, chain, {"topic": "rivers"})
    assert result["text"] == "Canned sandbox answer (sandbox/echo): you said: About rivers"
    assert result["planned"] == result["text"].upper()
    both = said(way, RunnableParallel(plain=llm, planned=llm.bind(mode="plan")), "hello")
    assert both["plain"].text == "Canned sandbox answer (sandbox/echo): you said: hello"
    assert both["planned"].text.startswith("Canned sandbox answer (sandbox/echo, mode plan): a plan:")
    assert len(kilo_sandbox.requests) == 3
