"""Content and reasoning of an answer, in the forms in which providers send them (docs/gateway.md, "Streams"). Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping
from typing import Any

from kilo_gateway.encoding.lenient_json import dicts, string


class Joined:
    """An object that arrives in pieces: values of the keys in `texts` are joined, of other keys the last one counts."""

    __slots__ = ("_pieces", "_texts", "fields")

    def __init__(self, fields: Mapping[str, Any], texts: frozenset[str]) -> None:
        self.fields = dict(fields)
        """The values; of a text its first piece."""
        self._texts = texts
        self._pieces: defaultdict[str, list[str]] = defaultdict(list)

    def add(self, fields: Mapping[str, Any]) -> None:
        """Take in the next piece."""
        for key, value in fields.items():
            if key in self._texts and isinstance(value, str) and isinstance(self.fields.get(key), str):
                self._pieces[key].append(value)
            else:
                self.fields[key] = value
                if key in self._pieces:
                    del self._pieces[key]

    def whole(self) -> dict[str, Any]:
        """Return the object so far."""
        return {**self.fields, **{key: self.fields[key] + "".join(more) for key, more in self._pieces.items()}}


class ReasoningDetails:
    """Joins streamed fragments of `reasoning_details` to the entries that they belong to.

    Type and index alone do not distinguish entries (Gemini sends several at index 0), so a fragment
    also starts a new entry when its id or format contradicts, or when the last entry is signed.
    """

    __slots__ = ("_entries", "_last")
    _TEXTS = frozenset({"text", "summary", "data"})

    def __init__(self) -> None:
        self._entries: list[Joined] = []
        self._last: dict[Hashable, Joined] = {}

    def add(self, fragment: dict[str, Any]) -> None:
        """Take in a fragment."""
        new = {key: value for key, value in fragment.items() if value not in (None, "")}
        index = new.get("index")
        place: Hashable = index if index.__class__ is int else repr(index)
        last = self._last.get(place)
        have = {} if last is None else last.fields
        if (
            last is None
            or have.get("type") != new.get("type")
            or have.get("signature")
            or any(key in new and have.get(key) not in (None, "", new[key]) for key in ("id", "format"))
        ):
            last = self._last[place] = Joined(fragment, self._TEXTS)
            self._entries.append(last)
        else:
            last.add(new)

    def append(self, entry: dict[str, Any]) -> None:
        """Take in a whole entry."""
        self._entries.append(Joined(entry, self._TEXTS))

    def whole(self) -> list[dict[str, Any]]:
        """Return the entries so far."""
        return [entry.whole() for entry in self._entries]


def content_parts(content: Any) -> tuple[str, str]:
    """Return (text, reasoning) of a `content` value: a string, null, or a list of parts."""
    if isinstance(content, str):
        return content, ""
    text = reasoning = ""
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str):
            text += part
        elif isinstance(part, dict) and part.get("type") == "text":
            text += string(part.get("text"))
        elif isinstance(part, dict) and part.get("type") == "thinking":
            inner = part.get("thinking")
            pieces = inner if isinstance(inner, list) else [{"text": inner}]
            reasoning += "".join(string(p.get("text")) for p in pieces if isinstance(p, dict))
    return text, reasoning


def reasoning_text(message: dict[str, Any], from_content: str) -> str:
    """Return the reasoning of a message or delta once, although up to four fields repeat it."""
    if text := string(message.get("reasoning")) or string(message.get("reasoning_content")) or from_content:
        return text
    details = dicts(message.get("reasoning_details"))
    return "".join(string(d.get("text")) + string(d.get("summary")) for d in details)
