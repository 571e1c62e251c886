"""Test structured output: a complete and valid object, or an error with the reason."""

import asyncio
from itertools import pairwise
from typing import Any, Generic, TypeVar

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.prompts import ChatPromptTemplate, PromptTemplate
from llama_index.core.types import PydanticProgramMode
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, ConfigDict, Field, field_validator

from kilo_gateway import KiloInvalidRequestError
from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM
from llama_index_kilo.structured import Growth
from tests.support.ways import LLAMA_INDEX, acollect

PAID = "anthropic/claude-sonnet-4.6"
METHODS = ["function_calling", "json_schema"]
WAYS = ["structured_predict", "astructured_predict", "stream_structured_predict", "astream_structured_predict"]
T = TypeVar("T")


class River(BaseModel):
    """A river."""

    name: str
    length_km: int = Field(description="length in kilometres")


class Pair(BaseModel, Generic[T]):
    left: T
    right: T


class Choice(BaseModel):
    """Nothing in it is required."""

    reason: str = "none given"


TEXT = "The river '{name}' has a length_km of 2850."
DANUBE = River(name="Danube", length_km=2850)


async def ask(
    llm: KiloLLM, way: str, output_cls: type[BaseModel] = River, name: str = "Danube", **kwargs: Any
) -> list[Any]:
    """Return the objects of one call: the partial ones and the last, or the only one."""
    return await acollect(getattr(llm, way)(output_cls, PromptTemplate(TEXT), name=name, **kwargs))


@pytest.fixture(params=METHODS)
def llm(request: pytest.FixtureRequest, kilo_sandbox: Sandbox) -> KiloLLM:
    """Return the same model with each structured output method."""
    return KiloLLM(
        model=PAID,
        base_url=kilo_sandbox.base_url,
        api_key=kilo_sandbox.api_key,
        system_prompt="Answer as a geographer.",
        structured_output_method=request.param,
    )


@pytest.mark.parametrize("way", WAYS)
async def test_the_object_is_returned_and_the_system_prompt_is_sent(
    llm: KiloLLM, kilo_sandbox: Sandbox, way: str
) -> None:
    assert (await ask(llm, way))[-1] == DANUBE
    body = kilo_sandbox.last.json
    assert [m["role"] for m in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"] == "Answer as a geographer."
    assert body["stream"] == ("stream" in way)
    if llm.structured_output_method == "json_schema":
        wanted = body["response_format"]["json_schema"]
        assert (wanted["name"], wanted["description"], "tools" in body) == ("River", "A river.", False)
        assert wanted["schema"]["properties"]["length_km"]["description"] == "length in kilometres"
    else:
        assert body["tool_choice"] == {"type": "function", "function": {"name": "River"}}
        assert (len(body["tools"]), body["parallel_tool_calls"]) == (1, False)
        assert "response_format" not in body


@pytest.mark.parametrize("way", WAYS[2:])
async def test_partial_objects_grow(llm: KiloLLM, way: str) -> None:
    llm.merge_ready = False
    *partial, last = await ask(llm, way, name="Danube of the Black Forest")
    assert last == River(name="Danube of the Black Forest", length_km=2850)
    names = [p.name for p in partial if p.name is not None]
    assert len(set(names)) > 1
    assert all(b.startswith(a) for a, b in pairwise(names))
    assert {p.length_km for p in partial} <= {None, 2850}
    lengths = [p.length_km for p in partial]
    assert lengths == sorted(lengths, key=lambda length: length is not None)


@pytest.mark.parametrize("way", WAYS)
async def test_keywords_of_the_call(llm: KiloLLM, kilo_sandbox: Sandbox, way: str) -> None:
    keywords = {"temperature": 0.5, "mode": "ask", "tool_choice": "none", "tool_required": False}
    before = dict(keywords)
    assert (await ask(llm, way, llm_kwargs=keywords))[-1] == DANUBE
    assert keywords == before
    assert kilo_sandbox.last.json["temperature"] == 0.5
    assert kilo_sandbox.last.mode == "ask"
    assert "tool_required" not in kilo_sandbox.last.json


@pytest.mark.filterwarnings("ignore:The `json` method is deprecated")  # LlamaIndex calls it
async def test_as_structured_llm(llm: KiloLLM) -> None:
    structured = llm.as_structured_llm(River)
    message = [ChatMessage(role="user", content="The river 'Danube' has a length_km of 2850, {x} {{y}}.")]
    for method in LLAMA_INDEX:
        response = (await acollect(getattr(structured, method)(message)))[-1]
        assert response.raw == DANUBE
        assert River.model_validate_json(response.message.content) == DANUBE
    assert structured.complete("The river 'Danube' has a length_km of 2850.").raw == DANUBE


def test_messages_with_roles_are_kept(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    prompt: Any = ChatPromptTemplate(
        message_templates=[
            ChatMessage(role="developer", content="Be exact."),
            ChatMessage(role="user", content="The river '{name}' has a length_km of 2850."),
        ]
    )
    assert llm.structured_predict(River, prompt, name="Danube") == DANUBE
    assert [m["role"] for m in kilo_sandbox.last.json["messages"]] == ["system", "developer", "user"]


def test_names_that_providers_reject_are_changed(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    assert llm.structured_predict(Pair[int], PromptTemplate("left 1 and right 2")) == Pair[int](left=1, right=2)
    body = kilo_sandbox.last.json
    name = (body.get("response_format") or {}).get("json_schema", {}).get("name")
    assert (name or body["tools"][0]["function"]["name"]) == "Pair_int"


class Node(BaseModel):
    """A node."""

    model_config = ConfigDict(extra="forbid")
    label: str
    children: list["Node"] = []


def test_a_recursive_model(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    assert llm.structured_predict(Node, PromptTemplate("label 'a'")).label == "a"
    body = kilo_sandbox.last.json
    native = llm.structured_output_method == "json_schema"
    wanted = body["response_format"]["json_schema"] if native else body["tools"][0]["function"]
    schema = wanted["schema" if native else "parameters"]
    assert (wanted["name"], wanted["description"]) == ("Node", "A node.")
    assert (schema["type"], schema["additionalProperties"], list(schema["$defs"])) == ("object", False, ["Node"])


@pytest.mark.parametrize("way", WAYS[2:])
async def test_a_validator_may_reject_a_partial_object(llm: KiloLLM, way: str) -> None:
    llm.merge_ready = False

    class Spelt(River):
        @field_validator("name")
        @classmethod
        def _ends(cls, value: str) -> str:
            return {"Danube of the Black Forest": "Danube"}[value]

    objects = await ask(llm, way, Spelt, name="Danube of the Black Forest")
    assert objects[-1] == Spelt.model_construct(name="Danube", length_km=2850)
    assert len({type(item) for item in objects}) == 2


class Events(BaseEventHandler):
    names: list[str] = []  # noqa: RUF012 -- a pydantic field, copied for each instance

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.names.append(type(event).__name__)


@pytest.mark.parametrize("way", WAYS)
async def test_events(llm: KiloLLM, way: str) -> None:
    events, dispatcher = Events(), get_dispatcher()
    dispatcher.add_event_handler(events)
    try:
        await ask(llm, way)
    finally:
        dispatcher.event_handlers.remove(events)
    for name in ("LLMStructuredPredictStart", "LLMStructuredPredictEnd", "LLMChatStart", "LLMChatEnd"):
        assert events.names.count(f"{name}Event") == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("name", "method", "message"),
    [
        ("refusal", "json_schema", "refused to give a River: "),
        ("refusal", "function_calling", "refused to give a River: "),
        ("length", "json_schema", "River is not valid: .*raise max_tokens"),
        ("content-filter", "json_schema", "refused to give a River: the provider's content filter"),
        ("empty-answer", "json_schema", "gave no River"),
        ("empty-answer", "function_calling", "gave no River"),
        ("unicode", "json_schema", "River is not valid: .*It wrote: "),
        ("length", "function_calling", "gave no River, .*raise max_tokens"),
        ("tool-args-truncated", "function_calling", "River is not valid: .*raise max_tokens"),
        ("tool-args-invalid", "function_calling", "River is not valid: .*ask again"),
        ("tool-args-empty", "function_calling", "name: Field required; length_km: Field required"),
        ("tool-args-null", "function_calling", "River is not valid"),
    ],
)
async def test_an_incomplete_object_is_an_error(scenario: Any, name: str, method: str, message: str, way: str) -> None:
    with pytest.raises(ValueError, match=message):
        await ask(scenario(name, structured_output_method=method), way)


@pytest.mark.parametrize("way", WAYS)
async def test_an_object_of_the_wrong_form_is_an_error(kilo_sandbox: Sandbox, way: str) -> None:
    class Short(River):
        @field_validator("length_km")
        @classmethod
        def _short(cls, value: int) -> int:
            if value > 100:
                raise ValueError("too long a river")
            return value

    llm = KiloLLM(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    with pytest.raises(ValueError, match="Short is not valid: length_km: Value error, too long a river; ask again"):
        await ask(llm, way, Short)


@pytest.mark.parametrize("way", WAYS)
async def test_no_arguments_are_an_object_without_required_fields(scenario: Any, way: str) -> None:
    assert (await ask(scenario("tool-args-empty"), way, Choice))[-1] == Choice()


@pytest.mark.parametrize("way", WAYS)
async def test_a_model_that_answers_in_text_is_an_error(kilo_sandbox: Sandbox, way: str) -> None:
    llm = KiloLLM(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    with pytest.raises(ValueError, match=f"gave no River, it answered in text: .Canned .*{PAID}.*try another model"):
        await ask(llm, way, llm_kwargs={"extra_body": {"tool_choice": "none"}})


async def test_one_object_of_a_model_that_calls_twice(scenario: Any) -> None:
    assert await scenario("parallel-tools").astructured_predict(River, PromptTemplate(TEXT), name="Danube") == DANUBE


@pytest.mark.parametrize("way", WAYS[2:])
async def test_leaving_a_stream_closes_the_connection(scenario: Any, kilo_sandbox: Sandbox, way: str) -> None:
    llm = scenario("slow", structured_output_method="json_schema")
    objects = getattr(llm, way)(River, PromptTemplate(TEXT), name="Danube")
    if way.startswith("a"):
        objects = await objects
        await objects.__anext__()
        await objects.aclose()
    else:
        next(objects)
        objects.close()
    assert await asyncio.to_thread(kilo_sandbox.wait_for, lambda record: record.disconnected, timeout=20)


def test_programs_of_llama_index_can_be_chosen(kilo_sandbox: Sandbox) -> None:
    fields: dict[str, Any] = {"model": PAID, "base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}
    text = KiloLLM(pydantic_program_mode=PydanticProgramMode.LLM, **fields)
    assert isinstance(text.structured_predict(River, PromptTemplate(TEXT), name="Danube"), River)
    assert {"tools", "response_format"}.isdisjoint(kilo_sandbox.last.json)
    without_tools = KiloLLM(is_function_calling_model=False, **fields)
    assert isinstance(without_tools.structured_predict(River, PromptTemplate(TEXT), name="Danube"), River)
    assert "tools" not in kilo_sandbox.last.json
    forced = KiloLLM(
        pydantic_program_mode=PydanticProgramMode.FUNCTION, structured_output_method="json_schema", **fields
    )
    assert forced.structured_predict(River, PromptTemplate(TEXT), name="Danube") == DANUBE
    assert "tools" in kilo_sandbox.last.json


def test_an_unknown_method_is_refused() -> None:
    with pytest.raises(ValueError, match="structured_output_method"):
        KiloLLM(structured_output_method="json")  # type: ignore[arg-type] # what is refused


def test_an_error_of_the_gateway_is_raised(scenario: Any) -> None:
    with pytest.raises(KiloInvalidRequestError):
        scenario("error-400").structured_predict(River, PromptTemplate(TEXT), name="Danube")


def test_a_number_is_set_when_it_is_complete() -> None:
    class Native:
        output_cls = River

        def __init__(self, *texts: str) -> None:
            self.texts = list(texts)

        def written(self, response: Any) -> str:
            return self.texts.pop(0)

    native: Any = Native('{"name": "a1', '{"name": "a1", "length_km": 12', '{"name": "b", ')
    growth: Any = Growth(native)
    first, second, third = (growth.feed(None) for _ in range(3))
    assert (first.name, first.length_km) == ("a", None)
    assert (second.name, second.length_km) == ("a1", None)
    assert third is None
