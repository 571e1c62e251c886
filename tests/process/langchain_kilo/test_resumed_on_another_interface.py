"""Another process resumes an agent's conversation from SQLite on another interface, with another model."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from kilo_gateway.sandbox import Sandbox

ROOT = Path(__file__).resolve().parents[3]
MODELS = {
    "completions": "openai/gpt-5.4-mini",
    "responses": "openai/gpt-5.4",
    "messages": "anthropic/claude-sonnet-4.6",
}
PROGRAM = """
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
print(json.dumps([[m.type, m.text, m.response_metadata.get("api"), bool(m.additional_kwargs.get("reasoning_details"))]
                  for m in messages]))
"""


def run(gateway: Sandbox, database: Path, api: str, question: str) -> list[list[Any]]:
    arguments = [gateway.base_url, gateway.api_key, str(database), api, MODELS[api], question]
    command = [sys.executable, "-W", "error", "-c", PROGRAM, *arguments]
    result = subprocess.run(command, capture_output=True, check=False, cwd=ROOT, encoding="utf-8")
    assert result.returncode == 0, result.stderr
    messages: list[list[Any]] = json.loads(result.stdout)
    return messages


def test_a_conversation_goes_on(kilo_sandbox: Sandbox, tmp_path: Path) -> None:
    """Each turn is taken by a new process on another interface, and the last on the first interface again."""
    database = tmp_path / "memory.sqlite"
    messages = run(kilo_sandbox, database, "messages", "find_trains to the city 'Malmö', and tell_time please.")
    assert [kind for kind, *_ in messages] == ["human", "ai", "tool", "tool", "ai"]
    answered_by = ["messages"] * 2
    for nights, api in enumerate(("responses", "completions", "messages"), start=3):
        before = messages
        messages = run(kilo_sandbox, database, api, f"Now book_room in the city 'Malmö' for {nights} nights.")
        assert messages[: len(before)] == before
        assert [kind for kind, *_ in messages[len(before) :]] == ["human", "ai", "tool", "ai"]
        assert f"{nights} nights: €240" in messages[-1][1]
        answered_by += [api] * 2
    answers = [(api, reasons) for kind, _, api, reasons in messages if kind == "ai"]
    assert answers == [(api, True) for api in answered_by]
    assert {record.status for record in kilo_sandbox.requests} == {200}
