"""Test 2,000 calls of all kinds with a gateway that bills each request: a budget never counts less than the bill.

The calls are random. Each run prints its seed; set `MONEY_SEED` to it to repeat the run.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

import pytest
from llama_index.core.base.llms.types import ChatMessage

from kilo_gateway import KiloBudget, KiloBudgetExceeded, KiloError, list_models
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM
from tests.support.billing import CHEAP, DEAR, EMBEDDING, KEY, PAID, TIER, UNLISTED, BillingGateway

CALLS = 2000
CROWDS, FORKS, CALLS_OF_A_CHILD = 12, 6, 5
CROWD = 40
THREADS, TASKS = 8, 12

WORDS = ["word ", "Straße ", "日本語", "☃", "{}", '"', "\\", "\n", "ﷺ", "👩‍👩‍👧 ", "0123456789"]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {}}}}}
STEPS = {
    "ok": 40,
    "no-cost": 6,
    "no-usage": 6,
    "odd-usage": 6,
    "usage-error": 5,
    "unusable": 5,
    "cut": 8,
    "drop": 6,
    "error-503": 4,
    "error-400": 4,
    "error-first": 4,
    "hold": 6,
}
LOST = ("drop", "error-503", "cut")


@dataclass
class Spec:
    """One call."""

    name: str
    kind: Literal["langchain", "llama_index", "embeddings", "llama_embeddings"]
    streamed: bool
    model: str
    plan: dict[str, Any]
    text: str
    call: dict[str, Any] = field(default_factory=dict)
    account: dict[str, Any] = field(default_factory=dict)
    read: int | None = None
    """Pieces of a stream to read; None reads all."""
    cancel: int | None = None
    """Iterations of the event loop after which an async call is cancelled."""


class Calls:
    """Make random calls."""

    def __init__(self, gateway: BillingGateway, seed: int) -> None:
        self._random = random.Random(seed)
        self._names = (f"money-{seed}-{number}" for number in itertools.count())
        self._account = {"base_url": gateway.base_url, "api_key": KEY}

    def __call__(self, *, asynchronous: bool = False, model: str | None = None, patient: bool = False) -> Spec:
        """Return a call; a `patient` one has no fault that takes a second."""
        pick = self._random
        kind = pick.choices(["langchain", "llama_index", "embeddings", "llama_embeddings"], [45, 40, 10, 5])[0]
        chat = not kind.endswith("embeddings")
        step = pick.choices(list(STEPS), list(STEPS.values()))[0]
        streamed = chat and pick.random() < 0.5
        spec = Spec(
            name=next(self._names),
            kind=kind,  # type: ignore[arg-type] # one of the choices above
            streamed=streamed,
            model=model or (pick.choice([PAID, PAID, DEAR, CHEAP, TIER]) if chat else EMBEDDING),
            text=self._text(),
            plan={"answer": self._answer(chat=chat), "written": pick.random() < 0.2},
            account={**self._account, "max_retries": 0},
        )
        if spec.model == TIER:
            spec.plan["served"] = pick.choice([CHEAP, DEAR])
        self._options(spec, chat=chat)
        steps = [step]
        if step == "hold" and asynchronous:
            spec.cancel = pick.randrange(60)
        if step == "hold" and not streamed:
            steps = ["stall"]
            spec.account["timeout"] = 0.2
        if step == "hold" and streamed and spec.cancel is None:
            spec.read = 1
        if step in LOST and not patient and pick.random() < 0.4 and not (step == "cut" and streamed):
            steps, spec.account["max_retries"] = [step, pick.choice(["ok", "no-cost", "drop"])], 1
        spec.plan |= {"id": spec.name, "steps": steps, "sent": pick.randrange(1, 9)}
        return spec

    def _options(self, spec: Spec, *, chat: bool) -> None:
        pick = self._random
        if not chat:
            return
        if pick.random() < 0.6:
            spec.call["max_tokens"] = pick.choice([20, 60, 150])
        if pick.random() < 0.2:
            spec.call["tools"] = [TOOL]
        if spec.kind == "langchain" and pick.random() < 0.2:
            spec.call["n"] = 2

    def _text(self) -> str:
        return "".join(self._random.choices(self._script(), k=self._random.choice([1, 20, 300])))

    def _script(self) -> list[str]:
        return WORDS if self._random.random() < 0.5 else ["word ", "0123456789"]

    def _answer(self, *, chat: bool) -> list[tuple[str, str]]:
        if not chat:
            return []
        kinds = self._random.choices(["content", "reasoning", "arguments", "refusal"], [6, 2, 2, 1], k=8)
        if self._random.random() < 0.5:
            kinds = [self._random.choice(kinds)] * len(kinds)
        script, words = self._script(), self._random.choice([1, 3, 10])
        return [(kind, "".join(self._random.choices(script, k=words))) for kind in kinds]


def send(spec: Spec, budget: KiloBudget) -> bool:
    """Make a sync call; return True if the budget allowed it."""
    plan = {"plan": spec.plan}
    try:
        if spec.kind == "langchain":
            llm = ChatKilo(model=spec.model, budget=budget, **spec.account)
            if not spec.streamed:
                llm.invoke(spec.text, **spec.call, extra_body=plan)
            else:
                _read(llm.stream(spec.text, **spec.call, extra_body=plan), spec.read)
        elif spec.kind == "llama_index":
            other = KiloLLM(model=spec.model, budget=budget, **spec.account)
            if not spec.streamed:
                other.chat([ChatMessage(spec.text)], **spec.call, extra_body=plan)
            else:
                _read(other.stream_chat([ChatMessage(spec.text)], **spec.call, extra_body=plan), spec.read)
        elif spec.kind == "embeddings":
            KiloEmbeddings(model=spec.model, budget=budget, extra_body=plan, **spec.account).embed_query(spec.text)
        else:
            embedding = KiloEmbedding(model=spec.model, budget=budget, extra_body=plan, **spec.account)
            embedding.get_text_embedding(spec.text)
    except KiloBudgetExceeded:
        return False
    except KiloError:
        pass
    return True


def _read(stream: Any, pieces: int | None) -> None:
    try:
        for number, _ in enumerate(stream, start=1):
            if number == pieces:
                return
    finally:
        stream.close()


async def asend(spec: Spec, budget: KiloBudget) -> bool:
    """Make an async call, and cancel it if the spec says so; return True if the budget allowed it."""
    task = asyncio.ensure_future(_asend(spec, budget))
    if spec.cancel is not None:
        for _ in range(spec.cancel):
            await asyncio.sleep(0)
        task.cancel()
    with suppress(KiloError, asyncio.CancelledError):
        try:
            await task
        except KiloBudgetExceeded:
            return False
    return True


async def _asend(spec: Spec, budget: KiloBudget) -> None:
    plan = {"plan": spec.plan}
    if spec.kind == "langchain":
        llm = ChatKilo(model=spec.model, budget=budget, **spec.account)
        if not spec.streamed:
            await llm.ainvoke(spec.text, **spec.call, extra_body=plan)
        else:
            await _aread(llm.astream(spec.text, **spec.call, extra_body=plan), spec.read)
    elif spec.kind == "llama_index":
        other = KiloLLM(model=spec.model, budget=budget, **spec.account)
        if not spec.streamed:
            await other.achat([ChatMessage(spec.text)], **spec.call, extra_body=plan)
        else:
            await _aread(await other.astream_chat([ChatMessage(spec.text)], **spec.call, extra_body=plan), spec.read)
    elif spec.kind == "embeddings":
        await KiloEmbeddings(model=spec.model, budget=budget, extra_body=plan, **spec.account).aembed_query(spec.text)
    else:
        embedding = KiloEmbedding(model=spec.model, budget=budget, extra_body=plan, **spec.account)
        await embedding.aget_text_embedding(spec.text)


async def _aread(stream: Any, pieces: int | None) -> None:
    number = 0
    try:
        async for _ in stream:
            number += 1
            if number == pieces:
                return
    finally:
        await stream.aclose()


async def at_once(specs: list[Spec], budgets: list[KiloBudget]) -> int:
    """Make async calls, a dozen at a time."""
    free = asyncio.Semaphore(TASKS)

    async def one(spec: Spec, budget: KiloBudget) -> bool:
        async with free:
            return await asend(spec, budget)

    return sum(await asyncio.gather(*map(one, specs, budgets)))


@pytest.fixture
def gateway() -> Iterator[BillingGateway]:
    with BillingGateway() as gateway:
        list_models(base_url=gateway.base_url, api_key=KEY)
        yield gateway


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("MONEY_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"MONEY_SEED={seed}")  # noqa: T201 -- pytest shows it if the test fails
    return seed


@pytest.fixture
def calls(gateway: BillingGateway, seed: int) -> Calls:
    return Calls(gateway, seed)


def exact(usd: float) -> Decimal:
    return Decimal(repr(usd))


def test_each_call_counts_at_least_what_was_billed_for_it(gateway: BillingGateway, calls: Calls, seed: int) -> None:
    """1,500 calls have a budget each, so that one call cannot compensate for another."""
    specs = [calls(asynchronous=bool(number % 2)) for number in range(1500)]
    budgets = [KiloBudget(limit_usd=100) for _ in specs]
    with ThreadPoolExecutor(THREADS + 1) as pool:
        tasks = pool.submit(lambda: asyncio.run(at_once(specs[1::2], budgets[1::2])))
        passed = sum(pool.map(send, specs[0::2], budgets[0::2])) + tasks.result()
    assert passed == len(specs), f"seed {seed}"
    wrong = [
        (spec, budget.spent_usd, gateway.billed(spec.name))
        for spec, budget in zip(specs, budgets, strict=True)
        if exact(budget.spent_usd) < gateway.billed(spec.name) or budget.under_way_usd or budget.unpriced_calls
    ]
    assert not wrong, f"seed {seed}"
    assert sum(gateway.billed(spec.name) for spec in specs) > 0


@pytest.mark.parametrize("model", [None, UNLISTED])
def test_a_crowd_stays_within_its_limit(gateway: BillingGateway, calls: Calls, seed: int, model: str | None) -> None:
    """Threads and tasks make 440 calls with a shared budget that is too small for all of them."""
    crowds, size = (CROWDS, CROWD) if model is None else (CROWDS // 2, CROWD // 2)
    for number in range(crowds):
        budget = KiloBudget(limit_usd=[0.02, 0.002, 0.05][number % 3])
        specs = [calls(asynchronous=n % 2 == 1, model=model, patient=number % 3 > 0) for n in range(size)]
        with ThreadPoolExecutor(THREADS + 1) as pool:
            tasks = pool.submit(lambda: asyncio.run(at_once(specs[1::2], [budget] * len(specs[1::2]))))  # noqa: B023 -- its result is awaited in this iteration
            list(pool.map(send, specs[0::2], [budget] * len(specs[0::2])))
            tasks.result()
        billed = [gateway.billed(spec.name) for spec in specs]
        assert budget.under_way_usd == 0, f"seed {seed}"
        if model is None:
            assert sum(billed) <= exact(budget.spent_usd) <= exact(budget.limit_usd), f"seed {seed}"
        else:  # one call without a known price may exceed the limit
            assert sum(billed) <= exact(budget.limit_usd) + max(billed), f"seed {seed}"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only systems that fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # the test forks a process that has threads
def test_children_count_what_they_are_billed(gateway: BillingGateway, calls: Calls, seed: int) -> None:
    """Forked children use their parent's budget while the parent has an open stream and running threads."""
    budget = KiloBudget(limit_usd=100)
    mine = calls(model=PAID, patient=True)
    stream: Any = ChatKilo(model=PAID, budget=budget, **mine.account).stream(
        "Hello", extra_body={"plan": {"id": mine.name, "steps": ["hold"], "sent": 8}}
    )
    next(stream)
    stop = threading.Event()
    looking = threading.Thread(target=lambda: all(budget.left_usd for _ in iter(stop.is_set, True)), daemon=True)
    looking.start()
    for _ in range(FORKS):
        specs = [calls(patient=True) for _ in range(CALLS_OF_A_CHILD)]
        reading, writing = os.pipe()
        if not (pid := os.fork()):
            _child(specs, budget, writing)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            report = json.loads(pipe.read() or "{}")
        assert os.waitpid(pid, 0)[1] == 0, f"seed {seed}"
        assert report["under_way"] == [0, 0], f"seed {seed}"
        assert exact(report["spent"]) >= gateway.billed(*(spec.name for spec in specs)), f"seed {seed}"
    stop.set()
    looking.join()
    assert budget.spent_usd == 0
    assert budget.under_way_usd > 0
    stream.close()
    assert budget.under_way_usd == 0
    assert exact(budget.spent_usd) >= gateway.billed(mine.name) > 0


def _child(specs: list[Spec], budget: KiloBudget, pipe: int) -> None:
    code = 1
    try:
        before = budget.under_way_usd
        for spec in specs:
            send(spec, budget)
        report = {"spent": budget.spent_usd, "under_way": [before, budget.under_way_usd]}
        os.write(pipe, json.dumps(report).encode())
        code = 0
    finally:
        os._exit(code)
