"""Test that a model shows in one line what it asks."""

import pytest

from kilo_gateway.settings.account import AccountSettings
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (ChatKilo(), "ChatKilo(model='kilo-auto/free')"),
        (ChatKilo(tier="frontier", mode="plan"), "ChatKilo(model='kilo-auto/frontier', mode='plan')"),
        (ChatKilo(name="x", profile={"max_input_tokens": 1}, streaming=True, max_tokens=None),
         "ChatKilo(model='kilo-auto/free', streaming=True)"),
        (ChatKilo().with_tier("small").with_mode("ask"), "ChatKilo(model='kilo-auto/small', mode='ask')"),
        (KiloLLM(model="a/b", temperature=0, base_url="http://127.0.0.1:9/api/gateway"),
         "KiloLLM(model='a/b', base_url='http://127.0.0.1:9/api/gateway', temperature=0.0)"),
        (KiloEmbeddings(dimensions=8), "KiloEmbeddings(model='mistralai/mistral-embed-2312', dimensions=8)"),
        (KiloEmbedding(model_name="a/b"), "KiloEmbedding(model='a/b')"),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip # a row for each case, to be compared by eye
def test_a_model_shows_what_it_asks_and_what_was_given(model: AccountSettings, expected: str) -> None:
    assert repr(model) == expected


def test_an_assigned_value_shows() -> None:
    llm = ChatKilo(api_key="s3cr3t", default_headers={"x-a": "s3cr3t"})
    llm.seed = 7
    assert repr(llm) == "ChatKilo(model='kilo-auto/free', seed=7)"
