"""Test retrieval from real texts with Kilo's classes alone, on the sandbox."""

import re
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore
from llama_index.core import Document as LlamaDocument
from llama_index.core import VectorStoreIndex
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.query_engine import CitationQueryEngine
from llama_index.core.schema import TextNode

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM, KiloUsageHandler

GATEWAY = (Path(__file__).resolve().parents[2] / "docs/gateway.md").read_text(encoding="utf-8")
SECTIONS = [f"## {part}" for part in re.split(r"^## ", GATEWAY, flags=re.MULTILINE)[1:]]

TIERS = {
    "frontier": "Tier kilo-auto/frontier gives the strongest models for any task. The working mode in the request "
    "header chooses between a planning model and a coding model. It needs a key and a balance that pays for tokens.",
    "balanced": "Tier kilo-auto/balanced weighs price against capability. Which model serves depends on the API "
    "interface that a client speaks. It needs a key of an account with a positive balance.",
    "free": "Tier kilo-auto/free has limited capability, and no credits are required. A free model is picked for "
    "each session. Providers may log prompts and answers, so nothing confidential belongs there.",
    "small": "Tier kilo-auto/small runs quick background jobs such as titles, summaries and commit messages. With a "
    "paid balance a larger Gemma model answers, otherwise one of the gratis endpoints.",
    "keys": "Bring your own key is supported, and keys are stored encrypted. The interface is compatible with "
    "OpenAI's, streams are server-sent events, and tools can be called.",
    "limits": "Anonymous callers may send two hundred requests an hour from one address.",
}
QUESTION = "Which tier requires no credits?"


def documents() -> list[LlamaDocument]:
    return [LlamaDocument(text=text, metadata={"passage": name}) for name, text in TIERS.items()]


@pytest.fixture
def account(kilo_sandbox: Sandbox) -> dict[str, Any]:
    return {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}


def test_a_query_engine_answers_which_tier_needs_no_credits(account: dict[str, Any]) -> None:
    llm = KiloLLM(tier="balanced", **account)
    with KiloUsageHandler() as used:
        index = VectorStoreIndex.from_documents(documents(), embed_model=KiloEmbedding(**account))
        response = index.as_query_engine(llm=llm, similarity_top_k=2).query(QUESTION)
    assert "kilo-auto/free" in str(response)
    assert response.source_nodes[0].metadata["passage"] == "free"
    assert {spent.calls for spent in used.usage.by_model.values()} == {1, 2}
    assert used.usage.total.cost > 0


async def test_it_cites_the_passage(account: dict[str, Any]) -> None:
    index = VectorStoreIndex.from_documents(documents(), embed_model=KiloEmbedding(**account))
    engine = CitationQueryEngine.from_args(index, llm=KiloLLM(tier="balanced", **account), similarity_top_k=2)
    response = await engine.aquery(QUESTION)
    assert "no credits are required" in str(response)
    cited = response.source_nodes[0]
    assert cited.metadata["passage"] == "free"
    assert cited.get_content().startswith("Source 1:")


@pytest.mark.parametrize(
    ("question", "section"),
    [
        ("How many retries does the client make and does it honour Retry-After?", "Retries"),
        ("What are the rate limits of anonymous use per address and hour?", "Rate limits"),
        ("Which embedding model and dimensions are served by default?", "Embeddings"),
    ],
)
def test_the_right_section_of_a_real_text(account: dict[str, Any], question: str, section: str) -> None:
    """Each framework finds the section in docs/gateway.md."""
    store = InMemoryVectorStore.from_documents([Document(text) for text in SECTIONS], KiloEmbeddings(**account))
    [document] = store.as_retriever(search_kwargs={"k": 1}).invoke(question)
    assert document.page_content.startswith(f"## {section}\n")
    index = VectorStoreIndex([TextNode(text=text) for text in SECTIONS], embed_model=KiloEmbedding(**account))
    [node] = index.as_retriever(similarity_top_k=1).retrieve(question)
    assert node.get_content().startswith(f"## {section}\n")


async def test_an_async_retriever(account: dict[str, Any]) -> None:
    store = InMemoryVectorStore(KiloEmbeddings(**account))
    await store.aadd_texts(list(TIERS.values()))
    [document] = await store.as_retriever(search_kwargs={"k": 1}).ainvoke(QUESTION)
    assert document.page_content == TIERS["free"]


def test_an_ingestion_pipeline(account: dict[str, Any]) -> None:
    embedding = KiloEmbedding(**account)
    pipeline = IngestionPipeline(transformations=[embedding])
    first, second = (pipeline.run(nodes=[TextNode(text=text, id_="1") for text in TIERS.values()]) for _ in range(2))
    assert [len(node.embedding or ()) for node in first] == [1024] * len(TIERS)
    assert [node.embedding for node in second] == [node.embedding for node in first]
    assert embedding.usage.total.calls == 1  # the second run uses the pipeline's cache
