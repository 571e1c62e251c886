"""Do with ChatKilo what the first page of each package around LangChain does."""

import sys
from pathlib import Path
from typing import Any

import pytest
from deepagents import create_deep_agent
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_mcp_adapters.client import MultiServerMCPClient
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.store.memory import InMemoryStore
from langgraph_supervisor import create_supervisor
from langgraph_swarm import create_handoff_tool, create_swarm
from langmem import (
    create_manage_memory_tool,
    create_memory_manager,
    create_memory_store_manager,
    create_search_memory_tool,
)
from langmem.short_term import SummarizationNode
from pydantic import BaseModel, Field
from trustcall import create_extractor

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo, KiloEmbeddings
from tests.support.tools import add, weather

from .conftest import Script

ASKED: Any = {"messages": [{"role": "user", "content": "Is it sunny in Oslo?"}]}


class Person(BaseModel):
    """A person who was mentioned."""

    name: str
    city: str
    age: int = Field(ge=0)


def results(state: dict[str, Any]) -> list[tuple[str | None, str]]:
    return [(m.name, m.text) for m in state["messages"] if isinstance(m, ToolMessage)]


# deepagents


def test_a_deep_agent_writes_a_file(chat: ChatKilo, script: Script) -> None:
    script.call(("write_file", {"file_path": "/note.md", "content": "Oslo is sunny."}))
    script.call(("read_file", {"file_path": "/note.md"}))
    script.say("The note is written.")
    state = create_deep_agent(chat, tools=[weather]).invoke(ASKED)
    assert "".join(state["files"]["/note.md"]["content"]) == "Oslo is sunny."
    assert "Oslo is sunny." in results(state)[-1][1]
    assert state["messages"][-1].text == "The note is written."


async def test_a_deep_agent_asks_a_subagent(chat: ChatKilo, script: Script, kilo_sandbox: Sandbox) -> None:
    meteorologist: Any = {
        "name": "meteorologist",
        "description": "Knows the weather.",
        "system_prompt": "You know the weather.",
        "tools": [weather],
    }
    script.call(("task", {"description": "Is it sunny in Oslo?", "subagent_type": "meteorologist"}))
    script.call(("weather", {"city": "Oslo"}))
    script.say("Yes, for a day.")
    script.say("It is sunny.")
    agent = create_deep_agent(chat.with_mode("plan"), subagents=[meteorologist])
    seen = [chunk async for chunk, _ in agent.astream(ASKED, stream_mode="messages") if isinstance(chunk, AIMessage)]
    assert "It is sunny." in "".join(chunk.text for chunk in seen)
    assert "Oslo: sunny for 1 days" in str(kilo_sandbox.requests[2].json["messages"])
    assert "Yes, for a day." in str(kilo_sandbox.requests[3].json["messages"])
    assert {record.mode for record in kilo_sandbox.requests} == {"plan"}


# langgraph-supervisor and langgraph-swarm


def test_a_supervisor_hands_over_and_takes_back(chat: ChatKilo, script: Script, kilo_sandbox: Sandbox) -> None:
    sums: Any = create_agent(chat, [add], name="sums")
    skies: Any = create_agent(chat, [weather], name="skies")
    script.call(("transfer_to_skies", {}))
    script.call(("weather", {"city": "Oslo"}))
    script.say("Sunny.")
    script.say("It is sunny in Oslo.")
    state = create_supervisor([sums, skies], model=chat, prompt="You delegate.").compile().invoke(ASKED)
    assert [name for name, _ in results(state)] == ["transfer_to_skies", "transfer_back_to_supervisor"]
    assert [m.name for m in state["messages"] if isinstance(m, AIMessage) and m.text][-2:] == ["skies", "supervisor"]
    assert state["messages"][-1].text == "It is sunny in Oslo."
    assert kilo_sandbox.requests[0].json["parallel_tool_calls"] is False


def test_a_supervisor_names_agents_in_the_text(chat: ChatKilo, script: Script, kilo_sandbox: Sandbox) -> None:
    skies: Any = create_agent(chat, [weather], name="skies")
    script.call(("transfer_to_skies", {}))
    script.say("Sunny.")
    script.say("It is sunny in Oslo.")
    supervisor = create_supervisor([skies], model=chat, include_agent_name="inline", output_mode="full_history")
    state = supervisor.compile().invoke(ASKED)
    assert state["messages"][-1].text == "It is sunny in Oslo."
    assert "<name>skies</name><content>Sunny.</content>" in str(kilo_sandbox.last.json["messages"])


def test_a_swarm_remembers_who_is_active(chat: ChatKilo, script: Script) -> None:
    alice: Any = create_agent(chat, [create_handoff_tool(agent_name="bob")], name="alice")
    bob: Any = create_agent(chat, [weather, create_handoff_tool(agent_name="alice")], name="bob")
    swarm = create_swarm([alice, bob], default_active_agent="alice").compile(checkpointer=InMemorySaver())
    config: Any = {"configurable": {"thread_id": "1"}}
    script.call(("transfer_to_bob", {}))
    script.say("I am Bob.")
    first = swarm.invoke(ASKED, config)
    assert (first["active_agent"], first["messages"][-1].text) == ("bob", "I am Bob.")
    script.call(("weather", {"city": "Oslo"}))
    script.say("Sunny.")
    second = swarm.invoke(ASKED, config)
    assert results(second)[-1] == ("weather", "Oslo: sunny for 1 days")
    assert (second["active_agent"], second["messages"][-1].name) == ("bob", "bob")


# trustcall


def test_trustcall_repairs_an_invalid_object(chat: ChatKilo, script: Script) -> None:
    script.call(("Person", {"name": "Ada", "city": "Oslo", "age": -1}))
    patch = {"op": "replace", "path": "/age", "value": 36}
    script.call(
        ("PatchFunctionErrors", {"json_doc_id": "call_0_0_0", "planned_edits": "Mend the age.", "patches": [patch]})
    )
    extracted = create_extractor(chat, tools=[Person], tool_choice="Person").invoke("Ada, 36, lives in Oslo.")
    assert extracted["responses"] == [Person(name="Ada", city="Oslo", age=36)]
    assert extracted["attempts"] == 2


async def test_trustcall_updates_a_known_object(chat: ChatKilo, script: Script) -> None:
    patch = {"op": "replace", "path": "/city", "value": "Bergen"}
    script.call(("PatchDoc", {"json_doc_id": "Person", "planned_edits": "She moved.", "patches": [patch]}))
    known = {"Person": {"name": "Ada", "city": "Oslo", "age": 36}}
    extractor = create_extractor(chat, tools=[Person], tool_choice="Person")
    extracted = await extractor.ainvoke({"messages": [("user", "Ada moved to Bergen.")], "existing": known})
    assert extracted["responses"] == [Person(name="Ada", city="Bergen", age=36)]


# langmem


@pytest.fixture
def store(kilo_sandbox: Sandbox) -> InMemoryStore:
    embeddings = KiloEmbeddings(base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    dimensions = len(embeddings.embed_query("a"))
    return InMemoryStore(index={"dims": dimensions, "embed": embeddings})


async def test_a_memory_manager_extracts(chat: ChatKilo, script: Script) -> None:
    script.call(("Person", {"name": "Ada", "city": "Oslo", "age": 36}))
    script.call(("Done", {}))
    script.say("Nothing more.", to="nothing follows")
    memories = await create_memory_manager(chat, schemas=[Person]).ainvoke(
        {"messages": [{"role": "user", "content": "I am Ada, 36, from Oslo."}], "max_steps": 1}
    )
    assert [memory.content for memory in memories] == [Person(name="Ada", city="Oslo", age=36)]


async def test_a_store_manager_keeps_and_finds(chat: ChatKilo, script: Script, store: InMemoryStore) -> None:
    script.call(("Memory", {"content": "Ada prefers trains."}))
    manager = create_memory_store_manager(
        chat, namespace=("memories", "{user}"), store=store, query_limit=1, enable_inserts=True
    )
    config: Any = {"configurable": {"user": "ada"}}
    await manager.ainvoke({"messages": [{"role": "user", "content": "I prefer trains."}]}, config)
    [kept] = store.search(("memories", "ada"), query="travel")
    assert kept.value["content"]["content"] == "Ada prefers trains."


def test_an_agent_manages_its_memory(chat: ChatKilo, script: Script, store: InMemoryStore) -> None:
    tools = [create_manage_memory_tool(namespace=("notes",)), create_search_memory_tool(namespace=("notes",))]
    agent = create_agent(chat, tools, store=store)
    script.call(("manage_memory", {"content": "Oslo is sunny.", "action": "create"}))
    script.call(("search_memory", {"query": "weather in Oslo"}))
    script.say("Noted.")
    state = agent.invoke(ASKED)
    assert "Oslo is sunny." in results(state)[-1][1]
    assert [item.value["content"] for item in store.search(("notes",))] == ["Oslo is sunny."]


def test_langmem_summarises(chat: ChatKilo, script: Script) -> None:
    script.say("They talked about the weather in Oslo.")
    history = [HumanMessage(f"How is the weather on day {day}?", id=str(day)) for day in range(6)]
    node = SummarizationNode(model=chat, max_tokens=4, max_summary_tokens=1, token_counter=len)
    summary, *rest = node.invoke({"messages": history})["summarized_messages"]
    assert "They talked about the weather in Oslo." in summary.text
    assert [message.id for message in rest] == ["4", "5"]


# langchain-mcp-adapters

SERVER = """
from mcp.server.fastmcp import FastMCP

server = FastMCP("sums")


@server.tool()
def multiply(a: int, b: int) -> int:
    '''Multiply two numbers.'''
    return a * b


@server.tool()
def picture() -> list:
    '''Return rows that look like content.'''
    return [{"type": "file", "name": "a.txt"}]


server.run()
"""


async def test_an_agent_calls_tools_of_an_mcp_server(
    chat: ChatKilo, script: Script, kilo_sandbox: Sandbox, tmp_path: Path
) -> None:
    program = tmp_path / "server.py"
    program.write_text(SERVER)
    client = MultiServerMCPClient({"sums": {"transport": "stdio", "command": sys.executable, "args": [str(program)]}})
    tools = await client.get_tools()
    script.call(("multiply", {"a": 6, "b": 7}), ("picture", {}))
    script.say("42, and a file.")
    state = await create_agent(chat, tools).ainvoke(ASKED)
    assert dict(results(state))["multiply"] == "42"
    sent = [m for m in kilo_sandbox.last.json["messages"] if m["role"] == "tool"]
    assert "42" in str(sent[0]["content"])
    assert "a.txt" in str(sent[1]["content"])
    assert state["messages"][-1].text == "42, and a file."
