"""Test that a budget counts everything that was or may have been billed, and is never exceeded."""

import asyncio
import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from kilo_gateway import (
    GatewaySettings,
    KiloBudget,
    KiloBudgetExceeded,
    KiloError,
    KiloTimeoutError,
    Usage,
    chat,
    list_models,
)
from kilo_gateway.budget import Cost, Holder
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.usage import parse_usage
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.server import DONE, HEAD, Say, chunked, server
from tests.support.ways import WAYS, every_stream, every_way

PAID = "anthropic/claude-sonnet-4.6"
EXTRA = "tests/not-listed"
GATEWAY = "/api/gateway"
HOLDER = Holder(0)


def frame(**fields: Any) -> bytes:
    return b"data: " + json.dumps(fields).encode() + b"\n\n"


def body(**fields: Any) -> bytes:
    content = json.dumps(fields).encode()
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    return head % len(content) + content


ANSWER = {"choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}


@pytest.fixture
def account(kilo_sandbox: Sandbox) -> dict[str, Any]:
    fields: dict[str, Any] = {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}
    list_models(**fields)
    kilo_sandbox.clear()
    return fields


@pytest.fixture
def listed(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every gateway of a test the sandbox's prices."""
    catalog = list_models(base_url=kilo_sandbox.base_url)
    entries = {model.id: model for model in catalog}
    monkeypatch.setattr("kilo_gateway.models.known.known", lambda model, **_: entries.get(model))


@pytest.mark.parametrize("number", [-5, -0.01, float("nan"), float("inf"), -float("inf"), "-1", True, None, [], "x"])
def test_an_impossible_number_counts_as_not_reported(number: Any) -> None:
    usage = parse_usage({"cost": number, "prompt_tokens": 3, "completion_tokens": number})
    assert usage == Usage(prompt_tokens=3, total_tokens=3, raw=usage.raw if usage else {})
    assert parse_usage({"cost": number, "prompt_tokens": number}) is None


@every_way
async def test_a_negative_cost_does_not_refill_a_budget(way: str) -> None:
    cls, ask = WAYS[way]
    usage = {"cost": -5, "prompt_tokens": -100, "completion_tokens": 3, "total_tokens": -97}
    stream = HEAD + chunked(frame(choices=[{"delta": {"content": "hi"}, "finish_reason": "stop"}]), frame(usage=usage))
    answer = stream + b"0\r\n\r\n" if "stream" in way else body(**ANSWER, usage=usage)
    budget = KiloBudget(limit_usd=1, unknown_price="allow")
    with server(answer) as (url, _):
        assert await ask(cls(base_url=url + GATEWAY, budget=budget)) == "hi"
    assert (budget.spent_usd, budget.left_usd) == (0, 1)


CALL = {"index": 0, "id": "c", "function": {"name": "book", "arguments": '{"x": "' + "y" * 4000}}


@every_stream
@pytest.mark.parametrize(
    "delta",
    [{"tool_calls": [CALL]}, {"refusal": "n" * 4000}, {"content": "z" * 4000}, {"reasoning": "r" * 4000}],
    ids=["tool call", "refusal", "text", "reasoning"],
)
@pytest.mark.usefixtures("listed")
async def test_the_received_part_of_a_cut_stream_counts(way: str, delta: dict[str, Any]) -> None:
    cls, ask = WAYS[way]
    budget = KiloBudget(limit_usd=10)
    answer = Say(HEAD + chunked(frame(choices=[{"index": 0, "delta": delta, "finish_reason": None}])))
    with server(answer) as (url, _), pytest.raises(KiloError):
        await ask(cls(model=PAID, base_url=url + GATEWAY, budget=budget))
    assert budget.spent_usd > 4000 * 15 / 1e6
    assert (budget.estimated_calls, budget.estimated_usd, budget.under_way_usd) == (1, budget.spent_usd, 0)


@every_way
async def test_a_cost_reported_before_an_error_counts(way: str) -> None:
    cls, ask = WAYS[way]
    usage = {"cost": 0.25, "prompt_tokens": 1, "completion_tokens": 1}
    error = {"message": "the provider failed", "code": 502}
    stream = HEAD + chunked(frame(choices=[{"delta": {"content": "a"}}], usage=usage), frame(error=error))
    budget = KiloBudget(limit_usd=1, unknown_price="allow")
    with server(stream + b"0\r\n\r\n" if "stream" in way else body(error=error, usage=usage)) as (url, _):
        with pytest.raises(KiloError) as caught:
            await ask(cls(base_url=url + GATEWAY, budget=budget, max_retries=0))
    assert (budget.spent_usd, budget.estimated_calls) == (0.25, 0)
    if "stream" not in way:
        assert caught.value.usage is not None
        assert caught.value.usage.cost == 0.25


@pytest.mark.parametrize("way", [way for way in WAYS if "stream" not in way])
async def test_the_usage_of_an_unusable_body_counts(way: str) -> None:
    cls, ask = WAYS[way]
    budget = KiloBudget(limit_usd=1, unknown_price="allow")
    with server(body(choices=[], usage={"cost": 0.5, "prompt_tokens": 1})) as (url, _):
        with pytest.raises(KiloError, match="no choices"):
            await ask(cls(base_url=url + GATEWAY, budget=budget))
    assert budget.spent_usd == 0.5


def test_closing_between_the_endings_of_two_answers_counts() -> None:
    ends = [{"index": i, "delta": {"content": "a"}, "finish_reason": "stop"} for i in (0, 1)]
    answer = HEAD + chunked(frame(choices=ends), frame(choices=[], usage={"cost": 0.25, "prompt_tokens": 1}), DONE)
    budget = KiloBudget(limit_usd=1, unknown_price="allow")
    with server(answer + b"0\r\n\r\n") as (url, _):
        settings = GatewaySettings(base_url=url + GATEWAY, budget=budget)
        deltas = chat.stream(settings, settings.prepare([], stream=True, keywords={"n": 2}))
        for delta in deltas:
            if delta.ending is not None:
                break
        deltas.close()
    assert budget.spent_usd == 0.25


@pytest.mark.parametrize("way", [way for way in WAYS if "stream" not in way])
@pytest.mark.usefixtures("listed")
async def test_a_lost_answer_counts_its_possible_cost(way: str) -> None:
    cls, ask = WAYS[way]
    budget = KiloBudget(limit_usd=10)
    with server(body(**ANSWER)[:-10]) as (url, seen):
        llm = cls(model=PAID, base_url=url + GATEWAY, max_tokens=1000, budget=budget)
        most = llm.estimate_cost("hi")
        with pytest.raises(KiloError):
            await ask(llm)
    assert len(seen) == 1
    assert budget.spent_usd == pytest.approx(most)
    assert budget.estimated_calls == 1


@every_way
@pytest.mark.usefixtures("listed")
async def test_each_lost_attempt_counts(way: str) -> None:
    cls, ask = WAYS[way]
    budget = KiloBudget(limit_usd=10)
    with server(Say(b"", end="close")) as (url, seen):  # the server reads the request and does not answer
        llm = cls(model=PAID, base_url=url + GATEWAY, max_tokens=1000, budget=budget, max_retries=2)
        most = llm.estimate_cost("hi")
        with pytest.raises(KiloError):
            await ask(llm)
    assert len(seen) == 3
    assert most is not None
    assert (budget.spent_usd, budget.estimated_calls) == (pytest.approx(3 * most), 3)


@every_way
async def test_a_request_that_was_never_sent_counts_nothing(way: str) -> None:
    cls, ask = WAYS[way]
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.1)
    with server(b"", listening=False) as (url, seen), pytest.raises(KiloError):
        await ask(cls(base_url=url + GATEWAY, budget=budget, max_retries=1))
    assert (seen, budget.spent_usd, budget.under_way_usd) == ([], 0, 0)


@every_way
@pytest.mark.usefixtures("listed")
async def test_a_refusal_without_time_for_a_retry_counts_nothing(way: str) -> None:
    cls, ask = WAYS[way]
    budget = KiloBudget(limit_usd=10)
    busy = b"HTTP/1.1 429 Too Many Requests\r\nretry-after: 30\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}"
    with server(busy) as (url, seen):
        with pytest.raises(KiloTimeoutError, match="total_timeout=5 seconds"):
            await ask(cls(model=PAID, base_url=url + GATEWAY, budget=budget, total_timeout=5))
    assert len(seen) == 1
    assert (budget.spent_usd, budget.under_way_usd, budget.estimated_calls) == (0, 0, 0)


def test_calls_of_unknown_price_run_one_at_a_time() -> None:
    running = threading.Semaphore(0)
    at_once: list[int] = []
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.01)

    def call(number: int) -> None:
        woken = threading.Semaphore(0)
        while (verdict := budget.reserve(number, None, Holder(number), woken.release)) == "wait":
            assert woken.acquire(timeout=20)
        assert verdict == "granted"
        at_once.append(len(budget._under_way))
        running.release()
        budget.settle(number, Cost(0.01))

    with ThreadPoolExecutor(20) as pool:
        list(pool.map(call, range(20)))
    assert at_once == [1] * 20
    assert budget.spent_usd == 0.2


@every_way
async def test_200_calls_of_unknown_price_exceed_the_limit_by_one_at_most(way: str) -> None:
    cls, ask = WAYS[way]
    usage = {"cost": 0.01, "prompt_tokens": 1, "completion_tokens": 1}
    stream = HEAD + chunked(frame(choices=[{"delta": {"content": "hi"}, "finish_reason": "stop"}]), frame(usage=usage))
    answer = stream + b"0\r\n\r\n" if "stream" in way else body(**ANSWER, usage=usage)
    budget = KiloBudget(limit_usd=0.05)
    with server(answer) as (url, seen):
        llm = cls(model=EXTRA, base_url=url + GATEWAY, budget=budget)
        if "a" in way.split()[1][0]:
            results = await asyncio.gather(*(ask(llm) for _ in range(200)), return_exceptions=True)
        else:
            with ThreadPoolExecutor(16) as pool:
                results = list(pool.map(lambda _: _result_of(ask, llm), range(200)))
    served = [result for result in results if result == "hi"]
    assert len(served) == len(seen) == 5
    assert sum(isinstance(result, KiloBudgetExceeded) for result in results) == 195
    assert budget.spent_usd == pytest.approx(0.05)


def _result_of(ask: Any, llm: Any) -> Any:
    try:
        return asyncio.run(ask(llm))
    except KiloBudgetExceeded as error:
        return error


@every_way
async def test_an_unknown_price_can_be_refused(way: str, kilo_sandbox: Sandbox) -> None:
    cls, ask = WAYS[way]
    kilo_sandbox.clear()
    budget = KiloBudget(limit_usd=1, unknown_price="refuse")
    with pytest.raises(
        KiloBudgetExceeded, match=r"the possible cost of this request to tests/not-listed is not known.*refuse"
    ):
        await ask(cls(model=EXTRA, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key, budget=budget))
    assert not kilo_sandbox.requests
    assert budget.under_way_usd == 0


def test_a_caller_does_not_wait_for_itself(account: dict[str, Any]) -> None:
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.01)
    llm = ChatKilo(model="sandbox/echo", budget=budget, **account)
    stream: Any = llm.stream("Hello")
    next(stream)
    with pytest.raises(KiloBudgetExceeded, match="this same caller holds it open"):
        llm.invoke("Hello")
    stream.close()
    assert budget.under_way_usd == 0
    assert llm.invoke("Hello").text


async def test_a_task_does_not_wait_for_itself(account: dict[str, Any]) -> None:
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.01)
    llm = KiloLLM(model="sandbox/echo", budget=budget, **account)
    stream = await llm.astream_complete("Hello")
    await anext(stream)
    with pytest.raises(KiloBudgetExceeded, match="this same caller holds it open"):
        await llm.acomplete("Hello")
    waiting = asyncio.ensure_future(llm.acomplete("Hello"))  # another task waits
    await asyncio.sleep(0)
    await stream.aclose()
    assert (await waiting).text
    assert budget.under_way_usd == 0


async def test_a_wait_ends_at_the_total_timeout(account: dict[str, Any]) -> None:
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.01)
    llm = ChatKilo(model="sandbox/echo", budget=budget, **account)
    stream: Any = llm.astream("Hello")
    await anext(stream)
    with pytest.raises(KiloBudgetExceeded, match="did not end in time"):
        await asyncio.ensure_future(llm.ainvoke("Hello", total_timeout=0.2))
    await stream.aclose()


async def test_a_cancelled_wait_reserves_nothing(account: dict[str, Any]) -> None:
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.01)
    llm = ChatKilo(model="sandbox/echo", budget=budget, **account)
    stream: Any = llm.astream("Hello")
    await anext(stream)
    waiting = asyncio.ensure_future(llm.ainvoke("Hello"))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await stream.aclose()
    # LangChain may let the event loop close the model's own generator, so the next call waits for it.
    assert (await llm.ainvoke("Hello")).text
    assert budget.under_way_usd == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # the test forks a process with threads
def test_a_forked_child_has_neither_the_reservations_nor_the_lock() -> None:
    budget = KiloBudget(limit_usd=1, unknown_price="allow")
    budget.reserve("of the parent", 0.75, HOLDER, lambda: None)
    budget.settle("spent before", None)
    budget._lock.acquire()  # as a thread of the parent may do
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        granted = budget.reserve("of the child", 0.9, HOLDER, lambda: None)
        budget.settle("of the parent", Cost(0.75))  # the child's garbage collector may close a stream of the parent
        budget.settle("of the child", Cost(0.5))
        os._exit(0 if (granted, budget.spent_usd, budget.under_way_usd) == ("granted", 0.5, 0) else 1)
    budget._lock.release()
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (budget.spent_usd, budget.under_way_usd) == (0, 0.75)


def test_a_call_that_ends_inside_the_lock_is_settled_afterwards() -> None:
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.01)
    assert budget.reserve("a", 0.5, HOLDER, lambda: None) == "granted"
    with budget._locked():  # garbage collection may close a stream here
        budget.settle("a", Cost(0.25))
    assert (budget.spent_usd, budget.under_way_usd) == (0.25, 0)


def test_sums_do_not_drift() -> None:
    budget = KiloBudget(limit_usd=2)
    for number in range(200):
        assert budget.reserve(number, 0.01, HOLDER, lambda: None) == "granted"
        budget.settle(number, Cost(0.01))
    assert (budget.spent_usd, budget.left_usd) == (2, 0)
    assert budget.reserve("one more", 0.01, HOLDER, lambda: None) == "spent"
