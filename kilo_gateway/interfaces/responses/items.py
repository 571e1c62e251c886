"""The items of one answer, and their texts, while events arrive. Pure. See docs/gateway.md, "Responses"."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

from kilo_gateway.conversation import ToolCall
from kilo_gateway.encoding.lenient_json import Mender, dicts, mapping, mend, string
from kilo_gateway.interfaces.reasoning import OPENAI
from kilo_gateway.reply import ToolCallDelta

MESSAGE: Final = "message"
REASONING: Final = "reasoning"
CALL: Final = "function_call"

TEXT_PARTS: Final = ("output_text", "text")
REFUSAL_PARTS: Final = ("refusal",)
SUMMARY_PARTS: Final = ("summary_text",)
REASONING_PARTS: Final = ("reasoning_text", "text")

UNFINISHED: Final = frozenset({"incomplete", "in_progress"})
"""States of an item that was cut off; `in_progress` remains in items that the provider never closed."""

_MIME_TYPES: Final = {"png": "image/png", "webp": "image/webp", "jpeg": "image/jpeg", "jpg": "image/jpeg"}


class Passage:
    """One text of an item: it arrives in pieces, and upstreams may repeat it whole, too early or too late."""

    __slots__ = ("_ahead", "_at", "_mender", "_pieces", "lead", "length")

    def __init__(self, lead: str = "") -> None:
        self.lead = lead
        """The separator that is shown before the text."""
        self.length = 0
        self._pieces: list[str] = []
        self._mender = Mender()
        self._ahead, self._at = "", 0
        """Text that came whole before its pieces did, and how much of it the pieces have repeated since."""

    @property
    def text(self) -> str:
        """The text so far."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def add(self, piece: str) -> str:
        """Take in the next piece; return what is new."""
        piece = self._mender.feed(piece)
        if self._ahead:
            piece = self._not_ahead(piece)
        if piece:
            self._pieces.append(piece)
            self.length += len(piece)
        return piece

    def complete(self, whole: str) -> str:
        """Take in the whole text, or a beginning of it that is called whole; return what is new.

        A whole text that contradicts the pieces changes nothing: the pieces have been shown.
        """
        if len(whole) <= self.length or not whole.startswith(self.text):
            return ""
        rest = whole[self.length :]
        self._pieces, self.length = [whole], len(whole)
        self._mender = Mender()
        self._ahead, self._at = rest, 0
        return rest

    def finish(self) -> str:
        """Return the replacement of half a character at the end."""
        rest = self._mender.finish()
        if rest:
            self._pieces.append(rest)
            self.length += len(rest)
        return rest

    def _not_ahead(self, piece: str) -> str:
        if self._ahead.startswith(piece, self._at):
            self._at += len(piece)
            return ""
        rest = self._ahead[self._at :]
        self._ahead = ""
        return piece[len(rest) :] if piece.startswith(rest) else piece


class Item:
    """One item of the output, as far as it has arrived."""

    __slots__ = (
        "added",
        "annotations",
        "call_id",
        "confirmed",
        "done",
        "identified",
        "kind",
        "name",
        "place",
        "position",
        "shown",
        "texts",
        "value",
    )

    def __init__(self, kind: str, place: int | None) -> None:
        self.kind = kind
        self.place = place
        """The `output_index`."""
        self.value: dict[str, Any] = {}
        """The provider's object, as it was announced or, once `done`, completed."""
        self.added = False
        """True if `output_item.added` has come."""
        self.done = False
        """True if the whole item has come."""
        self.texts: dict[str, dict[int, Passage]] = {}
        """By field (`text`, `summary`, `arguments`, ...) and by place in it, in the order in which they began."""
        self.shown = ""
        """The field of a reasoning item that the user sees: some upstreams send the same text in both."""
        self.annotations: list[tuple[Any, dict[str, Any]]] = []
        """Those that arrived one by one, each with the place of its text in the content."""
        self.name = self.call_id = ""
        self.position = -1
        """Position of a call among those that were passed on."""
        self.identified = False
        """True if the id of a call was passed on."""
        self.confirmed = False
        """True if the provider has said that the arguments are complete, even if there are none."""

    @property
    def id(self) -> str:
        """The provider's id."""
        return mend(string(self.value.get("id")))

    @property
    def unfinished(self) -> bool:
        """True if the provider says that it cut the item off."""
        return self.value.get("status") == "incomplete"

    def is_another(self, value: Mapping[str, Any], *, done: bool) -> bool:
        """Return True if `value`, announced or whole, cannot be this item, which has its place."""
        call_id = mend(string(value.get("call_id")))
        if call_id and self.call_id and call_id != self.call_id:
            return True
        repeats = value == self.value or (self.id != "" and mend(string(value.get("id"))) == self.id)
        if self.done:
            return not (done and repeats)
        return self.added and not done and not repeats

    def lacks(self, value: Mapping[str, Any]) -> bool:
        """Return True if the item came without what `value`, the same item in the last event, has."""
        return any(
            value.get(name) and not self.value.get(name) for name in ("arguments", "encrypted_content", "result")
        )

    def text(self, field: str) -> str:
        """Return all text of a field."""
        return "".join(passage.text for passage in self.texts.get(field, {}).values())

    def length(self, field: str) -> int:
        """Return the number of characters of a field."""
        return sum(passage.length for passage in self.texts.get(field, {}).values())

    def parts(self, name: str) -> list[Any]:
        """Return a list of the provider's object, or []."""
        value = self.value.get(name)
        return value if isinstance(value, list) else []

    def content_lists(self, name: str) -> list[Any]:
        """Return a list of each part of the content, such as its log probabilities, flat."""
        return [entry for part in dicts(self.parts("content")) for entry in dicts(part.get(name))]

    def citations(self, start: int) -> Iterator[dict[str, Any]]:
        """Yield the annotations of the texts, with indices in the text of the answer, where the item's is at `start`.

        The provider counts from the start of each text.
        """
        starts: dict[Any, int] = {}
        end = start
        for place, passage in self.texts.get("text", {}).items():
            starts[place] = end
            end += passage.length
        parts = enumerate(self.parts("content"))
        whole = [(place, cited) for place, part in parts for cited in dicts(mapping(part).get("annotations"))]
        for place, cited in whole or self.annotations:
            moved = starts.get(place, start) if place.__class__ is int else start
            indices = ((name, cited.get(name)) for name in ("start_index", "end_index"))
            yield {**cited, **{name: index + moved for name, index in indices if isinstance(index, int)}}

    def complete(self, field: str, wholes: Mapping[int, str], lead: str) -> list[tuple[Passage, str]]:
        """Take in the whole texts of a field, by place; return what is new.

        Deltas may count places otherwise than the item does, or not at all: then all texts are compared as one.
        """
        have = self.texts.setdefault(field, {})
        if all(wholes.get(place, "").startswith(passage.text) for place, passage in have.items()):
            new = []
            for place, whole in wholes.items():
                if whole and place not in have:
                    have[place] = Passage(lead)
                if place in have and (rest := have[place].complete(whole)):
                    new.append((have[place], rest))
            return new
        joined, so_far = "".join(wholes.values()), self.text(field)
        if not joined.startswith(so_far):
            return []
        last = list(have.values())[-1]
        rest = last.complete(last.text + joined[len(so_far) :])
        return [(last, rest)] if rest else []

    def advance(self, new: str, positions: Iterator[int]) -> list[ToolCallDelta]:
        """Return what can be passed on of a call, `new` being the next piece of its arguments.

        Nothing is passed on until there are arguments, or a word that there are none: an upstream that only
        announced the call never wrote it (NousResearch/hermes-agent#110975).
        """
        call_id = None if self.identified else self.call_id or None
        if self.position >= 0:
            self.identified = self.identified or bool(call_id)
            return [ToolCallDelta(self.position, call_id, arguments=new)] if new or call_id else []
        if not self.name or not (self.confirmed or self.length("arguments")):
            return []
        self.position, self.identified = next(positions), bool(call_id)
        return [ToolCallDelta(self.position, call_id, self.name, self.text("arguments"))]

    def identify(self) -> None:
        """Give the call an id if it came without one."""
        self.call_id = self.call_id or self.id or f"call_{uuid.uuid4().hex}"

    def call(self) -> ToolCall:
        """Return the whole call."""
        return ToolCall(self.call_id, self.name, self.text("arguments"))

    def native(self) -> dict[str, Any]:
        """Return the item as the provider wrote it, with texts that only arrived in pieces."""
        pieces = {field: self.text(field) for field in self.texts if not self.value.get(field)}
        return {"type": self.kind, **self.value, **pieces}

    def image(self) -> dict[str, Any] | None:
        """Return the image that a tool of the provider made, in chat's form."""
        if self.kind != "image_generation_call" or not (result := string(self.value.get("result"))):
            return None
        mime_type = _MIME_TYPES.get(string(self.value.get("output_format")), "image/png")
        url = result if result.startswith(("data:", "http:", "https:")) else f"data:{mime_type};base64,{result}"
        return {"type": "image_url", "image_url": {"url": url}}

    def details(self, index: int) -> list[dict[str, Any]]:
        """Return a reasoning item as entries of `reasoning_details`; see `interfaces.reasoning`.

        Its id is left out: the gateway stores nothing, and a provider looks for an id that comes back
        (vercel/ai#7543). Only OpenRouter names the format of an item, and other upstreams refuse the field, so an
        entry says by its `id`, empty as OpenRouter has it, that the format goes back too.
        """
        own_format = string(self.value.get("format"))
        common = {**({"id": None} if own_format else {}), "format": own_format or OPENAI, "index": index}
        summaries = self._whole_texts("summary", SUMMARY_PARTS)
        texts = self._whole_texts("content", REASONING_PARTS)
        entries: list[dict[str, Any]] = [
            *({"type": "reasoning.summary", "summary": text, **common} for text in summaries),
            *({"type": "reasoning.text", "text": text, **common} for text in texts),
        ]
        # The content that comes with the announcement was encrypted before the model reasoned.
        encrypted = string(self.value.get("encrypted_content")) if self.done else ""
        if signature := string(self.value.get("signature")):
            if not entries:
                entries.append({"type": "reasoning.text", "text": "", **common})
            entries[-1]["signature"] = signature
        if encrypted:
            entries.append({"type": "reasoning.encrypted", "data": encrypted, **common})
        return entries

    def piece(self) -> dict[str, Any]:
        """Return the piece of a `Layout` for an item that has no class; images have a place of their own."""
        native = self.native()
        if self.image() is not None:
            del native["result"]
        return {"type": "opaque", "place": "output", "value": native}

    def hidden(self) -> str:
        """Return what was generated for the item and is shown neither as text nor as reasoning."""
        if self.kind == CALL:
            return self.name + self.text("arguments")
        if self.kind == MESSAGE:
            return self.text("refusal")
        if self.kind == REASONING:
            unseen = (self.text(field) for field in self.texts if field != self.shown)
            return string(self.value.get("encrypted_content")) + "".join(unseen)
        return json.dumps(self.native())

    def _whole_texts(self, field: str, kinds: tuple[str, ...]) -> list[str]:
        """Return the texts of a field as the provider ended them, else as they arrived."""
        whole = texts_by_place(self.value.get(field), *kinds) if self.done else {}
        pieces = (passage.text for passage in self.texts.get(field, {}).values())
        return [text for text in (whole.values() if any(whole.values()) else pieces) if text]


def arguments_text(arguments: Any) -> str:
    """Return arguments as the text that they should have been."""
    if isinstance(arguments, str) or arguments is None:
        return mend(arguments or "")
    try:
        return mend(json.dumps(arguments, ensure_ascii=False))
    except RecursionError:
        return "(nested too deeply to be written)"  # not JSON, so that no tool is run on it


def texts_by_place(parts: Any, *kinds: str, plain: bool = True) -> dict[int, str]:
    """Return the texts of parts of these types, by place; in OpenRouter's examples summaries are plain strings."""
    texts = {}
    for place, part in enumerate([parts] if isinstance(parts, str) else parts if isinstance(parts, list) else ()):
        if isinstance(part, str) and plain:
            texts[place] = mend(part)
        elif isinstance(part, dict) and part.get("type") in kinds:
            texts[place] = mend(string(part.get("text")) or string(part.get("refusal")))
    return texts
