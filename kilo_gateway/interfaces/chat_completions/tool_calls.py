"""The tool calls of one streamed answer: each fragment finds its call (docs/gateway.md, "Tool calls"). Pure."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from kilo_gateway.conversation import ToolCall
from kilo_gateway.encoding.lenient_json import Mender, dicts, mapping, mend, string
from kilo_gateway.reply import ToolCallDelta


class ToolCallRepair:
    """Gives each fragment of a stream's tool calls its call.

    Upstream sends parallel calls all at index 0 with different ids, indices that start at 1 or are
    missing, ids and names that are repeated or emptied later, and arguments that are null or an object.
    """

    __slots__ = ("_by_id", "_by_id_and_index", "_calls", "_open", "_told")

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []
        self._told = 0
        self._open: dict[int | str, _OpenCall] = {}
        self._by_id: dict[str, _OpenCall] = {}
        self._by_id_and_index: dict[tuple[str, int | str], _OpenCall] = {}

    def feed(self, fragments: Any) -> list[ToolCallDelta]:
        """Return the repaired fragments of one frame."""
        repaired = (self._one(fragment, fragment.get("index")) for fragment in dicts(fragments))
        return [delta for delta in repaired if delta is not None]

    def whole(self, calls: Any) -> list[ToolCallDelta]:
        """Return the calls of a complete answer, where each entry is a call of its own whatever its index."""
        repaired = [self._one(call, position) for position, call in enumerate(dicts(calls))]
        return [delta for delta in repaired if delta is not None] + self.finish()

    def finish(self) -> list[ToolCallDelta]:
        """Return what the end of the answer settles: held-back arguments and ids nobody sent."""
        deltas = []
        for call in self._calls:
            rest = call.take_held(at_the_end=True) + call.mender.finish()
            call.pieces.append(rest)
            missing_id = None if call.id else f"call_{uuid.uuid4().hex}"
            call.id = call.id or missing_id or ""
            if call.told and (rest or missing_id):
                deltas.append(ToolCallDelta(call.position, id=missing_id, arguments=rest))
        return deltas

    def complete(self) -> list[ToolCall]:
        """Return all calls, once the answer has ended."""
        told = sorted((call for call in self._calls if call.told), key=lambda call: call.position)
        return [ToolCall(call.id, call.name, "".join(call.pieces)) for call in told]

    @property
    def size(self) -> int:
        """Bytes of names and arguments so far."""
        texts = (text for call in self._calls for text in (call.name, *call.held, *call.pieces))
        return sum(len(text.encode("utf-8", "replace")) for text in texts)

    @property
    def nameless(self) -> bool:
        """Whether a call came without a function name, so that nobody can execute it."""
        return any(not call.told for call in self._calls)

    def _one(self, fragment: dict[str, Any], index: Any) -> ToolCallDelta | None:
        function = mapping(fragment.get("function"))
        given_id = mend(string(fragment.get("id")))
        place = index if isinstance(index, int | str) else None
        call = self._call_of(place, given_id)
        new_id = given_id if not call.id else ""
        call.id = call.id or new_id
        if given_id:
            self._by_id.setdefault(given_id, call)
            if place is not None:
                self._by_id_and_index[given_id, place] = call
        call.name = call.name or mend(string(function.get("name")))
        ready = call.mender.feed(_arguments_text(function.get("arguments")))
        if ready and (call.held or not call.pieces):
            call.held.append(ready)
            ready = ""
        if not call.name:
            return None
        first = not call.told
        if first:
            call.told = True
            # A call is numbered when it is first told, so that positions have no gaps.
            call.position, self._told = self._told, self._told + 1
        if call.held:
            ready = call.take_held()
        if ready:
            call.pieces.append(ready)
        if not (first or ready or new_id):
            return None
        return ToolCallDelta(
            call.position,
            id=(call.id if first else new_id) or None,
            name=call.name if first else None,
            arguments=ready,
        )

    def _call_of(self, index: int | str | None, call_id: str) -> _OpenCall:
        call = None
        if index is not None:
            call = self._open.get(index)
        elif call_id:
            call = self._by_id.get(call_id)
        elif self._calls:
            call = self._calls[-1]
        if call is None or (call_id and call.id and call_id != call.id):
            # Only an id that nobody has told yet is another call.
            call = None if index is None else self._by_id_and_index.get((call_id, index))
            if call is None:
                call = _OpenCall()
                self._calls.append(call)
        if index is not None:
            self._open[index] = call
        return call


@dataclass(slots=True)
class _OpenCall:
    id: str = ""
    name: str = ""
    held: list[str] = field(default_factory=list)
    """Arguments not passed on yet: until the name is known, and while they may turn out to be `null`."""
    pieces: list[str] = field(default_factory=list)
    """Arguments passed on."""
    mender: Mender = field(default_factory=Mender)
    position: int = -1
    told: bool = False

    def take_held(self, *, at_the_end: bool = False) -> str:
        """Return what may be passed on, and hold it no more."""
        text = self.held[0] if len(self.held) == 1 else "".join(self.held)
        if at_the_end:
            self.held = []
            return "" if text.strip() == "null" else text
        self.held = [text] if not self.pieces and "null".startswith(text) else []
        return "" if self.held else text


def _arguments_text(arguments: Any) -> str:
    if isinstance(arguments, str) or arguments is None:
        return arguments or ""
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be written)"  # not JSON, so that no tool is run on it
