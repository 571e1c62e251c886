"""The tool calls of one streamed answer: each fragment finds its call (docs/gateway.md, "Tool calls"). Pure."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from typing import Any

from kilo_gateway.conversation import ToolCall
from kilo_gateway.encoding.lenient_json import Mender, cleaned, dicts, mapping, mend, string
from kilo_gateway.reply import ToolCallDelta


class ToolCallRepair:
    """Assigns each fragment of a stream's tool calls to its call.

    1. A fragment belongs to the open call of its index; without an index, to the call of its id, else to the last call.
    2. An unseen id at an index in use opens a new call, because some routes send all calls at index 0. An id that was
       seen at that index continues its call.
    3. A call is announced, and gets its position, when its name is known; arguments that came before are kept.
    4. First arguments that may turn out to be `null` are kept until that is clear. Ids that never come are made up
       when the answer ends.
    """

    __slots__ = ("_announced", "_by_id", "_by_id_and_index", "_calls", "_open")

    def __init__(self) -> None:
        self._calls: list[_OpenCall] = []
        self._announced = 0
        self._open: dict[int | str, _OpenCall] = {}
        self._by_id: dict[str, _OpenCall] = {}
        self._by_id_and_index: dict[tuple[str, int | str], _OpenCall] = {}

    def feed(self, fragments: Any) -> list[ToolCallDelta]:
        """Return the repaired fragments of one frame."""
        repaired = (self._accept(fragment, fragment.get("index")) for fragment in dicts(fragments))
        return [delta for delta in repaired if delta is not None]

    def whole(self, calls: Any) -> list[ToolCallDelta]:
        """Return the calls of a complete answer, in which each entry is a call of its own whatever its index."""
        repaired = [self._accept(call, position) for position, call in enumerate(dicts(calls))]
        return [delta for delta in repaired if delta is not None] + self.finish()

    def finish(self) -> list[ToolCallDelta]:
        """Return what is clear at the end of the answer only: pending arguments, and ids that never came."""
        deltas = []
        for call in self._calls:
            rest = call.take_pending(at_the_end=True) + call.mender.finish()
            call.emitted.append(rest)
            missing_id = None if call.id else f"call_{uuid.uuid4().hex}"
            call.id = call.id or missing_id or ""
            if call.announced and (rest or missing_id):
                deltas.append(ToolCallDelta(call.position, id=missing_id, arguments=rest))
        return deltas

    def complete(self) -> list[ToolCall]:
        """Return all calls, once the answer has ended."""
        calls = sorted((call for call in self._calls if call.announced), key=lambda call: call.position)
        return [ToolCall(call.id, call.name, "".join(call.emitted), call.extra_content) for call in calls]

    @property
    def size(self) -> int:
        """Bytes of names and arguments so far."""
        texts = (text for call in self._calls for text in (call.name, *call.pending, *call.emitted))
        return sum(len(text.encode("utf-8", "replace")) for text in texts)

    def nameless(self, *, calling: bool) -> bool:
        """Return True if a call came without a function name, so that nobody can execute it.

        If the answer does not end in order to call tools (`calling`), an empty fragment is not a call.
        """
        waiting = (call for call in self._calls if not call.announced)
        return any(calling or "".join(call.pending).strip() not in ("", "null") for call in waiting)

    def _accept(self, fragment: dict[str, Any], index: Any) -> ToolCallDelta | None:
        function = mapping(fragment.get("function"))
        given_id = mend(string(fragment.get("id")))
        place = index if isinstance(index, int | str) else None
        call = self._find_or_open(place, given_id)
        new_id = given_id if not call.id else ""
        call.id = call.id or new_id
        if given_id:
            self._by_id.setdefault(given_id, call)
            if place is not None:
                self._by_id_and_index[given_id, place] = call
        call.name = call.name or mend(string(function.get("name")))
        if extra_content := fragment.get("extra_content"):
            call.extra_content = cleaned(extra_content)
        ready = call.mender.feed(_arguments_text(function.get("arguments")))
        if ready and (call.pending or not call.emitted):
            call.pending.append(ready)
            ready = ""
        if not call.name:
            return None
        first = not call.announced
        if first:
            call.announced = True
            call.position, self._announced = self._announced, self._announced + 1
        if call.pending:
            ready = call.take_pending()
        if ready:
            call.emitted.append(ready)
        if not (first or ready or new_id):
            return None
        return ToolCallDelta(
            call.position,
            id=(call.id if first else new_id) or None,
            name=call.name if first else None,
            arguments=ready,
        )

    def _find_or_open(self, index: int | str | None, call_id: str) -> _OpenCall:
        call = None
        if index is not None:
            call = self._open.get(index)
        elif call_id:
            call = self._by_id.get(call_id)
        elif self._calls:
            call = self._calls[-1]
        if call is None or (call_id and call.id and call_id != call.id):
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
    pending: list[str] = field(default_factory=list)
    """Arguments not passed on yet: until the name is known, and while they may turn out to be `null`."""
    emitted: list[str] = field(default_factory=list)
    """Arguments passed on."""
    mender: Mender = field(default_factory=Mender)
    position: int = -1
    """From 0, in the order in which the calls were announced, so that there are no gaps."""
    announced: bool = False
    extra_content: Any = None

    def take_pending(self, *, at_the_end: bool = False) -> str:
        """Return the arguments that may be passed on now; they are no longer pending."""
        text = self.pending[0] if len(self.pending) == 1 else "".join(self.pending)
        if at_the_end:
            self.pending = []
            return "" if text.strip() == "null" else text
        self.pending = [text] if not self.emitted and "null".startswith(text) else []
        return "" if self.pending else text


def _arguments_text(arguments: Any) -> str:
    if isinstance(arguments, str) or arguments is None:
        return arguments or ""
    try:
        return json.dumps(arguments, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to be written)"  # not JSON, so that no tool is run on it
