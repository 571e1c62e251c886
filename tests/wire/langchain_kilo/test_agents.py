"""Test LangGraph's agents: structured answers, and summaries of long conversations."""

import asyncio
import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo


class Person(BaseModel):
    """A person."""

    name: str
    age: int


INTRODUCTION = "The person is called 'Ada' and is 36 years old. First get_greeting for 'Ada'."


def get_greeting(name: str) -> str:
    """Greet a person by name."""
    return f"Hello {name}"


def ask(kilo_sandbox: Sandbox, *, asynchronous: bool, **options: Any) -> dict[str, Any]:
    llm = ChatKilo(model="sandbox/echo", base_url=kilo_sandbox.base_url)
    agent = create_agent(llm, [get_greeting], **options)
    question: Any = {"messages": [("user", INTRODUCTION)]}
    return asyncio.run(agent.ainvoke(question)) if asynchronous else agent.invoke(question)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_providers_strategy_sends_the_schema_beside_the_tools(kilo_sandbox: Sandbox, asynchronous: bool) -> None:
    result = ask(kilo_sandbox, asynchronous=asynchronous, response_format=ProviderStrategy(Person, strict=True))
    assert result["structured_response"] == Person(name="Ada", age=36)
    assert len(kilo_sandbox.requests) == 2
    for record in kilo_sandbox.requests:
        wanted = record.json["response_format"]
        assert (wanted["type"], wanted["json_schema"]["name"]) == ("json_schema", "Person")
        assert wanted["json_schema"]["strict"] is True
        assert set(wanted["json_schema"]["schema"]["properties"]) == {"name", "age"}
        assert [tool["function"]["name"] for tool in record.json["tools"]] == ["get_greeting"]
        assert "tool_choice" not in record.json


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_tools_strategy_sends_the_schema_as_a_tool(kilo_sandbox: Sandbox, asynchronous: bool) -> None:
    result = ask(kilo_sandbox, asynchronous=asynchronous, response_format=ToolStrategy(Person))
    assert result["structured_response"] == Person(name="Ada", age=36)
    for record in kilo_sandbox.requests:
        assert "response_format" not in record.json
        assert [tool["function"]["name"] for tool in record.json["tools"]] == ["get_greeting", "Person"]
        assert record.json["tool_choice"] == "required"


@pytest.mark.parametrize("trigger", [("messages", 6), ("tokens", 150)], ids=["messages", "tokens"])
def test_a_long_conversation_is_summarised(kilo_sandbox: Sandbox, trigger: Any) -> None:
    llm = ChatKilo(model="sandbox/echo", base_url=kilo_sandbox.base_url)
    summarise = SummarizationMiddleware(model=llm, trigger=trigger, keep=("messages", 2))
    agent: Any = create_agent(llm, middleware=[summarise], checkpointer=InMemorySaver())
    words = ["apple " * 20, "pear " * 20, "plum " * 20, "fig"]
    for word in words:
        agent.invoke({"messages": [("user", word)]}, {"configurable": {"thread_id": "1"}})
    histories = [record.json["messages"] for record in kilo_sandbox.requests]
    summaries = [messages for messages in histories if "Messages to summarize" in json.dumps(messages)]
    assert len(summaries) >= 1
    assert "apple" in json.dumps(summaries[0])
    last = histories[-1]
    assert len(last) < len(words) * 2 - 1
    assert "summary of the conversation" in last[0]["content"]
    assert last[-1] == {"role": "user", "content": "fig"}
