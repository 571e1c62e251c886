"""The share of a cluster's limits in one process, whose thread reports to accounts in the same process."""

import asyncio
import gc
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from kilo_gateway import KiloBudgetExceeded, list_models
from kilo_gateway.budget import Cost, Holder, in_force
from kilo_gateway.ray.accounts import Accounts
from kilo_gateway.ray.reports import Reply, Report, Terms
from kilo_gateway.ray.shares import Share
from kilo_gateway.transport.openai_compat import HTTP
from langchain_kilo import ChatKilo

MODEL = "tests/paid"
LISTED = {
    "data": [
        {
            "id": MODEL,
            "pricing": {"prompt": "0", "completion": "0.001"},
            "context_length": 9000,
            "top_provider": {"max_completion_tokens": 10},
        }
    ]
}
ANSWER = {
    "id": "gen-1",
    "model": MODEL,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "whole"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 5, "total_tokens": 6, "cost": 0.005},
}
MOST = 0.01
"""The most that a call may cost; an answer costs half of it."""


@dataclass
class Actor:
    """The accounts, and how many reports they got."""

    terms: Terms
    reports: list[Report] = field(default_factory=list)
    lost: int = 0
    """Replies that are still to be lost."""
    failure: Exception | None = None

    def __post_init__(self) -> None:
        self.accounts = Accounts(self.terms)
        self._lock = threading.Lock()

    def exchange(self, report: Report) -> Reply | None:
        with self._lock:
            if self.failure is not None:
                raise self.failure
            self.reports.append(report)
            reply = self.accounts.exchange(report, time.monotonic())
            self.lost -= 1
            return None if self.lost >= 0 else reply

    @property
    def spent(self) -> float:
        with self._lock:
            return self.accounts.status(time.monotonic()).spent_usd


@contextmanager
def share_of(actor: Actor) -> Iterator[Share]:
    share = Share(actor.terms, actor.exchange)
    token = in_force.set((share,))
    try:
        yield share
    finally:
        in_force.reset(token)
        share.close()


@pytest.fixture
def llm() -> ChatKilo:
    def answer(request: Any) -> Any:
        return HTTP.Response(200, json=LISTED if request.method == "GET" else ANSWER)

    transport = HTTP.MockTransport(answer)
    account: dict[str, Any] = {"base_url": "http://127.0.0.1:9/api/gateway", "api_key": "k"}
    list_models(**account, http_client=HTTP.Client(transport=transport))
    clients = {
        "http_client": HTTP.Client(transport=transport),
        "http_async_client": HTTP.AsyncClient(transport=transport),
    }
    return ChatKilo(model=MODEL, **account, **clients)


async def outcomes(llm: ChatKilo, number: int) -> list[Any]:
    return await asyncio.gather(*(llm.ainvoke("hi") for _ in range(number)), return_exceptions=True)


def refused(answers: list[Any]) -> list[KiloBudgetExceeded]:
    return [answer for answer in answers if isinstance(answer, KiloBudgetExceeded)]


async def test_a_budget_is_spent_to_within_one_call(llm: ChatKilo) -> None:
    actor = Actor(Terms(budget_usd=1.0))
    with share_of(actor):
        answers = await outcomes(llm, 250)
        assert len(answers) - len(refused(answers)) == 199
        assert "The limit of the cluster (ClusterLimits) does not allow another request: of 1 USD, " in str(
            refused(answers)[0]
        )
        assert "higher budget_usd and with the spent_usd of this job" in str(refused(answers)[0])
    assert actor.spent == pytest.approx(0.995)


def test_threads_share_the_calls_in_flight(llm: ChatKilo) -> None:
    actor = Actor(Terms(max_in_flight=3))
    with share_of(actor):
        assert [answer.text for answer in llm.batch(["hi"] * 40)] == ["whole"] * 40
    status = actor.accounts.status(time.monotonic())
    assert (status.requests, status.under_way, status.waiting) == (40, 0, 0)


async def test_a_lost_reply_is_asked_for_again_and_counts_once(llm: ChatKilo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kilo_gateway.ray.shares.RESEND_SECONDS", 0.01)
    actor = Actor(Terms(budget_usd=1.0), lost=3)
    with share_of(actor):
        await outcomes(llm, 10)
        assert [report.number for report in actor.reports[:4]] == [1, 1, 1, 1]
    assert actor.spent == pytest.approx(0.05)


async def test_every_call_raises_when_the_actor_is_gone(llm: ChatKilo) -> None:
    actor = Actor(Terms(budget_usd=1.0), failure=RuntimeError("the actor has ended"))
    with share_of(actor):
        for answer in await outcomes(llm, 3):
            assert isinstance(answer, RuntimeError)
            assert "The limits of the cluster do not answer: the actor has ended" in str(answer)
    assert not actor.reports


async def test_a_call_of_unknown_price_needs_a_cost(llm: ChatKilo) -> None:
    unlisted = llm.model_copy(update={"model": "tests/unlisted"})
    with share_of(Actor(Terms(budget_usd=1.0))), pytest.raises(KiloBudgetExceeded, match="no unknown_cost_usd"):
        await unlisted.ainvoke("hi")
    actor = Actor(Terms(budget_usd=1.0, unknown_cost_usd=0.3))
    with share_of(actor):
        answers = await outcomes(unlisted, 4)
        assert not refused(answers)
    assert actor.spent == pytest.approx(0.02)


def test_a_caller_that_holds_all_calls_does_not_wait_for_itself(llm: ChatKilo) -> None:
    with share_of(Actor(Terms(max_in_flight=1))):
        stream: Any = llm.stream("hi")
        next(stream)
        with pytest.raises(KiloBudgetExceeded, match="this same caller holds it open"):
            llm.invoke("hi")
        stream.close()
        assert llm.invoke("hi").text == "whole"


async def test_a_call_that_is_cancelled_releases_its_place(llm: ChatKilo) -> None:
    with share_of(Actor(Terms(max_in_flight=1))):
        async for _ in llm.astream("hi"):
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await asyncio.create_task(llm.ainvoke("waits"))
        assert (await llm.ainvoke("hi")).text == "whole"


def test_close_reports_for_the_last_time_and_a_later_call_starts_again(llm: ChatKilo) -> None:
    actor = Actor(Terms(budget_usd=1.0))
    with share_of(actor) as share:
        llm.invoke("hi")
        share.close()
        assert actor.reports[-1].leaves
        assert actor.spent == pytest.approx(0.005)
        llm.invoke("hi")
    assert actor.spent == pytest.approx(0.01)


def test_calls_under_way_count_as_lost_when_the_share_closes(llm: ChatKilo) -> None:
    actor = Actor(Terms(budget_usd=1.0))
    with share_of(actor) as share:
        stream: Any = llm.stream("hi")
        next(stream)
        share.close()
        assert actor.spent == pytest.approx(MOST)
        assert actor.accounts.status(time.monotonic()).estimated_usd == pytest.approx(MOST)
        stream.close()


def test_garbage_collection_may_end_a_call_while_the_lock_is_held() -> None:
    actor = Actor(Terms(budget_usd=1.0))
    share = Share(actor.terms, actor.exchange)

    class Dropped:
        model, keyed = MODEL, True

        def __del__(self) -> None:
            share.settle(1, Cost(MOST))

    with share._locked():
        Dropped()
        gc.collect()
    assert share.reserve(Dropped(), 0.0, Holder(1), lambda: None) in ("granted", "queue")
    share.close()


def test_the_thread_ends_when_there_is_nothing_to_report(llm: ChatKilo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kilo_gateway.ray.accounts.REPORT_SECONDS", 0.05)
    monkeypatch.setattr("kilo_gateway.ray.hand.REPORT_SECONDS", 0.05)
    with share_of(Actor(Terms(budget_usd=1.0))) as share:
        llm.invoke("hi")
        thread = share._thread
        assert thread is not None
        thread.join(5)
        assert not thread.is_alive()
        assert llm.invoke("hi").text == "whole"
