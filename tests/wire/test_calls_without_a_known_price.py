"""Test calls whose cost is unknown in advance: at most one exceeds the limit, and no call waits for ever."""

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from kilo_gateway import KiloBudget, KiloBudgetExceeded
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM
from tests.support.billing import DEAR, EMBEDDING, KEY, TIER, UNLISTED, BillingGateway, Plans

ANSWER = [("content", "x" * 100)]
CROWD = 40


@pytest.fixture
def account(gateway: BillingGateway) -> dict[str, Any]:
    return {"base_url": gateway.base_url, "api_key": KEY, "max_retries": 0}


def dearest(plans: Plans) -> float:
    return float(max(plans.gateway.billed(name) for name in plans.names))


def streamed(llm: ChatKilo, plan: dict[str, Any]) -> bool:
    """Return True if the budget allowed the call."""
    try:
        for _ in llm.stream("Hello", extra_body=plan):
            pass
    except KiloBudgetExceeded:
        return False
    return True


def invoked(llm: ChatKilo, plan: dict[str, Any]) -> bool:
    try:
        llm.invoke("Hello", extra_body=plan)
    except KiloBudgetExceeded:
        return False
    return True


@pytest.mark.parametrize("ask", [streamed, invoked])
@pytest.mark.parametrize("call", [{"max_tokens": 150}, {}], ids=["max_tokens", "no max_tokens"])
@pytest.mark.parametrize("model", [UNLISTED, TIER, "kilo-auto/balanced"])
def test_threads_exceed_the_limit_by_one_call_at_most(
    account: dict[str, Any], plans: Plans, ask: Any, call: dict[str, Any], model: str
) -> None:
    served = {TIER: DEAR, "kilo-auto/balanced": UNLISTED}.get(model, model)
    each = [plans("ok", answer=ANSWER, served=served) for _ in range(CROWD)]
    llm = ChatKilo(model=model, **account, **call)
    budget = llm.budget = KiloBudget(limit_usd=0.05)
    start = threading.Barrier(CROWD)

    def one(plan: dict[str, Any]) -> bool:
        start.wait()
        return bool(ask(llm, plan))

    with ThreadPoolExecutor(CROWD) as pool:
        passed = sum(pool.map(one, each))
    assert passed == sum(plans.gateway.attempts(name) for name in plans.names) >= 1
    assert budget.spent_usd == pytest.approx(plans.billed)
    assert budget.under_way_usd == 0
    if model == TIER:  # the list contains the models of the tier
        assert plans.billed <= 0.05
    else:
        assert plans.billed <= 0.05 + dearest(plans)
    if ask is invoked:
        assert passed >= 2  # they waited their turn


@pytest.mark.parametrize("embeddings", [False, True])
async def test_tasks_take_turns(account: dict[str, Any], plans: Plans, embeddings: bool) -> None:
    budget = KiloBudget(limit_usd=10)
    if embeddings:
        await KiloEmbeddings(
            model=UNLISTED, **account, budget=budget, batch_size=1, max_concurrency=4, extra_body=plans("ok")
        ).aembed_documents(["one", "two", "three", "four", "five", "six"])
        llama = KiloEmbedding(model=UNLISTED, **account, budget=budget, embed_batch_size=1, extra_body=plans("ok"))
        await llama.aget_text_embedding_batch(["one", "two", "three", "four", "five", "six"])
        expected = 12
    else:
        llm = ChatKilo(model=UNLISTED, **account, budget=budget)
        await asyncio.gather(*(llm.ainvoke("Hello", extra_body=plans("ok")) for _ in range(12)))
        await llm.abatch(["one", "two", "three"], extra_body=plans("ok"))
        llm.batch(["one", "two", "three"], extra_body=plans("ok"))
        expected = 18
    assert sum(plans.gateway.attempts(name) for name in plans.names) == expected
    assert budget.spent_usd == pytest.approx(plans.billed)


def test_calls_that_are_not_streamed_never_overlap(account: dict[str, Any], plans: Plans) -> None:
    """The second call is sent only after the first has settled."""
    gate = plans.gateway.gate("first")
    llm = ChatKilo(model=UNLISTED, **account, budget=KiloBudget(limit_usd=10))
    first, second = plans("ok", gate="first"), plans("ok")
    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(llm.invoke, "Hello", extra_body=first)
        plans.gateway.wait_for(plans.names[0])
        two = pool.submit(llm.invoke, "Hello", extra_body=second)
        while not llm.budget or not llm.budget._waiting:  # until the second waits; no event signals this
            pass
        assert plans.gateway.attempts(plans.names[1]) == 0
        gate.set()
        one.result()
        two.result()
    assert plans.gateway.attempts(plans.names[1]) == 1


def test_a_second_call_beside_an_open_stream_raises(account: dict[str, Any], plans: Plans) -> None:
    budget = KiloBudget(limit_usd=10)
    llm = ChatKilo(model=UNLISTED, **account, budget=budget)
    stream: Any = llm.stream("Hello", extra_body=plans("ok"))
    next(stream)
    why = "the possible cost of this request to tests/unlisted is not known; it would wait for a call under way"
    with pytest.raises(KiloBudgetExceeded, match=why):
        llm.invoke("Hello", extra_body=plans("ok"))
    with pytest.raises(KiloBudgetExceeded, match=why):
        asyncio.run(llm.ainvoke("Hello", extra_body=plans("ok")))
    stream.close()
    llm.invoke("Hello", extra_body=plans("ok"))
    # A call with a known price may run at the same time.
    stream = llm.stream("Hello", extra_body=plans("ok"))
    next(stream)
    ChatKilo(model=EMBEDDING, **account, budget=budget, extra_body=plans("ok")).invoke("Hello")
    stream.close()


async def test_a_sync_call_in_a_coroutine_raises_instead_of_blocking_its_loop(
    account: dict[str, Any], plans: Plans
) -> None:
    llm = ChatKilo(model=UNLISTED, **account, budget=KiloBudget(limit_usd=10))
    task = asyncio.ensure_future(llm.ainvoke("Hello", extra_body=plans("ok", gate="coroutine")))
    await asyncio.to_thread(plans.gateway.wait_for, plans.names[0])
    with pytest.raises(KiloBudgetExceeded):
        llm.invoke("Hello", extra_body=plans("ok"))
    plans.gateway.gate("coroutine").set()
    await task


async def test_a_call_that_was_cancelled_while_it_waited_leaves_no_trace(account: dict[str, Any], plans: Plans) -> None:
    budget = KiloBudget(limit_usd=10)
    llm = ChatKilo(model=UNLISTED, **account, budget=budget)
    first = asyncio.ensure_future(llm.ainvoke("Hello", extra_body=plans("ok", gate="cancelled")))
    await asyncio.to_thread(plans.gateway.wait_for, plans.names[0])
    waiting = [asyncio.ensure_future(llm.ainvoke("Hello", extra_body=plans("ok"))) for _ in range(3)]
    while len(budget._waiting) < 3:  # noqa: ASYNC110 -- until all three wait; no event signals this
        await asyncio.sleep(0)
    waiting[0].cancel()
    plans.gateway.gate("cancelled").set()
    await asyncio.gather(first, *waiting[1:])
    with pytest.raises(asyncio.CancelledError):
        await waiting[0]
    assert plans.gateway.attempts(plans.names[1]) == 0
    assert (budget.under_way_usd, budget.spent_usd) == (0, pytest.approx(plans.billed))


def test_such_calls_can_be_refused_or_allowed(account: dict[str, Any], plans: Plans) -> None:
    llm = ChatKilo(model=UNLISTED, **account, budget=KiloBudget(limit_usd=10, unknown_price="refuse"))
    with pytest.raises(KiloBudgetExceeded, match=r"tests/unlisted is not known; .*It was not sent\. Fetch the prices"):
        llm.invoke("Hello", extra_body=plans("ok"))
    assert plans.billed == 0
    llm.budget = KiloBudget(limit_usd=10, unknown_price="allow")
    one: Any = llm.stream("Hello", extra_body=plans("ok"))
    other: Any = llm.stream("Hello", extra_body=plans("ok"))
    next(one), next(other)
    one.close(), other.close()
    assert llm.budget.under_way_usd == 0


def test_an_unknown_policy_raises() -> None:
    with pytest.raises(ValueError, match="unknown_price='one' must be one of one_at_a_time, refuse, allow"):
        KiloBudget(limit_usd=1, unknown_price="one")  # type: ignore[arg-type] # the test passes a wrong value


def test_a_call_waits_while_others_leave_no_room(account: dict[str, Any], plans: Plans) -> None:
    """Two reservations together exceed the limit, but the calls fit one after the other."""
    llm = KiloLLM(model=DEAR, **account, max_tokens=100)
    most = llm.estimate_cost("Hello")
    assert most is not None
    budget = llm.budget = KiloBudget(limit_usd=1.9 * most)
    each = [plans("ok", answer=[("content", "short")]) for _ in range(4)]

    def one(plan: dict[str, Any]) -> Any:
        return llm.chat([ChatMessage("Hello")], extra_body=plan)

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(one, each))
    assert [str(answer.message.content) for answer in answers] == ["short"] * 4
    assert budget.spent_usd == pytest.approx(plans.billed)
    assert budget.spent_usd < budget.limit_usd


def test_the_next_call_raises_after_one_without_a_reported_cost(account: dict[str, Any], plans: Plans) -> None:
    llm = ChatKilo(**account, model=UNLISTED, budget=KiloBudget(limit_usd=10))
    llm.invoke("Hello", extra_body=plans("ok"))
    llm.invoke("Hello", extra_body=plans("no-cost"))
    with pytest.raises(KiloBudgetExceeded, match="the cost of a call before it is not known either"):
        llm.invoke("Hello", extra_body=plans("ok"))
    ChatKilo(**account, model=DEAR, budget=llm.budget).invoke("Hello", extra_body=plans("ok"))
    llm.budget = KiloBudget(limit_usd=10, unknown_price="allow")
    for step in ("no-cost", "ok"):
        llm.invoke("Hello", extra_body=plans(step))


def test_an_unpriced_call_counts_the_budgets_unknown_cost(account: dict[str, Any], plans: Plans) -> None:
    budget = KiloBudget(limit_usd=1, unknown_cost_usd=0.25)
    llm = ChatKilo(**{**account, "max_retries": 1}, model=UNLISTED, budget=budget)
    llm.invoke("Hello", extra_body=plans("drop", "no-cost"))
    assert (budget.spent_usd, budget.unpriced_calls, budget.estimated_calls) == (0.5, 2, 0)
    with contextlib.suppress(KiloBudgetExceeded):
        for _ in range(5):
            llm.invoke("Hello", extra_body=plans("no-cost"))
    assert Decimal(repr(budget.spent_usd)) == 1
