"""Define the same work for each package: the raw client, two floors, ours, and the installed peers."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from benchmarks.server import MODEL

PROMPT = "Say something."
RAW = "openai, typed stream"
FLOOR_LANGCHAIN = "floor: plain JSON + LangChain's stream()"
FLOOR_LLAMA_INDEX = "floor: plain JSON + LlamaIndex chunks"
FLOOR_LIVE = "floor: aiohttp + json.loads"
FLOOR_LIVE_LANGCHAIN = f"{FLOOR_LIVE} + LangChain's astream()"
FLOOR_LIVE_LLAMA_INDEX = f"{FLOOR_LIVE} + LlamaIndex's astream_chat()"
CORE = "kilo_gateway.chat.astream"
GRAPH = "ChatKilo in a LangGraph agent"
FUNCTION = "KiloLLM in a FunctionAgent"
AS_BEFORE = f"{GRAPH}, httpx, a chunk per frame"
_WIRE = [{"role": "user", "content": PROMPT}]


@dataclass(frozen=True)
class Rival:
    """A package under test: `make` builds its model for a URL, and the functions behind it make one complete call.

    `text` returns the text of a chunk.
    """

    name: str
    make: Callable[[str], Any]
    stream: Callable[[Any], Iterator[Any]] | None = None
    astream: Callable[[Any], AsyncIterator[Any]] | None = None
    invoke: Callable[[Any], Any] | None = None
    ainvoke: Callable[[Any], Coroutine[Any, Any, Any]] | None = None
    text: Callable[[Any], str] = str


_PER_FRAME: dict[str, Any] = {"merge_ready": False}
"""Fields of ours for a chunk per frame, as the others have: a burst arrives in a few reads."""


def installed() -> dict[str, Callable[[], Rival]]:
    """Return the factories of all rivals whose packages are installed, the raw client first."""
    factories: dict[str, Callable[[], Rival]] = {
        RAW: _raw,
        FLOOR_LANGCHAIN: _langchain_floor,
        "ChatKilo": lambda: _chat("ChatKilo", "langchain_kilo", **_PER_FRAME),
        FLOOR_LLAMA_INDEX: _llama_index_floor,
        "KiloLLM": lambda: _llm("KiloLLM", "llama_index_kilo", **_PER_FRAME),
    }
    if importlib.util.find_spec("langchain_openai"):
        factories["ChatOpenAI"] = lambda: _chat("ChatOpenAI", "langchain_openai", stream_usage=True)
    if importlib.util.find_spec("langchain_openrouter"):
        factories["ChatOpenRouter"] = lambda: _chat("ChatOpenRouter", "langchain_openrouter")
    if importlib.util.find_spec("llama_index.llms") and importlib.util.find_spec("llama_index.llms.openai_like"):
        factories["OpenAILike"] = lambda: _llm(
            "OpenAILike", "llama_index.llms.openai_like", url_name="api_base", is_chat_model=True
        )
    return factories


def live() -> dict[str, Callable[[], Rival]]:
    """Return the factories of the rivals of live streams: the packages, ours on httpx and in agents, and the floors."""
    factories = {name: make for name, make in installed().items() if not name.startswith("floor")}
    httpx: dict[str, Any] = {"transport": "httpx"}
    return factories | {
        "ChatKilo": partial(_chat, "ChatKilo", "langchain_kilo"),
        "KiloLLM": partial(_llm, "KiloLLM", "llama_index_kilo"),
        FLOOR_LIVE: _aiohttp,
        FLOOR_LIVE_LANGCHAIN: _langchain_on_aiohttp,
        FLOOR_LIVE_LLAMA_INDEX: _llama_index_on_aiohttp,
        CORE: _core,
        GRAPH: _graph_agent,
        FUNCTION: _function_agent,
        "ChatKilo, httpx": partial(_chat, "ChatKilo", "langchain_kilo", **httpx),
        "KiloLLM, httpx": partial(_llm, "KiloLLM", "llama_index_kilo", **httpx),
        AS_BEFORE: partial(_graph_agent, **httpx, **_PER_FRAME),
    }


def on_each_interface() -> list[Rival]:
    """Return both our classes on each interface, and the installed peers on Responses and on Messages."""
    apis = ("completions", "responses", "messages")
    rivals = [
        replace(_chat("ChatKilo", "langchain_kilo", api=api, **_PER_FRAME), name=f"ChatKilo, {api}") for api in apis
    ]
    rivals += [
        replace(_llm("KiloLLM", "llama_index_kilo", api=api, **_PER_FRAME), name=f"KiloLLM, {api}") for api in apis
    ]
    if importlib.util.find_spec("langchain_openai"):
        peer = _chat("ChatOpenAI", "langchain_openai", use_responses_api=True)
        rivals.append(replace(peer, name="ChatOpenAI, responses"))
    if importlib.util.find_spec("langchain_anthropic"):
        rivals.append(replace(_chat("ChatAnthropic", "langchain_anthropic"), name="ChatAnthropic, messages"))
    return rivals


def _raw() -> Rival:
    import openai

    async def astream(clients: Any) -> AsyncIterator[Any]:
        async for chunk in await clients[1].create(model=MODEL, messages=_WIRE, stream=True):
            yield chunk

    return Rival(
        RAW,
        make=lambda url: (
            openai.OpenAI(api_key="x", base_url=url).chat.completions,
            openai.AsyncOpenAI(api_key="x", base_url=url).chat.completions,
        ),
        stream=lambda clients: clients[0].create(model=MODEL, messages=_WIRE, stream=True),
        astream=astream,
        invoke=lambda clients: clients[0].create(model=MODEL, messages=_WIRE),
        ainvoke=lambda clients: clients[1].create(model=MODEL, messages=_WIRE),
        text=lambda chunk: chunk.choices[0].delta.content,
    )


def _frames(url: str) -> Callable[[], Iterator[dict[str, Any]]]:
    import openai

    client = openai.OpenAI(api_key="x", base_url=url)
    return lambda: client.post("/chat/completions", **_plain(openai.Stream[object]))


def _aframes(url: str) -> Callable[[], AsyncIterator[dict[str, Any]]]:
    import openai

    client = openai.AsyncOpenAI(api_key="x", base_url=url)

    async def frames() -> AsyncIterator[dict[str, Any]]:
        async for frame in await client.post("/chat/completions", **_plain(openai.AsyncStream[object])):
            yield frame

    return frames


def _plain(stream_cls: Any) -> dict[str, Any]:
    body = {"model": MODEL, "messages": _WIRE, "stream": True}
    return {"body": body, "cast_to": object, "stream": True, "stream_cls": stream_cls}


def _floor_model(**frames: Any) -> Any:
    """Return a LangChain chat model that does as little as possible; `frames` are its functions that ask."""
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk
    from langchain_core.outputs import ChatGenerationChunk

    class Floor(BaseChatModel):
        """A chat model with as little work as possible."""

        frames: Any = None
        aframes: Any = None

        @property
        def _llm_type(self) -> str:
            return "floor"

        def _generate(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

        def _stream(self, *args: Any, **kwargs: Any) -> Iterator[ChatGenerationChunk]:
            for frame in self.frames():
                yield ChatGenerationChunk(message=AIMessageChunk(content=_text(frame)))

        async def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[ChatGenerationChunk]:
            async for frame in self.aframes():
                yield ChatGenerationChunk(message=AIMessageChunk(content=_text(frame)))

    return Floor(**frames)


def _text(frame: dict[str, Any]) -> str:
    return frame["choices"][0]["delta"].get("content") or ""


def _langchain_floor() -> Rival:
    return Rival(
        FLOOR_LANGCHAIN,
        make=lambda url: _floor_model(frames=_frames(url), aframes=_aframes(url)),
        stream=lambda model: model.stream(PROMPT),
        astream=lambda model: model.astream(PROMPT),
    )


def _llama_index_floor() -> Rival:
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse, MessageRole

    def stream(frames: Any) -> Iterator[ChatResponse]:
        text = ""
        for frame in frames():
            delta = _text(frame)
            text += delta
            message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
            yield ChatResponse(message=message, delta=delta, raw=frame)

    return Rival(FLOOR_LLAMA_INDEX, _frames, stream)


def _chat(name: str, module: str, **options: Any) -> Rival:
    cls = getattr(importlib.import_module(module), name)
    return Rival(
        name,
        make=lambda url: cls(model=MODEL, base_url=url, api_key="x", **options),
        stream=lambda model: model.stream(PROMPT),
        astream=lambda model: model.astream(PROMPT),
        invoke=lambda model: model.invoke(PROMPT),
        ainvoke=lambda model: model.ainvoke(PROMPT),
        text=lambda chunk: chunk.content,
    )


def _llm(name: str, module: str, *, url_name: str = "base_url", **options: Any) -> Rival:
    from llama_index.core.base.llms.types import ChatMessage

    cls = getattr(importlib.import_module(module), name)
    messages = [ChatMessage(content=PROMPT)]

    async def astream(llm: Any) -> AsyncIterator[Any]:
        async for response in await llm.astream_chat(messages):
            yield response

    return Rival(
        name,
        make=lambda url: cls(model=MODEL, api_key="x", **{url_name: url}, **options),
        stream=lambda llm: llm.stream_chat(messages),
        astream=astream,
        invoke=lambda llm: llm.chat(messages),
        ainvoke=lambda llm: llm.achat(messages),
        text=lambda response: response.delta,
    )


def _core() -> Rival:
    from kilo_gateway import GatewaySettings, chat

    return Rival(
        CORE,
        make=lambda url: GatewaySettings(model=MODEL, base_url=url, api_key="x"),
        astream=lambda settings: chat.astream(settings, settings.prepare(PROMPT, stream=True)),
        text=lambda delta: delta.text,
    )


def _lines(session: Any) -> Callable[[], AsyncIterator[dict[str, Any]]]:
    async def frames() -> AsyncIterator[dict[str, Any]]:
        body = {"model": MODEL, "messages": _WIRE, "stream": True}
        async with session.post("chat/completions", json=body) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    yield json.loads(line[6:])

    return frames


def _session(url: str) -> Any:
    import aiohttp

    return aiohttp.ClientSession(f"{url}/", connector=aiohttp.TCPConnector(limit=0))


def _aiohttp() -> Rival:
    return Rival(FLOOR_LIVE, make=lambda url: _lines(_session(url)), astream=lambda frames: frames(), text=_text)


def _langchain_on_aiohttp() -> Rival:
    return Rival(
        FLOOR_LIVE_LANGCHAIN,
        make=lambda url: _floor_model(aframes=_lines(_session(url))),
        astream=lambda model: model.astream(PROMPT),
        text=lambda chunk: chunk.content,
    )


def _llama_index_on_aiohttp() -> Rival:
    from llama_index.core.base.llms.types import ChatMessage, ChatResponse, CompletionResponse, LLMMetadata, MessageRole
    from llama_index.core.llms import CustomLLM
    from llama_index.core.llms.callbacks import llm_chat_callback

    class Floor(CustomLLM):
        """An LLM with as little work as possible."""

        frames: Any

        @property
        def metadata(self) -> LLMMetadata:
            return LLMMetadata(is_chat_model=True)

        def complete(self, *args: Any, **kwargs: Any) -> CompletionResponse:
            raise NotImplementedError

        def stream_complete(self, *args: Any, **kwargs: Any) -> Any:
            raise NotImplementedError

        @llm_chat_callback()
        async def astream_chat(self, messages: Any, **kwargs: Any) -> Any:
            async def responses() -> AsyncIterator[ChatResponse]:
                text = ""
                async for frame in self.frames():
                    delta = _text(frame)
                    text += delta
                    message = ChatMessage(role=MessageRole.ASSISTANT, content=text)
                    yield ChatResponse(message=message, delta=delta, raw=frame)

            return responses()

    async def astream(llm: Any) -> AsyncIterator[Any]:
        async for response in await llm.astream_chat([ChatMessage(content=PROMPT)]):
            yield response

    return Rival(
        FLOOR_LIVE_LLAMA_INDEX,
        make=lambda url: Floor(frames=_lines(_session(url))),
        astream=astream,
        text=lambda response: response.delta,
    )


def save(text: str) -> str:
    """Save a text."""
    return str(len(text))


def _graph_agent(**fields: Any) -> Rival:
    """Return a rival whose stream is one model turn of a LangGraph agent, message by message."""
    from langchain.agents import create_agent

    from langchain_kilo import ChatKilo

    def make(url: str) -> Any:
        llm = ChatKilo(model=MODEL, api_key="x", base_url=url, **fields)
        return create_agent(llm, [save], interrupt_before=["tools"])

    question = {"messages": [("user", PROMPT)]}
    return Rival(
        GRAPH,
        make,
        stream=lambda agent: agent.stream(question, stream_mode="messages"),
        astream=lambda agent: agent.astream(question, stream_mode="messages"),
        text=lambda event: event[0].content,
    )


def _function_agent() -> Rival:
    """Return a rival whose stream is one model turn of a FunctionAgent; a call of its tool ends the run."""
    from llama_index.core.agent.workflow import AgentStream, FunctionAgent
    from llama_index.core.tools import FunctionTool

    from llama_index_kilo import KiloLLM

    def make(url: str) -> Any:
        llm = KiloLLM(model=MODEL, api_key="x", base_url=url)
        return FunctionAgent(tools=[FunctionTool.from_defaults(save, return_direct=True)], llm=llm)

    async def astream(agent: Any) -> AsyncIterator[Any]:
        handler = agent.run(PROMPT)
        async for event in handler.stream_events():
            if isinstance(event, AgentStream):
                yield event
        await handler

    return Rival(FUNCTION, make, astream=astream, text=lambda event: event.delta)
