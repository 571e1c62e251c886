"""Test LlamaIndex's agents with KiloLLM."""

import json
from typing import Any

import pytest
from llama_index.core.agent.react import ReActChatFormatter, ReActOutputParser
from llama_index.core.agent.workflow import (
    AgentOutput,
    AgentStream,
    AgentWorkflow,
    FunctionAgent,
    ReActAgent,
    ToolCallResult,
)
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.memory import ChatMemoryBuffer
from llama_index.core.tools import FunctionTool
from pydantic import BaseModel

from kilo_gateway import KiloError
from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM
from tests.support.bodies import sent_back
from tests.support.tools import FUNCTION_TOOLS, add, greet

pytestmark = [
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20"),  # LlamaIndex's agents warn
    pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211"),  # LlamaIndex's agents warn
    pytest.mark.filterwarnings("ignore:is_running called from within a step:DeprecationWarning"),  # LlamaIndex warns
]


async def run(agent: Any, text: str, **kwargs: Any) -> tuple[Any, list[Any]]:
    handler = agent.run(text, **kwargs)
    events = [event async for event in handler.stream_events()]
    return await handler, events


def results(events: list[Any]) -> list[tuple[str, Any, str]]:
    return [(e.tool_name, e.tool_kwargs, str(e.tool_output.content)) for e in events if isinstance(e, ToolCallResult)]


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_function_agent_with_two_tools(llm: KiloLLM, kilo_sandbox: Sandbox, streaming: bool) -> None:
    llm.merge_ready = False
    agent = FunctionAgent(tools=[add, greet], llm=llm, streaming=streaming)
    answer, events = await run(agent, "Call add(2, 3) and greet('Zoë').")
    # The agent runs both at once, so their results come in any order.
    by_name = sorted(results(events), key=lambda result: result[0])
    assert by_name == [("add", {"a": 2, "b": 3}, "5"), ("greet", {"name": "Zoë"}, "Hello Zoë, welcome")]
    assert "Hello Zoë, welcome" in str(answer)
    pieces = [event.delta for event in events if isinstance(event, AgentStream) and event.delta]
    assert (len(pieces) > 3) is streaming
    assert not streaming or str(answer) in "".join(pieces)
    assert all(record.json["stream"] is streaming for record in kilo_sandbox.requests)
    assert all(message["content"] != "" for r in kilo_sandbox.requests for message in r.json["messages"])


@pytest.mark.parametrize("name", ["parallel-same-index", "parallel-interleaved", "tool-no-index", "tool-id-repeated"])
async def test_an_agent_runs_each_parallel_call_once(scenario: Any, kilo_sandbox: Sandbox, name: str) -> None:
    answer, events = await run(FunctionAgent(tools=[add, greet], llm=scenario(name)), "add(2, 3), greet('Zoë')")
    assert sorted(r[0] for r in results(events)) == ["add", "greet"]
    assert "add returned: 5" in str(answer)
    call_ids = [call["id"] for call in kilo_sandbox.last.json["messages"][-3]["tool_calls"]]
    # The agent runs both at once, so it sends their results in any order.
    assert {m["tool_call_id"] for m in kilo_sandbox.last.json["messages"][-2:]} == set(call_ids)
    assert len(set(call_ids)) == 2


async def test_an_agent_shows_thoughts_and_sends_them_back(scenario: Any, kilo_sandbox: Sandbox) -> None:
    agent = FunctionAgent(tools=[add], llm=scenario("reasoning-encrypted"))
    memory = ChatMemoryBuffer.from_defaults(llm=agent.llm, tokenizer_fn=str.split)
    _, events = await run(agent, "What is add(2, 3)?", memory=memory)
    thoughts = [event.thinking_delta for event in events if isinstance(event, AgentStream) and event.thinking_delta]
    outputs = [event for event in events if isinstance(event, AgentOutput)]
    blocks = [b for b in outputs[0].response.blocks if b.block_type == "thinking"]
    assert "".join(thoughts).startswith(blocks[0].content or "?")
    history = [ChatMessage.model_validate_json(message.model_dump_json()) for message in memory.get_all()]
    await run(agent, "And greet me", chat_history=history)
    details = [m.get("reasoning_details") for m in kilo_sandbox.last.json["messages"] if m["role"] == "assistant"]
    assert details[0] == sent_back(blocks[0].additional_information["reasoning_details"])
    assert len(details[0]) == 3


async def test_the_first_tool_choice_is_sent_once(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    agent = FunctionAgent(tools=[add, greet], llm=llm, initial_tool_choice="greet", allow_parallel_tool_calls=False)
    _, events = await run(agent, "Say hello to 'Zoë'")
    assert results(events)[0][:2] == ("greet", {"name": "Zoë"})
    first, *others = [record.json["tool_choice"] for record in kilo_sandbox.requests]
    assert first == {"type": "function", "function": {"name": "greet"}}
    assert set(others) == {"auto"}
    assert all(record.json["parallel_tool_calls"] is False for record in kilo_sandbox.requests)


async def test_a_tool_that_returns_directly(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(add, return_direct=True)], llm=llm)
    answer, _ = await run(agent, "What is add(2, 3)?")
    assert str(answer) == "5"
    assert len(kilo_sandbox.requests) == 1


async def test_broken_arguments_are_reported_to_the_model(scenario: Any, kilo_sandbox: Sandbox) -> None:
    executed: list[Any] = []

    def note(text: str = "", **others: Any) -> None:
        """Note a text."""
        executed.append((text, others))

    answer, events = await run(FunctionAgent(tools=[note], llm=scenario("tool-args-invalid")), "note('x')")
    assert executed == []
    assert "multiple values for argument 'self'" in results(events)[0][2]
    assert "note returned: " in str(answer)
    sent = [m for m in kilo_sandbox.last.json["messages"] if m.get("tool_calls")]
    [call] = sent[0]["tool_calls"]
    assert json.loads(call["function"]["arguments"]).keys() == {"invalid_arguments", "problem"}


class Sum(BaseModel):
    """A sum."""

    a: int
    b: int


@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
async def test_an_agents_structured_answer(llm: KiloLLM, method: Any, kilo_sandbox: Sandbox) -> None:
    llm.structured_output_method = method
    agent = FunctionAgent(tools=[add], llm=llm, output_cls=Sum, system_prompt="Be exact.")
    answer, _ = await run(agent, "What is add(2, 3)?")
    assert set(answer.structured_response) == {"a", "b"}
    assert Sum.model_validate(answer.structured_response)
    assert ("response_format" in kilo_sandbox.last.json) is (method == "json_schema")


@pytest.mark.parametrize("name", ["cut-stream", "stream-error-upstream", "finish-error", "empty-stream"])
async def test_an_agent_fails_if_its_answer_fails(scenario: Any, name: str) -> None:
    with pytest.raises(KiloError):
        await run(FunctionAgent(tools=[add], llm=scenario(name)), "Hello")


async def test_a_workflow_hands_off(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    adder = FunctionAgent(
        name="adder",
        description="Adds numbers.",
        tools=[add],
        llm=llm,
        can_handoff_to=["greeter"],
        system_prompt="Add.",
    )
    greeter = FunctionAgent(
        name="greeter", description="Greets.", tools=[greet], llm=llm.with_mode("ask"), system_prompt="Greet."
    )
    workflow = AgentWorkflow(agents=[adder, greeter], root_agent="adder")
    answer, events = await run(workflow, "First handoff(to 'greeter', because 'greetings'), then greet(name='Zoë').")
    assert [r[0] for r in results(events)] == ["handoff", "greet"]
    assert answer.current_agent_name == "greeter"
    assert "Hello Zoë, welcome" in str(answer)
    assert [record.mode for record in kilo_sandbox.requests] == [None, "ask", "ask"]


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_react_agent(llm: KiloLLM, kilo_sandbox: Sandbox, streaming: bool) -> None:
    agent = ReActAgent(tools=[add, greet], llm=llm, streaming=streaming)
    answer, events = await run(agent, "What is the result if you add 2 and 3?")
    assert results(events) == [("add", {"a": 2, "b": 3}, "5")]
    assert str(answer).endswith("add returned: 5")
    assert all("tools" not in record.json for record in kilo_sandbox.requests)


@pytest.mark.parametrize("parallel", [True, False])
async def test_predict_and_call(llm: KiloLLM, parallel: bool) -> None:
    text = "Call add(2, 3) and greet('Zoë')."
    for answer in (
        llm.predict_and_call(FUNCTION_TOOLS, text, allow_parallel_tool_calls=parallel),
        await llm.apredict_and_call(FUNCTION_TOOLS, text, allow_parallel_tool_calls=parallel),
    ):
        assert [source.tool_name for source in answer.sources] == ["add", "greet"][: 1 + parallel]


async def test_errors_of_tools_are_raised_when_asked_for(llm: KiloLLM) -> None:
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        raise RuntimeError("out of fingers")

    arguments: Any = {"tools": [FunctionTool.from_defaults(add)], "user_msg": "add(2, 3)", "error_on_tool_error": True}
    with pytest.raises(ValueError, match="out of fingers"):
        llm.predict_and_call(**arguments)
    with pytest.raises(ValueError, match="out of fingers"):
        await llm.apredict_and_call(**arguments)


async def test_without_function_calling_the_model_is_asked_in_text(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    llm.is_function_calling_model = False
    answer = await llm.apredict_and_call(
        [FunctionTool.from_defaults(add)],
        ChatMessage(content="add 2 and 3"),
        react_chat_formatter=ReActChatFormatter(),
        output_parser=ReActOutputParser(),
        memory=ChatMemoryBuffer.from_defaults(llm=llm, tokenizer_fn=str.split),
    )
    assert [source.content for source in answer.sources] == ["5"]
    assert "tools" not in kilo_sandbox.last.json
    with pytest.raises(ValueError, match="FunctionCallingLLM"):
        await run(FunctionAgent(tools=[add], llm=llm), "add(2, 3)")
