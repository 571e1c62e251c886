"""Test ChatKilo as LangChain uses it; the sandbox's record shows its requests."""

import asyncio
import json
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.load import dumps, load
from langchain_core.messages import AIMessageChunk, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import ConfigurableField
from pydantic import BaseModel, Field

from kilo_gateway.sandbox import Sandbox
from langchain_kilo import ChatKilo
from tests.support.tools import clock, weather

PAID = "anthropic/claude-sonnet-4.6"


@pytest.fixture
def llm(kilo_sandbox: Sandbox) -> ChatKilo:
    return ChatKilo(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)


class Tokens(BaseCallbackHandler):
    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        self.seen.append((token, chunk))


class AsyncTokens(AsyncCallbackHandler):
    def __init__(self) -> None:
        self.seen: list[tuple[str, Any]] = []

    async def on_llm_new_token(self, token: Any, *, chunk: Any = None, **kwargs: Any) -> None:
        self.seen.append((token, chunk))


def test_metadata_of_an_answer(kilo_sandbox: Sandbox) -> None:
    llm = ChatKilo(tier="frontier", mode="plan", base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)
    message = llm.invoke("Plan a party")
    metadata = message.response_metadata
    assert metadata["model_name"] == "anthropic/claude-opus-4.7"
    assert metadata["requested_model"] == "kilo-auto/frontier"
    assert (metadata["tier"], metadata["mode"], metadata["model_provider"]) == ("frontier", "plan", "kilo")
    assert metadata["finish_reason"] == "stop"
    assert metadata["cost"] > 0
    assert metadata["id"].startswith("gen-")
    assert metadata["request_id"].startswith("req")
    assert message.usage_metadata is not None
    assert message.usage_metadata["output_token_details"]["reasoning"] > 0
    assert "cost" not in message.usage_metadata


def test_a_stream_adds_up_to_the_invoked_message(llm: ChatKilo) -> None:
    total: AIMessageChunk | None = None
    for chunk in llm.stream("Hello"):
        total = chunk if total is None else total + chunk
    message = llm.invoke("Hello")
    assert total is not None
    varying = ("id", "created", "request_id", "object")
    assert {k: v for k, v in total.response_metadata.items() if k not in varying} == {
        k: v for k, v in message.response_metadata.items() if k not in varying
    }
    assert (total.content, total.usage_metadata) == (message.content, message.usage_metadata)
    assert total.chunk_position == "last"


def test_tokens_reach_callbacks_once(llm: ChatKilo) -> None:
    handler = Tokens()
    texts = [chunk.content for chunk in llm.stream("Hello", config={"callbacks": [handler]})]
    assert [token for token, _ in handler.seen] == texts
    assert all(chunk is not None for _, chunk in handler.seen)
    handler = Tokens()
    streaming = llm.model_copy(update={"streaming": True})
    message = streaming.invoke("Hello", config={"callbacks": [handler]})
    assert "".join(token for token, _ in handler.seen) == message.content
    assert len(handler.seen) > 3


async def test_tokens_reach_async_callbacks_once(llm: ChatKilo) -> None:
    handler = AsyncTokens()
    texts = [chunk.content async for chunk in llm.astream("Hello", config={"callbacks": [handler]})]
    assert [token for token, _ in handler.seen] == texts


def test_batch(llm: ChatKilo, kilo_sandbox: Sandbox) -> None:
    chain = ChatPromptTemplate.from_template("Repeat {word}") | llm | StrOutputParser()
    words = [{"word": word} for word in ("one", "two", "three")]
    for answers in (chain.batch(words, config={"max_concurrency": 2}), asyncio.run(chain.abatch(words))):
        assert [w["word"] in answer for w, answer in zip(words, answers, strict=True)] == [True] * 3
    assert len(kilo_sandbox.requests) == 6


@pytest.mark.parametrize(
    ("choice", "sent"),
    [
        (None, None),
        ("auto", "auto"),
        ("none", "none"),
        ("required", "required"),
        ("any", "required"),
        (True, "required"),
        (False, "none"),
        ("clock", {"type": "function", "function": {"name": "clock"}}),
        ({"type": "function", "function": {"name": "weather"}}, {"type": "function", "function": {"name": "weather"}}),
    ],
)
def test_tool_choice(llm: ChatKilo, kilo_sandbox: Sandbox, choice: Any, sent: Any) -> None:
    llm.bind_tools([weather, clock], tool_choice=choice).invoke("What is the weather in 'Oslo'?")
    assert kilo_sandbox.last.json.get("tool_choice") == sent


def test_a_tool_choice_without_its_tool_raises(llm: ChatKilo) -> None:
    with pytest.raises(ValueError, match=r"'wheather'.*weather, clock"):
        llm.bind_tools([weather, clock], tool_choice="wheather")


def test_tools_of_every_kind(llm: ChatKilo, kilo_sandbox: Sandbox) -> None:
    class Lookup(BaseModel):
        """Look something up."""

        term: str = Field(description="what to look up")

    def plain(x: int) -> int:
        """Double a number."""
        return 2 * x

    schema = {
        "title": "Note",
        "description": "Take a note",
        "type": "object",
        "properties": {"text": {"type": "string"}},
    }
    openai_tool = {"type": "function", "function": {"name": "raw", "parameters": {"type": "object", "properties": {}}}}
    server_tool = {"type": "openrouter:web_search", "max_results": 3}
    cached = {**openai_tool, "cache_control": {"type": "ephemeral"}}
    llm.bind_tools([weather, Lookup, plain, schema, openai_tool, server_tool, cached], strict=True).invoke("hi")
    tools = kilo_sandbox.last.json["tools"]
    names = [t.get("function", {}).get("name") for t in tools]
    assert names == ["weather", "Lookup", "plain", "Note", "raw", None, "raw"]
    assert tools[5] == server_tool
    assert tools[6]["cache_control"] == {"type": "ephemeral"}
    assert tools[0]["function"]["strict"] is True


def test_no_tools_are_not_sent(llm: ChatKilo, kilo_sandbox: Sandbox) -> None:
    llm.bind_tools([], parallel_tool_calls=False).invoke("hi")
    assert set(kilo_sandbox.last.json) == {"model", "messages", "stream"}


@pytest.mark.parametrize("scenario", ["tool-args-truncated", "tool-args-invalid"])
def test_broken_arguments_are_not_executed_when_streamed(kilo_sandbox: Sandbox, scenario: str) -> None:
    llm = ChatKilo(model=f"sandbox/{scenario}", base_url=kilo_sandbox.base_url).bind_tools([weather])
    total: Any = None
    for chunk in llm.stream("What is the weather in 'Oslo'?"):
        total = chunk if total is None else total + chunk
    invoked = llm.invoke("What is the weather in 'Oslo'?")
    for message in (total, invoked):
        assert message.tool_calls == []
        assert [call["name"] for call in message.invalid_tool_calls] == ["weather"]
    assert total.invalid_tool_calls[0]["args"].startswith(invoked.invalid_tool_calls[0]["args"])
    [raw] = total.additional_kwargs["invalid_tool_calls"]
    assert {**raw, "id": None} == {**invoked.invalid_tool_calls[0], "id": None}
    assert total.content_blocks[-1] == raw


def test_tokens_are_counted_offline(llm: ChatKilo) -> None:
    assert 0 < llm.get_num_tokens("hello world") < 10
    messages = [HumanMessage("hello world")]
    assert llm.get_num_tokens_from_messages(messages) < llm.get_num_tokens_from_messages(messages, tools=[weather])
    own = ChatKilo(custom_get_token_ids=lambda text: list(range(len(text))))
    assert (own.get_num_tokens("abc"), own.get_num_tokens_from_messages([HumanMessage("abcd")])) == (3, 4)


def test_headers_of_a_call_do_not_reach_callbacks(llm: ChatKilo, kilo_sandbox: Sandbox) -> None:
    class Start(BaseCallbackHandler):
        seen = ""

        def on_chat_model_start(self, *args: Any, **kwargs: Any) -> None:
            self.seen += repr((args, kwargs))

    handler = Start()
    llm.invoke("hi", extra_headers={"x-secret": "hush"}, config={"callbacks": [handler]})
    assert kilo_sandbox.last.headers["x-secret"] == "hush"
    assert handler.seen
    assert "hush" not in handler.seen


def test_routing_fields_per_call(llm: ChatKilo, kilo_sandbox: Sandbox) -> None:
    llm.bind(mode="debug").invoke("hi")
    assert kilo_sandbox.last.headers["x-kilocode-mode"] == "debug"
    configurable = ChatKilo(
        tier="free", base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key
    ).configurable_fields(mode=ConfigurableField(id="mode"), tier=ConfigurableField(id="tier"))
    configurable.with_config(configurable={"mode": "Plan", "tier": "frontier"}).invoke("hi")
    assert kilo_sandbox.last.json["model"] == "kilo-auto/frontier"
    assert kilo_sandbox.last.headers["x-kilocode-mode"] == "plan"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_agent_calls_a_tool_and_answers(llm: ChatKilo, kilo_sandbox: Sandbox, asynchronous: bool) -> None:
    agent = create_agent(llm, tools=[weather, clock])
    question: Any = {"messages": [("user", "What is the weather in 'Oslo' for the next 3 days?")]}
    result = asyncio.run(agent.ainvoke(question)) if asynchronous else agent.invoke(question)
    calls = [call for message in result["messages"] for call in getattr(message, "tool_calls", [])]
    assert [(call["name"], call["args"]) for call in calls] == [("weather", {"city": "Oslo", "days": 3})]
    assert "Oslo: sunny for 3 days" in result["messages"][-1].text
    sent = kilo_sandbox.last.json["messages"]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool"]
    assert sent[1]["tool_calls"][0]["id"] == sent[2]["tool_call_id"]


def test_an_agent_streams(llm: ChatKilo) -> None:
    agent: Any = create_agent(llm, tools=[weather])
    pieces = [
        message.text
        for message, metadata in agent.stream(
            {"messages": [("user", "What is the weather in 'Oslo'?")]}, stream_mode="messages"
        )
        if metadata["langgraph_node"] == "model"
    ]
    assert "Oslo: sunny" in "".join(pieces)
    assert len([piece for piece in pieces if piece]) > 3


@pytest.mark.filterwarnings("ignore:The function `load` is in beta")  # core's function, which users call
def test_it_is_dumped_without_secrets_and_loaded_again(monkeypatch: pytest.MonkeyPatch) -> None:
    organization = "0b7cc6f2-6d0b-4c3e-9a53-0d1de1d0a7b5"
    llm = ChatKilo(
        tier="frontier", api_key="s3cr3t", organization_id=organization, default_headers={"x-a": "s3cr3t"}, mode="plan"
    )
    text = dumps(llm)
    assert "s3cr3t" not in text
    assert organization not in text
    monkeypatch.setenv("KILO_API_KEY", "from-env")
    loaded = load(
        json.loads(text), valid_namespaces=["langchain_kilo"], allowed_objects=[ChatKilo], secrets_from_env=True
    )
    assert (loaded.model_id, loaded.mode, loaded.bearer) == ("kilo-auto/frontier", "plan", "from-env")


def test_parameters_for_traces(llm: ChatKilo) -> None:
    params = llm._get_ls_params(stop=["x"], temperature=0.3)
    assert params == {
        "ls_provider": "kilo",
        "ls_model_type": "chat",
        "ls_model_name": PAID,
        "ls_temperature": 0.3,
        "ls_stop": ["x"],
    }
    calls: list[dict[str, Any]] = [{"tier": "small"}, {"auto_tier": "Small"}, {"tier": "kilo-auto/small"}]
    for call in calls:
        assert llm._get_ls_params(**call)["ls_model_name"] == "kilo-auto/small"
    assert llm.with_mode("plan")._get_ls_params()["kilo_mode"] == "plan"
    assert llm.with_mode("plan")._get_ls_params(mode=" Code ")["kilo_mode"] == "code"
    assert "kilo_mode" not in llm.with_mode("plan")._get_ls_params(mode=None)
    assert "sandbox-key" not in repr(llm._get_invocation_params())
