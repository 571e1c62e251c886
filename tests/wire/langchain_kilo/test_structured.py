"""Test structured output: three methods, every kind of schema, and errors for unusable answers."""

import asyncio
import json
import pickle
from typing import Any

import pytest
from langchain_core import exceptions as core_exceptions
from langchain_core.exceptions import ModelError, OutputParserException
from langchain_core.messages import AIMessage
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from langchain_kilo.errors import KiloRefusalError

PAID = "anthropic/claude-sonnet-4.6"


@pytest.fixture
def llm(kilo_sandbox: Sandbox) -> ChatKilo:
    return ChatKilo(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)


class Person(BaseModel):
    """A person."""

    name: str
    age: int


class PersonDict(TypedDict):
    """A person."""

    name: str
    age: int


PERSON_SCHEMA = {
    "title": "Person",
    "description": "A person.",
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
}
QUESTION = "The person is called 'Ada' and is 36 years old."
JSON_QUESTION = f"{QUESTION} Answer as JSON that fits this JSON schema: {json.dumps(PERSON_SCHEMA)}"


@pytest.mark.parametrize("schema", [Person, PersonDict, PERSON_SCHEMA], ids=["pydantic", "typeddict", "schema"])
@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_structured_output(llm: ChatKilo, kilo_sandbox: Sandbox, method: Any, schema: Any) -> None:
    structured: Any = llm.with_structured_output(schema, method=method)
    expected = Person if schema is Person else dict
    question = JSON_QUESTION if method == "json_mode" else QUESTION
    for answer in (structured.invoke(question), asyncio.run(structured.ainvoke(question))):
        assert (answer.name if schema is Person else answer["name"]) == "Ada"
        assert isinstance(answer, expected)
    body = kilo_sandbox.last.json
    if method == "function_calling":
        assert body["tool_choice"]["function"]["name"] == body["tools"][0]["function"]["name"]
        assert body["parallel_tool_calls"] is False
    else:
        assert body["response_format"]["type"] == ("json_object" if method == "json_mode" else "json_schema")
    assert "ls_structured_output_format" not in body
    assert list(structured.stream(question))[-1] == answer


def test_structured_output_with_the_raw_message(llm: ChatKilo) -> None:
    result = llm.with_structured_output(Person, include_raw=True).invoke(QUESTION)
    assert isinstance(result["raw"], AIMessage)
    assert (result["parsed"].name, result["parsing_error"]) == ("Ada", None)

    class Impossible(BaseModel):
        """Needs what the model cannot know."""

        when: str = Field(pattern="^never$", json_schema_extra={"pattern": "^.*$"})

    result = llm.with_structured_output(Impossible, include_raw=True).invoke("hi")
    assert result["parsed"] is None
    assert "when" in str(result["parsing_error"])


@pytest.mark.parametrize(
    ("scenario", "message"),
    [
        ("tool-args-truncated", "raise max_tokens"),
        ("tool-args-invalid", "not a JSON object"),
        ("refusal", "The model refused: "),
    ],
)
@pytest.mark.parametrize("way", ["invoke", "stream", "raw"])
def test_unusable_structured_output_raises(kilo_sandbox: Sandbox, scenario: str, message: str, way: str) -> None:
    llm = ChatKilo(model=f"sandbox/{scenario}", base_url=kilo_sandbox.base_url)
    structured = llm.with_structured_output(Person, include_raw=way == "raw")
    if way == "raw":
        result = structured.invoke(QUESTION)
        assert (result["parsed"], message in str(result["parsing_error"])) == (None, True)
        return
    with pytest.raises(OutputParserException, match=message):
        structured.invoke(QUESTION) if way == "invoke" else list(structured.stream(QUESTION))


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
@pytest.mark.parametrize("schema", [Person, PERSON_SCHEMA], ids=["pydantic", "schema"])
def test_truncated_structured_output_is_not_completed(llm: ChatKilo, method: Any, schema: Any) -> None:
    structured = llm.model_copy(update={"max_tokens": 2}).with_structured_output(schema, method=method)
    with pytest.raises(OutputParserException, match="raise max_tokens"):
        structured.invoke(JSON_QUESTION)
    with pytest.raises(OutputParserException, match="raise max_tokens"):
        list(structured.stream(JSON_QUESTION))


@pytest.mark.parametrize("schema", [Person, PERSON_SCHEMA], ids=["pydantic", "schema"])
@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
def test_structured_chains_can_be_pickled(llm: ChatKilo, method: Any, schema: Any) -> None:
    chain: Any = pickle.loads(pickle.dumps(llm.with_structured_output(schema, method=method)))  # noqa: S301 -- our own data
    answer = chain.invoke(JSON_QUESTION if method == "json_mode" else QUESTION)
    assert (answer.name if schema is Person else answer["name"]) == "Ada"


def test_a_refusal_of_structured_output_without_tools_raises(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(model="sandbox/refusal", base_url=kilo_sandbox.base_url)
    for schema in (Person, PERSON_SCHEMA):
        with pytest.raises(OutputParserException, match="The model refused: "):
            llm.with_structured_output(schema, method="json_schema").invoke(QUESTION)


def test_bad_arguments_of_structured_output_raise(llm: ChatKilo) -> None:
    with pytest.raises(ValueError, match="methods: function_calling"):
        llm.with_structured_output(Person, method="magic")  # type: ignore[arg-type] # the test passes a wrong type
    with pytest.raises(ValueError, match="needs a schema"):
        llm.with_structured_output(None)


def test_a_refusal_has_its_own_error(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(model="sandbox/refusal", base_url=kilo_sandbox.base_url)
    with pytest.raises(KiloRefusalError) as caught:
        llm.with_structured_output(Person).invoke(QUESTION)
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 -- our own data
    assert (str(error), error.raw_message) == (str(caught.value), caught.value.raw_message)
    assert isinstance(error, ModelError)
    assert error.is_retryable is False
    newer = getattr(core_exceptions, "ModelRefusalError", ModelError)
    assert isinstance(error, newer)


@pytest.mark.parametrize("method", ["function_calling", "json_schema", "json_mode"])
@pytest.mark.parametrize("way", ["invoke", "stream", "raw"])
def test_a_content_filter_is_a_refusal_and_not_a_reason_to_ask_again(
    kilo_sandbox: Sandbox, method: Any, way: str
) -> None:
    llm = ChatKilo(model="sandbox/content-filter", base_url=kilo_sandbox.base_url)
    structured = llm.with_structured_output(Person, method=method, include_raw=way == "raw")
    if way == "raw":
        error = structured.invoke(QUESTION)["parsing_error"]
    else:
        with pytest.raises(KiloRefusalError) as caught:
            structured.invoke(QUESTION) if way == "invoke" else list(structured.stream(QUESTION))
        error = caught.value
    assert isinstance(error, KiloRefusalError)
    assert str(error).startswith("The model refused: the provider's content filter stopped the answer")
    assert error.raw_message.response_metadata["finish_reason"] == "content_filter"


class Tree(BaseModel):
    """A tree."""

    value: int
    children: list["Tree"] = []


def answering(gateway: Sandbox, monkeypatch: pytest.MonkeyPatch, text: str) -> ChatKilo:
    """Return a model that always answers with `text`."""
    monkeypatch.setattr("kilo_gateway.sandbox.model.canned.say", lambda call, turn: text)
    return ChatKilo(model=PAID, base_url=gateway.base_url, api_key=gateway.api_key)


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
@pytest.mark.parametrize("schema", [Person, PERSON_SCHEMA], ids=["pydantic", "schema"])
@pytest.mark.parametrize("text", ['{"name": "Ada", "age": 36', "Ada is 36.", ""])
def test_incomplete_json_is_not_completed(
    kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, method: Any, schema: Any, text: str
) -> None:
    structured = answering(kilo_sandbox, monkeypatch, text).with_structured_output(schema, method=method)
    with pytest.raises(OutputParserException):
        structured.invoke(QUESTION)
    with pytest.raises(OutputParserException):
        list(structured.stream(QUESTION))


def test_streamed_json_that_does_not_fit_raises(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = answering(kilo_sandbox, monkeypatch, '{"name": "Ada"}')
    with pytest.raises(OutputParserException):
        list(llm.with_structured_output(Person, method="json_schema").stream(QUESTION))


def test_json_in_a_fence_is_read(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = answering(kilo_sandbox, monkeypatch, 'Here:\n```json\n{"name": "Ada", "age": 36}\n```')
    structured = llm.with_structured_output(Person, method="json_mode")
    assert structured.invoke(QUESTION) == list(structured.stream(QUESTION))[-1] == Person(name="Ada", age=36)


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_the_schema_of_a_response_format_is_used(
    llm: ChatKilo, kilo_sandbox: Sandbox, method: Any, wrapped: bool
) -> None:
    schema: dict[str, Any] = {"name": "Person", "schema": PERSON_SCHEMA, "strict": True}
    given = {"type": "json_schema", "json_schema": schema} if wrapped else schema
    assert llm.with_structured_output(given, method=method).invoke(QUESTION)["name"] == "Ada"
    body = kilo_sandbox.last.json
    sent = body["tools"][0]["function"]["parameters"] if "tools" in body else body["response_format"]["json_schema"]
    assert sent == (PERSON_SCHEMA if "tools" in body else schema)


@pytest.mark.parametrize("strict", [None, True])
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_a_recursive_class_is_sent_complete(
    llm: ChatKilo, kilo_sandbox: Sandbox, method: Any, strict: bool | None
) -> None:
    assert isinstance(llm.with_structured_output(Tree, method=method, strict=strict).invoke("3"), Tree)
    body = kilo_sandbox.last.json
    sent = (
        body["tools"][0]["function"]["parameters"]
        if "tools" in body
        else body["response_format"]["json_schema"]["schema"]
    )
    assert sent["properties"]["children"]["items"] == {"$ref": "#/$defs/Tree"}
    assert sent["$defs"]["Tree"].get("additionalProperties") is (False if strict else None)


def test_other_tools_beside_the_schema(llm: ChatKilo) -> None:
    """If the model calls another tool, the parsed answer is None, and `include_raw` contains the call."""

    def clock() -> str:
        """Tell the time."""  # words: keep -- a model receives it
        return "12:00"

    for schema in (Person, PERSON_SCHEMA):
        for method in ("function_calling", "json_schema"):
            structured = llm.with_structured_output(schema, method=method, tools=[clock], include_raw=True)
            result = structured.invoke("Call clock().")
            assert (result["parsed"], result["parsing_error"]) == (None, None)
            assert result["raw"].tool_calls[0]["name"] == "clock"


def test_a_class_as_response_format_beside_tools(llm: ChatKilo, kilo_sandbox: Sandbox) -> None:
    for form in (Person, PERSON_SCHEMA):
        llm.bind_tools([], response_format=form).invoke(QUESTION)
        assert kilo_sandbox.last.json["response_format"]["json_schema"]["name"] == "Person"
