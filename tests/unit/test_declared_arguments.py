"""Test that type checkers know the arguments that the constructors take."""

from typing import Any

import pytest

from kilo_gateway import EmbeddingSettings, GatewaySettings
from kilo_gateway.settings import names
from kilo_gateway.settings.account import AccountSettings
from kilo_gateway.settings.arguments import ChatArguments, EmbeddingArguments
from langchain_kilo import ChatKilo, KiloEmbeddings
from langchain_kilo.arguments import ChatKiloArguments, KiloEmbeddingsArguments
from llama_index_kilo import KiloEmbedding, KiloLLM
from llama_index_kilo.arguments import KiloEmbeddingArguments, KiloLLMArguments


@pytest.mark.parametrize(
    ("cls", "declared"),
    [
        (GatewaySettings, ChatArguments),
        (EmbeddingSettings, EmbeddingArguments),
        (ChatKilo, ChatKiloArguments),
        (KiloEmbeddings, KiloEmbeddingsArguments),
        (KiloLLM, KiloLLMArguments),
        (KiloEmbedding, KiloEmbeddingArguments),
    ],
)
def test_each_field_and_alias_is_declared_and_nothing_else(cls: type[AccountSettings], declared: Any) -> None:
    fields = set(cls.model_fields)
    aliases = {alias for alias, field in names.ALIASES.items() if field in fields}
    if issubclass(cls, GatewaySettings):
        aliases.add("use_responses_api")
    # Older versions of LlamaIndex lack `rate_limiter`.
    assert declared.__annotations__.keys() - {"rate_limiter"} == (fields | aliases) - {"rate_limiter"}
