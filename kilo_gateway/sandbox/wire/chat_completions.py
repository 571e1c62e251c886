"""Render replies as Chat Completions: bodies, chunks, usage. See docs/gateway.md, "Answers", "Usage", "Streams"."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any, Final

from kilo_gateway.sandbox.gateway import model_list
from kilo_gateway.sandbox.gateway.auto_models import is_free
from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model import conversation
from kilo_gateway.sandbox.model.turn import Reply, ToolCall
from kilo_gateway.sandbox.model.words import pieces
from kilo_gateway.sandbox.wire.framing import Item
from kilo_gateway.sandbox.wire.interface import Fault

Json = dict[str, Any]

ANSWER: Final = "choices"
DONE: Final = True
LAST: Final = ()

_EPOCH = 1_790_000_000
_NATIVE = {"stop": "end_turn", "tool_calls": "tool_use", "length": "max_tokens"}
_USER = {"user_id": "user_sandbox"}
SIGNATURE = "c2FuZGJveC1zaWduYXR1cmU="


def body(call: Call, replies: list[Reply]) -> Json:
    """Return the body of an answer that is not streamed."""
    answer = envelope(call, "chat.completion")
    answer["system_fingerprint"] = None
    answer["choices"] = [_choice(call, reply, index) for index, reply in enumerate(replies)]
    answer["usage"] = usage(call, replies)
    return answer


def frames(call: Call, replies: list[Reply]) -> list[Json]:
    """Return the chunks of a stream; the last one contains the usage."""
    stream = []
    for index, reply in enumerate(replies):
        for delta, logprobs in _deltas(call, reply):
            stream.append(chunk(call, delta, index=index, logprobs=logprobs))
        last: Json = {"role": "assistant", "content": ""}
        if call.upstream == "vercel":
            last["provider_metadata"] = _provider_metadata(call, replies)
        stream.append(chunk(call, last, finish=reply.finish, index=index))
    final = chunk(call, {"role": "assistant", "content": ""})
    if call.upstream == "vercel":
        final["choices"] = []
    final["usage"] = usage(call, replies)
    stream.append(final)
    if call.upstream == "vercel":
        for later_chunk in stream[1:]:
            for choice in later_chunk["choices"]:
                choice["delta"].pop("role", None)
    return stream


def sent(items: Iterable[Item]) -> Iterator[Item]:
    """Yield what the gateway sends of a stream: everything, because only the mark [DONE] ends it."""
    yield from items


def text_of(frame: Json) -> str:
    """Return the text of the answer that a chunk adds."""
    return "".join(choice["delta"].get("content") or "" for choice in frame["choices"])


def with_text(frame: Json, text: str) -> Json:
    """Return the smallest chunk that adds a text in the place of `frame`."""
    return {"choices": [{"index": choice["index"], "delta": {"content": text}} for choice in frame["choices"]]}


def fault_frame(call: Call, fault: Fault) -> Json:
    """Return the chunk that reports an error, in the form of the gateway or of upstream."""
    error = fault_body(call, fault)
    return {"id": generation_id(call), **error} if fault.by_gateway else {**error, "choices": [], **_USER}


def fault_body(call: Call, fault: Fault) -> Json:  # noqa: ARG001 - other interfaces need the call
    """Return the body that reports an error with status 200."""
    error = {"code": fault.status, "message": fault.message, **fault.more}
    return {"error": {**error, "type": fault.error_type} if fault.by_gateway else error}


def chunk(call: Call, delta: Json, *, finish: str | None = None, index: int = 0, logprobs: Json | None = None) -> Json:
    """Return one chunk of a stream."""
    payload = envelope(call, "chat.completion.chunk")
    choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
    if call.upstream == "openrouter":
        choice["native_finish_reason"] = _native(finish)
    payload["choices"] = [choice]
    return payload


def usage(call: Call, replies: list[Reply]) -> Json:
    """Return token counts, and the price if the gateway reports it: not for free models, not on the Vercel route."""
    prompt = _prompt_tokens(call)
    output = sum(reply.completion_tokens for reply in replies)
    counts: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": sum(r.reasoning_tokens for r in replies)},
    }
    if call.upstream == "openrouter" and not is_free(call.served):
        per_prompt, per_output = model_list.price(call.served)
        counts |= {
            "cost": round(prompt * per_prompt + output * per_output, 10),
            "is_byok": False,
            "cost_details": {
                "upstream_inference_cost": None,
                "upstream_inference_prompt_cost": round(prompt * per_prompt, 10),
                "upstream_inference_completions_cost": round(output * per_output, 10),
            },
        }
    return counts


def cost(call: Call, replies: list[Reply]) -> str:
    """Return the price as a string, for the block of the Vercel route."""
    per_prompt, per_output = model_list.price(call.served)
    output = sum(reply.completion_tokens for reply in replies)
    value = f"{_prompt_tokens(call) * per_prompt + output * per_output:.10f}"
    return value.rstrip("0").rstrip(".")


def gateway_metadata(call: Call, replies: list[Reply]) -> Json:
    """Return the block of the Vercel route, which contains routing and price."""
    author = call.served.split("/")[0]
    routing = {
        "originalModelId": call.served,
        "canonicalSlug": call.served,
        "resolvedProvider": author,
        "finalProvider": author,
        "modelAttempts": [],
    }
    price = cost(call, replies)
    return {
        "routing": routing,
        "cost": price,
        "marketCost": price,
        "gatewayCost": "0",
        "generationId": generation_id(call),
    }


def generation_id(call: Call) -> str:
    """Return an id in the upstream's format; a request with the same body and number has the same id."""
    if call.upstream == "vercel":
        return f"gen_01{call.digest[:24].upper()}"
    return f"gen-{_EPOCH + call.number}-{call.digest[:20]}"


def envelope(call: Call, kind: str) -> Json:
    fields: Json = {"id": generation_id(call), "object": kind, "created": _EPOCH + call.number}
    if call.upstream == "openrouter":
        fields["provider"] = "Sandbox"
    return {**fields, "model": call.served}


def _provider_metadata(call: Call, replies: list[Reply]) -> Json:
    return {"gateway": gateway_metadata(call, replies)}


def _native(finish: str | None) -> str | None:
    return _NATIVE.get(finish, finish) if finish else None


def _choice(call: Call, reply: Reply, index: int) -> Json:
    message: Json = {"role": "assistant", "content": reply.text or (None if reply.calls else "")}
    message["refusal"] = reply.refusal
    if reply.refusal is not None:
        message["content"] = None
    if call.upstream == "openrouter":
        message["reasoning"] = None
    if reply.reasoning and not reply.hidden_reasoning:
        message["reasoning"] = reply.reasoning
        detail = _detail(call, text=reply.reasoning, signature=SIGNATURE)
        message["reasoning_details"] = [detail]
    if reply.calls:
        message["tool_calls"] = [{"index": position, **tool_call(item)} for position, item in enumerate(reply.calls)]
    message |= reply.extra
    choice: Json = {"index": index, "message": message, "finish_reason": reply.finish}
    choice["logprobs"] = _logprobs(call, pieces(reply.text)) if call.body.get("logprobs") else None
    if call.upstream == "openrouter":
        choice["native_finish_reason"] = _native(reply.finish)
    elif index == 0:
        message["provider_metadata"] = _provider_metadata(call, [reply])
    return choice


def tool_call(invocation: ToolCall) -> Json:
    """Return a tool call as it is in a message."""
    function = {"name": invocation.name, "arguments": invocation.arguments}
    return {"id": invocation.id, "type": "function", "function": function}


def _deltas(call: Call, reply: Reply) -> Iterator[tuple[Json, Json | None]]:
    blank = {"role": "assistant", "content": ""}
    if reply.reasoning and not reply.hidden_reasoning:
        for piece in pieces(reply.reasoning):
            yield {**blank, "reasoning": piece, "reasoning_details": [_detail(call, text=piece)]}, None
        signed = [_detail(call, signature=SIGNATURE)]
        yield {**blank, "reasoning": None, "reasoning_details": signed}, None
    for piece in pieces(reply.text):
        logprobs = _logprobs(call, [piece]) if call.body.get("logprobs") else None
        yield {"role": "assistant", "content": piece}, logprobs
    for piece in pieces(reply.refusal or ""):
        yield {"role": "assistant", "content": None, "refusal": piece}, None
    if reply.extra:
        yield {**blank, **reply.extra}, None
    for position, invocation in enumerate(reply.calls):
        for fragment in fragments(invocation, position):
            yield {"role": "assistant", "content": None, "tool_calls": [fragment]}, None


def fragments(invocation: ToolCall, position: int) -> list[Json]:
    """Return a tool call in fragments: id and name in the first, the arguments in about four more."""
    head = {"index": position, "id": invocation.id, "type": "function"}
    result: list[Json] = [{**head, "function": {"name": invocation.name, "arguments": ""}}]
    size = max(4, math.ceil(len(invocation.arguments) / 4))
    for start in range(0, len(invocation.arguments), size):
        function = {"arguments": invocation.arguments[start : start + size]}
        result.append({"index": position, "type": "function", "function": function})
    return result


def _detail(call: Call, **content: str) -> Json:
    reasoning_format = "anthropic-claude-v1" if call.served.startswith("anthropic/") else "unknown"
    return {"type": "reasoning.text", **content, "format": reasoning_format, "index": 0}


def _logprobs(call: Call, tokens: list[str]) -> Json:
    top = int(call.body.get("top_logprobs") or 0)
    entries = []
    for token in tokens:
        entry = {"token": token, "logprob": -0.1, "bytes": list(token.encode())}
        others = [
            {"token": token if rank == 0 else f"{token}{rank}", "logprob": -0.1 - rank, "bytes": None}
            for rank in range(top)
        ]
        entries.append({**entry, "top_logprobs": others})
    return {"content": entries, "refusal": None}


def _prompt_tokens(call: Call) -> int:
    offered = len(json.dumps(call.tools)) if call.tools else 0
    return 4 + 3 * len(call.messages) + math.ceil((conversation.length(call.messages) + offered) / 4)
