"""Run a chain, an agent and a query engine over this repository, and show their cost.

The demo uses the sandbox, which has answers to its prompts, written in advance. With KILO_API_KEY it uses the live
gateway, and with KILO_LIVE=1 the live gateway's free tier without a key. With KILO_DEMO_LOCAL=1 a small real model
answers behind the sandbox (make demo-local). The exit status is 1 if a part fails.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from langchain.agents import create_agent
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import LLMResult
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool
from llama_index.core import Document, SummaryIndex
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.events import BaseEvent
from llama_index.core.instrumentation.events.llm import LLMChatEndEvent, LLMChatStartEvent
from rich import box
from rich.console import Console
from rich.table import Table

from kilo_gateway import KiloError
from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM

ROOT = Path(__file__).resolve().parent.parent
LOCAL = os.environ.get("KILO_DEMO_LOCAL") == "1"
# A CPU reads a few hundred tokens per second, so a local model gets one short text.
TEXTS = ["CONTRIBUTING.md"] if LOCAL else ["README.md", "CONTRIBUTING.md", "docs/gateway.md"]
console = Console(highlight=False, soft_wrap=True)


@dataclass
class Ledger:
    """One row per answer: the part of the demo, the answer's metadata, its tokens and its seconds."""

    part: str = ""
    rows: list[tuple[str, dict[str, Any], int, float]] = field(default_factory=list)

    def add(self, facts: dict[str, Any], tokens: int, started: float) -> None:
        self.rows.append((self.part, facts, tokens, time.perf_counter() - started))

    def table(self) -> Table:
        table = Table("call", "tier", "mode", title="Calls and their cost", box=box.SIMPLE, padding=(0, 1, 0, 0))
        table.add_column("served model", min_width=27, overflow="fold")
        for name in ("tokens", "USD", "seconds"):
            table.add_column(name, justify="right")
        for part, facts, tokens, seconds in self.rows:
            cost = facts.get("cost")
            table.add_row(
                part,
                facts.get("tier") or "-",
                facts.get("mode") or "-",
                facts.get("model_name") or facts.get("model"),
                f"{tokens:,}",
                "-" if cost is None else f"{cost:.6f}",
                f"{seconds:.2f}",
            )
        return table


class WrongAnswerError(RuntimeError):
    """The answer arrived, but it is wrong: the model failed, not the connection."""


class FromLangChain(BaseCallbackHandler):
    """Write LangChain's answers into the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger, self.started = ledger, {}

    def on_chat_model_start(self, serialized: Any, messages: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self.started[run_id] = time.perf_counter()

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        message: AIMessage = response.generations[0][0].message
        tokens = (message.usage_metadata or {}).get("total_tokens", 0)
        self.ledger.add(message.response_metadata, tokens, self.started.pop(run_id))


class FromLlamaIndex(BaseEventHandler):
    """Write LlamaIndex's answers into the ledger."""

    ledger: Any
    started: dict[str | None, float] = {}  # noqa: RUF012 -- a pydantic field, copied for each instance

    def handle(self, event: BaseEvent, **kwargs: Any) -> None:
        if isinstance(event, LLMChatStartEvent):
            self.started[event.span_id] = time.perf_counter()
        elif isinstance(event, LLMChatEndEvent) and event.response:
            facts = event.response.additional_kwargs
            self.ledger.add(facts, facts.get("total_tokens", 0), self.started.pop(event.span_id))


@tool
def count_words(path: str) -> str:
    """Count the words of a text file of this repository, given its path."""
    target = (ROOT / path).resolve()
    if not target.is_relative_to(ROOT):
        return f"{path} is outside the repository"
    return f"{path} has {len(target.read_text(encoding='utf-8').split())} words"


def stream_a_plan(ledger: Ledger, connection: dict[str, Any], tier: str) -> None:
    """Run a LangChain chain that streams a plan based on the README."""
    llm = ChatKilo(tier=tier, mode="plan", callbacks=[FromLangChain(ledger)], **connection)
    prompt = ChatPromptTemplate.from_template(
        "Make a short plan for a newcomer's first hour with this project:\n\n{readme}"
    )
    chain = prompt | llm | StrOutputParser()
    pieces = 0
    for piece in chain.stream({"readme": (ROOT / "README.md").read_text(encoding="utf-8")}):
        console.print(piece, end="", markup=False)
        pieces += bool(piece)
    console.print(f"\n[dim]({pieces} pieces)[/dim]")
    if pieces < 2:
        raise RuntimeError("the plan did not arrive token by token")


def run_an_agent(ledger: Ledger, connection: dict[str, Any], tier: str) -> None:
    """Run a LangChain agent that calls a real tool."""
    llm = ChatKilo(tier=tier, mode="code", callbacks=[FromLangChain(ledger)], **connection)
    agent = create_agent(llm, tools=[count_words])
    question = 'How many words has "README.md"? Use the tool count_words.'
    messages = agent.invoke({"messages": [("user", question)]})["messages"]
    for message in messages:
        for call in getattr(message, "tool_calls", ()):
            console.print(f"tool call: {call['name']}({call['args']})", markup=False)
    console.print(messages[-1].text, markup=False)
    words = count_words.invoke({"path": "README.md"}).split()[2]
    if words not in messages[-1].text:
        raise WrongAnswerError(f"the answer does not contain the number of words, {words}, that the tool counted")


def query_the_texts(ledger: Ledger, connection: dict[str, Any], tier: str) -> None:
    """Run a LlamaIndex query engine over the repository's texts, streaming."""
    dispatcher, handler = get_dispatcher(), FromLlamaIndex(ledger=ledger)
    dispatcher.add_event_handler(handler)
    try:
        documents = [
            Document(text=(ROOT / name).read_text(encoding="utf-8"), metadata={"file": name}) for name in TEXTS
        ]
        engine = SummaryIndex.from_documents(documents).as_query_engine(
            llm=KiloLLM(tier=tier, **connection), streaming=True, response_mode="compact"
        )
        answer = ""
        for piece in engine.query("Which tier answers without a key?").response_gen:
            console.print(piece, end="", markup=False)
            answer += piece
        console.print()
        if "free" not in answer:
            raise WrongAnswerError("the answer does not name the free tier")
    finally:
        dispatcher.event_handlers.remove(handler)


PARTS: list[tuple[str, str, Callable[[Ledger, dict[str, Any], str], None], str]] = [
    ("chain", "LangChain chain", stream_a_plan, "frontier"),
    ("agent", "LangChain agent", run_an_agent, "frontier"),
    ("query engine", "LlamaIndex query engine", query_the_texts, "balanced"),
]


def main() -> int:
    """Run all parts and print the table; return the exit status."""
    ledger, failures = Ledger(), 0
    with ExitStack() as stack:
        connection: dict[str, Any] = {}
        only_free = False
        if LOCAL:
            from kilo_gateway.sandbox.model.local_model import LocalModel

            console.print("A model of 270 million parameters on this computer: real tokens, but not clever answers.")
            model = stack.enter_context(LocalModel(context=32_768, slots=1, threads=os.cpu_count() or 2, limit=120))
            gateway = stack.enter_context(Sandbox(upstream=f"{model.url}/v1"))
            connection = {"base_url": gateway.base_url, "api_key": gateway.api_key}
        elif os.environ.get("KILO_API_KEY"):
            console.print("Live gateway with your key: the answers are real and may cost money.")
        elif os.environ.get("KILO_LIVE") == "1":
            console.print("Live gateway, free tier without a key: the answers are real. Send nothing confidential.")
            only_free = True
        else:
            console.print("Sandbox gateway on this computer: the answers are canned and the prices are made up.")
            for name in ("KILO_ORG_ID", "KILO_BASE_URL", "KILO_API_URL"):
                os.environ.pop(name, None)
            os.environ["NO_PROXY"] = "127.0.0.1"
            gateway = stack.enter_context(Sandbox(delay=0.005))
            connection = {"base_url": gateway.base_url, "api_key": gateway.api_key}
        for name, title, part, tier in PARTS:
            ledger.part = name
            console.rule(title)
            try:
                part(ledger, connection, "free" if only_free else tier)
            except WrongAnswerError as error:
                failures += not LOCAL
                console.print(f"\n{error}", markup=False)
            except (KiloError, RuntimeError, OSError) as error:
                failures += 1
                console.print(f"\nFAILED: {type(error).__name__}: {error}", markup=False)
    console.print(ledger.table())
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
