"""An answer is the same in each view that LangChain has of it: whole, as chunks, as events of v3, in both versions."""

from __future__ import annotations

import asyncio
import functools
import json
import operator
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage, message_to_dict, messages_from_dict
from langchain_tests.utils.stream_lifecycle import assert_valid_event_stream

from langchain_kilo import ChatKilo
from tests.unit.interfaces import messages_events as messages
from tests.unit.interfaces import responses_events as responses

pytestmark = pytest.mark.filterwarnings(
    "ignore::langchain_core._api.beta_decorator.LangChainBetaWarning"  # v3 is beta in core
)

TEXT, THOUGHT, MODEL = "The Rhine is long.", "I look it up.", "vendor/model"
CITED = {"type": "url_citation", "url": "https://example.com", "title": "T", "start_index": 4, "end_index": 9}
SEARCHED = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "Rhine"}}
LISTED = {"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "maps", "tools": []}
Json = dict[str, Any]


def _on_completions() -> tuple[Json, list[Json]]:
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    parts: list[Json] = [
        {"reasoning": THOUGHT},
        {"content": TEXT[:9]},
        {"content": TEXT[9:]},
        {"annotations": [{"type": "url_citation", "url_citation": CITED}]},
        {"tool_calls": [{**call, "index": 0}]},
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    message = {"role": "assistant", "content": TEXT, "tool_calls": [call], **parts[0], **parts[3]}
    common = {"id": "gen-1", "model": MODEL, "created": 7}
    body = {**common, "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}], "usage": usage}
    chunks = [{**common, "choices": [{"index": 0, "delta": part}]} for part in parts]
    last = {**common, "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}], "usage": usage}
    return body, [*chunks, last]


def _on_responses() -> tuple[Json, list[Json]]:
    content = [{"type": "output_text", "text": TEXT, "annotations": [CITED]}]
    message = {**responses.MESSAGE, "content": content, "phase": "final_answer"}
    reasoning = {**responses.REASONING, "summary": [{"type": "summary_text", "text": THOUGHT}]}
    events = [
        responses.created(),
        responses.added(responses.announced(reasoning), 0),
        responses.thought(THOUGHT, 0),
        responses.done(reasoning, 0),
        responses.done(LISTED, 1),
        responses.done(SEARCHED, 2),
        responses.text(TEXT[:9], 3),
        responses.text(TEXT[9:], 3),
        responses.done(message, 3),
        responses.added(responses.announced(responses.CALL), 4),
        responses.arguments('{"a": 1}', 4),
        responses.done(responses.CALL, 4),
    ]
    end = responses.completed(reasoning, LISTED, SEARCHED, message, responses.CALL, model=MODEL, created_at=7)
    return end["response"], [*events, end]


def _on_messages() -> tuple[Json, list[Json]]:
    cited = [messages.grows(3, "text_delta", text=TEXT[:9]), messages.grows(3, "text_delta", text=TEXT[9:])]
    cited.append(messages.grows(3, "citations_delta", citation=messages.CITATION))
    events = messages.whole(
        messages.thought(0, THOUGHT, signature="sig"),
        messages.starts(1, **messages.SEARCH),
        messages.stops(1),
        messages.starts(2, **messages.FOUND),
        messages.stops(2),
        [messages.starts(3, type="text", text="", citations=[]), *cited, messages.stops(3)],
        messages.call(4, "call_1", "add", '{"a": 1}'),
    )
    content: list[Json] = [
        {"type": "thinking", "thinking": THOUGHT, "signature": "sig"},
        messages.SEARCH,
        messages.FOUND,
        {"type": "text", "text": TEXT, "citations": [messages.CITATION]},
        {"type": "tool_use", "id": "call_1", "name": "add", "input": {"a": 1}},
    ]
    usage = {"input_tokens": 10, "cache_read_input_tokens": 0, "output_tokens": 5}
    body = json.loads(messages.as_body(*content, stop_reason="tool_use", usage=usage))
    return body, events


ANSWERS = {"completions": _on_completions(), "responses": _on_responses(), "messages": _on_messages()}


class Upstream:
    """Gives one answer to each request of an interface, and keeps the request."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self.sent: Json = {}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent = json.loads(request.content)
        body, events = ANSWERS[self.api]
        if not self.sent.get("stream"):
            return httpx.Response(200, json=body)
        frames = [f"data: {json.dumps(event)}\n\n" for event in events]
        end = "data: [DONE]\n\n" if self.api == "completions" else ""
        return httpx.Response(200, text="".join(frames) + end, headers={"content-type": "text/event-stream"})

    async def later(self, request: httpx.Request) -> httpx.Response:
        return self(request)

    def model(self, **options: Any) -> ChatKilo:
        return ChatKilo(
            model=MODEL,
            api=self.api,
            api_key="k",
            http_client=httpx.Client(transport=httpx.MockTransport(self)),
            http_async_client=httpx.AsyncClient(transport=httpx.MockTransport(self.later)),
            **options,
        )


async def _summed(llm: ChatKilo) -> AIMessage:
    message: AIMessage = functools.reduce(operator.add, [chunk async for chunk in llm.astream("Hi")])
    return message


async def _of_events(llm: ChatKilo) -> AIMessage:
    message: AIMessage = await (await llm.astream_events("Hi", version="v3")).output
    return message


VIEWS: dict[str, Callable[[ChatKilo], AIMessage]] = {
    "invoke": lambda llm: llm.invoke("Hi"),
    "ainvoke": lambda llm: asyncio.run(llm.ainvoke("Hi")),
    "stream": lambda llm: functools.reduce(operator.add, llm.stream("Hi")),
    "astream": lambda llm: asyncio.run(_summed(llm)),
    "v3": lambda llm: llm.stream_events("Hi", version="v3").output,
    "async v3": lambda llm: asyncio.run(_of_events(llm)),
}
EVERY_VIEW = pytest.mark.parametrize("view", VIEWS)
EVERY_VERSION = pytest.mark.parametrize("version", ["v0", "v1"])
EVERY_API = pytest.mark.parametrize("api", ANSWERS)


def facts(message: AIMessage) -> Json:
    """Return what a message says, without what depends on the view: ids, indices and the order of its blocks."""
    blocks = [{k: v for k, v in block.items() if k not in ("id", "index")} for block in message.content_blocks]
    metadata = {k: v for k, v in message.response_metadata.items() if k != "output_version"}
    return {
        "text": message.text,
        "blocks": sorted(blocks, key=repr),
        "tool_calls": message.tool_calls,
        "usage": message.usage_metadata,
        "extras": message.additional_kwargs,
        "metadata": metadata,
    }


@EVERY_API
@EVERY_VERSION
@EVERY_VIEW
def test_each_view_is_the_same_answer_and_goes_back_alike(api: str, version: str, view: str) -> None:
    upstream = Upstream(api)
    first = upstream.model().invoke("Hi")
    message = VIEWS[view](upstream.model(output_version=version))
    assert facts(message) == facts(first)

    stored = messages_from_dict(json.loads(json.dumps([message_to_dict(message)])))
    results = [ToolMessage("2", tool_call_id="call_1")]
    upstream.model().invoke([HumanMessage("Hi"), first, *results])
    expected = upstream.sent
    upstream.model().invoke([HumanMessage("Hi"), *stored, *results])
    assert upstream.sent == expected


@EVERY_API
def test_an_answer_says_it_all(api: str) -> None:
    said = facts(Upstream(api).model().invoke("Hi"))
    assert (said["text"], said["usage"]["total_tokens"]) == (TEXT, 15)
    kinds = {block["type"] for block in said["blocks"]}
    server = {"responses": {"server_tool_call", "non_standard"}, "messages": {"server_tool_call", "server_tool_result"}}
    assert kinds == {"reasoning", "text", "tool_call", *server.get(api, ())}
    [text] = [block for block in said["blocks"] if block["type"] == "text"]
    assert text["annotations"][0]["url"] == "https://example.com"
    assert said["tool_calls"] == [{"name": "add", "args": {"a": 1}, "id": "call_1", "type": "tool_call"}]


@EVERY_API
def test_events_of_v3_come_as_a_valid_stream(api: str) -> None:
    events: list[Any] = list(Upstream(api).model().stream_events("Hi", version="v3", merge_ready=False))
    assert_valid_event_stream(events)
    starts = [event["content"]["type"] for event in events if event["event"] == "content-block-start"]
    server = {"responses": ["non_standard", "server_tool_call"], "messages": ["server_tool_call", "server_tool_result"]}
    assert starts == ["reasoning", "text", "tool_call_chunk", *server.get(api, ())]
    deltas = [event["delta"] for event in events if event["event"] == "content-block-delta"]
    pieces = [delta["text"] for delta in deltas if delta["type"] == "text-delta"]
    assert pieces == [TEXT[:9], TEXT[9:]]
    finished = {
        event["content"]["type"]: event["content"] for event in events if event["event"] == "content-block-finish"
    }
    assert (finished["reasoning"]["reasoning"], finished["text"]["text"]) == (THOUGHT, TEXT)
    assert finished["tool_call"]["args"] == {"a": 1}
    if api != "completions":
        assert finished["server_tool_call"]["args"]["query"] in ("Rhine", "kilo")
    assert events[-1]["usage"]["total_tokens"] == 15


@EVERY_API
def test_the_provider_gets_back_what_its_tools_did(api: str) -> None:
    upstream = Upstream(api)
    answer = upstream.model().invoke("Hi")
    upstream.model().invoke([HumanMessage("Hi"), answer, ToolMessage("2", tool_call_id="call_1")])
    if api == "responses":
        sent = {item["type"]: item for item in upstream.sent["input"] if item.get("role") != "user"}
        assert list(sent) == [
            "reasoning",
            "mcp_list_tools",
            "web_search_call",
            "message",
            "function_call",
            "function_call_output",
        ]
        assert sent["web_search_call"] == {k: v for k, v in SEARCHED.items() if k != "id"}
        assert sent["message"]["phase"] == "final_answer"
    elif api == "messages":
        assert upstream.sent["messages"][1]["content"] == ANSWERS[api][0]["content"]
    else:
        assert upstream.sent["messages"][1].keys() == {"role", "content", "tool_calls", "reasoning"}


@pytest.mark.parametrize(
    ("api", "other"), [("responses", "messages"), ("messages", "completions"), ("messages", "responses")]
)
def test_another_interface_gets_text_and_calls(api: str, other: str) -> None:
    answer = Upstream(api).model(output_version="v1").invoke("Hi")
    upstream = Upstream(other)
    upstream.model().invoke([HumanMessage("Hi"), answer, ToolMessage("2", tool_call_id="call_1")])
    sent = json.dumps(upstream.sent)
    assert TEXT in sent
    assert '"add"' in sent
    assert not any(kept in sent for kept in ("web_search", "mcp_list_tools", "example.com", "phase"))
