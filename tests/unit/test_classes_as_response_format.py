"""A class or a JSON schema as `response_format`: the answer has the object, whole or streamed, or says why not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from langchain_core.messages import AIMessage
from llama_index.core.base.llms.types import ChatMessage
from pydantic import BaseModel
from typing_extensions import TypedDict

from kilo_gateway.conversation import ToolCall
from kilo_gateway.output import OutputFormat, read
from kilo_gateway.reply import Ending
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.in_process import InProcess

QUESTION = "The river 'Danube' is 2850 km long."


class River(BaseModel):
    """A river."""

    name: str
    length_km: int


class RiverDict(TypedDict):
    """A river."""

    name: str
    length_km: int


SCHEMA = River.model_json_schema()
DANUBE = {"name": "Danube", "length_km": 2850}
FORMS: list[tuple[Any, Any]] = [(River, River(**DANUBE)), (RiverDict, DANUBE), (SCHEMA, DANUBE)]
GIVEN = pytest.mark.parametrize(("form", "expected"), FORMS, ids=["class", "TypedDict", "JSON schema"])


@pytest.fixture
def gateway() -> Iterator[InProcess]:
    with InProcess() as gateway:
        yield gateway


def account(gateway: InProcess, model: str = "kilo-auto/free") -> dict[str, Any]:
    clients = {"http_client": gateway.client, "http_async_client": gateway.async_client}
    return {"model": model, "base_url": gateway.base_url, **clients}


def streamed(chunks: Any) -> Any:
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


@pytest.mark.parametrize("api", ["completions", "responses", "messages"])
@GIVEN
def test_in_invoke_and_stream(gateway: InProcess, api: Any, form: Any, expected: Any) -> None:
    llm = ChatKilo(api=api, **account(gateway))
    answers = [
        llm.invoke(QUESTION, response_format=form),
        asyncio.run(llm.ainvoke(QUESTION, response_format=form)),
        streamed(llm.stream(QUESTION, response_format=form)),
        llm.bind(response_format=form).invoke(QUESTION),
        llm.bind_tools([], response_format=form).invoke(QUESTION),
    ]
    for answer in answers:
        assert answer.additional_kwargs["parsed"] == expected
        assert json.loads(answer.text) == DANUBE


@GIVEN
def test_in_chat_and_complete(gateway: InProcess, form: Any, expected: Any) -> None:
    llm, question = KiloLLM(**account(gateway)), [ChatMessage(QUESTION)]
    responses: list[Any] = [
        llm.chat(question, response_format=form),
        [*llm.stream_chat(question, response_format=form)][-1],
        asyncio.run(llm.achat(question, response_format=form)),
        llm.complete(QUESTION, response_format=form),
    ]
    for response in responses:
        assert response.additional_kwargs["parsed"] == expected


def test_in_a_stream_only_the_last_response_has_it(gateway: InProcess) -> None:
    *others, last = KiloLLM(**account(gateway)).stream_complete(QUESTION, response_format=River)
    assert last.additional_kwargs["parsed"] == River(**DANUBE)
    assert not any("parsed" in response.additional_kwargs for response in others)


@pytest.mark.parametrize(
    ("scenario", "expected"),
    [
        ("length", "raise max_tokens"),
        ("content-filter", "The model refused: the provider's content filter stopped the answer"),
        ("refusal", "The model refused: "),
        ("think-tags", "The answer is not the object: "),
        ("empty-answer", "The answer is not the object: "),
    ],
)
@pytest.mark.parametrize("form", [River, SCHEMA], ids=["class", "JSON schema"])
def test_an_answer_that_is_not_the_object_says_why(gateway: InProcess, scenario: str, expected: str, form: Any) -> None:
    arguments = account(gateway, f"sandbox/{scenario}")
    answers = [
        ChatKilo(**arguments).invoke(QUESTION, response_format=form),
        streamed(ChatKilo(**arguments).stream(QUESTION, response_format=form)),
        KiloLLM(**arguments).complete(QUESTION, response_format=form),
    ]
    for answer in answers:
        assert "parsed" not in answer.additional_kwargs
        assert expected in answer.additional_kwargs["parsing_error"]


@pytest.mark.parametrize("text", ["5", "[]", "null"])
def test_json_that_is_not_an_object_is_not_the_object(text: str) -> None:
    said = read(OutputFormat({}, SCHEMA), text, "", Ending(finish_reason="stop"))
    assert "it is not a JSON object" in said["parsing_error"]


def test_an_answer_that_calls_tools_is_not_the_object_yet() -> None:
    ending = Ending(finish_reason="tool_calls", tool_calls=[ToolCall("1", "search")])
    assert read(OutputFormat({}, River), "I search first.", "", ending) == {}


def test_a_format_of_the_wire_is_sent_unchanged(gateway: InProcess) -> None:
    form = {"type": "json_object"}
    answer = ChatKilo(**account(gateway)).invoke("Answer with JSON.", response_format=form)
    assert gateway.last.json["response_format"] == form
    assert "parsed" not in answer.additional_kwargs


def test_the_object_does_not_go_back() -> None:
    llm = ChatKilo()
    call = llm._call([AIMessage("{}", additional_kwargs={"parsed": River(**DANUBE)})], None, None, {}, stream=False)
    assert "parsed" not in repr(call)


def test_traces_and_the_cache_see_the_schema_of_the_class() -> None:
    llm = ChatKilo()
    assert "length_km" in llm._get_llm_string(response_format=River)
    [form] = [llm._get_invocation_params(response_format=River)["response_format"]]
    assert isinstance(form, OutputFormat)
    assert form["json_schema"]["schema"]["required"] == ["name", "length_km"]
