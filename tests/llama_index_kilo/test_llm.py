"""KiloLLM as LlamaIndex uses it; what it sends is read from the sandbox's record."""

import asyncio
import json
import pickle
from typing import Any

import pytest
from llama_index.core import Document, SummaryIndex
from llama_index.core.agent.workflow import AgentStream, FunctionAgent, ToolCallResult
from llama_index.core.base.llms.types import ChatMessage, ChatResponse
from llama_index.core.callbacks import CallbackManager, TokenCountingHandler
from llama_index.core.instrumentation import get_dispatcher
from llama_index.core.instrumentation.event_handlers import BaseEventHandler
from llama_index.core.tools import FunctionTool
from llama_index.core.tools.calling import call_tool_with_selection

from kilo_gateway.decode import decode_body
from kilo_gateway.sandbox import Sandbox
from llama_index_kilo import KiloLLM, fold

PAID = "anthropic/claude-sonnet-4.6"


@pytest.fixture
def llm(kilo_sandbox: Sandbox) -> KiloLLM:
    return KiloLLM(model=PAID, base_url=kilo_sandbox.base_url, api_key=kilo_sandbox.api_key)


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def greet(name: str) -> str:
    """Greet a person by name."""
    return f"Hello {name}, welcome"


TOOLS = [FunctionTool.from_defaults(add), FunctionTool.from_defaults(greet)]
USER = [ChatMessage(role="user", content="Tell me about rivers")]


async def acollect(stream: Any) -> list[Any]:
    return [item async for item in await stream]


def test_the_eight_endpoints_agree(llm: KiloLLM) -> None:
    prompt = "Tell me about rivers"
    chats = [
        llm.chat(USER),
        asyncio.run(llm.achat(USER)),
        list(llm.stream_chat(USER))[-1],
        asyncio.run(acollect(llm.astream_chat(USER)))[-1],
    ]
    completions = [
        llm.complete(prompt),
        asyncio.run(llm.acomplete(prompt)),
        list(llm.stream_complete(prompt))[-1],
        asyncio.run(acollect(llm.astream_complete(prompt)))[-1],
    ]
    texts = {chat.message.content for chat in chats} | {completion.text for completion in completions}
    assert len(texts) == 1
    assert "rivers" in texts.pop()
    for response in [*chats, *completions]:
        assert response.additional_kwargs["total_tokens"] > 0
        assert response.additional_kwargs["cost"] > 0
        assert response.additional_kwargs["finish_reason"] == "stop"
        assert response.additional_kwargs["model"] == PAID
        assert response.raw["usage"]["prompt_tokens"] > 0


def test_streams_grow_chunk_by_chunk_sync_and_async_alike(llm: KiloLLM) -> None:
    sync = list(llm.stream_chat(USER))
    both = zip(sync, asyncio.run(acollect(llm.astream_chat(USER))), strict=True)
    assert all(a.delta == b.delta and a.message == b.message for a, b in both)
    text = ""
    for response in sync:
        text += response.delta or ""
        assert response.message.content == text
    assert len(sync) > 5


def test_thinking(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(model="sandbox/reasoning", base_url=kilo_sandbox.base_url)
    responses = list(llm.stream_chat(USER))
    thought = "".join(r.additional_kwargs.get("thinking_delta", "") for r in responses)
    block = responses[-1].message.blocks[0]
    assert block.block_type == "thinking"
    assert block.content == thought != ""
    assert block.num_tokens == responses[-1].additional_kwargs["reasoning_tokens"] > 0


def test_reasoning_goes_back_as_it_came_through_json(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(model="sandbox/reasoning-encrypted", base_url=kilo_sandbox.base_url)
    for answer in (llm.chat(USER), list(llm.stream_chat(USER))[-1]):
        restored = ChatMessage.model_validate_json(answer.message.model_dump_json())
        llm.chat([*USER, restored, ChatMessage(role="user", content="go on")])
        sent = kilo_sandbox.last.json["messages"][1]
        assert sent["reasoning_details"] == answer.message.blocks[0].additional_information["reasoning_details"]
        assert len(sent["reasoning_details"]) == 3


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ({}, "auto"),
        ({"tool_required": True}, "required"),
        ({"tool_choice": "any"}, "required"),
        ({"tool_choice": "none"}, "none"),
        ({"tool_choice": "greet"}, {"type": "function", "function": {"name": "greet"}}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "add"}}},
            {"type": "function", "function": {"name": "add"}},
        ),
    ],
)
def test_tool_choice(llm: KiloLLM, kilo_sandbox: Sandbox, arguments: dict[str, Any], sent: Any) -> None:
    llm.chat_with_tools(TOOLS, "hi", **arguments)
    body = kilo_sandbox.last.json
    assert body["tool_choice"] == sent
    assert body["parallel_tool_calls"] is False
    assert [tool["function"]["name"] for tool in body["tools"]] == ["add", "greet"]


def test_without_tools_nothing_about_tools_is_sent(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    llm.chat_with_tools([], "hi", tool_required=True, tool_choice="add")
    assert set(kilo_sandbox.last.json) == {"model", "messages", "stream"}


def test_the_callers_history_stays_as_it_is(llm: KiloLLM) -> None:
    history = [ChatMessage(role="user", content="a"), ChatMessage(role="assistant", content="b")]
    before = [message.model_copy(deep=True) for message in history]
    llm.chat_with_tools(TOOLS, "What is add(2, 3)?", chat_history=history)
    assert history == before


def calls(llm: KiloLLM, response: ChatResponse) -> list[tuple[str, dict[str, Any]]]:
    return [(call.tool_name, call.tool_kwargs) for call in llm.get_tool_calls_from_response(response)]


def test_tool_calls_in_all_four_ways(llm: KiloLLM) -> None:
    question = "What is add(2, 3)?"
    responses = [
        llm.chat_with_tools(TOOLS, question),
        asyncio.run(llm.achat_with_tools(TOOLS, question)),
        list(llm.stream_chat_with_tools(TOOLS, question))[-1],
        asyncio.run(acollect(llm.astream_chat_with_tools(TOOLS, question)))[-1],
    ]
    for response in responses:
        assert calls(llm, response) == [("add", {"a": 2, "b": 3})]
        assert response.message.content is None
        [plain] = response.message.additional_kwargs["tool_calls"]
        assert plain["function"] == {"name": "add", "arguments": '{"a": 2, "b": 3}'}
        assert json.loads(response.message.model_dump_json())["additional_kwargs"]["tool_calls"] == [plain]


def test_calls_can_be_read_while_they_stream(llm: KiloLLM) -> None:
    for response in llm.stream_chat_with_tools(TOOLS, "What is add(2, 3)?"):
        for call in llm.get_tool_calls_from_response(response, error_on_no_tool_call=False):
            assert call.tool_name == "add"
            assert call.tool_id


def test_only_one_call_when_parallel_calls_are_not_allowed(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(model="sandbox/parallel-same-index", base_url=kilo_sandbox.base_url)
    response = llm.chat_with_tools(TOOLS, "hi", allow_parallel_tool_calls=False)
    assert len(calls(llm, response)) == 1
    assert len(response.message.additional_kwargs["tool_calls"]) == 1
    response = llm.chat_with_tools(TOOLS, "hi", allow_parallel_tool_calls=True)
    assert len(calls(llm, response)) == 2


def test_no_call_is_an_error_that_says_what_was_answered(llm: KiloLLM) -> None:
    response = llm.chat(USER)
    with pytest.raises(ValueError, match=r"rivers.*tool_required=True"):
        llm.get_tool_calls_from_response(response)
    assert llm.get_tool_calls_from_response(response, error_on_no_tool_call=False) == []


@pytest.mark.parametrize("scenario", ["tool-args-invalid", "tool-args-truncated"])
@pytest.mark.parametrize("streaming", [False, True])
def test_broken_arguments_are_not_executed_and_go_back_as_json(
    kilo_sandbox: Sandbox, scenario: str, streaming: bool
) -> None:
    llm = KiloLLM(model=f"sandbox/{scenario}", base_url=kilo_sandbox.base_url)
    if streaming:
        *partial, response = llm.stream_chat_with_tools(TOOLS[:1], "add(2, 3)")
        seen = [c.tool_kwargs for r in partial for c in llm.get_tool_calls_from_response(r, False)]
        assert all(kwargs == {} for kwargs in seen)
    else:
        response = llm.chat_with_tools(TOOLS[:1], "add(2, 3)")
    [block] = [b for b in response.message.blocks if b.block_type == "tool_call"]
    with pytest.raises(json.JSONDecodeError):
        json.loads(block.tool_kwargs)
    [(name, kwargs)] = calls(llm, response)
    assert kwargs["invalid_arguments"] == block.tool_kwargs
    executed: list[Any] = []

    def collect(value: str = "") -> None:
        executed.append(value)

    selection = llm.get_tool_calls_from_response(response)[0].model_copy(update={"tool_name": "collect"})
    outcome = call_tool_with_selection(selection, [FunctionTool.from_defaults(collect)])
    assert (name, executed, outcome.is_error) == ("add", [], True)
    assert "invalid_arguments" in outcome.content
    result = ChatMessage(role="tool", content="no", additional_kwargs={"tool_call_id": block.tool_call_id})
    llm.chat([*USER, response.message, result])
    sent = kilo_sandbox.last.json["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert json.loads(sent) == {"invalid_arguments": block.tool_kwargs}


def test_broken_arguments_without_a_finish_reason_are_not_executed(kilo_sandbox: Sandbox) -> None:
    body = {"choices": [{"message": {"tool_calls": [{"function": {"name": "add", "arguments": '{"a": 1'}}]}}]}
    llm = KiloLLM(base_url=kilo_sandbox.base_url)
    request = llm.request([], stream=False)
    response = fold.response_of(decode_body(json.dumps(body).encode()), request)
    assert "finish_reason" not in response.additional_kwargs
    assert calls(llm, response)[0][1]["invalid_arguments"] == '{"a": 1'


def test_logprobs(kilo_sandbox: Sandbox) -> None:
    llm = KiloLLM(base_url=kilo_sandbox.base_url, logprobs=True, top_logprobs=2)
    for response in (llm.chat(USER), list(llm.stream_chat(USER))[-1], llm.complete("rivers")):
        assert response.logprobs
        assert [len(candidates) for candidates in response.logprobs] == [2] * len(response.logprobs)
        assert all(candidate.logprob <= 0 for token in response.logprobs for candidate in token)


@pytest.mark.parametrize(("field", "allowed", "sent"), [(None, True, True), (False, True, False), (True, False, True)])
def test_the_field_parallel_tool_calls_wins(
    kilo_sandbox: Sandbox, field: bool | None, allowed: bool, sent: bool
) -> None:
    llm = KiloLLM(base_url=kilo_sandbox.base_url, parallel_tool_calls=field)
    llm.chat_with_tools(TOOLS, "hi", allow_parallel_tool_calls=allowed)
    assert kilo_sandbox.last.json["parallel_tool_calls"] is sent


# FunctionAgent's own base class looks at itself through pydantic's old attributes.
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince20")
@pytest.mark.filterwarnings("ignore::pydantic.warnings.PydanticDeprecatedSince211")
async def test_a_function_agent_with_two_tools_finishes_streaming(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    agent = FunctionAgent(tools=[add, greet], llm=llm, streaming=True)
    handler = agent.run("Call add(2, 3) and greet('Zoë').")
    results, pieces = [], []
    async for event in handler.stream_events():
        if isinstance(event, ToolCallResult):
            results.append((event.tool_name, event.tool_kwargs, str(event.tool_output)))
        elif isinstance(event, AgentStream):
            pieces.append(event.delta)
    answer = str(await handler)
    assert results == [("add", {"a": 2, "b": 3}, "5"), ("greet", {"name": "Zoë"}, "Hello Zoë, welcome")]
    assert "Hello Zoë, welcome" in answer
    assert answer in "".join(pieces)
    assert len([piece for piece in pieces if piece]) > 3
    assert all(record.json["stream"] for record in kilo_sandbox.requests)


@pytest.mark.parametrize("response_mode", ["compact", "refine", "tree_summarize"])
@pytest.mark.parametrize("streaming", [False, True])
def test_a_query_engine(llm: KiloLLM, response_mode: Any, streaming: bool) -> None:
    documents = [
        Document(text="The Danube flows through Vienna and Budapest. It ends in the Black Sea."),
        Document(text="The Rhine flows through Basel and Cologne. It ends in the North Sea."),
    ]
    engine = SummaryIndex.from_documents(documents).as_query_engine(
        llm=llm, response_mode=response_mode, streaming=streaming
    )
    response = engine.query("Which river flows through Vienna?")
    answer = "".join(response.response_gen) if streaming else str(response)
    assert "Danube" in answer


def test_metadata_never_asks_the_network() -> None:
    metadata = KiloLLM(base_url="http://127.0.0.1:1", tier="frontier", max_tokens=77).metadata
    assert (metadata.context_window, metadata.num_output) == (1_000_000, 77)
    assert metadata.model_name == "kilo-auto/frontier"
    assert metadata.is_chat_model
    assert metadata.is_function_calling_model
    assert KiloLLM(model="no/such").metadata.context_window == 128_000
    assert KiloLLM(context_window=5).metadata.context_window == 5
    with pytest.raises(ValueError, match="context_window"):
        KiloLLM(context_window=0)


class Events(BaseEventHandler):
    names: list[str] = []  # noqa: RUF012 -- a pydantic field, copied for each instance
    texts: list[str] = []  # noqa: RUF012 -- a pydantic field, copied for each instance

    def handle(self, event: Any, **kwargs: Any) -> None:
        self.names.append(type(event).__name__)
        self.texts.append(event.model_dump_json())


@pytest.mark.parametrize("method", ["chat", "complete", "stream_chat", "stream_complete"])
def test_one_event_a_call_and_exact_tokens(llm: KiloLLM, method: str) -> None:
    counter, events, dispatcher = TokenCountingHandler(), Events(), get_dispatcher()
    llm.callback_manager = CallbackManager([counter])
    dispatcher.add_event_handler(events)
    try:
        response = getattr(llm, method)(USER if "chat" in method else "Tell me about rivers")
        last = list(response)[-1] if "stream" in method else response
    finally:
        dispatcher.event_handlers.remove(events)
    assert len([name for name in events.names if name.endswith("StartEvent")]) == 1
    assert len([name for name in events.names if name.endswith("EndEvent")]) == 1
    assert len(counter.llm_token_counts) == 1
    assert counter.prompt_llm_token_count == last.additional_kwargs["prompt_tokens"]
    assert counter.completion_llm_token_count == last.additional_kwargs["completion_tokens"]
    assert "sandbox-key" not in "".join(events.texts)


def test_saved_and_loaded_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    llm = KiloLLM(tier="frontier", mode="plan", api_key="s3cr3t", default_headers={"x-a": "s3cr3t"}, seed=1)
    assert "s3cr3t" not in llm.to_json()
    assert "s3cr3t" not in repr(llm.to_payload())
    monkeypatch.setenv("KILO_API_KEY", "from-env")
    loaded = KiloLLM.from_json(llm.to_json())
    assert (loaded.model_id, loaded.mode, loaded.seed, loaded.bearer) == ("kilo-auto/frontier", "plan", 1, "from-env")
    assert loaded.class_name() == "KiloLLM"


def test_usable_after_a_copy_and_a_pickle(llm: KiloLLM, kilo_sandbox: Sandbox) -> None:
    llm.chat(USER)
    for copy in (pickle.loads(pickle.dumps(llm)), llm.model_copy(deep=True)):  # noqa: S301 -- made on this line
        assert copy.chat(USER).message.content == llm.chat(USER).message.content
