"""Provide ChatKilo and KiloLLM on a sandbox whose model answers by a script."""

import json
import os
import re
from collections import deque
from typing import Any

import pytest

from kilo_gateway.sandbox import Sandbox
from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model import canned
from kilo_gateway.sandbox.model.turn import Reply, ToolCall
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM

MODEL = "anthropic/claude-sonnet-4.6"

# These packages would report their use to their makers when they are imported.
os.environ.update(DEEPEVAL_TELEMETRY_OPT_OUT="1", RAGAS_DO_NOT_TRACK="true", MLFLOW_DISABLE_TELEMETRY="true")


class Script:
    """The sandbox's model during a test: it gives the next answer, or the one whose pattern the request matches.

    Answers by pattern suit packages that ask several questions at once.
    """

    def __init__(self) -> None:
        self._next: deque[Reply] = deque()
        self._matched: list[tuple[re.Pattern[str], Reply]] = []

    def say(self, answer: str | dict[str, Any] | list[Any], *, to: str | None = None) -> None:
        """Add a text, or an object or a list as JSON text."""
        self._add(Reply(text=answer if isinstance(answer, str) else json.dumps(answer)), to)

    def call(self, *calls: tuple[str, dict[str, Any]], to: str | None = None) -> None:
        """Add an answer with tool calls: their names and arguments."""
        made = [
            ToolCall(f"call_{len(self._next)}_{len(self._matched)}_{position}", name, json.dumps(arguments))
            for position, (name, arguments) in enumerate(calls)
        ]
        self._add(Reply(calls=made, finish="tool_calls"), to)

    def _add(self, reply: Reply, to: str | None) -> None:
        if to is None:
            self._next.append(reply)
        else:
            self._matched.append((re.compile(to, re.DOTALL), reply))

    def __call__(self, call: Call) -> list[Reply]:
        text = json.dumps(call.messages, ensure_ascii=False)
        matching = (reply for pattern, reply in self._matched if pattern.search(text))
        reply = next(matching, None) or self._next.popleft()
        return [reply] * int(call.body.get("n") or 1)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return the script of the sandbox; a request beyond its end fails."""
    script = Script()
    monkeypatch.setattr(canned, "answer", script)
    return script


@pytest.fixture
def chat(kilo_sandbox: Sandbox, script: Script) -> ChatKilo:
    return ChatKilo(model=MODEL, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key, max_retries=0)


@pytest.fixture
def llm(kilo_sandbox: Sandbox, script: Script) -> KiloLLM:
    return KiloLLM(model=MODEL, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key, max_retries=0)
