"""Test that a budget counts all certain and possible charges of a gateway that bills each request."""

import asyncio
import contextlib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage

from kilo_gateway import KiloBudget, KiloError
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloLLM
from tests.support.billing import DEAR, EMBEDDING, KEY, PAID, TIER, BillingGateway, Plans

CALL = [("arguments", '{"text": "'), ("arguments", "many words " * 5), ("arguments", '"}')]
REFUSAL = [("refusal", "I will not do that. "), ("refusal", "Never, for no money in the world. ")]
REASONING = [("reasoning", "Well, let me think. "), ("reasoning", "It may be so, or it may not. ")]
TEXT = [("content", "some words ")] * 6


@pytest.fixture
def account(gateway: BillingGateway) -> dict[str, Any]:
    return {"base_url": gateway.base_url, "api_key": KEY, "max_retries": 0}


def invoke(account: dict[str, Any], plan: dict[str, Any], **call: Any) -> KiloBudget:
    budget = KiloBudget(limit_usd=10)
    llm = ChatKilo(**{"model": PAID, **account}, budget=budget, extra_body=plan)
    with contextlib.suppress(KiloError):
        llm.invoke("Hello", **call)
    return budget


def read(account: dict[str, Any], plan: dict[str, Any], pieces: int | None = None, **call: Any) -> KiloBudget:
    """Read this number of pieces of a stream, or all pieces."""
    budget = KiloBudget(limit_usd=10)
    stream: Any = ChatKilo(**{"model": PAID, **account}, budget=budget, extra_body=plan).stream("Hello", **call)
    try:
        for number, _ in enumerate(stream, start=1):
            if number == pieces:
                break
    except KiloError:
        pass
    finally:
        stream.close()
    return budget


def aread(account: dict[str, Any], plan: dict[str, Any], pieces: int | None = None, **call: Any) -> KiloBudget:
    budget = KiloBudget(limit_usd=10)

    async def run() -> None:
        llm = KiloLLM(**{"model": PAID, **account}, budget=budget, extra_body=plan)
        stream = await llm.astream_chat([ChatMessage("Hello")], **call)
        number = 0
        try:
            async for _ in stream:
                number += 1
                if number == pieces:
                    break
        except KiloError:
            pass
        finally:
            await stream.aclose()

    asyncio.run(run())
    return budget


ways = pytest.mark.parametrize("way", [invoke, read, aread])
streams = pytest.mark.parametrize("way", [read, aread])
Way = Callable[..., KiloBudget]


@streams
@pytest.mark.parametrize("answer", [CALL, REFUSAL, REASONING, TEXT], ids=["call", "refusal", "reasoning", "text"])
@pytest.mark.parametrize("step", ["hold", "cut"])
def test_the_received_part_of_a_stream_that_ended_early_counts(
    account: dict[str, Any], plans: Plans, way: Way, answer: Any, step: str
) -> None:
    budget = way(account, plans(step, answer=answer, sent=len(answer)), pieces=1 if step == "hold" else None)
    assert 0 < plans.billed <= budget.spent_usd
    assert (budget.estimated_calls, budget.estimated_usd) == (1, budget.spent_usd)
    assert (budget.under_way_usd, budget.unpriced_calls) == (0, 0)


@ways
@pytest.mark.parametrize("step", ["usage-error", "unusable"])
def test_a_cost_that_was_reported_before_an_error_counts(
    account: dict[str, Any], plans: Plans, way: Way, step: str
) -> None:
    budget = way(account, plans(step, answer=TEXT))
    assert 0 < plans.billed <= budget.spent_usd
    if way is invoke:
        assert budget.spent_usd == plans.billed
        assert budget.estimated_calls == 0


def test_an_error_contains_the_usage_reported_before_it(account: dict[str, Any], plans: Plans) -> None:
    for step in ("usage-error", "unusable"):
        llm = ChatKilo(model=PAID, **account, extra_body=plans(step))
        for call in (lambda: llm.invoke("Hello"), lambda: list(llm.stream("Hello"))):  # noqa: B023 -- called at once
            with pytest.raises(KiloError) as raised:
                call()
            assert raised.value.usage is not None
            assert raised.value.usage.cost
    embeddings = KiloEmbeddings(model=EMBEDDING, **account, extra_body=plans("unusable"))
    with pytest.raises(KiloError) as raised:
        embeddings.embed_query("Hello")
    assert raised.value.usage is not None


@ways
def test_a_lost_answer_counts_its_possible_cost(account: dict[str, Any], plans: Plans, way: Way) -> None:
    for step in ("drop", "cut"):
        budget = way(account, plans(step, answer=TEXT, sent=6))
        assert (budget.estimated_calls, budget.unpriced_calls) == (1, 0)
    budget = way({**account, "timeout": 0.1}, plans("stall"))
    assert budget.estimated_calls == 1
    total = sum(way(account, plans(step)).spent_usd for step in ("drop", "cut", "drop"))
    assert 0 < plans.billed / 2 <= total


def test_several_answers_closed_between_their_endings_count(account: dict[str, Any], plans: Plans) -> None:
    budget = KiloBudget(limit_usd=10)
    stream: Any = ChatKilo(model=PAID, **account, budget=budget, extra_body=plans("ok")).stream("Hello", n=2)
    for chunk in stream:
        if chunk.response_metadata.get("finish_reason"):
            break
    stream.close()
    assert budget.spent_usd == plans.billed > 0
    assert budget.estimated_calls == 0


@ways
@pytest.mark.parametrize("step", ["error-503", "error-400", "error-first"])
def test_a_request_that_was_answered_with_an_error_counts_nothing(
    account: dict[str, Any], plans: Plans, way: Way, step: str
) -> None:
    budget = way(account, plans(step))
    assert (budget.spent_usd, budget.under_way_usd, budget.estimated_calls, budget.unpriced_calls) == (0, 0, 0, 0)


@ways
@pytest.mark.parametrize("step", ["no-cost", "no-usage", "odd-usage"])
def test_an_answer_without_a_cost_counts_at_the_listed_price(
    account: dict[str, Any], plans: Plans, way: Way, step: str
) -> None:
    budget = way(account, plans(step, answer=[*TEXT, *CALL], written=True))
    assert 0 < plans.billed <= budget.spent_usd
    assert budget.unpriced_calls == 0
    if step == "no-cost":
        assert Decimal(repr(budget.spent_usd)) == plans.gateway.billed(*plans.names)
    assert budget.estimated_calls == (step != "no-cost")


@ways
@pytest.mark.parametrize("steps", [("drop", "ok"), ("drop", "error-503", "drop"), ("stall", "ok")])
def test_lost_attempts_count(account: dict[str, Any], plans: Plans, way: Way, steps: tuple[str, ...]) -> None:
    account |= {"max_retries": len(steps) - 1}
    if "stall" in steps:
        account["timeout"] = 0.3
    budget = way(account, plans(*steps, answer=TEXT))
    assert plans.gateway.attempts(plans.names[0]) == len(steps)
    assert 0 < plans.billed <= budget.spent_usd
    assert budget.estimated_calls == sum(step in ("drop", "stall") for step in steps)


@ways
def test_attempts_that_were_not_sent_or_refused_count_nothing(account: dict[str, Any], plans: Plans, way: Way) -> None:
    budget = way({**account, "max_retries": 1}, plans("error-503", "ok"))
    assert budget.spent_usd == plans.billed > 0
    assert budget.estimated_calls == 0
    nobody = way({**account, "base_url": "http://127.0.0.1:9/api/gateway", "model": "kilo-auto/free"}, plans("ok"))
    assert (nobody.spent_usd, nobody.unpriced_calls, nobody.under_way_usd) == (0, 0, 0)


def test_a_retry_beyond_the_limit_is_not_sent(account: dict[str, Any], plans: Plans) -> None:
    llm = ChatKilo(**{**account, "max_retries": 2}, model=PAID, max_tokens=50, extra_body=plans("drop"))
    most = llm.estimate_cost("Hello")
    assert most is not None
    llm.budget = KiloBudget(limit_usd=1.5 * most)
    with pytest.raises(KiloError, match=r"was lost and may have been billed\. It was not sent again"):
        llm.invoke("Hello")
    assert plans.gateway.attempts(plans.names[0]) == 1
    assert llm.budget.spent_usd == pytest.approx(most)
    assert plans.billed <= llm.budget.spent_usd <= llm.budget.limit_usd


@pytest.mark.parametrize("step", ["ok", "no-cost", "no-usage", "drop", "cut", "unusable", "error-503"])
def test_embeddings_count(account: dict[str, Any], plans: Plans, step: str) -> None:
    budget = KiloBudget(limit_usd=10)
    embeddings = KiloEmbeddings(**account, model=EMBEDDING, budget=budget, extra_body=plans(step))
    with contextlib.suppress(KiloError):
        embeddings.embed_documents(["one text", "another ☃"])
    assert plans.billed <= budget.spent_usd
    assert (plans.billed > 0) is (step != "error-503") is (budget.spent_usd > 0)
    assert budget.under_way_usd == 0


def test_a_tier_counts_as_the_model_that_served(account: dict[str, Any], plans: Plans) -> None:
    dear = invoke({**account, "model": TIER}, plans("no-cost", served=DEAR))
    assert dear.spent_usd == pytest.approx(plans.billed)
    budget = invoke({**account, "model": TIER}, plans("drop", served=DEAR))
    assert budget.estimated_calls == 1
    assert dear.spent_usd + budget.spent_usd >= plans.billed


@pytest.mark.parametrize("seconds", [0.0, 0.001, 0.01])
async def test_a_call_that_was_cancelled_counts(account: dict[str, Any], plans: Plans, seconds: float) -> None:
    budget = KiloBudget(limit_usd=10)
    llm = ChatKilo(model=PAID, **account, budget=budget, extra_body=plans("stall"))
    task = asyncio.ensure_future(llm.ainvoke("Hello"))
    await asyncio.sleep(seconds)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert budget.under_way_usd == 0
    assert budget.estimated_calls >= plans.gateway.attempts(plans.names[0])
    sent = asyncio.ensure_future(llm.ainvoke("Hello", extra_body=plans("stall")))
    await asyncio.to_thread(plans.gateway.wait_for, plans.names[1])
    sent.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sent
    assert budget.spent_usd >= plans.billed > 0
