"""Check Responses and Messages: bodies, tool calls and reasoning. See docs/gateway.md, "Interfaces".

Tool calls and reasoning are asked of the cheapest paid model of OpenAI and of Anthropic that the list of models has.
"""

from __future__ import annotations

import json
from typing import Any

from kilo_gateway.verify.answer import Answer, Json, dicts
from kilo_gateway.verify.check import Group
from kilo_gateway.verify.findings import ALL, SINCE_E2, Differs, Undecided
from kilo_gateway.verify.gateway import HELLO, Gateway

GROUP = Group("interfaces", "Interfaces", eras=SINCE_E2)
_TOKENS = 600
_SCHEMA: Json = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
_NAME = "get_weather"
_ASK = "Call get_weather for the city 'Oslo'."
_GO_ON = "Thank you. Say goodbye in one word."
_RESULT = "Sunny"
_THINKING = {"type": "enabled", "budget_tokens": 1024}


@GROUP.add()
def responses_body(gateway: Gateway) -> None:
    """An answer of Responses has a `status`, a list `output`, and `input_tokens` in its usage."""
    answer = gateway.responses().served()
    body = answer.body
    if not (isinstance(body.get("output"), list) and body.get("status") and "input_tokens" in answer.usage):
        raise Differs(f"a body with {', '.join(body)}")


@GROUP.add()
def messages_body(gateway: Gateway) -> None:
    """An answer of Messages has a list `content`, a `stop_reason`, and `input_tokens` in its usage."""
    answer = gateway.messages().served()
    body = answer.body
    if not (isinstance(body.get("content"), list) and body.get("stop_reason") and "input_tokens" in answer.usage):
        raise Differs(f"a body with {', '.join(body)}")


@GROUP.add()
def own_errors(gateway: Gateway) -> None:
    """The gateway's own errors have its own shape on each interface, not that of the interface."""
    for path in ("/responses", "/messages"):
        answer = gateway.unknown(path)
        answer.refused(401, "paid_model_auth_required", "PAID_MODEL_AUTH_REQUIRED")
        if "type" in answer.body:
            raise Differs(f"{path}: an error of type {answer.body['type']}")


@GROUP.add(needs="key", usd=0.003)
def responses_cost(gateway: Gateway) -> None:
    """A paid answer of Responses reports its cost."""
    _priced(gateway, gateway.responses(model=gateway.cheapest("openai"), key=True))


@GROUP.add(needs="key", usd=0.003)
def messages_cost(gateway: Gateway) -> None:
    """A paid answer of Messages reports its cost."""
    _priced(gateway, gateway.messages(model=gateway.cheapest("anthropic"), key=True))


def _priced(gateway: Gateway, answer: Answer) -> None:
    if answer.served().cost is None:
        raise Differs(f"no cost; usage has {', '.join(answer.usage)}")
    gateway.note(f"{answer.cost:g} USD")


# Tools.

_OFFERED: Json = {"name": _NAME, "description": "Weather of a city."}


def _chat_call(gateway: Gateway, **more: Any) -> Answer:
    tool = {"type": "function", "function": {**_OFFERED, "parameters": _SCHEMA}}
    choice = {"type": "function", "function": {"name": _NAME}}
    messages = more.pop("messages", [{"role": "user", "content": _ASK}])
    more = {"tool_choice": choice, "max_tokens": _TOKENS, **more}
    model = gateway.cheapest("openai")
    return gateway.chat(model=model, key=True, messages=messages, tools=[tool], **more)


def _responses_call(gateway: Gateway, **more: Any) -> Answer:
    tool = {"type": "function", **_OFFERED, "parameters": _SCHEMA}
    more = {"input": _ASK, "tool_choice": {"type": "function", "name": _NAME}, "max_output_tokens": _TOKENS, **more}
    return gateway.responses(model=gateway.cheapest("openai"), key=True, tools=[tool], **more)


def _messages_call(gateway: Gateway, **more: Any) -> Answer:
    tool = {**_OFFERED, "input_schema": _SCHEMA}
    messages = more.pop("messages", [{"role": "user", "content": _ASK}])
    more = {"tool_choice": {"type": "tool", "name": _NAME}, "max_tokens": _TOKENS, **more}
    return gateway.messages(model=gateway.cheapest("anthropic"), key=True, messages=messages, tools=[tool], **more)


def _first(found: list[Json], answer: Answer, what: str) -> Json:
    """Return the part that a check needs; without it the model did not do what it was asked for."""
    if not found:
        raise Undecided(f"{answer}: the model gave no {what}")
    return found[0]


def _is_json(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False


@GROUP.add(section="Tool calls", eras=ALL, needs="key", usd=0.004)
def chat_tool_call(gateway: Gateway) -> None:
    """A tool call of Chat Completions has an `id`, and a `function` with a name and JSON text as `arguments`."""
    answer = _chat_call(gateway).served()
    call = _first(list(dicts(answer.message.get("tool_calls"))), answer, "tool call")
    function = call.get("function") or {}
    if not (call.get("id") and function.get("name") == _NAME and _is_json(function.get("arguments"))):
        raise Differs(f"a call with {', '.join(call)}")


@GROUP.add(section="Tool calls", eras=ALL, needs="key", usd=0.004)
def chat_tool_fragments(gateway: Gateway) -> None:
    """In a stream, the first fragment of a tool call has its `id` and name, and `arguments` come in pieces."""
    answer = _chat_call(gateway, stream=True).served()
    deltas = [choice.get("delta") or {} for frame in answer.frames for choice in dicts(frame.get("choices"))]
    fragments = [fragment for delta in deltas for fragment in dicts(delta.get("tool_calls"))]
    first = _first(fragments, answer, "tool call")
    functions = [fragment.get("function") or {} for fragment in fragments]
    if not (first.get("id") and functions[0].get("name") == _NAME):
        raise Differs(f"the first fragment has {', '.join(first)}")
    if not _is_json("".join(function.get("arguments") or "" for function in functions)):
        raise Differs("the joined arguments are not JSON")


@GROUP.add(section="Tool calls", eras=ALL, needs="key", usd=0.008)
def chat_tool_result(gateway: Gateway) -> None:
    """A tool call and its result go back on Chat Completions, and the model answers."""
    answer = _chat_call(gateway).served()
    call = _first(list(dicts(answer.message.get("tool_calls"))), answer, "tool call")
    result = {"role": "tool", "tool_call_id": call.get("id"), "content": _RESULT}
    history = [{"role": "user", "content": _ASK}, answer.message, result]
    _taken(_chat_call(gateway, messages=history, tool_choice="none"))


@GROUP.add(needs="key", usd=0.004)
def responses_tool_call(gateway: Gateway) -> None:
    """A tool call of Responses is an item with `call_id`, `name` and JSON text as `arguments`."""
    answer = _responses_call(gateway).served()
    call = _first(answer.items("function_call"), answer, "tool call")
    if not (call.get("call_id") and call.get("name") == _NAME and _is_json(call.get("arguments"))):
        raise Differs(f"a call with {', '.join(call)}")


@GROUP.add(needs="key", usd=0.008)
def responses_history(gateway: Gateway) -> None:
    """A history whose tool call has no result is not repaired on Responses, and the provider refuses it."""
    call = {"type": "function_call", "call_id": "call_1", "name": _NAME, "arguments": '{"city": "Oslo"}'}
    items = [_message("user", _ASK), call, _message("user", _GO_ON)]
    answer = _responses_call(gateway, input=items, tool_choice="none")
    _not_taken(gateway, answer, "the history was accepted")


@GROUP.add(needs="key", usd=0.004)
def messages_tool_call(gateway: Gateway) -> None:
    """A tool call of Messages is a block with `id`, `name` and an object as `input`."""
    answer = _messages_call(gateway).served()
    call = _first(answer.items("tool_use"), answer, "tool call")
    if not (call.get("id") and call.get("name") == _NAME and isinstance(call.get("input"), dict)):
        raise Differs(f"a call with {', '.join(call)}")


@GROUP.add(needs="key", usd=0.004)
def messages_history(gateway: Gateway) -> None:
    """On Messages, the gateway fills in the missing result of a tool call."""
    call = {"type": "tool_use", "id": "toolu_1", "name": _NAME, "input": {"city": "Oslo"}}
    turns = [
        {"role": "user", "content": _ASK},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": _GO_ON},
    ]
    _taken(_messages_call(gateway, messages=turns, tool_choice={"type": "none"}))


# Reasoning.


def _message(role: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": text}


def _thought(gateway: Gateway, items: list[Json] | None = None) -> Answer:
    more: Json = {"reasoning": {"effort": "low"}, "include": ["reasoning.encrypted_content"], "store": False}
    conversation = [_message("user", HELLO), *(items or [])]
    answer = gateway.responses(
        model=gateway.cheapest("openai"), key=True, input=conversation, max_output_tokens=_TOKENS, **more
    )
    return answer if items else answer.served()


def _reasoned(gateway: Gateway) -> tuple[Json, list[Json]]:
    """Return the reasoning item of an answer of Responses, and all its items."""
    answer = _thought(gateway)
    return _first(answer.items("reasoning"), answer, "reasoning"), list(dicts(answer.body.get("output")))


def _taken(answer: Answer) -> None:
    """Raise Differs if the provider refused what went back."""
    if answer.status == 400:
        raise Differs(f"{answer}: what went back was refused")
    answer.served()


def _not_taken(gateway: Gateway, answer: Answer, fault: str) -> None:
    """Raise Differs if the provider accepted what went back."""
    if answer.unhindered().status == 200:
        raise Differs(fault)
    gateway.note(answer)


def _without_id(item: Json) -> Json:
    return {name: value for name, value in item.items() if name != "id"}


@GROUP.add(section="Responses", needs="key", usd=0.008)
def responses_reasoning(gateway: Gateway) -> None:
    """Reasoning of OpenAI's models comes encrypted if `include` asks for it, and goes back without item ids."""
    reasoning, items = _reasoned(gateway)
    if not reasoning.get("encrypted_content"):
        raise Differs("a reasoning item without encrypted_content")
    items = [_without_id(item) for item in items]
    _taken(_thought(gateway, [*items, _message("user", _GO_ON)]))


@GROUP.add(section="Responses", needs="key", usd=0.008)
def item_ids(gateway: Gateway) -> None:
    """An item that goes back with its id is refused, because nothing is stored."""
    answer = _thought(gateway, [*_reasoned(gateway)[1], _message("user", _GO_ON)])
    _not_taken(gateway, answer, "items with ids were accepted")


@GROUP.add(section="Answers", eras=ALL, needs="key", usd=0.008)
def chat_reasoning(gateway: Gateway) -> None:
    """On Chat Completions, `reasoning_details` go back unchanged with the message of the assistant."""
    model = gateway.cheapest("openai")
    more: Json = {"reasoning": {"effort": "low"}, "max_tokens": _TOKENS}
    first = gateway.chat(model=model, key=True, **more).served()
    _first(list(dicts(first.message.get("reasoning_details"))), first, "reasoning_details")
    history = [{"role": "user", "content": HELLO}, first.message, {"role": "user", "content": _GO_ON}]
    _taken(gateway.chat(model=model, key=True, messages=history, **more))


def _signed(gateway: Gateway, *turns: Json) -> Answer:
    messages = [{"role": "user", "content": HELLO}, *turns]
    more: Json = {"thinking": _THINKING, "max_tokens": 1024 + _TOKENS, "messages": messages}
    return gateway.messages(model=gateway.cheapest("anthropic"), key=True, **more)


def _replayed(gateway: Gateway, *, changed: bool) -> Answer:
    answer = _signed(gateway).served()
    thinking = _first(answer.items("thinking"), answer, "thinking")
    if not thinking.get("signature"):
        raise Differs("thinking without a signature")
    blocks = [
        {**block, "thinking": "Something else."} if changed and block is thinking else block
        for block in dicts(answer.body.get("content"))
    ]
    return _signed(gateway, {"role": "assistant", "content": blocks}, {"role": "user", "content": _GO_ON})


@GROUP.add(section="Messages", needs="key", usd=0.02)
def messages_thinking(gateway: Gateway) -> None:
    """Signed thinking of Claude goes back unchanged."""
    _taken(_replayed(gateway, changed=False))


@GROUP.add(section="Messages", needs="key", usd=0.02)
def changed_thinking(gateway: Gateway) -> None:
    """Thinking that was changed does not fit its signature, and is refused."""
    answer = _replayed(gateway, changed=True)
    _not_taken(gateway, answer, "changed thinking was accepted")
