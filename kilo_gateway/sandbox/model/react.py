"""Answer agents that call tools in text (ReAct), in steps of thought, action and observation."""

from __future__ import annotations

import json
import re
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model import tools
from kilo_gateway.sandbox.model.conversation import Turn

_MARK = "Action Input:"
_TOOL = re.compile(
    r"^> ?Tool Name:\s*(\S+)\s*\n\s*Tool Description:(.*?)\n\s*Tool Args:\s*(?=\{)", re.MULTILINE | re.DOTALL
)


def speaks(turn: Turn) -> bool:
    """Return True if the system prompt asks for actions in text."""
    return _MARK in turn.system


def answer(text: str) -> str:
    """Return an answer in the form that ends the agent's run."""
    return f"Thought: I can answer without using any more tools.\nAnswer: {text}"


def action(call: Call, turn: Turn) -> str | None:
    """Return the next action, or None if the next step is the answer."""
    wanted = tools.wanted(_offered(turn.system), turn)[:1]
    for tool_call in tools.make_calls(call, turn, wanted):
        return (
            f"Thought: I need to use a tool to help me answer.\nAction: {tool_call.name}\n{_MARK} {tool_call.arguments}"
        )
    return None


def _offered(system: str) -> list[dict[str, Any]]:
    offered = []
    for match in _TOOL.finditer(system):
        try:
            parameters, _ = json.JSONDecoder().raw_decode(system, match.end())
        except ValueError:
            continue
        offered.append({"name": match[1], "description": match[2].strip(), "parameters": parameters})
    return offered
