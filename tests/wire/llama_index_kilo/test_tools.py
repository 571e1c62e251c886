"""Test tools: which ones are offered, which are called, and which calls are never executed."""

import asyncio
import json
from typing import Any

import pytest
from llama_index.core.base.llms.types import ChatMessage, ChatResponse, ImageBlock, TextBlock
from llama_index.core.tools import FunctionTool
from llama_index.core.tools.calling import call_tool_with_selection

from kilo_gateway.conversation import broken_arguments
from kilo_gateway.interfaces.chat_completions import ChatCompletions
from kilo_gateway.reply import Reply
from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM, from_gateway
from tests.support.tools import FUNCTION_TOOLS as TOOLS
from tests.support.ways import collect

USER = [ChatMessage(role="user", content="Tell me about rivers")]  # words: keep -- a model receives it


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({}, "auto"),
        ({"tool_required": True}, "required"),
        ({"tool_choice": "any"}, "required"),
        ({"tool_choice": "none"}, "none"),
        ({"tool_choice": "greet"}, {"type": "function", "function": {"name": "greet"}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "add"}}},
            {"type": "function", "function": {"name": "add"}},
        ),
    ],
)
def test_tool_choice(llm: KiloLLM, kilo_sandbox: Sandbox, arguments: dict[str, Any], sent: Any) -> None:
    llm.chat_with_tools(TOOLS, "hi", **arguments)
    body = kilo_sandbox.last.json
    assert body["tool_choice"] == sent
    assert body["parallel_tool_calls"] is False
    assert [tool["function"]["name"] for tool in body["tools"]] == ["add", "greet"]


def test_without_tools_nothing_about_tools_is_sent(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    llm.chat_with_tools([], "hi", tool_required=True, tool_choice="add")
    assert set(kilo_sandbox.last.json) == {"model", "messages", "stream"}


def test_the_callers_history_is_not_changed(llm: KiloLLM) -> None:
    history = [ChatMessage(role="user", content="a"), ChatMessage(role="assistant", content="b")]
    before = [message.model_copy(deep=True) for message in history]
    llm.chat_with_tools(TOOLS, "What is add(2, 3)?", chat_history=history)
    assert history == before


def calls(llm: KiloLLM, response: ChatResponse) -> list[tuple[str, dict[str, Any]]]:
    return [(call.tool_name, call.tool_kwargs) for call in llm.get_tool_calls_from_response(response)]


def test_tool_calls_in_all_four_ways(llm: KiloLLM) -> None:
    question = "What is add(2, 3)?"
    responses = [
        llm.chat_with_tools(TOOLS, question),
        asyncio.run(llm.achat_with_tools(TOOLS, question)),
        list(llm.stream_chat_with_tools(TOOLS, question))[-1],
        collect(llm.astream_chat_with_tools(TOOLS, question))[-1],
    ]
    for response in responses:
        assert calls(llm, response) == [("add", {"a": 2, "b": 3})]
        assert response.message.content is None
        [plain] = response.message.additional_kwargs["tool_calls"]
        assert plain["function"] == {"name": "add", "arguments": '{"a": 2, "b": 3}'}
        assert json.loads(response.message.model_dump_json())["additional_kwargs"]["tool_calls"] == [plain]


def test_calls_can_be_read_while_they_stream(llm: KiloLLM) -> None:
    for response in llm.stream_chat_with_tools(TOOLS, "What is add(2, 3)?"):
        for call in llm.get_tool_calls_from_response(response, error_on_no_tool_call=False):
            assert call.tool_name == "add"
            assert call.tool_id


def test_only_one_call_when_parallel_calls_are_not_allowed(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(model="sandbox/parallel-same-index", base_url=kilo_sandbox.base_url)
    response = llm.chat_with_tools(TOOLS, "hi", allow_parallel_tool_calls=False)
    assert len(calls(llm, response)) == 1
    assert len(response.message.additional_kwargs["tool_calls"]) == 1
    response = llm.chat_with_tools(TOOLS, "hi", allow_parallel_tool_calls=True)
    assert len(calls(llm, response)) == 2


def test_no_call_is_an_error_with_the_answers_text(llm: KiloLLM) -> None:
    response = llm.chat(USER)
    with pytest.raises(ValueError, match=r"rivers.*tool_required=True"):
        llm.get_tool_calls_from_response(response)
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []


@pytest.mark.parametrize("scenario", ["tool-args-invalid", "tool-args-truncated"])
@pytest.mark.parametrize("streaming", [False, True])
def test_broken_arguments_are_not_executed_and_go_back_as_json(
    kilo_sandbox: Sandbox, scenario: str, streaming: bool
) -> None:
    llm = KiloLLM(model=f"sandbox/{scenario}", base_url=kilo_sandbox.base_url)
    if streaming:
        *partial, response = llm.stream_chat_with_tools(TOOLS[:1], "add(2, 3)")
        seen = [c.tool_kwargs for r in partial for c in llm.get_tool_calls_from_response(r, False)]
        assert all(kwargs == {} for kwargs in seen)
    else:
        response = llm.chat_with_tools(TOOLS[:1], "add(2, 3)")
    [block] = [b for b in response.message.blocks if b.block_type == "tool_call"]
    with pytest.raises(json.JSONDecodeError):
        json.loads(str(block.tool_kwargs))
    [(name, kwargs)] = calls(llm, response)
    assert kwargs["invalid_arguments"] == block.tool_kwargs
    executed: list[Any] = []

    def collect(value: str = "", **others: Any) -> None:
        executed.append((value, others))

    selection = llm.get_tool_calls_from_response(response)[0].model_copy(update={"tool_name": "collect"})
    outcome = call_tool_with_selection(selection, [FunctionTool.from_defaults(collect)])
    assert (name, executed, outcome.is_error) == ("add", [], True)
    assert "multiple values for argument 'self'" in outcome.content
    result = ChatMessage(role="tool", content="no", additional_kwargs={"tool_call_id": block.tool_call_id})
    llm.chat([*USER, response.message, result])
    sent = kilo_sandbox.last.json["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent) == broken_arguments(str(block.tool_kwargs))


def test_broken_arguments_without_a_finish_reason_are_not_executed(kilo_sandbox: Sandbox) -> None:
    body = {"choices": [{"message": {"tool_calls": [{"function": {"name": "add", "arguments": '{"a": 1'}}]}}]}
    llm = KiloLLM(base_url=kilo_sandbox.base_url)
    request = llm.prepare([], stream=False)
    response = from_gateway.response_of(Reply.of(ChatCompletions().whole(json.dumps(body).encode())), request)
    assert "finish_reason" not in response.additional_kwargs
    assert calls(llm, response)[0][1]["invalid_arguments"] == '{"a": 1'


@pytest.mark.parametrize(("field", "allowed", "sent"), [(None, True, True), (False, True, False), (True, False, True)])
def test_the_field_parallel_tool_calls_wins(
    kilo_sandbox: Sandbox, field: bool | None, allowed: bool, sent: bool
) -> None:
    llm = KiloLLM(base_url=kilo_sandbox.base_url, parallel_tool_calls=field)
    llm.chat_with_tools(TOOLS, "hi", allow_parallel_tool_calls=allowed)
    assert kilo_sandbox.last.json["parallel_tool_calls"] is sent


@pytest.mark.parametrize("name", ["parallel-tools", "parallel-interleaved", "tool-two-in-one-chunk"])
def test_a_model_that_ignores_the_request_for_one_call(scenario: Any, name: str) -> None:
    llm, question = scenario(name), "add(2, 3) and greet('Zoë')"
    answers = [
        [llm.chat_with_tools(TOOLS, question)],
        collect(llm.achat_with_tools(TOOLS, question)),
        list(llm.stream_chat_with_tools(TOOLS, question)),
        collect(llm.astream_chat_with_tools(TOOLS, question)),
    ]
    for responses in answers:
        assert calls(llm, responses[-1]) == [("add", {"a": 2, "b": 3})]
        for response in responses:
            assert len(llm.get_tool_calls_from_response(response, error_on_no_tool_call=False)) <= 1
            assert len(response.message.additional_kwargs.get("tool_calls", ())) <= 1
    several = collect(llm.astream_chat_with_tools(TOOLS, question, allow_parallel_tool_calls=True))
    assert len(calls(llm, several[-1])) == 2


def test_a_tool_choice_of_an_unknown_tool_is_refused(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    with pytest.raises(ValueError, match="'subtract' names no offered tool; offered: add, greet"):
        llm.chat_with_tools(TOOLS, "hi", tool_choice="subtract")
    assert not kilo_sandbox.requests


def test_tool_results_of_all_kinds(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    turn = llm.chat_with_tools(TOOLS, "What is add(2, 3)?").message
    call_id = turn.additional_kwargs["tool_calls"][0]["id"]
    result = ChatMessage(
        role="tool",
        blocks=[TextBlock(text="See"), ImageBlock(url="https://example.com/5.png")],
        additional_kwargs={"tool_call_id": call_id},
    )
    llm.chat([*USER, turn, result])
    sent = kilo_sandbox.last.json["messages"][-1]
    assert [part["type"] for part in sent["content"]] == ["text", "image_url"]
    assert sent["tool_call_id"] == call_id
