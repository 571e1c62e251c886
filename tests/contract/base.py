"""Define what a subclass of the contract declares about its LLM, and how the tests observe a call."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from llama_index.core.base.llms.types import ChatMessage
from llama_index.core.callbacks import CallbackManager, CBEventType
from llama_index.core.callbacks.base_handler import BaseCallbackHandler
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.instrumentation.span_handlers import SimpleSpanHandler
from llama_index.core.llms import LLM
from llama_index.core.tools import FunctionTool
from llama_index_instrumentation import get_dispatcher
from pydantic import BaseModel, PrivateAttr

CHAT = ("chat", "achat", "stream_chat", "astream_chat")
COMPLETE = ("complete", "acomplete", "stream_complete", "astream_complete")
TOOLS = ("chat_with_tools", "achat_with_tools", "stream_chat_with_tools", "astream_chat_with_tools")
PREDICT = ("structured_predict", "astructured_predict", "stream_structured_predict", "astream_structured_predict")

each_endpoint = pytest.mark.parametrize("endpoint", [*CHAT, *COMPLETE])
each_chat = pytest.mark.parametrize("endpoint", CHAT)
each_stream = pytest.mark.parametrize("endpoint", [name for name in (*CHAT, *COMPLETE) if "stream" in name])
each_tool_endpoint = pytest.mark.parametrize("endpoint", TOOLS)
each_predict = pytest.mark.parametrize("endpoint", PREDICT)


def multiply(a: int, b: int) -> int:
    """Multiply two integers."""
    return a * b


def greet(name: str) -> str:
    """Greet a person by name."""
    return f"Hello {name}!"


class City(BaseModel):
    """A city."""

    name: str
    population: int


class ContractBase:
    """The factory, the switches and the hooks; all but the factory have defaults."""

    # Switches: the capabilities of the LLM. The test of an absent capability is skipped.
    has_tools: ClassVar[bool] = True
    has_parallel_tools: ClassVar[bool] = True
    has_structured_output: ClassVar[bool] = True
    has_usage: ClassVar[bool] = True
    """True if `raw["usage"]` contains the tokens, also at the end of a stream."""
    is_deterministic: ClassVar[bool] = False
    """True if the same question always has the same chunks, so that sync and async can be compared."""
    is_picklable: ClassVar[bool] = True

    # Questions, for models that need other words.
    question: ClassVar[str] = "Tell me about rivers, in one sentence."  # words: keep -- a model receives it
    tool_question: ClassVar[str] = "What is 6 times 7? Call multiply(6, 7)."
    parallel_question: ClassVar[str] = "Call multiply(6, 7) and greet('Ada'), both at once."
    city_question: ClassVar[str] = "The city name is '{name}' and its population is 700000."

    def make_llm(self, **fields: Any) -> LLM:
        """Return the LLM under test; `fields` are LlamaIndex's own, such as `system_prompt`."""
        raise NotImplementedError

    def make_thinking_llm(self) -> LLM | None:
        """Return an LLM that thinks before it answers, or None."""
        return None

    def make_failing_llm(self) -> LLM | None:
        """Return an LLM whose calls all fail, preferably after the first piece of a stream, or None."""
        return None

    def make_slow_llm(self) -> LLM | None:
        """Return an LLM whose streams last long enough to be left early, or None."""
        return None

    def secrets(self) -> Sequence[str]:
        """Return the texts that must not appear anywhere, such as the API key."""
        return ()

    def count_requests(self) -> int | None:
        """Return how many requests the server has received, or None if that is unknown."""
        return None

    def last_messages(self) -> list[dict[str, Any]] | None:
        """Return the messages of the last request that the server received, or None if they are unknown."""
        return None

    def was_disconnected(self) -> bool:
        """Wait for the client of a slow LLM to disconnect; return True if the server noticed it."""
        raise NotImplementedError

    # Helpers.

    @property
    def user(self) -> list[ChatMessage]:
        """The question as messages."""
        return [ChatMessage(role="user", content=self.question)]

    @property
    def tools(self) -> list[FunctionTool]:
        """Two tools."""
        return [FunctionTool.from_defaults(multiply), FunctionTool.from_defaults(greet)]

    def ask(self, llm: LLM, endpoint: str, **kwargs: Any) -> list[Any]:
        """Return all responses of one call of one of the eight endpoints."""
        return collect(getattr(llm, endpoint), self.question if endpoint in COMPLETE else self.user, **kwargs)

    def ask_with_tools(self, llm: Any, endpoint: str, question: str | None = None, **kwargs: Any) -> list[Any]:
        """Return all responses of one call with tools."""
        return collect(getattr(llm, endpoint), self.tools, question or self.tool_question, **kwargs)

    def need(self, capability: Any, name: str) -> None:
        """Skip a test if the LLM lacks the capability, or if the subclass cannot observe it."""
        if capability is None or capability is False:
            pytest.skip(f"no {name}")  # the subclass declares this


def collect(method: Callable[..., Any], *args: Any, **kwargs: Any) -> list[Any]:
    """Call a method of any of the four kinds and return all results; async methods run in a new event loop."""
    if not method.__name__.startswith("a"):
        answer = method(*args, **kwargs)
        return list(answer) if "stream" in method.__name__ else [answer]

    async def gather() -> list[Any]:
        answer = await method(*args, **kwargs)
        return [item async for item in answer] if "stream" in method.__name__ else [answer]

    return asyncio.run(gather())


def text_of(response: Any) -> str:
    """Return the text of a chat or completion response."""
    return (response.text if hasattr(response, "text") else response.message.content) or ""


class _Events(BaseEventHandler):
    _seen: list[Any] = PrivateAttr(default_factory=list)

    def handle(self, event: Any, **kwargs: Any) -> None:
        self._seen.append(event)


class _Logs(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


class _Callbacks(BaseCallbackHandler):
    def __init__(self) -> None:
        super().__init__([], [])
        self.starts: list[dict[str, Any]] = []
        self.ends: list[dict[str, Any]] = []

    def on_event_start(self, event_type: Any, payload: Any = None, *args: Any, **kwargs: Any) -> str:
        if event_type is CBEventType.LLM:
            self.starts.append(payload)
        return str(kwargs.get("event_id", ""))

    def on_event_end(self, event_type: Any, payload: Any = None, *args: Any, **kwargs: Any) -> None:
        if event_type is CBEventType.LLM:
            self.ends.append(payload)

    def start_trace(self, trace_id: str | None = None) -> None:
        """Not used."""

    def end_trace(self, trace_id: str | None = None, trace_map: Any = None) -> None:
        """Not used."""


@dataclass
class Observed:
    """The records of a call: LlamaIndex's events, spans and callbacks, and all logs."""

    events: list[Any] = field(default_factory=list)
    spans: list[str] = field(default_factory=list)
    starts: list[dict[str, Any]] = field(default_factory=list)
    ends: list[dict[str, Any]] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)

    def named(self, ending: str) -> list[Any]:
        """Return the chat and completion events of this kind, `Start` or `End`."""
        return [e for e in self.events if type(e).__name__ in (f"LLMChat{ending}Event", f"LLMCompletion{ending}Event")]

    def spans_of(self, llm: LLM) -> list[str]:
        """Return the endpoints of `llm` that had a span."""
        names = (span.partition("-")[0].rpartition(".") for span in self.spans)
        return [method for owner, _, method in names if owner == type(llm).__name__ and method in (*CHAT, *COMPLETE)]

    def text(self) -> str:
        """Return everything that a tracer or a log could contain, as text."""
        events = [repr(event.model_dump()) for event in self.events]
        return "\n".join([*events, *self.logs, *(json.dumps(p, default=str) for p in (*self.starts, *self.ends))])


@contextmanager
def observe(llm: LLM) -> Iterator[Observed]:
    """Record the calls inside the block."""
    seen, dispatcher = Observed(), get_dispatcher()
    events, spans, callbacks = _Events(), SimpleSpanHandler(), _Callbacks()
    before, logs, root = llm.callback_manager, _Logs(), logging.getLogger()
    level = root.level
    llm.callback_manager = CallbackManager([callbacks])
    dispatcher.add_event_handler(events)
    dispatcher.add_span_handler(spans)
    root.addHandler(logs)
    root.setLevel(logging.DEBUG)
    try:
        yield seen
    finally:
        dispatcher.event_handlers.remove(events)
        dispatcher.span_handlers.remove(spans)
        root.removeHandler(logs)
        root.setLevel(level)
        llm.callback_manager = before
        seen.events += events._seen
        seen.spans += [span.id_ for span in (*spans.completed_spans, *spans.open_spans.values())]
        seen.starts += callbacks.starts
        seen.ends += callbacks.ends
        seen.logs += logs.lines
