"""Run LlamaIndex's own agents, extractors, rerankers, evaluators and memory with KiloLLM."""

from typing import Any, Literal

import pytest
from llama_index.core import Document, MockEmbedding, PropertyGraphIndex
from llama_index.core.agent.workflow import AgentWorkflow, FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.evaluation import (
    AnswerRelevancyEvaluator,
    BatchEvalRunner,
    ContextRelevancyEvaluator,
    CorrectnessEvaluator,
    FaithfulnessEvaluator,
    GuidelineEvaluator,
    PairwiseComparisonEvaluator,
    RelevancyEvaluator,
)
from llama_index.core.indices.property_graph import (
    DynamicLLMPathExtractor,
    SchemaLLMPathExtractor,
    SimpleLLMPathExtractor,
)
from llama_index.core.memory import ChatSummaryMemoryBuffer, FactExtractionMemoryBlock, Memory
from llama_index.core.postprocessor import LLMRerank, StructuredLLMRerank
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.core.workflow import Context, HumanResponseEvent, InputRequiredEvent
from llama_index.postprocessor.rankgpt_rerank import RankGPTRerank
from pydantic import BaseModel

from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM
from tests.support.tools import add

from .conftest import Script


class City(BaseModel):
    name: str
    population: int


RIVERS = [
    NodeWithScore(node=TextNode(text=text, id_=text.split()[1].lower()), score=0.5)
    for text in ("The Rhine flows to the North Sea.", "The Danube flows to the Black Sea.", "The Po is in Italy.")
]


async def test_agents_hand_over(llm: KiloLLM, script: Script) -> None:
    triage = FunctionAgent(name="triage", description="Routes", llm=llm, tools=[], can_handoff_to=["sums"])
    sums = FunctionAgent(name="sums", description="Adds numbers", llm=llm, tools=[add])
    script.call(("handoff", {"to_agent": "sums", "reason": "a sum"}))
    script.call(("add", {"a": 2, "b": 3}))
    script.say("The sum is 5.")
    handler = AgentWorkflow(agents=[triage, sums], root_agent="triage").run("Add 2 and 3.")
    results = [event async for event in handler.stream_events() if isinstance(event, ToolCallResult)]
    answer: Any = await handler
    assert [(event.tool_name, event.tool_output.is_error) for event in results] == [("handoff", False), ("add", False)]
    assert str(results[-1].tool_output.content) == "5"
    assert (answer.current_agent_name, str(answer)) == ("sums", "The sum is 5.")


async def test_an_agent_asks_a_person(llm: KiloLLM, script: Script) -> None:
    async def book(ctx: Context, city: str) -> str:
        """Book a trip."""
        answer = await ctx.wait_for_event(HumanResponseEvent, waiter_event=InputRequiredEvent(prefix=f"{city}?"))
        return f"{city}: {answer.response}"

    script.call(("book", {"city": "Oslo"}))
    script.say("Booked.")
    handler = FunctionAgent(llm=llm, tools=[book]).run("Book Oslo.")
    results = []
    async for event in handler.stream_events():
        if isinstance(event, InputRequiredEvent):
            handler.ctx.send_event(HumanResponseEvent(response="yes"))
        if isinstance(event, ToolCallResult):
            results.append(str(event.tool_output.content))
    assert (results, str(await handler)) == (["Oslo: yes"], "Booked.")


async def test_an_agent_returns_an_object(llm: KiloLLM, script: Script) -> None:
    script.say("Oslo has 700,000 inhabitants.")
    script.call(("City", {"name": "Oslo", "population": 700_000}))
    answer: Any = await FunctionAgent(llm=llm, tools=[add], output_cls=City).run("Describe Oslo.")
    assert answer.get_pydantic_model(City) == City(name="Oslo", population=700_000)


def triplets(index: PropertyGraphIndex) -> set[tuple[str, str, str]]:
    found = index.property_graph_store.get_triplets(entity_names=["Ada"])
    return {(subject.id, relation.label, object_.id) for subject, relation, object_ in found}


@pytest.mark.parametrize("kind", ["simple", "dynamic", "schema"])
def test_an_extractor_finds_triplets(llm: KiloLLM, script: Script, kind: str) -> None:
    extractor: Any
    row: Any
    if kind == "simple":
        script.say("(Ada, works at, Kilo)")
        extractor, expected = SimpleLLMPathExtractor(llm=llm, num_workers=1), ("Ada", "Works at", "Kilo")
    elif kind == "dynamic":
        row = {"head": "Ada", "head_type": "PERSON", "relation": "WORKS_AT", "tail": "Kilo", "tail_type": "COMPANY"}
        script.say([row])
        extractor, expected = DynamicLLMPathExtractor(llm=llm, num_workers=1), ("Ada", "WORKS_AT", "Kilo")
    else:
        subject, object_ = {"type": "PERSON", "name": "Ada"}, {"type": "COMPANY", "name": "Kilo"}
        row = {"subject": subject, "relation": {"type": "WORKS_AT"}, "object": object_}
        script.call(("KGSchema", {"triplets": [row]}))
        extractor = SchemaLLMPathExtractor(
            llm=llm,
            possible_entities=Literal["PERSON", "COMPANY"],  # type: ignore[arg-type]  # as its documentation does
            possible_relations=Literal["WORKS_AT"],  # type: ignore[arg-type]  # as its documentation does
            kg_validation_schema=[("PERSON", "WORKS_AT", "COMPANY")],
            num_workers=1,
        )
        expected = ("Ada", "WORKS_AT", "Kilo")
    index = PropertyGraphIndex.from_documents(
        [Document(text="Ada works at Kilo.")],
        llm=llm,
        kg_extractors=[extractor],
        embed_model=MockEmbedding(embed_dim=3),
        embed_kg_nodes=False,
    )
    assert triplets(index) == {expected}


def test_the_llm_reranks(llm: KiloLLM, script: Script) -> None:
    script.say("Doc: 2, Relevance: 9\nDoc: 1, Relevance: 4")
    best = LLMRerank(llm=llm, top_n=2).postprocess_nodes(RIVERS, query_str="Which river reaches the Black Sea?")
    assert [(node.node_id, node.score) for node in best] == [("danube", 9.0), ("rhine", 4.0)]


def test_the_llm_reranks_with_an_object(llm: KiloLLM, script: Script) -> None:
    rows = [{"document_number": 3, "relevance": 8}, {"document_number": 1, "relevance": 2}]
    script.call(("DocumentRelevanceList", {"documents": rows}))
    best = StructuredLLMRerank(llm=llm, top_n=2).postprocess_nodes(RIVERS, query_str="Which river is in Italy?")
    assert [(node.node_id, node.score) for node in best] == [("po", 8.0), ("rhine", 2.0)]


def test_rankgpt_reranks(llm: KiloLLM, script: Script) -> None:
    script.say("[3] > [1] > [2]")
    best = RankGPTRerank(llm=llm, top_n=2).postprocess_nodes(RIVERS, query_str="Which river is in Italy?")
    assert [node.node_id for node in best] == ["po", "rhine"]


async def test_evaluators_score(llm: KiloLLM, script: Script) -> None:
    script.say("YES", to="information is supported by the context|in line with the context")
    script.say("4.5\nIt names the river.", to="generated answer")
    said: Any = {"query": "Which river?", "response": "The Danube.", "contexts": ["The Danube flows to the Black Sea."]}
    faithful = await FaithfulnessEvaluator(llm=llm).aevaluate(**said)
    relevant = await RelevancyEvaluator(llm=llm).aevaluate(**said)
    correct = await CorrectnessEvaluator(llm=llm).aevaluate(**said, reference="The Danube.")
    assert (faithful.passing, faithful.score, relevant.passing, relevant.score) == (True, 1.0, True, 1.0)
    assert (correct.score, correct.passing, correct.feedback) == (4.5, True, "It names the river.")


async def test_evaluators_of_questions_and_guidelines(llm: KiloLLM, script: Script) -> None:
    script.say("It matches.\n[RESULT] 2", to="worth 1 point")
    script.say("It helps.\n[RESULT] 3", to="worth 2 points")
    script.say({"passing": False, "feedback": "Too short."}, to="guideline")
    said: Any = {"query": "Which river?", "response": "The Danube.", "contexts": ["The Danube."]}
    answer = await AnswerRelevancyEvaluator(llm=llm).aevaluate(**said)
    context = await ContextRelevancyEvaluator(llm=llm).aevaluate(**said)
    guided = await GuidelineEvaluator(llm=llm, guidelines="Be long.").aevaluate(**said)
    assert (answer.score, context.score) == (1.0, 0.75)
    assert (guided.passing, guided.feedback) == (False, "Too short.")


async def test_two_answers_are_compared(llm: KiloLLM, script: Script) -> None:
    script.say("The first. [[A]]")
    script.say("The second, which was the first. [[B]]")
    verdict = await PairwiseComparisonEvaluator(llm=llm).aevaluate(
        query="Which river?", response="The Danube.", second_response="No idea.", reference="The Danube."
    )
    assert (verdict.passing, verdict.score) == (True, 1.0)


async def test_a_batch_is_evaluated(llm: KiloLLM, script: Script, kilo_sandbox: Sandbox) -> None:
    script.say("YES", to="Danube")
    script.say("NO", to="Rhine")
    runner = BatchEvalRunner({"faithful": FaithfulnessEvaluator(llm=llm)}, workers=4)
    scores = await runner.aevaluate_response_strs(
        queries=["q1", "q2"], response_strs=["The Danube.", "The Rhine."], contexts_list=[["a"], ["b"]]
    )
    assert [result.passing for result in scores["faithful"]] == [True, False]
    assert len(kilo_sandbox.requests) == 2


async def test_memory_extracts_facts(llm: KiloLLM, script: Script, kilo_sandbox: Sandbox) -> None:
    script.say("<facts><fact>The user lives in Oslo</fact></facts>", to="fact extraction")
    facts = FactExtractionMemoryBlock(llm=llm)
    memory = Memory.from_defaults(
        token_limit=40, chat_history_token_ratio=0.5, token_flush_size=10, memory_blocks=[facts], tokenizer_fn=str.split
    )
    for _ in range(6):
        await memory.aput_messages(
            [ChatMessage("I live in Oslo, in the north."), ChatMessage("I see.", role="assistant")]
        )
    assert facts.facts == ["The user lives in Oslo"]
    script.say("In Oslo.", to="Where do I live")
    assert str(await FunctionAgent(llm=llm, tools=[add]).run("Where do I live?", memory=memory)) == "In Oslo."
    assert "The user lives in Oslo" in str(kilo_sandbox.last.json["messages"])


def test_memory_summarises(llm: KiloLLM, script: Script) -> None:
    script.say("They talked about rivers.")
    prompts = [f"Describe the river with number {number}." for number in range(8)]
    memory = ChatSummaryMemoryBuffer.from_defaults(
        chat_history=[ChatMessage(prompt) for prompt in prompts], llm=llm, token_limit=20, tokenizer_fn=str.split
    )
    summary, *rest = memory.get()
    assert (summary.role.value, summary.content) == ("system", "They talked about rivers.")
    assert [message.content for message in rest] == prompts[5:]
