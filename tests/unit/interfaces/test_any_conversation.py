"""Any conversation has a valid form on each interface: one that began on another interface, too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import ResponseInputParam
from pydantic import TypeAdapter

from kilo_gateway import GatewaySettings
from kilo_gateway.conversation import (
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thought,
    ToolCall,
    ToolResult,
)
from kilo_gateway.interfaces import INTERFACES
from kilo_gateway.sandbox.gateway.call import Call as SandboxCall
from kilo_gateway.sandbox.gateway.history_checks import check
from kilo_gateway.sandbox.gateway.options import Api
from kilo_gateway.sandbox.gateway.tool_repair import on_messages
from tests.support.in_process import InProcess

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
IMAGE = st.just(Image("data:image/png;base64,QQ=="))
DOCUMENT = st.builds(Document, st.lists(st.builds(Text, TEXT) | IMAGE, max_size=2), TEXT, st.none() | TEXT)
CITED = {"type": "search_result_location", "source": "s", "title": None, "cited_text": "x", "start_index": 0}
SAID = st.builds(
    Text, TEXT, citations=st.lists(st.just(CITED), max_size=1), phase=st.sampled_from([None, "commentary"])
)
DETAILS = st.sampled_from(
    [
        {"type": "reasoning.text", "text": "hm", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "ZW5j", "format": "anthropic-claude-v1", "index": 1},
        {"type": "reasoning.encrypted", "data": "ZW5j", "format": "openai-responses-v1", "index": 0, "id": "rs_1"},
        {"type": "reasoning.summary", "summary": "hm", "format": "openai-responses-v1", "index": 0},
        {"type": "reasoning.text", "text": "hm", "format": "unknown"},
    ]
)
THOUGHT = st.builds(Thought, st.just(""), st.lists(DETAILS, max_size=2)) | st.builds(Thought, TEXT)
SERVER = st.sampled_from(
    [
        Opaque(
            {"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"}}, "output"
        ),
        Opaque({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}, "block"),
    ]
)


@st.composite
def conversations(draw: st.DrawFn) -> list[Message]:
    """Draw turns: a question, then answers with thoughts, texts and calls, whose results follow in any order."""
    conversation = [Message("system", [Text(draw(TEXT))])] if draw(st.booleans()) else []
    number = 0
    for _ in range(draw(st.integers(1, 3))):
        # A text of white space only is left out on Messages, where each conversation needs a question.
        asked: list[Part] = [Text("Hi"), *draw(st.lists(st.builds(Text, TEXT) | IMAGE | DOCUMENT, max_size=2))]
        conversation.append(Message("user", draw(st.permutations(asked))))
        for _ in range(draw(st.integers(0, 2))):
            said: list[Part] = draw(st.lists(SAID | THOUGHT | SERVER | st.builds(Refusal, TEXT), max_size=3))
            calls = []
            for _ in range(draw(st.integers(0, 2))):
                number += 1
                calls.append(ToolCall(f"call_{number}", "add", '{"a": 1}'))
                said.insert(draw(st.integers(0, len(said))), calls[-1])
            conversation.append(Message("assistant", said))
            for call in draw(st.permutations(calls)):
                if draw(st.integers(0, 4)):  # some calls stay unanswered
                    parts = draw(st.lists(st.builds(Text, TEXT) | IMAGE | DOCUMENT, max_size=2))
                    conversation.append(Message("tool", [ToolResult(call.id, parts)]))
    return conversation


SETTINGS = GatewaySettings(model="vendor/model")
OPTIONS = InProcess()._gateway.options
ITEMS: TypeAdapter[list[Any]] = TypeAdapter(ResponseInputParam)
"""Built once, because that takes a tenth of a second."""
KINDS: dict[str, Api] = {"completions": "chat_completions", "responses": "responses", "messages": "messages"}


def body(conversation: list[Message], api: str) -> dict[str, Any]:
    return INTERFACES[api].body(SETTINGS.prepare(conversation, stream=False))


@pytest.mark.parametrize("api", ["responses", "messages"])
@given(conversations())
def test_a_history_is_one_that_upstream_takes(api: str, conversation: list[Message]) -> None:
    request = body(conversation, api)
    check(SandboxCall({}, OPTIONS, b"", api=KINDS[api], received=request, effective=request))
    json.dumps(request)


@given(conversations())
def test_a_history_of_tools_needs_no_repair(conversation: list[Message]) -> None:
    turns = body(conversation, "messages")["messages"]
    assert on_messages(turns) == turns


def _with_ids(item: dict[str, Any]) -> dict[str, Any]:
    """Add what the types ask for and the wire does not: ids (docs/gateway.md, "Responses"), the detail of images."""
    shown = dict(item)
    if item["type"] in ("reasoning", "web_search_call") or item.get("role") == "assistant":
        shown["id"] = ""
    for field in ("content", "output"):
        if isinstance(item.get(field), list):
            parts = item[field]
            shown[field] = [{"detail": "auto", **p} if p["type"] == "input_image" else p for p in parts]
    return shown


@given(conversations())
def test_a_history_has_the_types_of_the_openai_package(conversation: list[Message]) -> None:
    shown = [_with_ids(item) for item in body(conversation, "responses")["input"]]
    ITEMS.validate_python(shown)


@given(conversations())
def test_opaque_reasoning_goes_back_to_its_own_interface_only(conversation: list[Message]) -> None:
    responses, messages = (json.dumps(body(conversation, api)) for api in ("responses", "messages"))
    assert "c2ln" not in responses
    assert "rs_1" not in responses
    assert "openai-responses" not in messages
