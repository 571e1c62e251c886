"""Agents of LangGraph: a memory that another process resumes, structured answers, summaries of long talks."""

import asyncio
import json
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain.agents.middleware import SummarizationMiddleware
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.records import Record
from langchain_kilo import ChatKilo
from tests.process.langchain_kilo import travel_agent

ROOT = Path(__file__).resolve().parents[3]
THREAD = "customer-4711-zoe@example.com"
SEARCH = "Zoë asks: find_trains to the city 'Malmö', and tell_time please."
BOOK = "Call book_room in the city 'Malmö' for 3 nights."
AGAIN = "Now find_trains to the city 'Tromsø'."


def as_answered(record: Record, base_url: str) -> dict[str, Any]:
    """Return the message that answers a recorded request, from the sandbox itself, which always answers alike."""
    body = json.dumps({**record.json, "stream": False}).encode()
    url = f"{base_url}/chat/completions"
    request = urllib.request.Request(url, body, {"content-type": "application/json"})  # noqa: S310 -- the sandbox
    with urllib.request.urlopen(request) as answer:  # noqa: S310 -- the sandbox
        message: dict[str, Any] = json.load(answer)["choices"][0]["message"]
    return message


def resumed(way: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.process.langchain_kilo.travel_agent", way, *arguments]
    result = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    pieces: list[str] = json.loads(result.stdout)
    return pieces


@pytest.mark.parametrize("way", ["sync", "async"])
def test_another_process_resumes_a_conversation(kilo_sandbox: Sandbox, tmp_path: Path, way: str) -> None:
    here = (kilo_sandbox.base_url, str(tmp_path / "memory.sqlite"), THREAD)
    if way == "sync":
        travel_agent.answer(*here, SEARCH)
        travel_agent.stream(*here, BOOK)
    else:
        asyncio.run(travel_agent.aanswer(*here, SEARCH))
        asyncio.run(travel_agent.astream(*here, BOOK))
    before = kilo_sandbox.requests
    pieces = resumed(way, *here, AGAIN)
    requests = kilo_sandbox.requests
    assert [len(before), len(requests)] == [4, 6]
    assert [record.json["stream"] for record in requests] == [False, False, True, True, True, True]
    assert len(pieces) > 3
    assert "find_trains returned: Trains to Tromsø: 08:15, 12:40" in "".join(pieces)

    sent = requests[-1].json["messages"]
    roles = "user assistant tool tool assistant user assistant tool assistant user assistant tool"
    assert [message["role"] for message in sent] == roles.split()
    # Nothing of the history changes from request to request, whichever process sends it.
    for record in requests:
        assert sent[: len(record.json["messages"])] == record.json["messages"]
    said = [message for message in sent if message["role"] == "assistant"]
    for message, record in zip(said, requests, strict=False):
        expected = as_answered(record, kilo_sandbox.base_url)
        details = message["reasoning_details"]
        assert [detail["type"].partition(".")[2] for detail in details] == ["text", "encrypted", "summary"]
        streamed = record.json["stream"]  # the pieces of a stream tell the members of an object in their own order
        told = json.dumps(expected["reasoning_details"], sort_keys=streamed)
        assert json.dumps(details, sort_keys=streamed) == told
        assert (message["content"] or "") == (expected["content"] or "")
    calls = [call["id"] for message in said for call in message.get("tool_calls", ())]
    assert calls == [message["tool_call_id"] for message in sent if message["role"] == "tool"]
    assert len(set(calls)) == 4

    tasks = {record.headers["x-kilocode-taskid"] for record in requests}
    assert len(tasks) == 1
    for record in requests:
        told = f"{record.path} {record.query} {dict(record.headers)} {record.body.decode()}"
        assert "4711" not in told
        assert "zoe@" not in told


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
    agent = create_agent(llm, middleware=[summarise], checkpointer=InMemorySaver())
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
