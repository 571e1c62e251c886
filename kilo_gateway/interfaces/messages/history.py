"""A conversation as the `system` and `messages` of Messages. Pure. See docs/gateway.md, "Messages".

Images and other media of earlier answers, names of messages and audio ids have no place on this wire and are left
out, as are thoughts that Anthropic did not sign.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from kilo_gateway.conversation import (
    Conversation,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thought,
    ToolCall,
    ToolResult,
    broken_arguments,
    tool_call,
    without_documents,
)
from kilo_gateway.encoding.lenient_json import mapping, string
from kilo_gateway.interfaces.messages import parts as rendering
from kilo_gateway.interfaces.messages.parts import Block

_SYSTEM: Final = ("system", "developer")
_NOT_AN_ID: Final = re.compile(r"[^a-zA-Z0-9_-]")
"""Characters that Anthropic refuses in the id of a tool call; models of other vendors use them."""


def system(conversation: Conversation) -> list[Block]:
    """Return the text blocks of `system`: those of all system and developer messages, wherever they stand."""
    blocks = []
    for message in conversation:
        if message.role not in _SYSTEM:
            continue
        for block in rendering.content(without_documents(message.parts)):
            if block.get("type") != "text":
                raise ValueError(
                    f"a {message.role} message contains a block of type {block.get('type')!r}; the Messages interface "
                    "takes only text there: move it to a user message"
                )
            blocks.append(block)
    return blocks


def messages(conversation: Conversation) -> list[dict[str, Any]]:
    """Return the messages of a request: turns of user and assistant that alternate.

    The results of a turn's tool calls come first in the turn after it. A call without a result gets one that says
    that the tool was not run, and a result without a call becomes text, because Anthropic refuses either.
    """
    rendered: list[dict[str, Any]] = []

    def add(role: str, blocks: list[Block]) -> None:
        if not blocks:
            return
        if rendered and rendered[-1]["role"] == role:
            rendered[-1]["content"] += blocks
        else:
            rendered.append({"role": role, "content": blocks})

    for turn in _turns(conversation):
        add(turn.role, turn.blocks)
        add("user", [call.answered() for call in turn.calls.values()])
    if not rendered:
        raise ValueError(
            "the conversation has no message with content, and the Messages interface needs one; "
            "add a user message, or use api='completions'"
        )
    return rendered


@dataclass(slots=True)
class _Call:
    """A tool call, and its result if there is one."""

    id: str
    result: Block | None = None

    def answered(self) -> Block:
        return self.result or {
            "type": "tool_result",
            "tool_use_id": self.id,
            "content": "The tool was not run.",
            "is_error": True,
        }


@dataclass(slots=True)
class _Turn:
    role: str
    blocks: list[Block] = field(default_factory=list)
    calls: dict[str, _Call] = field(default_factory=dict)
    """The tool calls, by the id that is sent."""

    def new_call(self, call_id: str) -> _Call:
        """Add a tool call, under an id that no other call of the turn has: Anthropic demands it."""
        unique, count = call_id, 1
        while unique in self.calls:
            count += 1
            unique = f"{call_id}_{count}"
        self.calls[unique] = _Call(unique)
        return self.calls[unique]


Waiting = dict[str, tuple[_Turn, list[_Call]]]
"""By the id of tool calls, the newest turn that made some under it, and those without a result."""


def _turns(conversation: Conversation) -> list[_Turn]:
    turns: list[_Turn] = []
    waiting: Waiting = {}
    for message in conversation:
        if message.role in _SYSTEM:
            continue
        role = _role(message)
        # An answer after tool calls is a turn of its own: the results of the calls come between the two.
        if not turns or turns[-1].role != role or (role == "assistant" and turns[-1].calls):
            turns.append(_Turn(role))
        if role == "assistant":
            _add_answer(turns[-1], without_documents(message.parts), waiting)
        else:
            _add_input(turns[-1], _results_of_functions(message), waiting)
    return turns


def _role(message: Message) -> str:
    if message.role == "assistant":
        return "assistant"
    if message.role in ("user", "tool", "function"):
        return "user"
    raise ValueError(
        f"role {message.role!r} has no place in the Messages interface; use 'system', 'developer', 'user', "
        "'assistant' or 'tool', or use api='completions'"
    )


def _add_answer(turn: _Turn, parts: Sequence[Part], waiting: Waiting) -> None:
    for part in _joined_texts(_in_order(parts)):
        if not isinstance(part, ToolCall):
            turn.blocks += _said(part)
            continue
        call = turn.new_call(_NOT_AN_ID.sub("_", part.id) or "call")
        newest, calls = waiting.get(part.id, (None, []))
        waiting[part.id] = (turn, [*calls, call] if newest is turn else [call])
        arguments = part.parsed()
        given = broken_arguments(part.arguments) if arguments is None else arguments
        turn.blocks.append({"type": "tool_use", "id": call.id, "name": part.name, "input": given})


def _joined_texts(parts: Iterable[Part]) -> Iterator[Part]:
    """Yield the parts with neighbouring texts as one: a space between two would be left out as a text of its own.

    A text with citations stays as it was answered.
    """
    texts: list[str] = []
    for part in parts:
        if isinstance(part, Text) and not part.cache_control and not rendering.citations(part):
            texts.append(part.text)
            continue
        if texts:
            yield Text("".join(texts))
            texts = []
        yield part
    if texts:
        yield Text("".join(texts))


def _in_order(parts: Sequence[Part]) -> list[Part]:
    """Return the parts of an answer with all tool calls as such, and each thought before a tool call.

    Anthropic refuses a turn whose thinking comes after its last tool use.
    """
    converted = [_with_call(part) for part in parts]
    calls = [place for place, part in enumerate(converted) if isinstance(part, ToolCall)]
    if not calls:
        return converted
    late = [part for part in converted[calls[-1] :] if isinstance(part, Thought)]
    rest = [part for part in converted[calls[-1] :] if not isinstance(part, Thought)]
    return [*converted[: calls[0]], *late, *converted[calls[0] : calls[-1]], *rest]


def _with_call(part: Part) -> Part:
    """Return a tool call in the form of OpenAI as a tool call, anything else unchanged."""
    match part:
        case Opaque(place="tool_calls", value={"function": {"name": str(name)} as function} as call):
            return tool_call(string(call.get("id")), name, _arguments(function.get("arguments")))
        case Opaque(place="tool_calls", value={"custom": {"name": str(name)} as custom} as call):
            return tool_call(string(call.get("id")), name, {"input": custom.get("input")})
        case Opaque(place="function_call", value={"name": str(name), "arguments": arguments}):
            return tool_call(_function_id(name), name, _arguments(arguments))
        case Opaque(place="tool_calls" | "function_call"):
            kind = mapping(part.value).get("type", part.place)
            raise ValueError(
                f"a tool call of type {kind!r} without a function has no place in the Messages interface; leave it "
                "out, or use api='completions'"
            )
    return part


def _arguments(value: Any) -> Any:
    return value if isinstance(value, str | dict) else ""


def _function_id(name: str) -> str:
    """Return the id of a function call, which predates tool calls and has none."""
    return f"function_{name}"


def _said(part: Part) -> Iterator[Block]:
    """Yield the blocks of a part of an earlier answer."""
    match part:
        case Text():
            yield from rendering.text(part.text, part.cache_control, rendering.citations(part))
        case Refusal():
            yield from rendering.text(part.text)
        case Thought():
            yield from rendering.thinking(part)
        case Opaque(place="content" | "block"):
            yield from rendering.content([part])


def _results_of_functions(message: Message) -> Sequence[Part]:
    """Return the parts of a message; of a function message, which predates tool messages, as the result it is."""
    if message.role != "function":
        return message.parts
    return [ToolResult(_function_id(message.name or ""), message.parts)]


def _add_input(turn: _Turn, parts: Sequence[Part], waiting: Waiting) -> None:
    for part in parts:
        if not isinstance(part, ToolResult):
            turn.blocks += rendering.content([part])
            continue
        blocks = rendering.content(part.parts)
        _, calls = waiting.get(part.call_id, (None, []))
        if calls:
            call = calls.pop(0)
            call.result = {"type": "tool_result", "tool_use_id": call.id, **({"content": blocks} if blocks else {})}
        else:
            turn.blocks += [*rendering.text(f"The result of a tool call {part.call_id!r} that is not shown:"), *blocks]
