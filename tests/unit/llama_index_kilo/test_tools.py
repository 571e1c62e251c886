"""Tool calls that other LLM classes have made, and tools whose arguments must be exact."""

from __future__ import annotations

from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ToolCallBlock
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from openai.types.chat import ChatCompletionMessageFunctionToolCall
from pydantic import BaseModel

from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM
from tests.support.in_process import InProcess

CALL = {"id": "1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Oslo"}'}}


def weather(city: str, unit: str = "C") -> str:
    """Return the weather."""
    return f"rain in {city}, {unit}"


class City(BaseModel):
    """A city."""

    name: str
    country: str = "Norway"


def response(*calls: Any, **more: Any) -> ChatResponse:
    message = ChatMessage(role="assistant", content="", additional_kwargs={"tool_calls": list(calls)}, **more)
    return ChatResponse(message=message)


@pytest.mark.parametrize("call", [CALL, ChatCompletionMessageFunctionToolCall.model_validate(CALL)])
def test_the_calls_of_another_llm_class_are_read(call: Any) -> None:
    (selection,) = KiloLLM().get_tool_calls_from_response(response(call))
    assert (selection.tool_id, selection.tool_name, selection.tool_kwargs) == ("1", "weather", {"city": "Oslo"})


def test_a_call_of_another_llm_class_with_cut_arguments_is_not_guessed() -> None:
    cut = {**CALL, "function": {"name": "weather", "arguments": '{"city": "Os'}}
    (selection,) = KiloLLM().get_tool_calls_from_response(response(cut))
    assert selection.tool_kwargs.keys() >= {"invalid_arguments", "problem"}


def test_a_call_in_a_block_counts_once() -> None:
    both = response(CALL)
    both.message.blocks.append(ToolCallBlock(tool_call_id="1", tool_name="weather", tool_kwargs={"city": "Rome"}))
    (selection,) = KiloLLM().get_tool_calls_from_response(both)
    assert selection.tool_kwargs == {"city": "Rome"}


@pytest.mark.parametrize("strict", [True, False, None])
def test_strict_reaches_tools_and_structured_output(strict: bool | None) -> None:
    with InProcess() as gateway:
        account: dict[str, Any] = {
            "base_url": gateway.base_url,
            "api_key": Sandbox.api_key,
            "http_client": gateway.client,
        }
        llm = KiloLLM(model="anthropic/claude-sonnet-4.6", strict=strict, **account)
        llm.chat_with_tools([FunctionTool.from_defaults(weather)], user_msg="Hi")
        llm.structured_predict(City, PromptTemplate("Name a city."))
        native = KiloLLM(model="openai/gpt-5.5", strict=strict, structured_output_method="json_schema", **account)
        native.structured_predict(City, PromptTemplate("Name a city."))
        tools = [record.json["tools"][0]["function"] for record in gateway.requests[:2]]
        form = gateway.last.json["response_format"]["json_schema"]
    assert [definition.get("strict") for definition in (*tools, form)] == [strict] * 3
    schemas = [*(tool["parameters"] for tool in tools), form["schema"]]
    required = [sorted(schema["required"]) for schema in schemas]
    whole = [["city", "unit"], ["country", "name"], ["country", "name"]]
    assert required == (whole if strict else [["city"], ["name"], ["name"]])


def test_arguments_of_the_class_for_openrouter_are_named_with_ours() -> None:
    value: Any
    for name, value in (("order", ["anthropic"]), ("allow_fallbacks", False)):
        with pytest.raises(ValueError, match=rf"provider=\{{'{name}': ...\}}"):
            KiloLLM(**{name: value})
