"""Choose the tools that the canned model calls, and their arguments."""

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
    """Return the tool calls of this step, or an empty list if the next step is an answer in text."""
    offered = call.tools
    choice = call.body.get("tool_choice", call.body.get("function_call"))
    if not offered or choice == "none":
        return []
    if isinstance(choice, dict):
        return _named(call, turn, offered, choice)
    if choice in ("required", "any"):
        # An agent that must call a tool in each step gets each tool once before one is repeated.
        unused = [tool for tool in offered if tool["name"] not in turn.answered] or offered
        chosen = _mentioned(unused, turn.user) or [max(unused, key=lambda tool: score(tool, turn.user))]
    else:
        chosen = wanted(offered, turn)
    if call.body.get("parallel_tool_calls") is False:
        chosen = chosen[:1]
    return make_calls(call, turn, chosen)


def wanted(offered: list[Json], turn: Turn) -> list[Json]:
    """Return the tools to call by free choice: those that the prompt names, or in the first step the best match."""
    unused = [tool for tool in offered if tool["name"] not in turn.answered]
    named = _mentioned(unused, turn.user)
    if named or not unused or turn.results:
        return named
    best = max(unused, key=lambda tool: score(tool, turn.user))
    return [best] if score(best, turn.user) else []


def make_calls(call: Call, turn: Turn, tools: list[Json]) -> list[ToolCall]:
    """Return one call for each of the tools, with arguments from the values in the prompt."""
    if not tools:
        return []
    facts = Facts(turn.user)
    calls = []
    for position, tool in enumerate(tools):
        # Different tools may use the same value; two calls of one tool use different values.
        repeated = tool["name"] in [earlier["name"] for earlier in tools[:position]]
        facts = facts if repeated else Facts(turn.user)
        arguments = instance({"type": "object", **(tool.get("parameters") or {})}, facts)
        text = json.dumps(arguments, ensure_ascii=False)
        calls.append(ToolCall(_call_id(call, position), tool["name"], text))
    return calls


def score(tool: Json, text: str) -> int:
    """Return the number of content words that a text shares with a tool; words of the tool's name count twice."""
    text_words = content_words(text)
    parameters = tool.get("parameters") or tool.get("input_schema") or {}
    properties = parameters.get("properties") or {}
    descriptions = [str(tool.get("description") or ""), *properties]
    descriptions += [str(part.get("description", "")) for part in properties.values() if isinstance(part, dict)]
    return 2 * len(text_words & content_words(tool["name"])) + len(text_words & content_words(" ".join(descriptions)))


def _named(call: Call, turn: Turn, offered: list[Json], choice: Json) -> list[ToolCall]:
    name = (choice.get("function") or choice).get("name")
    return make_calls(call, turn, [tool for tool in offered if tool["name"] == name][:1])


def _mentioned(offered: list[Json], text: str) -> list[Json]:
    """Return the tools that a text names, in the text's order.

    A name of one word, such as "search", may be everyday language. So it counts only if it is written as call or code.
    """
    places = {}
    for index, tool in enumerate(offered):
        name = re.escape(tool["name"])
        plain = re.fullmatch(r"[a-z]+|[A-Z][a-z]+", tool["name"])
        pattern = rf"`{name}`|(?<!\w){name}\(" if plain else rf"(?<!\w){name}(?!\w)"
        if match := re.search(pattern, text):
            places[index] = match.start()
    return [offered[index] for index in sorted(places, key=lambda index: places[index])]


def _call_id(call: Call, position: int) -> str:
    digest = hashlib.sha256(f"{call.number}/{position}".encode()).hexdigest()[:16]
    return f"{'toolu' if call.served.startswith('anthropic/') else 'call'}_{digest}"
