"""Register odd replies of the model, which every interface renders: text, reasoning, tool calls, endings.

Scenarios of tool calls call each offered tool. If they need several calls and the request offers one tool, they call it
twice. If it offers no tool, they call two canned tools. After the tool results, they answer in text as usual.
"""

# ruff: noqa: ARG001, ARG005 - the callables have the signatures that `Scenario` requires

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.gateway.error_bodies import upstream_body
from kilo_gateway.sandbox.model import conversation, prose, tools
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.model.words import pieces
from kilo_gateway.sandbox.scenarios.base import Page, Registry
from kilo_gateway.sandbox.scenarios.failures import page

REGISTRY = Registry()
_add = REGISTRY.add

_CANNED = [
    {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
    {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
]


def think(call: Call, reply: Reply) -> None:
    """Add reasoning."""
    reply.reasoning = prose.reasoning(call, conversation.read(call.messages), reply)
    reply.hidden_reasoning = False


def call_tools(call: Call, reply: Reply, *, several: bool = False, text: str = "") -> None:
    """Call each offered tool, or canned ones if none is offered; after the tool results, leave the text as it is."""
    turn = conversation.read(call.messages)
    if turn.results or call.body.get("tool_choice") == "none":
        return
    offered = call.tools or _CANNED
    if several and len(offered) == 1:
        offered = offered * 2
    reply.calls = tools.make_calls(call, turn, offered)
    reply.text, reply.finish = text, "tool_calls"


def halved(finish: str) -> Callable[[Call, Reply], None]:
    """Return a change that keeps half of the text and ends it for the reason `finish`."""

    def reply(call: Call, reply: Reply) -> None:
        parts = pieces(reply.text)
        reply.text = "".join(parts[: max(1, len(parts) // 2)])
        reply.finish = finish
        reply.calls = []

    return reply


_add("echo", "the usual answer")
_add("length", "half an answer, finish reason length", reply=halved("length"))
_add("content-filter", "half an answer, finish reason content_filter", reply=halved("content_filter"))


# Text.
# A family of joined emoji, combining marks, CJK, three line separators, right-to-left, a flag, beyond the BMP.
UNICODE = (
    " \U0001f469\u200d\U0001f469\u200d\U0001f467"
    " nai\u0308ve"
    " e\u0301"
    " \u65e5\u672c\u8a9e"
    " \u2028"
    " \u2029"
    " \x85"
    " \u05e2\u05d1\u05e8\u05d9\u05ea"
    " \U0001f3f3\ufe0f\u200d\U0001f308"
    " \U0001d518\U0001d52b\U0001d526"
)


def _text(change: Callable[[str], str]) -> Callable[[Call, Reply], None]:
    def reply(call: Call, reply: Reply) -> None:
        if reply.text:
            reply.text = change(reply.text)

    return reply


def _empty(call: Call, reply: Reply) -> None:
    reply.text, reply.calls, reply.reasoning, reply.finish = "", [], "", "stop"


def _refuse(call: Call, reply: Reply) -> None:
    reply.text, reply.calls, reply.refusal, reply.finish = "", [], "I can't help with that request.", "stop"


_add("empty-answer", "an answer without any content", reply=_empty)
_add("refusal", "the model refuses, in a field of its own where the interface has one", reply=_refuse)
_add(
    "unicode",
    "emoji, combining marks, line separators, right-to-left and CJK text",
    reply=_text(lambda text: text + UNICODE),
)
_add("leading-whitespace", "text starts and ends with blank lines and spaces", reply=_text(lambda t: f"\n\n  {t} \n"))
_add("think-tags", "reasoning inside the text, in tags: it stays text", reply=_text(lambda t: f"<think>Hm.</think>{t}"))
_add(
    "leaked-call",
    "a tool call written into the text: it stays text",
    reply=_text(lambda t: f'{t} <tool_call>{{"name": "add", "arguments": {{}}}}</tool_call>'),
)

# Content of other kinds.
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
_CITATION = {
    "type": "url_citation",
    "url_citation": {
        "url": "https://example.com/sandbox",
        "title": "Sandbox",
        "content": "An example page.",
        "start_index": 0,
        "end_index": 7,
    },
}
_IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}, "index": 0}


def extra(**fields: Any) -> Callable[[Call, Reply], None]:
    """Return a change that adds fields to the message."""
    return lambda call, reply: reply.extra.update(copy.deepcopy(fields))


_add("annotations", "the message contains a citation", reply=extra(annotations=[_CITATION]))
_add(
    "images",
    "the message contains an image",
    reply=extra(images=[_IMAGE]),
    apis=("chat_completions", "responses"),
)


# Reasoning.
def _only_reasoning(call: Call, reply: Reply) -> None:
    think(call, reply)
    reply.text, reply.calls, reply.finish = "", [], "length"


_SIGNED = ("encrypted_content", "signature", "reasoning_details")


def _refuse_reasoning(call: Call) -> Page | None:
    """Refuse a history with signed reasoning, as a provider does whose key signed none of it."""
    if not any(f'"{field}"' in json.dumps(call.received) for field in _SIGNED):
        return None
    if call.api == "messages":
        return page(400, upstream_body(400, "messages.1.content.0: Invalid `signature` in `thinking` block", call.api))
    text = "The encrypted content could not be verified."
    error = {"message": text, "type": "invalid_request_error", "code": "invalid_encrypted_content"}
    return page(400, {"error": error})


def _refuse_in_words(call: Call) -> Page | None:
    """Refuse it without a code, as OpenRouter does with a provider's text."""
    text = "The encrypted content gAAA could not be decrypted or parsed."
    return page(400, upstream_body(400, text, call.api)) if _refuse_reasoning(call) else None


_add("reasoning", "reasoning before the text", reply=think)
_add("reasoning-only", "the output limit ends the answer during the reasoning", reply=_only_reasoning)
_add(
    "reasoning-refused-later",
    "reasoning, which the next request gets refused because another key signed it",
    reply=think,
    refuse=_refuse_reasoning,
)
_add(
    "reasoning-undecryptable-later",
    "reasoning, which the next request gets refused by the words of the provider alone",
    reply=think,
    refuse=_refuse_in_words,
    apis=("chat_completions", "responses"),
)


# Tool calls.
def _tools(
    name: str,
    description: str,
    *,
    several: bool = False,
    text: str = "",
    finish: str | None = None,
    arguments: Callable[[str], str] | None = None,
    **fields: Any,
) -> None:
    """Register a scenario of tool calls; `arguments` changes the JSON text of the last one."""

    def reply(call: Call, reply: Reply) -> None:
        call_tools(call, reply, several=several, text=text)
        if reply.calls and finish:
            reply.finish = finish
        if reply.calls and arguments:
            reply.calls[-1].arguments = arguments(reply.calls[-1].arguments)

    _add(name, description, reply=reply, **fields)


def _cut(arguments: str) -> str:
    return arguments[: max(1, len(arguments) * 2 // 3)]


_tools("parallel-tools", "several calls, one after the other", several=True)
_tools("tool-text-before", "text comes before the call", text="Let me look that up.")
_tools("tool-finish-stop", "tool calls with finish reason stop", finish="stop", apis=("chat_completions", "messages"))
_tools("tool-args-empty", "the arguments of the last call are an empty string", arguments=lambda arguments: "")
_tools(
    "tool-args-invalid",
    "the arguments of the last call are not JSON, although the finish reason is tool_calls",
    arguments=_cut,
    apis=("chat_completions", "responses"),  # a body of Messages has no place for them
)
_tools(
    "tool-args-truncated",
    "the output limit cuts the arguments of the last call, finish reason length",
    arguments=_cut,
    finish="length",
)
