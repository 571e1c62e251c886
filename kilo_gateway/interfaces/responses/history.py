"""A conversation as the `input` of Responses. Pure. See docs/gateway.md, "Responses".

The gateway stores nothing: each request has the whole conversation, and no item has an id, because a provider looks
for an id that comes back, or finds it twice (vercel/ai#7543, OpenRouterTeam/ai-sdk-provider#254). Names of speakers
have no place.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from kilo_gateway.conversation import (
    Conversation,
    Message,
    Opaque,
    Part,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    without_documents,
)
from kilo_gateway.encoding.lenient_json import mapping, string
from kilo_gateway.interfaces.reasoning import ANTHROPIC, OPENAI
from kilo_gateway.interfaces.responses.content import content, output, said

Item = dict[str, Any]

_NOT_RUN: Final = "The tool was not run, so that it has no result."

_STANDING_ALONE: Final = frozenset(
    {
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "mcp_list_tools",
        "mcp_call",
        "tool_search_call",
        "tool_search_output",
        "compaction",
    }
)
"""Kinds of items that make sense without an id, and without another item that answers them."""

_IN_PAIRS: Final = frozenset(
    {
        "custom_tool_call",
        "computer_call",
        "computer_call_output",
        "local_shell_call",
        "local_shell_call_output",
        "shell_call",
        "shell_call_output",
        "apply_patch_call",
        "apply_patch_call_output",
        "program",
        "program_output",
    }
)
"""Kinds of items that go back only beside the other item with their `call_id`."""

_ITS_OWN: Final = frozenset({"id", "approval_request_id"})
"""Keys that refer to what a provider would have stored."""

_VENDORS: Final = {ANTHROPIC: "anthropic", "google-gemini-v1": "google"}
"""Formats of reasoning that only the models of one vendor understand."""


def items(conversation: Conversation, model: str) -> list[Item]:
    """Return the input items of a request to `model`."""
    turns = [_Turn(message.role == "assistant", list(_rendered(message, model))) for message in conversation]
    _pair(turns)
    return _without_idle_reasoning(turns)


class _Turn:
    """The items of one message."""

    __slots__ = ("items", "own")

    def __init__(self, own: bool, items: list[Item]) -> None:
        self.own = own
        """True if the model wrote it."""
        self.items = items


def _rendered(message: Message, model: str) -> Iterator[Item]:
    if message.role == "assistant":
        yield from _assistant(message.parts, model)
        return
    parts = without_documents(message.parts)
    results = [part for part in parts if isinstance(part, ToolResult)]
    rest = [part for part in parts if not isinstance(part, ToolResult) and not _is_of_a_wire(part)]
    for result in results:
        yield {"type": "function_call_output", "call_id": result.call_id, "output": output(result.parts)}
    if message.role == "tool" and results and not rest:
        return
    if message.role not in ("system", "developer", "user"):
        raise ValueError(
            f"a message of role {message.role!r} has no place in the Responses interface; use 'system', 'developer', "
            "'user' or 'assistant', and for the result of a tool a tool message with the id of its call"
        )
    if rest or not results:
        yield {"type": "message", "role": message.role, "content": content(rest)}


def _is_of_a_wire(part: Part) -> bool:
    """Return True for a part of an answer that no message of another role has."""
    return isinstance(part, Opaque) and part.place != "content"


def _assistant(parts: Sequence[Part], model: str) -> Iterator[Item]:
    """Yield the items of an answer, in order; texts of one phase that follow each other are one message."""
    texts: list[Item] = []
    phase: str | None = None
    for part in without_documents(parts):
        match part:
            case Thought():
                new = list(_reasoning(part.details, model))
            case ToolCall():
                new = [_function_call(part.id, part.name, part.arguments)]
            case Opaque(value, "output"):
                new = _of_the_output(mapping(value))
            case Opaque(value, "tool_calls"):
                new = [_chat_call(mapping(value))]
            case Opaque(value, "function_call"):
                new = [_old_call(mapping(value))]
            case Opaque(_, "images" | "block"):
                continue
            case _:
                if text := said(part):
                    own_phase = part.phase if isinstance(part, Text) else None
                    if texts and own_phase != phase:
                        yield _message(texts, phase)
                        texts = []
                    texts.append(text)
                    phase = own_phase
                continue
        if new and texts:
            yield _message(texts, phase)
            texts = []
        yield from new
    if texts:
        yield _message(texts, phase)


def _message(texts: list[Item], phase: str | None) -> Item:
    # OpenRouter refuses an assistant's message without type and status (openai/codex#12114).
    message: Item = {"type": "message", "role": "assistant", "status": "completed", "content": texts}
    return {**message, "phase": phase} if phase else message


def _function_call(call_id: Any, name: Any, arguments: Any) -> Item:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments or "{}"}


def _chat_call(call: Mapping[str, Any]) -> Item:
    match call:
        case {"id": call_id, "function": {"name": str(name), **rest}}:
            return _function_call(call_id, name, rest.get("arguments"))
        case {"id": call_id, "custom": {"name": str(name), "input": text}}:
            return {"type": "custom_tool_call", "call_id": call_id, "name": name, "input": text}
    raise ValueError(f"a tool call needs an id and a function with a name: {dict(call)!r:.200}")


def _old_call(call: Mapping[str, Any]) -> Item:
    """Return a function call from before there were tool calls, which has no id."""
    if not (name := string(call.get("name"))):
        raise ValueError(f"a function_call needs a name and arguments: {dict(call)!r:.200}")
    return _function_call(f"call_{name}", name, call.get("arguments"))


def _of_the_output(value: Mapping[str, Any]) -> list[Item]:
    if value.get("type") not in _STANDING_ALONE | _IN_PAIRS:
        return []
    return [{name: inner for name, inner in value.items() if name not in _ITS_OWN}]


def _reasoning(details: Sequence[Mapping[str, Any]], model: str) -> Iterator[Item]:
    """Yield the reasoning items that entries came from: those that the provider can read again.

    A text alone is not: an item is its encrypted content, or its signature. Beside encrypted content, providers
    refuse the text (musistudio/claude-code-router#1783).
    """
    for group in _groups(details):
        own_format = string(group[0].get("format")) or OPENAI
        encrypted = [entry["data"] for entry in group if entry.get("type") == "reasoning.encrypted"]
        signatures = [entry["signature"] for entry in group if entry.get("signature")]
        if not (encrypted or signatures) or not _can_read(model, own_format):
            continue
        texts = {
            kind: [string(entry.get(kind)) for entry in group if entry.get("type") == f"reasoning.{kind}"]
            for kind in ("summary", "text")
        }
        item: Item = {
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": text} for text in texts["summary"]],
        }
        if encrypted:
            item["encrypted_content"] = encrypted[0]
        elif any(texts["text"]):
            item["content"] = [{"type": "reasoning_text", "text": text} for text in texts["text"]]
        if signatures:
            item["signature"] = signatures[-1]
        # See `Item.details`: where the provider did not name the format, it would refuse the field.
        if own_format != OPENAI or any("id" in entry for entry in group):
            item["format"] = own_format
        yield item


def _groups(details: Iterable[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    """Yield the entries of each item. Encrypted content ends an item; so does a signature, but for that content."""
    group: list[Mapping[str, Any]] = []
    for entry in details:
        if entry.get("type") == "reasoning.encrypted" and not string(entry.get("data")):
            continue
        if group and (
            any(group[-1].get(name) != entry.get(name) for name in ("index", "format"))
            or group[-1].get("type") == "reasoning.encrypted"
            or (group[-1].get("signature") and entry.get("type") != "reasoning.encrypted")
        ):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def _can_read(model: str, own_format: str) -> bool:
    """Return False if the vendor that `model` names does not understand the format."""
    vendor, slash, _ = model.removeprefix("~").partition("/")
    return not slash or vendor == "kilo-auto" or _VENDORS.get(own_format, vendor) == vendor


def _pair(turns: Sequence[_Turn]) -> None:
    """Give each call an output, and turn outputs without a call into user messages.

    The gateway repairs this on its other interfaces; here an orphan reaches the provider, which refuses the whole
    request (Kilo-Org/cloud#4249).
    """
    kinds = defaultdict(set)
    for item in (item for turn in turns for item in turn.items):
        kinds[item.get("call_id")].add(item["type"])
    open_calls: defaultdict[Any, deque[tuple[_Turn, Item]]] = defaultdict(deque)
    for turn in turns:
        for item in turn.items:
            call_id = item.get("call_id")
            if item["type"] in ("function_call", "custom_tool_call"):
                open_calls[call_id].append((turn, item))
            elif item["type"] == "function_call_output" and not turn.own:
                if open_calls[call_id]:
                    _, call = open_calls[call_id].popleft()
                    item["type"] = f"{call['type']}_output"
                else:
                    text = item["output"]
                    item.clear()
                    item.update(type="message", role="user", content=text)
    for turn, call in (waiting for calls in open_calls.values() for waiting in calls):
        if call["type"] == "function_call":
            turn.items.append({"type": "function_call_output", "call_id": call["call_id"], "output": _NOT_RUN})
        else:
            turn.items.remove(call)  # a provider's own tool may have run it
    for turn in turns:
        turn.items = [item for item in turn.items if not _is_half(item, kinds)]


def _is_half(item: Item, kinds: Mapping[Any, set[str]]) -> bool:
    """Return True for an item that needs another one with its `call_id`, which is not there."""
    if item["type"] == "custom_tool_call" or item["type"] not in _IN_PAIRS:
        return False
    return len(kinds[item.get("call_id")]) < 2


def _without_idle_reasoning(turns: Sequence[_Turn]) -> list[Item]:
    """Return all items but reasoning of OpenAI's form that nothing of the model follows: OpenAI refuses it.

    Google signs after the text.
    """
    kept: list[Item] = []
    followed = False
    for turn in reversed(turns):
        for item in reversed(turn.items):
            if item["type"] == "reasoning" and not followed and item.get("format") not in _VENDORS:
                continue
            followed = turn.own and not item["type"].endswith("call_output")
            kept.append(item)
    kept.reverse()
    return kept
