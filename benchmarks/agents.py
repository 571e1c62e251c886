"""Run our models inside the frameworks' agents, to measure whether an agent makes chunks of long answers dearer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from benchmarks.server import MODEL


def save(text: str) -> str:
    """Save a text."""
    return str(len(text))


def graph_agent(url: str) -> Callable[[], int]:
    """Return a pass over one model turn of a LangGraph agent, streamed message by message."""
    from langchain.agents import create_agent

    from langchain_kilo import ChatKilo

    agent = create_agent(ChatKilo(model=MODEL, api_key="x", base_url=url), [save], interrupt_before=["tools"])
    question = {"messages": [("user", "hi")]}
    return lambda: sum(1 for _ in agent.stream(question, stream_mode="messages"))


def function_agent(url: str) -> Callable[[], int]:
    """Return a pass over one model turn of a FunctionAgent; a call of its tool ends the run."""
    from llama_index.core.agent.workflow import AgentStream, FunctionAgent
    from llama_index.core.tools import FunctionTool

    from llama_index_kilo import KiloLLM

    llm = KiloLLM(model=MODEL, api_key="x", base_url=url)
    agent = FunctionAgent(tools=[FunctionTool.from_defaults(save, return_direct=True)], llm=llm)

    async def once() -> int:
        handler = agent.run("hi")
        seen = sum([isinstance(event, AgentStream) async for event in handler.stream_events()])
        await handler
        return seen

    return lambda: asyncio.run(once())
