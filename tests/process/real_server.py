"""Test both classes with llama.cpp's server and a real model: `make test-real`, which `make test` does not include."""

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from langchain.agents import create_agent
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from llama_index.core import Document, SummaryIndex
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.chat_engine import SimpleChatEngine
from llama_index.core.prompts import PromptTemplate
from pydantic import BaseModel, Field

from kilo_gateway import KiloContextLengthError
from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.model.local_model import LocalModel
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.ways import acollect, summed

pytestmark = pytest.mark.timeout(600)
PROMPT = "The longest rivers of Europe are"


class Person(BaseModel):
    """A person."""

    name: Annotated[str, Field(max_length=12)]
    age: Annotated[int, Field(ge=1, le=99)]
    trade: Literal["baker", "smith"]


@pytest.fixture(scope="session")
def server() -> Iterator[LocalModel]:
    with LocalModel(context=4096, threads=2) as model:
        yield model


@pytest.fixture
def account(server: LocalModel) -> dict[str, Any]:
    return {"model": "local", "base_url": f"{server.url}/v1", "max_tokens": 24, "temperature": 0.0}


@pytest.fixture
def chat(account: dict[str, Any]) -> ChatKilo:
    return ChatKilo(**account)


@pytest.fixture
def llm(account: dict[str, Any]) -> KiloLLM:
    return KiloLLM(**account)


def busy(server: LocalModel) -> int:
    with urllib.request.urlopen(f"{server.url}/slots") as answer:  # noqa: S310 -- our own server
        return sum(slot["is_processing"] for slot in json.load(answer))


def test_streams_and_whole_answers_agree(chat: ChatKilo, llm: KiloLLM) -> None:
    streamed = summed(list(chat.stream(PROMPT)))
    whole: Any = chat.invoke(PROMPT)
    assert streamed.text == whole.text != ""
    assert streamed.usage_metadata["output_tokens"] == whole.usage_metadata["output_tokens"] == 24
    assert streamed.usage_metadata["input_tokens"] > 5
    pieces = list(llm.stream_complete(PROMPT, merge_ready=False))
    assert pieces[-1].text == "".join(piece.delta or "" for piece in pieces) == llm.complete(PROMPT).text == whole.text
    assert pieces[-1].additional_kwargs["completion_tokens"] == 24
    assert len(pieces) > 12


async def test_async_answers_are_the_same(chat: ChatKilo, llm: KiloLLM) -> None:
    whole = (await chat.ainvoke(PROMPT)).text
    assert summed(await acollect(chat.astream(PROMPT))).text == whole
    assert (await acollect(llm.astream_complete(PROMPT)))[-1].text == whole


def test_length(chat: ChatKilo, llm: KiloLLM) -> None:
    answer: Any = chat.invoke(PROMPT, max_tokens=5)
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.usage_metadata["output_tokens"] == 5
    assert llm.complete(PROMPT, max_tokens=5).additional_kwargs["finish_reason"] == "length"


def test_stop(chat: ChatKilo, llm: KiloLLM) -> None:
    word = chat.invoke(PROMPT).text.split()[2]
    for answer in (chat.invoke(PROMPT, stop=[word]), summed(list(chat.stream(PROMPT, stop=[word])))):
        assert word not in answer.text
        assert answer.response_metadata["finish_reason"] == "stop"
    assert word not in llm.complete(PROMPT, stop=[word]).text


def test_seed(chat: ChatKilo) -> None:
    texts = [chat.invoke(PROMPT, temperature=1.5, seed=seed).text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_logprobs(chat: ChatKilo, llm: KiloLLM) -> None:
    call: dict[str, Any] = {"logprobs": True, "top_logprobs": 2}
    for answer in (chat.invoke(PROMPT, **call), summed(list(chat.stream(PROMPT, **call)))):
        tokens = answer.response_metadata["logprobs"]["content"]
        assert "".join(token["token"] for token in tokens) == answer.text
        assert all(len(token["top_logprobs"]) == 2 for token in tokens)
    response = llm.chat([ChatMessage(content=PROMPT)], **call)
    assert response.logprobs is not None
    assert all(len(candidates) == 2 for candidates in response.logprobs)


def test_json_schemas_bind_the_answer(chat: ChatKilo, account: dict[str, Any]) -> None:
    structured = chat.with_structured_output(Person, method="json_schema")
    assert isinstance(structured.invoke("A person:", max_tokens=120), Person)
    assert isinstance(list(structured.stream("A person:", max_tokens=120))[-1], Person)
    llm = KiloLLM(**{**account, "max_tokens": 120}, structured_output_method="json_schema")
    assert isinstance(llm.structured_predict(Person, PromptTemplate("A person:")), Person)
    assert isinstance(list(llm.stream_structured_predict(Person, PromptTemplate("A person:")))[-1], Person)


def test_a_graph_with_memory(chat: ChatKilo) -> None:
    agent = create_agent(chat, tools=[], checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "one"}}
    agent.invoke({"messages": [HumanMessage(PROMPT)]}, config)
    pieces: list[Any] = list(agent.stream({"messages": [HumanMessage("And in Asia?")]}, config, stream_mode="messages"))
    messages = agent.get_state(config).values["messages"]
    assert [message.type for message in messages] == ["human", "ai", "human", "ai"]
    assert "".join(chunk.text for chunk, _ in pieces) == messages[-1].text != ""


def test_query_and_chat_engines(llm: KiloLLM) -> None:
    index = SummaryIndex.from_documents([Document(text="The Volga is 3,531 km long.")])
    answer: Any = index.as_query_engine(llm=llm, streaming=True).query("How long is the Volga?")
    assert len("".join(answer.response_gen)) > 10
    assert str(SimpleChatEngine.from_defaults(llm=llm).chat(PROMPT))


async def test_sixteen_streams_at_once(chat: ChatKilo, llm: KiloLLM) -> None:
    async def langchain() -> Any:
        return summed(await acollect(chat.astream(PROMPT)))

    async def llama_index() -> Any:
        return (await acollect(llm.astream_complete(PROMPT)))[-1]

    answers = await asyncio.gather(*(langchain() for _ in range(8)), *(llama_index() for _ in range(8)))
    assert all(answer.usage_metadata["output_tokens"] == 24 for answer in answers[:8])
    assert all(answer.additional_kwargs["completion_tokens"] == 24 for answer in answers[8:])


@pytest.mark.parametrize("framework", ["langchain", "llama_index"])
def test_leaving_early_frees_the_slot(server: LocalModel, chat: ChatKilo, llm: KiloLLM, framework: str) -> None:
    long: Any = {"max_tokens": 2000}
    stream: Any = chat.stream(PROMPT, **long) if framework == "langchain" else llm.stream_complete(PROMPT, **long)
    next(stream)
    next(stream)
    assert busy(server) == 1
    stream.close()
    deadline = time.monotonic() + 5
    while busy(server):
        assert time.monotonic() < deadline, "the server still generates after the client has left"
        time.sleep(0.05)


def test_a_prompt_that_does_not_fit(chat: ChatKilo, llm: KiloLLM) -> None:
    for ask in (chat.invoke, llm.complete):
        with pytest.raises(KiloContextLengthError):
            ask("river " * 6000)


def test_behind_the_sandbox(server: LocalModel, chat: ChatKilo) -> None:
    with Sandbox(upstream=f"{server.url}/v1") as gateway:
        fields: dict[str, Any] = {
            "tier": "frontier",
            "mode": "plan",
            "base_url": gateway.base_url,
            "api_key": gateway.api_key,
        }
        answer = summed(list(ChatKilo(**fields, max_tokens=24, temperature=0.0).stream(PROMPT)))
    assert answer.text == chat.invoke(PROMPT).text
    assert answer.response_metadata["model_name"] == "anthropic/claude-opus-4.7"
