"""Whether the canned model calls tools, which ones, and with what arguments."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

from kilo_gateway.sandbox.gateway.call import Call
from kilo_gateway.sandbox.model.conversation import Turn
from kilo_gateway.sandbox.model.facts import Facts
from kilo_gateway.sandbox.model.instances import instance
from kilo_gateway.sandbox.model.turn import ToolCall
from kilo_gateway.sandbox.model.words import content_words

Json = dict[str, Any]


def choose(call: Call, turn: Turn) -> list[ToolCall]:
    """Return the calls of this step, none when it is time to answer in text."""
    offered = call.tools
    choice = call.body.get("tool_choice", call.body.get("function_call"))
    if not offered or choice == "none":
        return []
    if isinstance(choice, dict):
        return _named(call, turn, offered, choice)
    if choice in ("required", "any"):
        # An agent that must always call something gets round every tool before any is repeated.
        fresh = [tool for tool in offered if tool["name"] not in turn.answered] or offered
        chosen = _mentioned(fresh, turn.user) or [max(fresh, key=lambda tool: score(tool, turn.user))]
    else:
        chosen = wanted(offered, turn)
    if call.body.get("parallel_tool_calls") is False:
        chosen = chosen[:1]
    return make_calls(call, turn, chosen)


def wanted(offered: list[Json], turn: Turn) -> list[Json]:
    """Return the tools that a model free to choose would call: those named, else at first the one that fits best."""
    fresh = [tool for tool in offered if tool["name"] not in turn.answered]
    named = _mentioned(fresh, turn.user)
    if named or not fresh or turn.results:
        return named
    best = max(fresh, key=lambda tool: score(tool, turn.user))
    return [best] if score(best, turn.user) else []


def make_calls(call: Call, turn: Turn, tools: list[Json]) -> list[ToolCall]:
    """Return calls of the given tools; the prompt's values are shared out among them in order."""
    if not tools:
        return []
    facts = Facts(turn.user)
    made = []
    for position, tool in enumerate(tools):
        # Separate tools may want the same value; the same tool twice wants different ones.
        repeated = tool["name"] in [earlier["name"] for earlier in tools[:position]]
        facts = facts if repeated else Facts(turn.user)
        arguments = instance({"type": "object", **(tool.get("parameters") or {})}, facts)
        text = json.dumps(arguments, ensure_ascii=False)
        made.append(ToolCall(_call_id(call, position), tool["name"], text))
    return made


def score(tool: Json, text: str) -> int:
    """Return how many content words of a text a tool's description shares, those of its name counting twice."""
    asked = content_words(text)
    parameters = tool.get("parameters") or tool.get("input_schema") or {}
    properties = parameters.get("properties") or {}
    described = [str(tool.get("description") or ""), *properties]
    described += [str(part.get("description", "")) for part in properties.values() if isinstance(part, dict)]
    return 2 * len(asked & content_words(tool["name"])) + len(asked & content_words(" ".join(described)))


def _named(call: Call, turn: Turn, offered: list[Json], choice: Json) -> list[ToolCall]:
    name = (choice.get("function") or choice).get("name")
    return make_calls(call, turn, [tool for tool in offered if tool["name"] == name][:1])


def _mentioned(offered: list[Json], text: str) -> list[Json]:
    """Return the tools named in a text, in the text's order.

    A one-word name such as "search" is everyday language and counts only when it is written as a call or code.
    """
    places = {}
    for index, tool in enumerate(offered):
        name = re.escape(tool["name"])
        plain = re.fullmatch(r"[a-z]+|[A-Z][a-z]+", tool["name"])
        pattern = rf"`{name}`|(?<!\w){name}\(" if plain else rf"(?<!\w){name}(?!\w)"
        if found := re.search(pattern, text):
            places[index] = found.start()
    return [offered[index] for index in sorted(places, key=lambda index: places[index])]


def _call_id(call: Call, position: int) -> str:
    digest = hashlib.sha256(f"{call.number}/{position}".encode()).hexdigest()[:16]
    return f"{'toolu' if call.served.startswith('anthropic/') else 'call'}_{digest}"
