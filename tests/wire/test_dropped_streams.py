"""Test that streams release their share of a budget if they are not closed, or if the caller keeps their error."""

import gc
from typing import Any

from kilo_gateway import KiloBudget, KiloError
from langchain_kilo import ChatKilo
from tests.support.billing import KEY, PAID, BillingGateway, Plans


def test_a_sync_stream_without_a_reference(gateway: BillingGateway, plans: Plans) -> None:
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
    errors = []
    for step in ("cut", "usage-error", "drop"):
        try:
            list(llm.stream("Hello", extra_body=plans(step)))
        except KiloError as error:
            errors.append(error)
    assert len(errors) == 3
    assert budget.under_way_usd == 0
    assert budget.spent_usd >= plans.billed > 0
