"""The output of one answer, item by item, while events arrive. Pure."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final

from kilo_gateway.encoding.lenient_json import dicts, mend, string
from kilo_gateway.interfaces.responses.ending import kind_of, pairs
from kilo_gateway.interfaces.responses.items import (
    CALL,
    MESSAGE,
    REASONING,
    REASONING_PARTS,
    REFUSAL_PARTS,
    SUMMARY_PARTS,
    TEXT_PARTS,
    UNFINISHED,
    Item,
    Passage,
    arguments_text,
    texts_by_place,
)
from kilo_gateway.reply import Delta

# The kind of item, its field, and the key that counts the texts of that field. Some names are only in OpenRouter's
# examples.
_TEXTS: Final = {
    "output_text": (MESSAGE, "text", "content_index"),
    "content_part": (MESSAGE, "text", "content_index"),
    "refusal": (MESSAGE, "refusal", "content_index"),
    "reasoning_summary_text": (REASONING, "summary", "summary_index"),
    "reasoning_summary": (REASONING, "summary", "summary_index"),
    "reasoning_text": (REASONING, "content", "content_index"),
    "reasoning": (REASONING, "content", "content_index"),
    "function_call_arguments": (CALL, "arguments", "content_index"),
    "custom_tool_call_input": ("custom_tool_call", "input", "content_index"),
    "mcp_call_arguments": ("mcp_call", "arguments", "content_index"),
    "code_interpreter_call_code": ("code_interpreter_call", "code", "content_index"),
}
DELTAS: Final = {f"response.{name}.delta": spot for name, spot in _TEXTS.items()}
WHOLE_TEXTS: Final = {f"response.{name}.done": spot for name, spot in _TEXTS.items() if name != "content_part"}
PARTS: Final = {
    "output_text": (MESSAGE, "text", "content_index"),
    "text": (MESSAGE, "text", "content_index"),
    "refusal": (MESSAGE, "refusal", "content_index"),
    "summary_text": (REASONING, "summary", "summary_index"),
    "reasoning_text": (REASONING, "content", "content_index"),
}
_WHOLE_KEYS: Final = ("text", "refusal", "arguments", "input", "code")


class Output:
    """Gives each text and each item of a stream its place, whatever the order in which they come."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        """In the order in which they began."""
        self.spoken: list[Item] = []
        """The messages, in the order in which their texts came."""
        self._open: dict[tuple[str, int], Item] = {}
        self._by_id: dict[str, Item] = {}
        self._positions = itertools.count()
        self._reasoned = False
        # A delta mostly goes where the one before it went.
        self._spot: Any = None
        self._passage = Passage()
        self._item = Item("", None)

    @property
    def text(self) -> str:
        """The text so far."""
        return "".join(item.text("text") for item in dict.fromkeys(self.spoken))

    def add(self, frame: dict[str, Any], kind: str, text: str, delta: Delta) -> None:
        """Take in the next piece of a text."""
        item_kind, field, counter = DELTAS[kind]
        spot = (kind, frame.get("output_index"), frame.get(counter))
        if spot != self._spot or spot[1] is None:
            self._item = self._find(item_kind, frame)
            self._passage = self._passage_at(self._item, field, spot[2])
            self._spot = spot
        if new := self._passage.add(text):
            self._show(self._item, field, self._passage, new, delta)

    def _show(self, item: Item, field: str, passage: Passage, new: str, delta: Delta) -> None:
        """Put into `delta` what is new of a text."""
        if field == "text":
            if not self.spoken or item is not self.spoken[-1]:
                self.spoken.append(item)
            delta.text += new
        elif item.kind == REASONING:
            item.shown = item.shown or field
            if field == item.shown:
                delta.reasoning += passage.lead + new
                passage.lead = ""
                self._reasoned = True
        elif item.kind == CALL:
            delta.tool_calls = [*delta.tool_calls, *item.advance(new, self._positions)]

    def _find(self, kind: str, frame: Mapping[str, Any]) -> Item:
        """Return the item that a text belongs to.

        Its place says it: ids change from event to event (BerriAI/litellm#36375). Some upstreams do not announce it.
        """
        place = frame.get("output_index")
        if place.__class__ is int:
            return self._open.get((kind, place)) or self._new(kind, place)
        item = self._by_id.get(string(frame.get("item_id")))
        if item is None or item.kind != kind:
            item = next((item for item in reversed(self.items) if item.kind == kind and not item.done), None)
        return item or self._new(kind, None)

    def _new(self, kind: str, place: Any) -> Item:
        item = Item(kind, place if place.__class__ is int else None)
        self.items.append(item)
        if item.place is not None:
            self._open[kind, item.place] = item
        return item

    def _passage_at(self, item: Item, field: str, place: Any) -> Passage:
        passages = item.texts.setdefault(field, {})
        index = place if place.__class__ is int else 0
        if index not in passages:
            passages[index] = Passage(self._lead(item))
        return passages[index]

    def _lead(self, item: Item) -> str:
        return "\n\n" if self._reasoned and item.kind == REASONING else ""

    def take_whole(
        self, frame: dict[str, Any], spot: tuple[str, str, str], holder: dict[str, Any], delta: Delta
    ) -> None:
        """Take in a text that an event calls whole. It may not be: more can follow (diegosouzapw/OmniRoute#13693)."""
        kind, field, counter = spot
        item = self._find(kind, frame)
        whole = next((holder[name] for name in _WHOLE_KEYS if holder.get(name) is not None), None)
        if kind == CALL:
            item.name = item.name or mend(string(frame.get("name")))
            item.confirmed = item.confirmed or whole is not None
        text = arguments_text(whole) if kind == CALL else mend(string(whole))
        place = frame.get(counter)
        if text and place not in list(item.texts.get(field, ())) and item.text(field).endswith(text):
            return  # its pieces were counted otherwise
        passage = self._passage_at(item, field, place)
        if (new := passage.complete(text)) or kind == CALL:
            self._show(item, field, passage, new, delta)

    def take_item(self, value: dict[str, Any], place: Any, delta: Delta, *, done: bool) -> None:
        """Take in an item: announced, which opens its place, or whole."""
        if not (kind := kind_of(value)):
            return
        if place.__class__ is int:
            item = self._open.get((kind, place))
        else:
            item = next((item for item in reversed(self.items) if item.kind == kind and not item.done), None)
        item_id = string(value.get("id"))
        self._spot = None
        if item is None or item.is_another(value, done=done):  # upstreams reuse places (BerriAI/litellm#36375)
            item = self._new(kind, place)
        if item_id:
            self._by_id.setdefault(item_id, item)
        self._fill(item, value, delta, done=done)

    def _fill(self, item: Item, value: dict[str, Any], delta: Delta, *, done: bool) -> None:
        item.added = item.added or not done
        if done or not item.value:
            item.value = value
        item.done = item.done or done
        if item.kind == CALL:
            self._fill_call(item, value, delta, done=done)
            return
        fields: dict[str, dict[int, str]] = {}
        if item.kind == MESSAGE:
            fields["text"] = texts_by_place(value.get("content"), *TEXT_PARTS)
            fields["refusal"] = texts_by_place(value.get("content"), *REFUSAL_PARTS, plain=False)
        elif item.kind == REASONING:
            fields["summary"] = texts_by_place(value.get("summary"), *SUMMARY_PARTS)
            fields["content"] = texts_by_place(value.get("content"), *REASONING_PARTS)
        for field, texts in fields.items():
            for passage, new in item.complete(field, texts, self._lead(item)):
                self._show(item, field, passage, new, delta)

    def _fill_call(self, item: Item, value: dict[str, Any], delta: Delta, *, done: bool) -> None:
        item.name = item.name or mend(string(value.get("name")))
        item.call_id = item.call_id or mend(string(value.get("call_id")))
        new = ""
        passage = self._passage_at(item, "arguments", 0)
        if done:
            # The announcement may hold arguments too, but only as a placeholder.
            text = arguments_text(value.get("arguments"))
            item.confirmed = item.confirmed or bool(text) or value.get("status") not in UNFINISHED
            new = passage.complete(text)
        self._show(item, "arguments", passage, new, delta)

    def annotate(self, event: dict[str, Any]) -> None:
        """Take in an annotation of a text."""
        annotations = self._find(MESSAGE, event).annotations
        annotations += [(event.get("content_index"), annotation) for annotation in dicts([event.get("annotation")])]

    def take_rest(self, output: Any) -> list[Delta]:
        """Take in the whole output of the last event, or of a body: return what never came before."""
        deltas = []
        for place, value, item in pairs(output, self.items):
            if item is None or not item.done or item.lacks(value):
                deltas.append(Delta())
                self._fill(item or self._new(kind_of(value), place), value, deltas[-1], done=True)
        return deltas

    def finish(self, item: Item) -> Delta:
        """Return what an item still lacks at the end: halves of characters, and the id of a call."""
        delta = Delta()
        for field, passages in item.texts.items():
            for passage in passages.values():
                if rest := passage.finish():
                    self._show(item, field, passage, rest, delta)
        if item.position >= 0:
            item.identify()
            delta.tool_calls = [*delta.tool_calls, *item.advance("", self._positions)]
        return delta
