"""Test the middleware of agents, and the task id that follows a LangGraph thread."""

import asyncio
import json
from typing import Any

import pytest
from langchain.agents import AgentState, create_agent
from langchain.agents.middleware import ModelFallbackMiddleware
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langgraph.checkpoint.memory import InMemorySaver

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from langchain_kilo.middleware import KiloModeMiddleware, KiloPromptCachingMiddleware
from tests.support.tools import weather

QUESTION: Any = {"messages": [("user", "What is the weather in 'Oslo'?")]}


def model(gateway: Sandbox, **more: Any) -> ChatKilo:
    return ChatKilo(tier="frontier", base_url=gateway.base_url, api_key=gateway.api_key, **more)


def modes(gateway: Sandbox) -> list[str | None]:
    return [record.headers.get("x-kilocode-mode") for record in gateway.requests]


@pytest.mark.parametrize("asynchronous", [False, True])
def test_plan_until_the_first_tool_result_then_code(kilo_sandbox: Sandbox, asynchronous: bool) -> None:
    agent = create_agent(model(kilo_sandbox), [weather], middleware=[KiloModeMiddleware()])
    result = asyncio.run(agent.ainvoke(QUESTION)) if asynchronous else agent.invoke(QUESTION)
    assert modes(kilo_sandbox) == ["plan", "code"]
    served = [m.response_metadata["model_name"] for m in result["messages"] if m.type == "ai"]
    assert served == ["anthropic/claude-opus-4.7", "anthropic/claude-sonnet-4.6"]


def test_each_question_starts_with_a_plan(kilo_sandbox: Sandbox) -> None:
    agent = create_agent(
        model(kilo_sandbox), [weather], middleware=[KiloModeMiddleware()], checkpointer=InMemorySaver()
    )
    for _ in range(2):
        agent.invoke(QUESTION, {"configurable": {"thread_id": "1"}})
    assert modes(kilo_sandbox) == ["plan", "code", "plan", "code"]


def test_a_rule_and_a_field_of_the_state(kilo_sandbox: Sandbox) -> None:
    create_agent(model(kilo_sandbox), middleware=[KiloModeMiddleware(lambda request: "debug")]).invoke(QUESTION)

    class State(AgentState[Any]):
        mode: str

    agent: Any = create_agent(
        model(kilo_sandbox, mode="ask"), middleware=[KiloModeMiddleware(field="mode")], state_schema=State
    )
    agent.invoke({**QUESTION, "mode": "Architect"})
    agent.invoke(QUESTION)
    assert modes(kilo_sandbox) == ["debug", "architect", "ask"]
    with pytest.raises(ValueError, match="give one of the two"):
        KiloModeMiddleware(lambda request: "debug", field="mode")


def test_other_models_receive_no_mode(kilo_sandbox: Sandbox) -> None:
    class Other(GenericFakeChatModel):
        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            assert "mode" not in kwargs
            return super()._generate(*args, **kwargs)

    other = Other(messages=iter(["fine"]))
    failing = ChatKilo(model="sandbox/error-502", base_url=kilo_sandbox.base_url, max_retries=0)
    agent = create_agent(failing, middleware=[ModelFallbackMiddleware(other), KiloModeMiddleware()])
    assert agent.invoke(QUESTION)["messages"][-1].text == "fine"
    assert modes(kilo_sandbox) == ["plan"]


def test_the_task_follows_the_thread(kilo_sandbox: Sandbox) -> None:
    agent = create_agent(model(kilo_sandbox), [weather], checkpointer=InMemorySaver())
    for thread in ("customer-4711", "customer-4711", "other"):
        agent.invoke(QUESTION, {"configurable": {"thread_id": thread}})
    tasks = [record.headers["x-kilocode-taskid"] for record in kilo_sandbox.requests]
    assert len(tasks) == 6
    assert len(set(tasks[:4])) == 1
    assert len(set(tasks)) == 2
    assert "customer" not in "".join(repr(record) + repr(dict(record.headers)) for record in kilo_sandbox.requests)


def test_the_task_can_be_set_or_turned_off(kilo_sandbox: Sandbox) -> None:
    for task_id, sent in (("mine", "mine"), ("", None)):
        kilo_sandbox.clear()
        agent = create_agent(model(kilo_sandbox, task_id=task_id), checkpointer=InMemorySaver())
        agent.invoke(QUESTION, {"configurable": {"thread_id": "1"}})
        assert kilo_sandbox.last.headers.get("x-kilocode-taskid") == sent
    kilo_sandbox.clear()
    model(kilo_sandbox).invoke("hi")
    assert "x-kilocode-taskid" not in kilo_sandbox.last.headers


@pytest.mark.parametrize(("api", "path"), [("completions", "/chat/completions"), ("messages", "/messages")])
def test_the_prompt_is_marked_for_the_cache(kilo_sandbox: Sandbox, api: Any, path: str) -> None:
    account: dict[str, Any] = {"base_url": kilo_sandbox.base_url, "api_key": kilo_sandbox.api_key}
    llm = ChatKilo(model="anthropic/claude-sonnet-4.6", api=api, **account)
    agent = create_agent(llm, [weather], system_prompt="Be brief.", middleware=[KiloPromptCachingMiddleware("1h")])
    agent.invoke(QUESTION)
    mark = {"type": "ephemeral", "ttl": "1h"}
    for record in kilo_sandbox.requests:
        assert record.path.endswith(path)
        body = record.json
        system = body["system"] if api == "messages" else body["messages"][0]["content"]
        assert system[-1]["cache_control"] == mark
        assert body["tools"][-1]["cache_control"] == mark
        assert json.dumps(body["messages"][-1]).count("ephemeral") == 1
    with pytest.raises(ValueError, match="ttl='2h'"):
        KiloPromptCachingMiddleware("2h")  # type: ignore[arg-type] # the test passes a wrong value
