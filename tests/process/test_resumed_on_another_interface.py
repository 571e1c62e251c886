"""Another process resumes an agent's conversation from SQLite on another interface, with another model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[2]
MODELS = {
    "completions": "openai/gpt-5.4-mini",
    "responses": "openai/gpt-5.4",
    "messages": "anthropic/claude-sonnet-4.6",
}
# Each program prints its whole memory: the role, the text, the interface that answered, and whether it thought.
LANGGRAPH = """
import json, sys
from langchain.agents import create_agent
from langgraph.checkpoint.sqlite import SqliteSaver
from langchain_kilo import ChatKilo
from tests.process.langchain_kilo.travel_agent import asked, book_room, find_trains, of_thread, tell_time

base_url, key, database, api, model, question = sys.argv[1:]
llm = ChatKilo(model=model, api=api, reasoning="low", base_url=base_url, api_key=key, max_retries=0)
with SqliteSaver.from_conn_string(database) as memory:
    agent = create_agent(llm, [find_trains, tell_time, book_room], checkpointer=memory)
    messages = agent.invoke(asked(question), of_thread("t"))["messages"]
roles = {"human": "user", "ai": "assistant", "tool": "tool"}
print(json.dumps([[roles[m.type], m.text, m.response_metadata.get("api"),
                   bool(m.additional_kwargs.get("reasoning_details"))] for m in messages]))
"""
FUNCTION_AGENT = """
import asyncio, json, os, sys
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.memory import Memory
from llama_index.core.tools import FunctionTool
from llama_index_kilo import KiloLLM
from tests.process.langchain_kilo.travel_agent import book_room, find_trains, tell_time

base_url, key, database, api, model, question = sys.argv[1:]
llm = KiloLLM(model=model, api=api, reasoning="low", base_url=base_url, api_key=key, max_retries=0)
tools = [FunctionTool.from_defaults(t.func, name=t.name) for t in (find_trains, tell_time, book_room)]

def thought(message):
    return any(block.block_type == "thinking" and block.additional_information for block in message.blocks)

async def run():
    memory = Memory.from_defaults(session_id="t", async_database_uri=f"sqlite+aiosqlite:///{database}")
    await FunctionAgent(tools=tools, llm=llm, streaming=api != "responses").run(question, memory=memory)
    return [[m.role.value, m.content, None, thought(m)] for m in await memory.aget_all()]

print(json.dumps(asyncio.run(run())), flush=True)
os._exit(0)  # LlamaIndex never closes its memory, whose thread would keep the process
"""


def run(program: str, gateway: Sandbox, database: Path, api: str, question: str) -> list[list[Any]]:
    arguments = [gateway.base_url, gateway.api_key, str(database), api, MODELS[api], question]
    options = ["-W", "error", "-W", "ignore::DeprecationWarning"]  # LlamaIndex's agents use old names of pydantic
    command = [sys.executable, *options, "-c", program, *arguments]
    result = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    messages: list[list[Any]] = json.loads(result.stdout)
    return messages


@pytest.mark.parametrize("program", [LANGGRAPH, FUNCTION_AGENT], ids=["create_agent", "FunctionAgent"])
def test_a_conversation_goes_on(kilo_sandbox: Sandbox, tmp_path: Path, program: str) -> None:
    """Each turn is taken by a new process on another interface, and the last on the first interface again."""
    database = tmp_path / "memory.sqlite"
    question = "find_trains to the city 'Malmö', and tell_time please."
    messages = run(program, kilo_sandbox, database, "messages", question)
    assert [role for role, *_ in messages] == ["user", "assistant", "tool", "tool", "assistant"]
    answered_by = ["messages"] * 2
    for nights, api in enumerate(("responses", "completions", "messages"), start=3):
        before = messages
        question = f"Now book_room in the city 'Malmö' for {nights} nights."
        messages = run(program, kilo_sandbox, database, api, question)
        assert messages[: len(before)] == before
        assert [role for role, *_ in messages[len(before) :]] == ["user", "assistant", "tool", "assistant"]
        assert f"{nights} nights: €240" in messages[-1][1]
        answered_by += [api] * 2
    answers = [(api, thought) for role, _, api, thought in messages if role == "assistant"]
    assert [thought for _, thought in answers] == [True] * len(answered_by)
    assert program == FUNCTION_AGENT or [api for api, _ in answers] == answered_by
    paths = {"completions": "/chat/completions", "responses": "/responses", "messages": "/messages"}
    assert [record.path.removeprefix("/api/gateway") for record in kilo_sandbox.requests] == [
        paths[api] for api in answered_by
    ]
    assert {record.status for record in kilo_sandbox.requests} == {200}
