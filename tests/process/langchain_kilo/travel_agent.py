"""Run an agent with three tools and a memory in SQLite; a test starts it, and another process resumes it.

    python -m tests.process.langchain_kilo.travel_agent {sync,async} BASE_URL DATABASE THREAD QUESTION

The program prints the texts of the streamed final answer as a JSON list.
"""

import asyncio
import json
import sys
from typing import Any

from langchain.agents import create_agent
from langchain_core.tools import tool
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from langchain_kilo import ChatKilo


@tool
def find_trains(city: str) -> str:
    """Find the trains to a city."""
    return f"Trains to {city}: 08:15, 12:40"


@tool
def tell_time() -> str:
    """Tell the local time."""  # words: keep -- a model receives it
    return "07:30"


@tool
def book_room(city: str, nights: int) -> str:
    """Book a room in a city."""
    return f"A room in {city}, {nights} nights: €240"


def build(base_url: str, memory: Any) -> Any:
    llm = ChatKilo(model="sandbox/reasoning-encrypted", base_url=base_url, max_retries=0)
    return create_agent(llm, [find_trains, tell_time, book_room], checkpointer=memory)


def asked(question: str) -> Any:
    return {"messages": [("user", question)]}


def of_thread(thread: str) -> Any:
    return {"configurable": {"thread_id": thread}}


def texts(parts: list[Any]) -> list[str]:
    return [message.text for message, metadata in parts if metadata["langgraph_node"] == "model" and message.text]


def stream(base_url: str, database: str, thread: str, question: str) -> list[str]:
    with SqliteSaver.from_conn_string(database) as memory:
        agent = build(base_url, memory)
        return texts(list(agent.stream(asked(question), of_thread(thread), stream_mode="messages")))


async def astream(base_url: str, database: str, thread: str, question: str) -> list[str]:
    async with AsyncSqliteSaver.from_conn_string(database) as memory:
        parts = build(base_url, memory).astream(asked(question), of_thread(thread), stream_mode="messages")
        return texts([part async for part in parts])


def answer(base_url: str, database: str, thread: str, question: str) -> str:
    with SqliteSaver.from_conn_string(database) as memory:
        return str(build(base_url, memory).invoke(asked(question), of_thread(thread))["messages"][-1].text)


async def aanswer(base_url: str, database: str, thread: str, question: str) -> str:
    async with AsyncSqliteSaver.from_conn_string(database) as memory:
        state = await build(base_url, memory).ainvoke(asked(question), of_thread(thread))
        return str(state["messages"][-1].text)


if __name__ == "__main__":
    way, *arguments = sys.argv[1:]
    said = stream(*arguments) if way == "sync" else asyncio.run(astream(*arguments))
    sys.stdout.write(json.dumps(said))
