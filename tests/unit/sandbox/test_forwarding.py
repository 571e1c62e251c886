"""The body that the gateway sends upstream, as the sandbox keeps it in `effective`."""

from __future__ import annotations

from typing import Any

import pytest

from kilo_gateway.sandbox import Record
from kilo_gateway.sandbox.gateway.tool_repair import INTERRUPTED
from tests.support.in_process import InProcess
from tests.support.plain_client import PATHS, post

CLAUDE, GPT = "anthropic/claude-sonnet-4.6", "openai/gpt-5.4"
MARK = {"cache_control": {"type": "ephemeral"}}
POINT = {"prompt_cache_breakpoint": {"mode": "explicit"}}
SYSTEM, USER = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}
SAID = {"role": "assistant", "content": "Hello"}
USER_BLOCKS = {"role": "user", "content": [{"type": "text", "text": "Hi"}]}


def forwarded(api: str, body: dict[str, Any], headers: dict[str, str] | None = None, **options: Any) -> dict[str, Any]:
    """Return the body that goes upstream, whatever upstream says to it."""
    gateway = InProcess(**options)
    limit = {"max_tokens": 50} if api == "messages" else {}
    post(gateway, PATHS[api], {"model": CLAUDE, **limit, **body}, gateway.api_key, headers)
    record: Record = gateway.last
    return record.effective


def test_marks_on_chat_completions() -> None:
    sent = forwarded("completions", {"messages": [SYSTEM, USER, SAID, USER]})["messages"]
    assert sent[0]["content"] == [{"type": "text", "text": "Be brief.", **MARK}]
    assert sent[1:3] == [USER, SAID]
    assert sent[3]["content"] == [{"type": "text", "text": "Hi", **MARK}]


@pytest.mark.parametrize(("era", "mark"), [("E2", MARK), ("E3", POINT)])
def test_marks_on_responses(era: str, mark: dict[str, Any]) -> None:
    result = {"type": "function_call_output", "call_id": "1", "output": "5"}
    items = [{"type": "message", **SYSTEM}, {"type": "message", **USER}, result]
    sent = forwarded("responses", {"input": items, "instructions": "Be kind."}, era=era)
    assert sent["input"][0]["content"] == [{"type": "input_text", "text": "Be brief.", **mark}]
    assert sent["input"][1] == items[1]
    assert sent["input"][2]["output"] == [{"type": "input_text", "text": "5", **mark}]
    assert sent["instructions"] == "Be kind."
    assert forwarded("responses", {"input": "Hi"}, era=era)["input"] == "Hi"


def test_marks_on_messages() -> None:
    thinking = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    said = {"role": "assistant", "content": [{"type": "text", "text": "Hello"}, thinking]}
    sent = forwarded("messages", {"system": "Be brief.", "messages": [USER, said]})
    assert sent["system"] == [{"type": "text", "text": "Be brief.", **MARK}]
    assert sent["messages"] == [USER_BLOCKS, {**said, "content": [{"type": "text", "text": "Hello", **MARK}, thinking]}]
    longer = {"type": "ephemeral", "ttl": "1h"}
    sent = forwarded("messages", {"messages": [USER], "cache_control": longer})
    assert sent["messages"][0]["content"][0]["cache_control"] == longer
    assert "cache_control" not in sent


@pytest.mark.parametrize("api", ["completions", "messages"])
def test_no_marks_beside_those_of_the_caller_or_for_other_models(api: str) -> None:
    own = [{"role": "user", "content": [{"type": "text", "text": "Hi", **MARK}]}, {**SAID, "content": []}, USER_BLOCKS]
    assert forwarded(api, {"messages": own})["messages"] == own
    assert forwarded(api, {"messages": [USER_BLOCKS], "model": GPT})["messages"] == [USER_BLOCKS]


def test_tool_histories_on_chat_completions() -> None:
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
    calling = {"role": "assistant", "tool_calls": [call, {**call, "id": "2"}, call]}
    result, orphan = ({"role": "tool", "tool_call_id": name, "content": "5"} for name in ("1", "9"))
    messages = [USER, calling, USER, result, result, orphan]
    sent = forwarded("completions", {"messages": messages, "model": GPT})["messages"]
    missing = {"role": "tool", "tool_call_id": "2", "content": INTERRUPTED}
    assert sent == [USER, {**calling, "tool_calls": [call, {**call, "id": "2"}]}, result, missing, USER]


def test_tool_histories_on_messages() -> None:
    use = {"type": "tool_use", "id": "1", "name": "add", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "1", "content": "5"}
    turns = [
        USER_BLOCKS,
        {"role": "assistant", "content": [use, use, {**use, "id": "2"}]},
        USER_BLOCKS,
        SAID,
        {"role": "user", "content": [result, {**result, "tool_use_id": "9"}]},
        {"role": "assistant", "content": [{**use, "id": "3"}]},
    ]
    sent = forwarded("messages", {"messages": turns, "model": GPT})["messages"]
    assert sent[1]["content"] == [use, {**use, "id": "2"}]
    assert sent[2]["content"] == [
        result,
        {**result, "tool_use_id": "2", "content": INTERRUPTED},
        *USER_BLOCKS["content"],
    ]
    assert [turn["role"] for turn in sent] == ["user", "assistant", "user", "assistant", "assistant", "user"]
    assert sent[-1]["content"] == [{**result, "tool_use_id": "3", "content": INTERRUPTED}]


def test_histories_on_responses_are_not_repaired() -> None:
    items = [{"type": "function_call_output", "call_id": "9", "output": "5"}, SAID]
    sent = forwarded("responses", {"input": items, "model": GPT})["input"]
    assert sent == [items[0], {"type": "message", "status": "completed", **SAID}]


def test_who_asks_is_replaced() -> None:
    task = {"x-kilocode-taskid": "t1"}
    fields = {"user": "me", "prompt_cache_key": "mine", "safety_identifier": "me"}
    chat = forwarded("completions", {"messages": [USER], **fields}, task)
    responses = forwarded("responses", {"input": "Hi", **fields}, task)
    messages = forwarded("messages", {"messages": [USER], "metadata": {"user_id": "me"}}, task)
    digest, conversation = chat["user"], chat["prompt_cache_key"]
    assert {digest, conversation}.isdisjoint({"me", "mine"})
    assert {name: responses[name] for name in fields} == {name: chat[name] for name in fields}
    assert (messages["metadata"], messages["user"], messages["session_id"]) == (
        {"user_id": digest},
        digest,
        conversation,
    )
    assert "session_id" not in forwarded("messages", {"messages": [USER]}, task, upstream="vercel")


def test_defaults_of_reasoning() -> None:
    assert forwarded("responses", {"input": "Hi", "reasoning": {"effort": "low"}})["reasoning"]["summary"] == "auto"
    assert "reasoning" not in forwarded("responses", {"input": "Hi"})
    thinking = {"type": "enabled", "budget_tokens": 2000}
    assert forwarded("messages", {"messages": [USER], "thinking": thinking})["thinking"]["display"] == "summarized"
    omitted = {"type": "adaptive", "display": "omitted"}
    assert forwarded("messages", {"messages": [USER], "thinking": omitted})["thinking"] == omitted


@pytest.mark.parametrize("api", PATHS)
def test_models_and_the_service_tier(api: str) -> None:
    asked = {"input": "Hi"} if api == "responses" else {"messages": [USER]}
    fields = {**asked, "models": ["a/b"], "service_tier": "priority", "temperature": 1}
    sent = forwarded(api, fields)
    assert ("models" in sent, sent["service_tier"]) == (False, "priority")
    newest = forwarded(api, {**fields, "model": "anthropic/claude-opus-5.5"}, era="E3", catalog_ids="E3")
    assert newest["models"] == ["anthropic/claude-opus-5.5", "anthropic/claude-opus-4.8"]


def test_the_second_upstream_takes_routing_elsewhere() -> None:
    provider = {"only": ["anthropic"], "zdr": True, "data_collection": "deny"}
    body = {"input": "Hi", "provider": provider, "text": {"verbosity": "low", "format": {"type": "text"}}}
    assert forwarded("responses", body)["provider"] == provider
    sent = forwarded("responses", body, upstream="vercel")
    gateway = {"only": ["anthropic"], "zeroDataRetention": True, "disallowPromptTraining": True}
    assert sent["providerOptions"] == {"gateway": gateway, "anthropic": {"effort": "low"}}
    assert sent["text"] == {"format": {"type": "text"}}
    assert "provider" not in sent
