"""Test that rows can be asked of everything that answers in either framework, after it travelled as a pickle."""

import asyncio
import pickle
from collections.abc import Callable
from typing import Any, TypedDict

import pytest
from langchain.agents import create_agent
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from llama_index.core import Document, PromptTemplate, SummaryIndex
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.program import FunctionCallingProgram
from pydantic import BaseModel

from kilo_gateway.ray.rows import Column, Output
from kilo_gateway.ray.targets import Target, is_builder
from kilo_gateway.ray.worker import Worker
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloEmbeddings
from llama_index_kilo import KiloEmbedding, KiloLLM

PAID = "anthropic/claude-sonnet-4.6"
ROWS = [{"input": "The Danube ends in the Black Sea."}, {"input": "Name three rivers of Europe."}]


class River(BaseModel):
    """A river and the sea that it ends in."""

    name: str
    sea: str


class Lake(TypedDict):
    """A lake."""

    name: str


@pytest.fixture
def account(kilo_sandbox: Sandbox) -> dict[str, Any]:
    return {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key, "model": PAID}


def ask(target: Any, source: Any = None, output: Any = "answer", rows: Any = ROWS) -> Any:
    async def run() -> Any:
        sent = Target(target() if is_builder(target) else pickle.loads(pickle.dumps(target)), source)  # noqa: S301 -- our own
        columns = Output([Column("vector", "vector")], whole=True) if sent.embeds else Output.of(output)
        return await Worker(sent, columns, concurrency=2).answered(rows)

    return asyncio.run(run())


def chain(llm: ChatKilo) -> Any:
    prompt = ChatPromptTemplate.from_messages([("user", "{input}")])
    return prompt | llm | StrOutputParser()


def messages(row: dict[str, Any]) -> Any:
    return [ChatMessage(role="user", content=row["input"])]


def state(row: dict[str, Any]) -> Any:
    return {"messages": [("user", row["input"])]}


TEXTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "ChatKilo": lambda account: (ChatKilo(**account), None),
    "a chain": lambda account: (chain(ChatKilo(**account)), ["input"]),
    "an agent": lambda account: (lambda: create_agent(ChatKilo(**account)), state),
    "KiloLLM": lambda account: (KiloLLM(**account), "input"),
    "KiloLLM with messages": lambda account: (KiloLLM(**account), messages),
    "a query engine": lambda account: (
        SummaryIndex.from_documents([Document(text="A text.")]).as_query_engine(llm=KiloLLM(**account)),
        None,
    ),
}


@pytest.mark.parametrize("kind", TEXTS)
def test_texts(account: dict[str, Any], kind: str, kilo_sandbox: Sandbox) -> None:
    target, source = TEXTS[kind](account)
    answers = ask(target, source)
    assert [answer["error"] for answer in answers] == [None, None]
    assert all(answer["answer"] for answer in answers)
    assert len(kilo_sandbox.requests) == 2
    for answer in answers:
        assert (answer["attempts"], answer["served_model"], answer["finish_reason"]) == (1, PAID, "stop")
        assert min(answer["input_tokens"], answer["output_tokens"], answer["cost_usd"]) > 0


OBJECTS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "with_structured_output": lambda account: (
        ChatKilo(**account).with_structured_output(River, method="json_schema"),
        None,
    ),
    "with a tool": lambda account: (ChatKilo(**account).with_structured_output(River, method="function_calling"), None),
    "a program": lambda account: (
        FunctionCallingProgram.from_defaults(River, llm=KiloLLM(**account), prompt=PromptTemplate("{input}")),
        None,
    ),
    "as_structured_llm": lambda account: (KiloLLM(**account).as_structured_llm(River), None),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_objects(account: dict[str, Any], kind: str) -> None:
    target, source = OBJECTS[kind](account)
    assert Target(target).answer_class is River
    for answer in ask(target, source, River):
        assert answer["error"] is None
        assert isinstance(answer["name"], str)
        assert isinstance(answer["sea"], str)
        assert (answer["attempts"], answer["served_model"]) == (1, PAID)


def test_objects_of_a_typed_dict(account: dict[str, Any]) -> None:
    target = ChatKilo(**account).with_structured_output(Lake)
    assert Target(target).answer_class is None
    columns, text = ask(target, output=Lake)[0], ask(target)[0]
    assert (columns["error"], next(iter(columns)), text["answer"][:9]) == (None, "name", '{"name":"')


@pytest.mark.parametrize("cls", [KiloEmbeddings, KiloEmbedding])
def test_embeddings(account: dict[str, Any], cls: Any, kilo_sandbox: Sandbox) -> None:
    del account["model"]
    first, second = ask(cls(**account))
    assert len(kilo_sandbox.requests) == 1
    assert len(first["vector"]) == len(second["vector"]) > 1
    assert first["vector"] != second["vector"]
    assert first["input_tokens"] >= second["input_tokens"] > 0
    assert first["attempts"] == 1
    good, bad = ask(cls(**account), rows=[*ROWS[:1], {"input": ""}])
    assert good["vector"] == first["vector"]
    assert bad["vector"] is None
    assert "ValueError" in bad["error"]


def test_an_error_of_the_gateway_has_its_facts_and_no_key(account: dict[str, Any]) -> None:
    llm = ChatKilo(**{**account, "model": "sandbox/error-503", "max_retries": 1})
    for answer in ask(llm):
        assert answer["error"].startswith("KiloServerError: ")
        assert account["api_key"] not in str(answer)
        assert (answer["attempts"], answer["served_model"], answer["cost_usd"]) == (2, None, None)


def test_a_cut_answer_says_so(account: dict[str, Any]) -> None:
    (answer,) = ask(ChatKilo(max_tokens=1, **account), rows=ROWS[:1])
    assert answer["finish_reason"] == "length"
