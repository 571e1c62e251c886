"""Streams that nobody closes, or whose error somebody keeps, hold no share of a budget."""

import gc
from typing import Any

from kilo_gateway import KiloBudget, KiloError
from langchain_kilo import ChatKilo
from tests.support.billing import KEY, PAID, BillingGateway, Plans


def test_a_sync_stream_that_nobody_holds(gateway: BillingGateway, plans: Plans) -> None:
    budget = KiloBudget(limit_usd=10)
    llm = ChatKilo(model=PAID, base_url=gateway.base_url, api_key=KEY, budget=budget, extra_body=plans("hold", sent=8))
    stream: Any = llm.stream("Hello")
    next(stream)
    del stream
    gc.collect()
    assert budget.under_way_usd == 0
    assert budget.spent_usd >= plans.billed > 0


def test_an_error_that_keeps_the_frames_of_its_stream_alive(gateway: BillingGateway, plans: Plans) -> None:
    budget = KiloBudget(limit_usd=10)
    llm = ChatKilo(model=PAID, base_url=gateway.base_url, api_key=KEY, budget=budget, max_retries=0)
    kept = []
    for step in ("cut", "usage-error", "drop"):
        try:
            list(llm.stream("Hello", extra_body=plans(step)))
        except KiloError as error:
            kept.append(error)
    assert len(kept) == 3
    assert budget.under_way_usd == 0
    assert budget.spent_usd >= plans.billed > 0
