"""Test that LlamaIndex's pipelines can send a model to worker processes."""

from llama_index.core import Document
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.extractors import KeywordExtractor
from llama_index.core.ingestion import IngestionPipeline
from llama_index.core.schema import TextNode

from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM

DANUBE = Document(text="The Danube flows through Vienna and Budapest. It ends in the Black Sea.")
RHINE = Document(text="The Rhine flows through Basel and Cologne. It ends in the North Sea.")


def test_an_extractor_in_worker_processes(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(model="anthropic/claude-sonnet-4.6", base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    llm.chat([ChatMessage(content="The connections of this process must not travel")])
    kilo_sandbox.clear()
    pipeline = IngestionPipeline(transformations=[KeywordExtractor(llm=llm, keywords=5, num_workers=1)])
    nodes = pipeline.run(nodes=[TextNode(text=d.text) for d in (DANUBE, RHINE)], num_workers=2)
    keywords = [node.metadata["excerpt_keywords"] for node in nodes]
    assert ["Budapest" in keywords[0], "Cologne" in keywords[1]] == [True, True], keywords
    # New interpreters build the model, including its key, from its pickle alone.
    assert [record.account for record in kilo_sandbox.requests] == ["rich", "rich"]
