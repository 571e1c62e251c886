"""Let ragas and deepeval judge answers with ChatKilo and KiloLLM."""

from typing import Any

import pytest
from deepeval.metrics import AnswerRelevancyMetric, GEval
from deepeval.models import DeepEvalBaseLLM
from deepeval.test_case import LLMTestCase, SingleTurnParams
from pydantic import BaseModel
from ragas import EvaluationDataset, SingleTurnSample, evaluate
from ragas.cost import get_token_usage_for_openai
from ragas.embeddings import LangchainEmbeddingsWrapper
from ragas.llms import LangchainLLMWrapper, LlamaIndexLLMWrapper
from ragas.metrics import AspectCritic, Faithfulness, ResponseRelevancy

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloLLM

from .conftest import Script

ROW: dict[str, Any] = {
    "user_input": "Where does the Danube flow?",
    "response": "The Danube flows to the Black Sea. It is blue.",
    "retrieved_contexts": ["The Danube flows to the Black Sea."],
}


def faithful(script: Script) -> None:
    """Add the answers to the two questions of ragas's Faithfulness: one statement of two is supported."""
    statements = ["The Danube flows to the Black Sea.", "The Danube is blue."]
    verdicts = [{"statement": s, "reason": "context", "verdict": v} for s, v in zip(statements, (1, 0), strict=True)]
    script.say({"statements": verdicts}, to="judge the faithfulness")
    script.say({"statements": statements}, to="Break down each sentence")


# ragas


def test_ragas_evaluates_a_data_set(chat: ChatKilo, script: Script, kilo_sandbox: Sandbox) -> None:
    faithful(script)
    script.say({"question": ROW["user_input"], "noncommittal": 0}, to="Generate a question for the given answer")
    script.say({"reason": "harmless", "verdict": 0}, to="Is it harmful")
    embeddings = KiloEmbeddings(base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    result: Any = evaluate(
        EvaluationDataset.from_list([ROW, ROW]),
        metrics=[Faithfulness(), ResponseRelevancy(), AspectCritic(name="harm", definition="Is it harmful?")],
        llm=LangchainLLMWrapper(chat),
        embeddings=LangchainEmbeddingsWrapper(embeddings),
        raise_exceptions=True,
        show_progress=False,
    )
    assert result["faithfulness"] == [0.5, 0.5]
    assert result["answer_relevancy"] == [pytest.approx(1.0), pytest.approx(1.0)]
    assert result["harm"] == [0, 0]


def test_ragas_counts_tokens(chat: ChatKilo, script: Script) -> None:
    faithful(script)
    result: Any = evaluate(
        EvaluationDataset.from_list([ROW]),
        metrics=[Faithfulness()],
        llm=LangchainLLMWrapper(chat),
        token_usage_parser=get_token_usage_for_openai,
        raise_exceptions=True,
        show_progress=False,
    )
    used = result.total_tokens()
    assert used.input_tokens > used.output_tokens > 20


async def test_ragas_takes_an_llm_of_llama_index(llm: KiloLLM, script: Script) -> None:
    faithful(script)
    metric = Faithfulness(llm=LlamaIndexLLMWrapper(llm))
    assert await metric.single_turn_ascore(SingleTurnSample(**ROW)) == 0.5


# deepeval


class Judge(DeepEvalBaseLLM):  # type: ignore[misc]  # not installed where types are checked
    """ChatKilo in the class that deepeval's guide to custom models asks for."""

    def __init__(self, chat: ChatKilo) -> None:
        self.chat = chat
        super().__init__("kilo")

    def load_model(self) -> ChatKilo:
        return self.chat

    def generate(self, prompt: str, schema: type[BaseModel]) -> Any:
        return self.chat.with_structured_output(schema, method="json_schema").invoke(prompt)

    async def a_generate(self, prompt: str, schema: type[BaseModel]) -> Any:
        return await self.chat.with_structured_output(schema, method="json_schema").ainvoke(prompt)

    def get_model_name(self) -> str:
        return self.chat.model_id


CASE = {"input": "Where does the Danube flow?", "actual_output": "To the Black Sea."}


@pytest.mark.parametrize("asynchronous", [False, True])
def test_deepeval_scores_with_criteria(chat: ChatKilo, script: Script, asynchronous: bool) -> None:
    script.say({"steps": ["Compare the sea with the map."]})
    script.say({"score": 8, "reason": "It is the right sea."})
    metric = GEval(
        name="Correctness",
        criteria="The sea is right.",
        evaluation_params=[SingleTurnParams.INPUT, SingleTurnParams.ACTUAL_OUTPUT],
        model=Judge(chat),
        async_mode=asynchronous,
    )
    metric.measure(LLMTestCase(**CASE), _show_indicator=False)
    assert (metric.score, metric.reason, metric.is_successful()) == (0.8, "It is the right sea.", True)
    assert metric.evaluation_model == chat.model_id


def test_deepeval_measures_relevancy(chat: ChatKilo, script: Script) -> None:
    script.say({"statements": ["It flows to the Black Sea.", "I like seas."]})
    script.say({"verdicts": [{"verdict": "yes"}, {"verdict": "no", "reason": "Not asked."}]})
    script.say({"reason": "One of two statements is relevant."})
    metric = AnswerRelevancyMetric(model=Judge(chat), async_mode=False)
    metric.measure(LLMTestCase(**CASE), _show_indicator=False)
    assert (metric.score, metric.reason) == (0.5, "One of two statements is relevant.")
