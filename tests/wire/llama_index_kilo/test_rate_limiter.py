"""Test that LlamaIndex's rate limiters are asked once for each request."""

from typing import Any

import pytest
from llama_index.core.llms import ChatMessage

from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloEmbedding
from tests.support.ways import ENDPOINTS, collect

limits: Any = pytest.importorskip(
    "llama_index.core.rate_limiter", reason="the oldest supported llama-index-core has no limiters"
)


class CountingLimiter(limits.BaseRateLimiter):  # type: ignore[misc] # its module is looked for at run time
    def __init__(self) -> None:
        self.acquired = 0

    def acquire(self, num_tokens: int = 0) -> None:
        self.acquired += 1

    async def async_acquire(self, num_tokens: int = 0) -> None:
        self.acquired += 1


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_of_a_model(scenario: Any, kilo_sandbox: Sandbox, endpoint: str) -> None:
    limiter = CountingLimiter()
    llm = scenario("echo", rate_limiter=limiter)
    for calls in (1, 2):
        collect(getattr(llm, endpoint)([ChatMessage("hi")] if "chat" in endpoint else "hi"))
        assert limiter.acquired == len(kilo_sandbox.requests) == calls


def test_of_embeddings(kilo_sandbox: Sandbox) -> None:
    limiter = CountingLimiter()
    embedding = KiloEmbedding(base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key, rate_limiter=limiter)
    embedding.get_query_embedding("river")
    embedding.get_text_embedding_batch(["lake", "sea"])
    assert limiter.acquired == len(kilo_sandbox.requests) == 2
