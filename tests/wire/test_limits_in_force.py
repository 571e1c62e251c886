"""Limits that a context puts in force: each call reserves, each of its attempts has its turn, and it settles once."""

import asyncio
import threading
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kilo_gateway import KiloBudget, KiloBudgetExceeded, KiloTimeoutError
from kilo_gateway.budget import Cost, Holder, Rate, Verdict, Wording, in_force
from langchain_kilo import ChatKilo, KiloEmbeddings
from tests.support.server import GOOD, server
from tests.support.ways import WAYS
from tests.wire.test_limits import GATEWAY, page

LATER = page(b"{}", b"retry-after-ms: 20", status=b"429 Too Many Requests")
LOST = b""

every_driver = pytest.mark.parametrize(
    "way", ["langchain invoke", "llama_index stream_chat", "llama_index achat", "langchain astream"]
)


class Recorder(Rate):
    """Grants what `verdicts` says, in its order, then everything; a call that waits is woken at once."""

    wording = Wording(subject="The recorder", higher="Ask for more", unknown="", refused="")

    def __init__(self, **verdicts: list[Verdict]) -> None:
        super().__init__()
        self.verdicts = verdicts
        self.happened: list[str] = []
        self.settled: set[Hashable] = set()
        self.wakes_after: float | None = 0.0

    def _answer(self, what: str, wake: Callable[[], None]) -> Verdict:
        left = self.verdicts.get(what, [])
        verdict = left.pop(0) if left else "granted"
        self.happened.append(what if verdict == "granted" else f"{what}: {verdict}")
        if verdict == "queue" and self.wakes_after is not None:
            threading.Timer(self.wakes_after, wake).start()
        return verdict

    def reserve(self, call: Any, usd: float | None, holder: Holder, wake: Callable[[], None]) -> Verdict:
        assert (call.model, call.keyed) == (call.model or "a model", False)
        return self._answer("reserve", wake)

    def attempt(self, call: Hashable, wake: Callable[[], None]) -> Verdict:
        return self._answer("attempt", wake)

    def again(self, call: Hashable, lost: Cost) -> bool:
        return self._answer("again", lambda: None) == "granted"

    def pause(self, seconds: float) -> None:
        self.happened.append(f"pause {seconds:g}")

    def _end(self, call: Hashable, cost: Cost | None) -> None:
        if call in self.settled:
            return  # only the first time counts
        self.settled.add(call)
        self.happened.append("settle" if cost else "settle nothing")

    def state(self) -> tuple[float | None, float, float]:
        return None, 0.25, 0.5


@contextmanager
def applied(*rates: Rate) -> Iterator[None]:
    token = in_force.set(rates)
    try:
        yield
    finally:
        in_force.reset(token)


@every_driver
async def test_each_attempt_has_its_turn(way: str) -> None:
    cls, ask = WAYS[way]
    rate = Recorder(reserve=["queue"], attempt=["granted", "queue"])
    with server(LATER, LOST, GOOD) as (url, _), applied(rate):
        assert await ask(cls(base_url=url + GATEWAY)) == "whole"
    assert rate.happened == [
        *("reserve: queue", "reserve", "attempt", "pause 0.02", "attempt: queue", "attempt", "again", "attempt"),
        "settle",
    ]


@every_driver
async def test_a_call_outside_of_the_context_is_not_counted(way: str) -> None:
    cls, ask = WAYS[way]
    rate = Recorder()
    with server(GOOD) as (url, _):
        with applied(rate):
            llm = cls(base_url=url + GATEWAY)
        await ask(llm)
    assert rate.happened == []


@every_driver
@pytest.mark.parametrize("at", ["reserve", "attempt"])
async def test_a_spent_limit_sends_nothing(way: str, at: str) -> None:
    cls, ask = WAYS[way]
    spent: dict[str, list[Verdict]] = {at: ["spent"]}
    rate = Recorder(**spent)
    with server(GOOD) as (url, seen), applied(rate), pytest.raises(KiloBudgetExceeded) as caught:
        await ask(cls(base_url=url + GATEWAY))
    assert str(caught.value).startswith("The recorder does not allow another request: 0.25 USD are spent and 0.5 ")
    assert "Ask for more" in str(caught.value)
    assert rate.happened[-1] == "settle nothing"
    assert seen == []


async def test_limits_come_before_the_budget_of_the_model() -> None:
    rate, budget = Recorder(), KiloBudget(limit_usd=1, unknown_price="refuse")
    with applied(rate), pytest.raises(KiloBudgetExceeded, match="unknown_price is 'refuse'"):
        await ChatKilo(model="a/b", budget=budget, base_url="http://127.0.0.1:9").ainvoke("hi")
    assert rate.happened == ["reserve", "settle nothing"]


async def test_a_call_that_stops_waiting_leaves_the_queue() -> None:
    rate = Recorder(reserve=["queue"])
    rate.wakes_after = None
    with applied(rate), pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await ChatKilo(base_url="http://127.0.0.1:9").ainvoke("hi")
    assert rate.happened == ["reserve: queue", "settle nothing"]


@every_driver
async def test_the_total_limit_begins_after_the_queue_and_includes_the_turns_of_retries(way: str) -> None:
    cls, ask = WAYS[way]
    rate = Recorder(reserve=["queue"], attempt=["granted", "queue"])
    rate.wakes_after = 0.5
    with server(LATER) as (url, seen), applied(rate):
        with pytest.raises(KiloTimeoutError, match=r"total_timeout=0\.4 seconds"):
            await ask(cls(base_url=url + GATEWAY, total_timeout=0.4))
    assert len(seen) == 1
    assert rate.happened[:4] == ["reserve: queue", "reserve", "attempt", "pause 0.02"]


def test_embeddings_are_counted_by_their_requests() -> None:
    rate = Recorder()
    answer = page(b'{"data":[{"index":0,"embedding":[1,2]}]}')
    with server(answer) as (url, _), applied(rate):
        KiloEmbeddings(base_url=url + GATEWAY, chunk_size=1).embed_documents(["a", "b"])
    assert rate.happened == ["reserve", "attempt", "settle"] * 2


def test_a_batch_in_threads_is_in_the_context() -> None:
    rate = Recorder()
    with server(GOOD) as (url, _), applied(rate):
        ChatKilo(base_url=url + GATEWAY).batch(["a", "b", "c"])
    assert rate.happened.count("attempt") == rate.happened.count("settle") == 3
