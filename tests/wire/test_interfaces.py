"""Both classes on each interface of the gateway: answers, tools, reasoning, histories that cross interfaces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from llama_index.core.base.llms.types import ChatMessage, MessageRole
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from kilo_gateway import GatewaySettings, KiloInvalidRequestError, chat
from kilo_gateway.interfaces import INTERFACES
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.tools import add

APIS = sorted(INTERFACES)
PATHS = {"completions": "/chat/completions", "responses": "/responses", "messages": "/messages"}
MODELS = {
    "completions": "openai/gpt-5.4-mini",
    "responses": "openai/gpt-5.4",
    "messages": "anthropic/claude-sonnet-4.6",
}


class River(BaseModel):
    """A river."""

    name: str
    length: int


def account(gateway: Sandbox, api: str, **more: Any) -> dict[str, Any]:
    return {"base_url": gateway.base_url, "api_key": gateway.api_key, "model": MODELS[api], "api": api, **more}


@pytest.mark.parametrize("api", APIS)
def test_each_way_of_both_classes(kilo_sandbox: Sandbox, api: str) -> None:
    llm, index = ChatKilo(**account(kilo_sandbox, api)), KiloLLM(**account(kilo_sandbox, api))
    user = [ChatMessage(role=MessageRole.USER, content="Hello there")]

    async def collected() -> list[Any]:
        total = None
        async for chunk in llm.astream("Hello there"):
            total = chunk if total is None else total + chunk
        last = [response async for response in await index.astream_chat(user)][-1]
        return [await llm.ainvoke("Hello there"), total, await index.achat(user), last]

    total: AIMessageChunk | None = None
    for chunk in llm.stream("Hello there"):
        assert isinstance(chunk, AIMessageChunk)
        total = chunk if total is None else total + chunk
    answers: list[Any] = [llm.invoke("Hello there"), total, index.chat(user), list(index.stream_chat(user))[-1]]
    answers += asyncio.run(collected())
    for answer in answers:
        is_message = isinstance(answer, AIMessage)
        facts = answer.response_metadata if is_message else answer.additional_kwargs
        assert "Hello there" in str(answer.text if is_message else answer.message.content)
        assert (facts["api"], facts["finish_reason"]) == (api, "stop")
        assert facts["cost"] > 0
        usage = answer.usage_metadata if is_message else facts
        assert usage["total_tokens"] > 5
    assert {record.path for record in kilo_sandbox.requests} == {f"/api/gateway{PATHS[api]}"}


@pytest.mark.parametrize("api", APIS)
def test_a_tool_loop_with_reasoning(kilo_sandbox: Sandbox, api: str) -> None:
    llm = ChatKilo(**account(kilo_sandbox, api, reasoning="low"))
    question = HumanMessage("Add 2 and 3 with add")
    bound = llm.bind_tools([add])
    called = bound.invoke([question])
    assert [call["args"] for call in called.tool_calls] == [{"a": 2, "b": 3}]
    assert called.additional_kwargs["reasoning_content"]
    assert called.response_metadata["finish_reason"] == "tool_calls"
    result = ToolMessage("5", tool_call_id=str(called.tool_calls[0]["id"]))
    answer = bound.invoke([question, called, result])
    assert "5" in answer.text
    # The same conversation is valid on the other interfaces, whose models cannot read this one's reasoning.
    for other in APIS:
        crossed = ChatKilo(**account(kilo_sandbox, other)).bind_tools([add])
        assert "5" in crossed.invoke([question, called, result]).text


@pytest.mark.parametrize("api", APIS)
def test_structured_output(kilo_sandbox: Sandbox, api: str) -> None:
    llm = ChatKilo(**account(kilo_sandbox, api))
    for method in ("function_calling", "json_schema"):
        made = llm.with_structured_output(River, method=method).invoke("The river Rhine is 1233 km long.")
        assert isinstance(made, River)


def test_an_interface_for_one_call_and_for_a_copy(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(**account(kilo_sandbox, "completions", model="anthropic/claude-sonnet-4.6"))
    assert llm.invoke("Hi", api="messages").response_metadata["api"] == "messages"
    assert llm.with_api("messages").invoke("Hi").response_metadata["api"] == "messages"
    assert llm.invoke("Hi").response_metadata["api"] == "completions"


def test_the_switch_of_another_package() -> None:
    assert ChatKilo(use_responses_api=True).api == "responses"
    assert ChatKilo(use_responses_api=False).api == "completions"
    with pytest.raises(ValueError, match="use_responses_api=True contradicts api='messages'"):
        ChatKilo(use_responses_api=True, api="messages")


def test_auto_follows_the_list_of_models(kilo_sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    from kilo_gateway.models.info import ModelInfo

    hints = {"a/claude": "anthropic", "a/gpt": "openai", "a/other": None, "kilo-auto/free": "anthropic"}
    entries = {
        name: ModelInfo.read({"id": name, "opencode": {"ai_sdk_provider": hint}}) for name, hint in hints.items()
    }
    monkeypatch.setattr("kilo_gateway.models.known.known", lambda model, **_: entries.get(model))
    expected = {"a/claude": "messages", "a/gpt": "responses", "a/other": "completions", "a/unknown": "completions"}
    for model, api in {**expected, "kilo-auto/free": "completions"}.items():
        settings = GatewaySettings(model=model, api="auto")
        assert chat.resolved(settings, settings.prepare("Hi", stream=False)).api == api


def test_an_unknown_interface() -> None:
    with pytest.raises(ValueError, match="api"):
        ChatKilo(api="chat")  # type: ignore[arg-type] # what is refused
    with pytest.raises(ValueError, match=r"api.*'chat'"):
        ChatKilo().invoke("Hi", api="chat")


def test_an_error_on_each_interface(kilo_sandbox: Sandbox) -> None:
    for api in APIS:
        with pytest.raises(KiloInvalidRequestError, match="400"):
            ChatKilo(**account(kilo_sandbox, api, model="sandbox/error-400")).invoke("Hi")


@pytest.mark.parametrize("api", APIS)
def test_a_memory_of_llama_index_goes_on_on_another_interface(kilo_sandbox: Sandbox, api: str) -> None:
    llm = KiloLLM(**account(kilo_sandbox, api, reasoning="low"))
    tool = FunctionTool.from_defaults(add_numbers, name="add")
    user = ChatMessage(role=MessageRole.USER, content="Add 2 and 3 with add")
    called = llm.chat_with_tools([tool], chat_history=[user])
    [call] = llm.get_tool_calls_from_response(called)
    result = ChatMessage(role=MessageRole.TOOL, content="5", additional_kwargs={"tool_call_id": call.tool_id})
    # As a memory keeps it.
    memory = [ChatMessage.model_validate_json(m.model_dump_json()) for m in (user, called.message, result)]
    for other in APIS:
        response = KiloLLM(**account(kilo_sandbox, other)).chat_with_tools([tool], chat_history=memory)
        assert "5" in str(response.message.content)
        assert response.additional_kwargs["api"] == other


@pytest.mark.parametrize(
    ("api", "refused"),
    [
        *((api, "reasoning-refused-later") for api in APIS),
        *((api, "reasoning-undecryptable-later") for api in ("completions", "responses")),
    ],
)
def test_refused_reasoning_is_left_out_once(kilo_sandbox: Sandbox, api: str, refused: str) -> None:
    model = account(kilo_sandbox, api, model=f"sandbox/{refused}")
    llm, index = ChatKilo(**model), KiloLLM(**model)
    question = HumanMessage("Hello there")
    first = llm.invoke([question])
    assert "reasoning_left_out" not in first.response_metadata
    history = [question, first, HumanMessage("And now?")]

    async def collected() -> list[Any]:
        chunks = [chunk async for chunk in llm.astream(history)]
        return [await llm.ainvoke(history), chunks[-1]]

    answers: list[Any] = [llm.invoke(history), list(llm.stream(history))[-1], *asyncio.run(collected())]
    assert [answer.response_metadata["reasoning_left_out"] for answer in answers] == [True] * 4
    assert [record.status for record in kilo_sandbox.requests] == [200] + [400, 200] * 4
    user = ChatMessage(role=MessageRole.USER, content="Hello there")
    memory = [user, index.chat([user]).message, user]
    assert index.chat(memory).additional_kwargs["reasoning_left_out"] is True


def add_numbers(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b
