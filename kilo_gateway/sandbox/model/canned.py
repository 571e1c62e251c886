"""Answer chat requests with a canned model; with it, chains, agents and query engines run to their end."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model import conversation, prose, react, tools
from kilo_gateway.sandbox.model.conversation import Turn
from kilo_gateway.sandbox.model.facts import Facts
from kilo_gateway.sandbox.model.instances import instance
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.model.words import count_tokens, pieces


def answer(call: Call) -> list[Reply]:
    """Return one reply for each requested choice."""
    turn = conversation.read(call.messages)
    calls = tools.choose(call, turn)
    reply = Reply(calls=calls, finish="tool_calls") if calls else Reply(text=say(call, turn))
    think(call, reply, turn)
    count = call.body.get("n") or 1
    replies = [replace(reply, text=_variant(reply.text, index)) for index in range(min(int(count), 16))]
    for reply in replies:
        _limit(call, reply)
    return replies


def say(call: Call, turn: Turn) -> str:
    """Return the text of an answer."""
    response_format = call.body.get("response_format")
    response_format = response_format if isinstance(response_format, dict) else {}
    facts = Facts(conversation.clipped("\n".join([turn.user, *(result for _, result in turn.results)])))
    if response_format.get("type") == "json_schema":
        schema = (response_format.get("json_schema") or {}).get("schema") or {}
        return json.dumps(instance(schema, facts), ensure_ascii=False)
    prompt = f"{turn.system}\n{turn.user}"
    # Schemas in the prompt of an agent are those of its tools, not of the answer.
    schema = None if react.speaks(turn) else prose.embedded_schema(prompt)
    if schema is not None:
        return json.dumps(instance(schema, Facts(prose.without_schema(turn.user))), ensure_ascii=False)
    if response_format.get("type") == "json_object":
        return json.dumps(_json_object(call, turn, prompt), ensure_ascii=False)
    return prose.compose(call, turn)


def think(call: Call, reply: Reply, turn: Turn) -> None:
    """Add reasoning to a reply if the body that is sent upstream asks for it."""
    requested, hidden = _requested_reasoning(call.forwarded)
    if requested:
        reply.reasoning = prose.reasoning(call, turn, reply)
        reply.hidden_reasoning = hidden


def _requested_reasoning(body: dict[str, Any]) -> tuple[bool, bool]:
    reasoning = body.get("reasoning")
    hidden = body.get("include_reasoning") is False
    if isinstance(reasoning, dict):
        effort = reasoning.get("effort")
        enabled = bool(reasoning.get("enabled", effort or reasoning.get("max_tokens"))) and effort != "none"
        return enabled, hidden or bool(reasoning.get("exclude"))
    effort = body.get("reasoning_effort")
    return bool(effort or body.get("include_reasoning")) and effort != "none", hidden


def _json_object(call: Call, turn: Turn, prompt: str) -> dict[str, Any]:
    keys = prose.named_keys(prompt)
    if not keys:
        return {"answer": prose.compose(call, turn)}
    facts = Facts(prose.without_keys(turn.user))
    properties = {key: {"type": "string"} for key in keys}
    fields = instance({"type": "object", "properties": properties, "required": keys}, facts)
    return dict(fields)


def _variant(text: str, index: int) -> str:
    return f"{text} (choice {index + 1})" if index and text else text


def _limit(call: Call, reply: Reply) -> None:
    """Apply stop sequences, then the token limit; tool calls are never cut."""
    if reply.calls:
        return
    stops = call.body.get("stop") or []
    cuts = [reply.text.find(stop) for stop in ([stops] if isinstance(stops, str) else stops) if stop]
    cuts = [cut for cut in cuts if cut >= 0]
    if cuts:
        reply.text = reply.text[: min(cuts)]
    limit = call.body.get("max_completion_tokens") or call.body.get("max_tokens")
    if isinstance(limit, int) and count_tokens(reply.text) > limit:
        reply.text = "".join(pieces(reply.text)[:limit])
        reply.finish = "length"
