"""Change the canned model's reply, on any interface: reasoning, tool calls, a cut text."""

from __future__ import annotations

from collections.abc import Callable

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model import conversation, prose, tools
from kilo_gateway.sandbox.model.turn import Reply
from kilo_gateway.sandbox.model.words import pieces

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
    reply.reasoning = prose.reasoning(conversation.read(call.messages), reply)
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

    def reply(call: Call, reply: Reply) -> None:  # noqa: ARG001 - the signature that `Scenario` requires
        parts = pieces(reply.text)
        reply.text = "".join(parts[: max(1, len(parts) // 2)])
        reply.finish = finish
        reply.calls = []

    return reply
