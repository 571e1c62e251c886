"""The content blocks of one answer, as they grow, and what becomes of them (docs/gateway.md, "Messages"). Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from kilo_gateway.conversation import ToolCall, broken_arguments
from kilo_gateway.encoding.lenient_json import Mender, mapping, object_of, string
from kilo_gateway.interfaces.reasoning import ANTHROPIC


class Block:
    """A content block: a text, a thought, a tool call, or what only the provider understands."""

    __slots__ = (
        "call_id",
        "characters",
        "citations",
        "kind",
        "mender",
        "name",
        "pieces",
        "position",
        "start",
        "stopped",
    )

    def __init__(self, kind: str, start: dict[str, Any]) -> None:
        self.kind = kind
        self.start = start
        """The block as it began."""
        self.pieces: dict[str, list[str]] = {}
        """The texts that have been added to it, by the name of their field."""
        self.stopped = False
        """True if the provider says that nothing more comes."""
        self.characters = 0
        """Length of a text."""
        self.citations: list[dict[str, Any]] = []
        self.call_id = self.name = ""
        """Id and name of a tool call."""
        self.position = -1
        """Position of a tool call."""
        self.mender = Mender()
        """Mends the arguments of a tool call."""

    def add(self, field: str, piece: str) -> None:
        """Add to a field that arrives in pieces."""
        if field in self.pieces:
            self.pieces[field].append(piece)
        else:
            self.pieces[field] = [piece]

    def text_of(self, field: str) -> str:
        """Return a field that arrives in pieces, so far."""
        return "".join(self.pieces.get(field, ()))

    @property
    def call(self) -> ToolCall:
        """The tool call so far."""
        return ToolCall(self.call_id, self.name, self.text_of("input"))

    @property
    def can_end(self) -> bool:
        """True if the block can be the last one of a whole answer."""
        if self.kind == "tool_use":
            return self.call.parsed() is not None
        return self.characters > 0

    @property
    def hidden(self) -> str:
        """Everything in it that is generated and that the text and the reasoning of a delta do not show."""
        if self.kind == "text":
            return ""
        if self.kind == "thinking":
            return self.text_of("signature")
        if self.kind == "tool_use":
            return self.name + self.text_of("input")
        return json_text(self.native())

    def native(self) -> dict[str, Any]:
        """Return the block as the provider would have sent it whole."""
        block = dict(self.start)
        for field, pieces in self.pieces.items():
            text = "".join(pieces)
            if field != "input":
                block[field] = text
            elif text.strip():
                arguments = object_of(text)
                block[field] = broken_arguments(text) if arguments is None else arguments
        return block


def details(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """Return the reasoning of an answer as entries of `reasoning_details`, one for each block that has any."""
    entries = (_detail(block) for block in signed(blocks))
    return [{**entry, "index": index} for index, entry in enumerate(entry for entry in entries if entry)]


def signed(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield blocks after giving each lone signature to the thought before it that lacks one.

    OpenRouter sends the signature in a block of its own, or after the text (rikkahub/rikkahub#1075).
    """
    listed = list(blocks)
    unsigned: Block | None = None
    for block in listed:
        if block.kind != "thinking":
            continue
        if not block.text_of("signature"):
            unsigned = block if block.text_of("thinking") else unsigned
            continue
        if unsigned is not None and not block.text_of("thinking"):
            unsigned.pieces["signature"] = block.pieces.pop("signature")
        unsigned = None
    return iter(listed)


def _detail(block: Block) -> dict[str, Any] | None:
    if block.kind == "redacted_thinking" and (data := string(block.start.get("data"))):
        return {"type": "reasoning.encrypted", "data": data, "format": ANTHROPIC}
    if block.kind != "thinking":
        return None
    text, signature = block.text_of("thinking"), block.text_of("signature")
    if signature:
        return {"type": "reasoning.text", "text": text, "signature": signature, "format": ANTHROPIC}
    # Models of other vendors do not sign, and Anthropic refuses what is not signed: no interface may send it back.
    return {"type": "reasoning.text", "text": text, "format": "unknown"} if text else None


def citations(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """Return the citations of all texts, each with the place of its text in the text of the answer."""
    found = []
    start = 0
    for block in blocks:
        end = start + block.characters
        found += [{**citation, "start_index": start, "end_index": end} for citation in block.citations]
        start = end
    return found


def fallback_model(blocks: Iterable[Block]) -> str | None:
    """Return the model that answered in place of the first one, if a `fallback` block names it."""
    models = [string(mapping(block.start.get("to")).get("model")) for block in blocks if block.kind == "fallback"]
    return models[-1] or None if models else None


def layout(blocks: Iterable[Block]) -> list[dict[str, Any]]:
    """Return the order of the parts, or nothing if it is the usual one: a thought, a text, tool calls."""
    pieces: list[dict[str, Any]] = []
    for block in blocks:
        if block.kind == "text":
            pieces += [{"type": "text", "characters": block.characters}] if block.characters else []
        elif block.kind == "tool_use":
            pieces.append({"type": "tool_call", "id": block.call_id})
        elif block.kind in ("thinking", "redacted_thinking"):
            pieces += [{"type": "reasoning", "details": 1}] if _detail(block) else []
        else:
            pieces.append({"type": "opaque", "place": "block", "value": block.native()})
    order = ["reasoning", "text", "tool_call"]
    kinds = [piece["type"] for piece in pieces]
    usual = "opaque" not in kinds and kinds == sorted(kinds, key=order.index)
    return [] if usual and kinds.count("reasoning") < 2 and kinds.count("text") < 2 else pieces


def json_text(value: Any) -> str:
    """Return `value` as JSON; a text as it is, because some routes send JSON that is already written."""
    if isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be written)"  # not JSON, so that no tool is run on it
