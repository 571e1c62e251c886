"""The content of one answer while it arrives: each event finds its block (docs/gateway.md, "Messages"). Pure."""

from __future__ import annotations

import uuid
from typing import Any

from kilo_gateway.encoding.lenient_json import Mender, dicts, mend, string
from kilo_gateway.interfaces.messages.blocks import Block, json_text
from kilo_gateway.reply import Delta, ToolCallDelta


class Content:
    """The blocks of an answer. A method that takes something in returns True if it carried anything."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        """All blocks, in the order in which they began."""
        self.calls: list[Block] = []
        """The tool calls among them."""
        self.text: list[str] = []
        """The pieces of the text."""
        self._at: dict[int, Block] = {}
        self._ids: dict[str, int] = {}
        """How often each id of a tool call was given."""
        self._text_mender, self._reasoning_mender = Mender(), Mender()

    @property
    def whole(self) -> bool:
        """True if nothing seems to be missing: each block was stopped, and the last one can end an answer."""
        calls = all(call.can_end for call in self.calls)
        return bool(self.blocks) and self.blocks[-1].can_end and calls and all(block.stopped for block in self.blocks)

    def start(self, index: Any, began: Any, delta: Delta) -> bool:
        """Begin a block. Some upstreams send all of it at its start (anomalyco/opencode#38733)."""
        if not isinstance(began, dict) or not (kind := string(began.get("type"))):
            return False
        block = Block(kind, began)
        self.blocks.append(block)
        if isinstance(index, int):
            self._at[index] = block
        match kind:
            case "text":
                block.citations += dicts(began.get("citations"))
                self._add_text(block, began.get("text"), delta)
            case "thinking":
                self._add_thought(block, began.get("thinking"), delta)
                self._sign(block, began.get("signature"))
            case "tool_use":
                block.position = len(self.calls)
                self.calls.append(block)
                block.call_id, block.name = self._new_id(began.get("id")), mend(string(began.get("name")))
                _announce(delta, ToolCallDelta(block.position, block.call_id, block.name))
        return True

    def grow(self, index: Any, change: Any, delta: Delta) -> bool:
        """Add to the block with this index; without an index, to the newest block."""
        if not isinstance(change, dict):
            return False
        block = self._at.get(index) if index.__class__ is int else self._newest()
        match change.get("type"):
            case "text_delta":
                if block is None or block.kind != "text":
                    block = self._implied("text", index, delta)
                return self._add_text(block, change.get("text"), delta)
            case "input_json_delta":
                if block is None or block.kind in ("text", "thinking"):
                    block = self._implied("tool_use", index, delta)
                return self._add_input(block, change.get("partial_json"), delta)
            case "thinking_delta":
                if block is None or block.kind != "thinking":
                    block = self._implied("thinking", index, delta)
                return self._add_thought(block, change.get("thinking"), delta)
            case "signature_delta":
                return self._sign(block, change.get("signature"))
            case "citations_delta":
                if block is None or block.kind != "text":
                    block = self._implied("text", index, delta)
                block.citations += dicts([change.get("citation")])
                return True
            case "compaction_delta" if block is not None and isinstance(piece := change.get("content"), str):
                block.add("content", piece)
                return True
        return False

    def stop(self, index: Any, delta: Delta) -> bool:
        """End the block with this index; without an index, the newest block."""
        block = self._at.get(index) if isinstance(index, int) else self._newest()
        if block is None or block.stopped:
            return False
        self._close(block, delta)
        return True

    def settle(self, delta: Delta, *, cut: bool) -> None:
        """Put into `delta` what only the end of the answer settles; `cut` says that the limit of tokens ended it."""
        if rest := self._text_mender.finish():
            delta.text = rest
            next(block for block in reversed(self.blocks) if block.kind == "text").characters += len(rest)
        delta.reasoning = self._reasoning_mender.finish()
        for call in self.calls:
            if not call.stopped:
                self._close(call, delta)
            if rest := call.mender.finish():
                call.add("input", rest)
                _announce(delta, ToolCallDelta(call.position, arguments=rest))
            if not call.text_of("input").strip():
                # A call that was cut off before its input must not run as one without arguments.
                self._add_input(call, "{" if cut and call is self.blocks[-1] else "{}", delta)

    def _newest(self) -> Block | None:
        return self.blocks[-1] if self.blocks else None

    def _implied(self, kind: str, index: Any, delta: Delta) -> Block:
        """Begin a block whose start the upstream did not send."""
        self.start(index, {"type": kind}, delta)
        return self.blocks[-1]

    def _new_id(self, given: Any) -> str:
        """Return an id that no other call of the answer has: some upstreams repeat them (Kilo-Org/cloud#4026)."""
        call_id = unique = mend(string(given)) or f"call_{uuid.uuid4().hex}"
        while unique in self._ids:
            self._ids[call_id] += 1
            unique = f"{call_id}_{self._ids[call_id]}"
        self._ids[unique] = 1
        return unique

    def _add_text(self, block: Block, text: Any, delta: Delta) -> bool:
        if not isinstance(text, str) or not (text := self._text_mender.feed(text)):
            return False
        self.text.append(text)
        block.characters += len(text)
        delta.text += text
        return True

    def _add_thought(self, block: Block, text: Any, delta: Delta) -> bool:
        if not isinstance(text, str) or not text:
            return False
        block.add("thinking", text)
        delta.reasoning += self._reasoning_mender.feed(text)
        return True

    def _sign(self, block: Block | None, signature: Any) -> bool:
        """Add to the signature of a thought; that of another block belongs to the nearest thought without one."""
        if not isinstance(signature, str) or not signature:
            return False
        if block is None or block.kind != "thinking":
            thoughts = (thought for thought in reversed(self.blocks) if thought.kind == "thinking")
            block = next((thought for thought in thoughts if "signature" not in thought.pieces), None)
        # The start of a block may have had the whole signature already.
        if block is not None and block.pieces.get("signature") != [signature]:
            block.add("signature", signature)
        return True

    def _add_input(self, block: Block, piece: Any, delta: Delta) -> bool:
        if not piece or not (text := block.mender.feed(json_text(piece))):
            return False
        block.add("input", text)
        if block.position >= 0:
            _announce(delta, ToolCallDelta(block.position, arguments=text))
        return True

    def _close(self, block: Block, delta: Delta) -> None:
        """End a block. The input that came with the start of a call counts if none came after it."""
        block.stopped = True
        if block.position >= 0 and "input" not in block.pieces:
            self._add_input(block, block.start.get("input"), delta)


def _announce(delta: Delta, fragment: ToolCallDelta) -> None:
    if isinstance(delta.tool_calls, list):
        delta.tool_calls.append(fragment)
    else:
        delta.tool_calls = [fragment]
