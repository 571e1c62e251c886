"""Test LlamaIndex's query engines, chat engines, evaluators and pipelines with KiloLLM."""

from typing import Any

import pytest
from llama_index.core import Document, Settings, SummaryIndex, VectorStoreIndex
from llama_index.core.embeddings import MockEmbedding
from llama_index.core.evaluation import FaithfulnessEvaluator, RelevancyEvaluator
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.query_engine import SubQuestionQueryEngine
from llama_index.core.question_gen import LLMQuestionGenerator
from llama_index.core.tools import QueryEngineTool
from pydantic import BaseModel

from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM

DANUBE = Document(text="The Danube flows through Vienna and Budapest. It ends in the Black Sea.")
RHINE = Document(text="The Rhine flows through Basel and Cologne. It ends in the North Sea.")
QUESTION = "Which river flows through Vienna?"
EMBEDDING = MockEmbedding(embed_dim=4)


def memory() -> ChatMemoryBuffer:
    """Return a memory without a database: the default one keeps its connection open."""
    return ChatMemoryBuffer.from_defaults(token_limit=10_000, tokenizer_fn=str.split)


@pytest.mark.parametrize("response_mode", ["compact", "refine", "tree_summarize", "simple_summarize"])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_query_engine(llm: KiloLLM, response_mode: Any, streaming: bool) -> None:
    index = SummaryIndex.from_documents([DANUBE, RHINE])
    engine = index.as_query_engine(llm=llm, response_mode=response_mode, streaming=streaming)
    response: Any = engine.query(QUESTION)
    answer = "".join(response.response_gen) if streaming else str(response)
    assert "Danube" in answer


@pytest.mark.parametrize("response_mode", ["compact", "refine", "tree_summarize"])
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_query_engine_async(llm: KiloLLM, response_mode: Any, streaming: bool) -> None:
    index = SummaryIndex.from_documents([DANUBE, RHINE])
    engine = index.as_query_engine(llm=llm, response_mode=response_mode, streaming=streaming, use_async=True)
    response: Any = await engine.aquery(QUESTION)
    answer = "".join([piece async for piece in response.async_response_gen()]) if streaming else str(response)
    assert "Danube" in answer


class River(BaseModel):
    """A river."""

    name: str


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_a_query_engine_with_a_structured_answer(llm: KiloLLM, method: Any, kilo_sandbox: Sandbox) -> None:
    llm.structured_output_method = method
    engine = SummaryIndex.from_documents([DANUBE]).as_query_engine(
        llm=llm.as_structured_llm(River), response_mode="tree_summarize"
    )
    answer: Any = engine.query("What is the name, 'Danube' or 'Rhine'?")
    assert isinstance(answer.response, River)
    assert ("response_format" in kilo_sandbox.last.json) is (method == "json_schema")


@pytest.mark.parametrize("chat_mode", ["context", "condense_plus_context", "simple", "condense_question"])
def test_a_chat_engine(llm: KiloLLM, chat_mode: Any, kilo_sandbox: Sandbox) -> None:
    llm.merge_ready = False
    index = VectorStoreIndex.from_documents([DANUBE], embed_model=EMBEDDING)
    engine = index.as_chat_engine(llm=llm, chat_mode=chat_mode, memory=memory())
    first = engine.chat("Through which cities does the Danube flow?")
    assert "Danube" in str(first)
    pieces = list(engine.stream_chat("In which sea does the Danube end?").response_gen)
    assert len(pieces) > 3
    history = engine.chat_history
    assert [message.role.value for message in history] == ["user", "assistant", "user", "assistant"]
    assert str(history[-1].content).strip() == "".join(pieces).strip()
    sent = [str(record.json["messages"]) for record in kilo_sandbox.requests[1:]]
    assert any("Through which cities" in text for text in sent)


@pytest.mark.parametrize("chat_mode", ["context", "condense_plus_context"])
async def test_a_chat_engine_async(llm: KiloLLM, chat_mode: Any) -> None:
    llm.merge_ready = False
    index = VectorStoreIndex.from_documents([DANUBE], embed_model=EMBEDDING)
    engine = index.as_chat_engine(llm=llm, chat_mode=chat_mode, memory=memory())
    assert "Danube" in str(await engine.achat("Through which cities does the Danube flow?"))
    response = await engine.astream_chat("In which sea does the Danube end?")
    pieces = [piece async for piece in response.async_response_gen()]
    assert len(pieces) > 3
    assert engine.chat_history[-1].content == "".join(pieces)


@pytest.mark.parametrize("use_async", [True, False])
def test_sub_questions(llm: KiloLLM, use_async: bool) -> None:
    tools = [
        QueryEngineTool.from_defaults(
            SummaryIndex.from_documents([document]).as_query_engine(llm=llm), name=name, description=f"About the {name}"
        )
        for name, document in (("danube", DANUBE), ("rhine", RHINE))
    ]
    engine = SubQuestionQueryEngine.from_defaults(
        tools, llm=llm, question_gen=LLMQuestionGenerator.from_defaults(llm), use_async=use_async, verbose=False
    )
    response = engine.query("In which seas do the Danube and the Rhine end?")
    assert len(response.source_nodes) >= 2
    assert "Sea" in str(response)


@pytest.mark.parametrize(
    ("answer", "passing"), [("The Danube ends in the Black Sea", True), ("Cats purr softly", False)]
)
async def test_evaluators(llm: KiloLLM, answer: str, passing: bool) -> None:
    contexts = [DANUBE.text]
    faithful, relevant = FaithfulnessEvaluator(llm=llm), RelevancyEvaluator(llm=llm)
    assert (await faithful.aevaluate(response=answer, contexts=contexts)).passing is passing
    result = await relevant.aevaluate(query="Where does it end?", response=answer, contexts=contexts)
    assert result.passing is passing


def test_evaluators_from_sync_code(llm: KiloLLM) -> None:
    index = SummaryIndex.from_documents([DANUBE])
    response: Any = index.as_query_engine(llm=llm).query(QUESTION)
    assert FaithfulnessEvaluator(llm=llm).evaluate_response(response=response).passing


def test_settings(llm: KiloLLM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Settings, "_llm", None)
    Settings.llm = llm
    assert "Danube" in str(SummaryIndex.from_documents([DANUBE]).as_query_engine().query(QUESTION))
