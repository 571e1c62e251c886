"""Agents that call tools in text: the canned model's next step in the thought, action, observation form."""

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
    """Return an answer in the form that ends the agent's work."""
    return f"Thought: I can answer without using any more tools.\nAnswer: {text}"


def action(call: Call, turn: Turn) -> str | None:
    """Return the next action, or None when it is time to answer."""
    wanted = tools.wanted(_offered(turn.system), turn)[:1]
    for made in tools.make_calls(call, turn, wanted):
        return f"Thought: I need to use a tool to help me answer.\nAction: {made.name}\n{_MARK} {made.arguments}"
    return None


def _offered(system: str) -> list[dict[str, Any]]:
    offered = []
    for found in _TOOL.finditer(system):
        try:
            parameters, _ = json.JSONDecoder().raw_decode(system, found.end())
        except ValueError:
            continue
        offered.append({"name": found[1], "description": found[2].strip(), "parameters": parameters})
    return offered
