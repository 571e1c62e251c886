"""A copy of an embedding model counts for itself and learns for itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from kilo_gateway.ledger import Spent
from langchain_kilo import KiloEmbeddings
from llama_index_kilo import KiloEmbedding

COPIES: dict[str, Callable[[Any], Any]] = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "model_copy": lambda model: model.model_copy(),
    "deep model_copy": lambda model: model.model_copy(deep=True),
    "model_copy with changes": lambda model: model.model_copy(update={"max_retries": 0}),
}


@pytest.mark.parametrize("how", COPIES)
@pytest.mark.parametrize("cls", [KiloEmbeddings, KiloEmbedding])
def test_a_copy_has_a_ledger_and_lengths_of_its_own(cls: Any, how: str) -> None:
    model = cls()
    model.usage.add("m", Spent(calls=1, prompt_tokens=5))
    model.length = 3
    other = COPIES[how](model)
    assert (other.usage.total.calls, other.length) == (1, 3)
    other.usage.add("m", Spent(calls=1))
    other.usage.add("m", Spent(calls=1))
    other.length = 4
    assert (model.usage.total.calls, model.length) == (1, 3)
    assert (other.usage.total.calls, other.length) == (3, 4)
