"""Tokens and cost added up."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

from kilo_gateway import Ledger, Spent


def test_a_table_and_threads() -> None:
    ledger = Ledger()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda i: ledger.add(f"m{i % 2}", Spent(1, 1000, 1, cost=0.001)), range(1000)))
    assert {model: spent.calls for model, spent in ledger.by_model.items()} == {"m0": 500, "m1": 500}
    assert ledger.total.total_tokens == 1_001_000
    header, first, _, total = str(ledger).splitlines()
    assert header.split() == ["model", "calls", "prompt", "completion", "USD"]
    assert first.split() == ["m0", "500", "500,000", "500", "0.500000"]
    assert total.split() == ["total", "1,000", "1,000,000", "1,000", "1.000000"]


def test_a_ledger_is_copied_and_pickled() -> None:
    for filled in (False, True):
        ledger = Ledger()
        if filled:
            ledger.add("a/b", Spent(calls=1, cost=0.5))
        pickles = [pickle.dumps(ledger, protocol) for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)]
        copies = [copy.copy(ledger), copy.deepcopy(ledger), *map(pickle.loads, pickles)]
        for other in copies:
            other.add("a/b", Spent(calls=1))
            assert other.total.calls == filled + 1
        assert ledger.total.calls == filled
