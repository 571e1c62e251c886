"""Convert an answer to one form for both frameworks and all ways, so that tests can compare them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from llama_index.core.base.llms.types import ChatResponse

from kilo_gateway.sandbox import SCENARIOS, Sandbox, Scenario
from kilo_gateway.sandbox.gateway.options import Api
from langchain_kilo import ChatKilo
from llama_index_kilo import KiloLLM
from tests.support.in_process import InProcess
from tests.support.tools import FUNCTION_TOOLS, TOOLS
from tests.support.ways import TOOLS_TEXT, collect, messages, said

KINDS: dict[str, Api] = {"completions": "chat_completions", "responses": "responses", "messages": "messages"}
"""The gateway's name of each interface."""


def _named(select: Callable[[Scenario], bool], api: str) -> list[str]:
    return sorted(name for name, s in SCENARIOS.items() if select(s) and KINDS[api] in s.apis)


def _answers(scenario: Scenario) -> bool:
    return scenario.kind == "success" and not scenario.transient


def _fails(scenario: Scenario) -> bool:
    return scenario.kind == "error"


SUCCESSES, ERRORS = _named(_answers, "completions"), _named(_fails, "completions")
SUCCESSES_BY_API = [(api, model) for api in KINDS for model in _named(_answers, api)]
ERRORS_BY_API = [(api, model) for api in KINDS for model in _named(_fails, api)]
BREAKING = [(api, model) for api, model in ERRORS_BY_API if SCENARIOS[model].refuse is None]
"""Those that break off; all other errors come instead of an answer."""
BROKEN = "not a JSON object"
"""Stands for the arguments of a call that cannot be run."""


@dataclass
class Outcome:
    text: str
    reasoning: str
    calls: list[tuple[str, Any]]
    usage: tuple[int, int, int] | None
    cost: float | None
    finish_reason: str | None
    details: list[dict[str, Any]]


def of_message(message: AIMessage | AIMessageChunk) -> Outcome:
    usage = message.usage_metadata
    calls: list[tuple[str, Any]] = [(c["name"], c["args"]) for c in message.tool_calls]
    calls += [(c["name"] or "", BROKEN) for c in message.invalid_tool_calls]
    return Outcome(
        text=message.text,
        reasoning=message.additional_kwargs.get("reasoning_content", ""),
        calls=sorted(calls, key=repr),
        usage=(usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) if usage else None,
        cost=message.response_metadata.get("cost"),
        finish_reason=message.response_metadata.get("finish_reason"),
        details=message.additional_kwargs.get("reasoning_details", []),
    )


def of_response(response: ChatResponse) -> Outcome:
    blocks, extra = response.message.blocks, response.additional_kwargs
    thoughts = [b for b in blocks if b.block_type == "thinking"]
    tokens: Any = tuple(extra.get(k) for k in ("prompt_tokens", "completion_tokens", "total_tokens"))
    return Outcome(
        text=response.message.content or "",
        reasoning="".join(b.content or "" for b in thoughts),
        calls=sorted(((b.tool_name, parsed(b.tool_kwargs)) for b in blocks if b.block_type == "tool_call"), key=repr),
        usage=None if None in tokens else tokens,
        cost=extra.get("cost"),
        finish_reason=extra.get("finish_reason"),
        details=[d for b in thoughts for d in b.additional_information.get("reasoning_details", [])],
    )


def parsed(arguments: Any) -> Any:
    try:
        value = json.loads(arguments or "{}")
    except ValueError:
        return BROKEN
    return value if isinstance(value, dict) else BROKEN


def langchain(gateway: Sandbox, model: str, tools: bool, **fields: Any) -> Any:
    """Return a ChatKilo with two tools or none."""
    llm = ChatKilo(model=model, **_account(gateway), **fields)
    return llm.bind_tools(TOOLS) if tools else llm


def llama_index(gateway: Sandbox, model: str, tools: bool, method: str, **fields: Any) -> ChatResponse:
    """Return the last response of a KiloLLM that is called with two tools or none."""
    llm = KiloLLM(model=model, **_account(gateway), **fields)
    if tools:
        ask = getattr(llm, f"{method}_with_tools")
        responses = collect(ask(FUNCTION_TOOLS, TOOLS_TEXT, allow_parallel_tool_calls=True))
    else:
        responses = collect(getattr(llm, method)(messages(TOOLS_TEXT)))
    last: ChatResponse = responses[-1]
    return last


def outcome(way: str, gateway: Sandbox, model: str, tools: bool, **fields: Any) -> Outcome:
    """Call a model in one of the eight ways and return the outcome."""
    framework, method = way.split()
    if framework == "langchain":
        return of_message(said(method, langchain(gateway, model, tools, **fields), TOOLS_TEXT))
    return of_response(llama_index(gateway, model, tools, method, **fields))


def _account(gateway: Sandbox) -> dict[str, Any]:
    account: dict[str, Any] = {"base_url": gateway.base_url, "api_key": gateway.api_key, "max_retries": 0}
    if isinstance(gateway, InProcess):
        account |= {"http_client": gateway.client, "http_async_client": gateway.async_client}
    return account
