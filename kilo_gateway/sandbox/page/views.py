"""Describe a recorded request for the page: a row of the list, all details, and what differs between two requests."""

from __future__ import annotations

import re
import zlib
from collections import OrderedDict
from typing import Any, Final

from kilo_gateway.sandbox.gateway.masking import Mask
from kilo_gateway.sandbox.gateway.records import Record
from kilo_gateway.sandbox.page import conversation, labels
from kilo_gateway.sandbox.page.answers import Reading
from kilo_gateway.sandbox.page.remedies import CUT, remedy
from kilo_gateway.sandbox.page.values import Json, cut, differences, mapping, marked, parsed, string, written

_API: Final = re.compile(r"/api/(?:gateway|openrouter)(?:/v1)?/(chat/completions|responses|messages|embeddings)")
_NAMES: Final = {"chat/completions": "chat_completions"}
_TIER: Final = re.compile(r"\s*kilo-auto/([\w-]+)\s*", re.IGNORECASE)
_MOST_TEXT: Final = 400_000
"""The number of characters that are shown of a body."""
_MOST_READINGS: Final = 16
_MOST_CHARACTERS: Final = 20_000_000
"""The number of characters that are kept for the search."""
_PREVIEW: Final = 140

_BROKEN: Final = {"type": "", "code": None, "message": "The connection broke before the end of the answer."}
_UNFINISHED: Final = {"type": "", "code": None, "message": "The stream ended without the event that completes it."}


def interface_of(record: Record) -> str:
    """Return the interface of a request, or `other` for one such as GET /models."""
    found = _API.fullmatch(record.path) if record.method == "POST" else None
    return _NAMES.get(found[1], found[1]) if found else "other"


def mask_of(record: Record) -> Mask:
    """Return the mask for all that the page shows of a request."""
    return Mask.of(record.headers, record.query)


def body_of(record: Record) -> Json:
    """Return the body of a request; {} if it is not a JSON object."""
    return mapping(record.json) or mapping(parsed(record.body))


def answer_of(record: Record) -> bytes:
    """Return the bytes of an answer, without compression."""
    data = b"".join(data for _, data in tuple(record.written))
    if record.answer_headers.get("content-encoding") != "gzip":
        return data
    try:
        return zlib.decompressobj(31).decompress(data)
    except zlib.error:
        return data


class Views:
    """The descriptions of recorded requests; answers under way are read on from where the last look ended."""

    def __init__(self) -> None:
        self._readings: OrderedDict[int, Reading] = OrderedDict()
        self._rows: dict[int, Json] = {}
        self._previews: dict[int, str] = {}
        self._texts: dict[int, str] = {}
        self._characters = 0
        self._first = 0

    def forget(self, before: int) -> None:
        """Drop what belongs to records that are no longer kept."""
        if before == self._first:
            return
        self._first = before
        for kept in (self._rows, self._previews, self._readings, self._texts):
            for number in [number for number in kept if number < before]:
                del kept[number]

    def row(self, record: Record) -> Json:
        """Return the row of the list for a request; that of a finished one is made once."""
        if row := self._rows.get(record.number):
            return row
        finished = record.finished  # before its writes are read, because they go on
        reading = self._reading(record) if finished else None
        row = self._row(record, reading, mask_of(record))
        if finished:
            self._rows[record.number] = row
        return row

    def details(self, record: Record, start: int = 0) -> Json:
        """Return all that the page shows of a request; if `start` is not 0, only the answer, with later frames."""
        reading, mask = self._reading(record), mask_of(record)
        details: Json = {
            "frames": reading.frames[start:],
            "start": start,
            "answer": reading.turns,
            "raw_answer": cut(answer_of(record).decode("utf-8", "replace"), _MOST_TEXT) if record.finished else "",
            "unkept_bytes": record.unkept_bytes,
        }
        if not start:
            body = body_of(record)
            details |= {
                "address": f"{record.method} {record.path}{'?' if record.query else ''}{record.query}",
                "conversation": conversation.of_request(interface_of(record), body) if body else [],
                "tools": conversation.tools(body),
                "changes": differences(body, record.effective) if record.effective else [],
                "body": cut(_indented(record), _MOST_TEXT),
            }
        row = self._row(record, reading, mask)
        shown: Json = mask.json(details)
        shown |= {"row": row, "facts": labels.facts(row), "answer_headers": mask.headers(record.answer_headers.items())}
        if not start:
            shown["headers"] = mask.headers(record.headers.items())
            shown["changes"] = marked(shown["changes"]) if record.effective else None
        return shown

    def compared(self, one: Record, other: Record) -> list[Json]:
        """Return a row for each fact of two requests, and for each place at which bodies, answers or headers differ."""
        views = [self._row(record, self._reading(record), mask_of(record)) for record in (one, other)]
        facts = [dict(labels.facts(view)) for view in views]
        named = [
            {"path": name, "before": facts[0].get(name), "after": facts[1].get(name)} for name in facts[0] | facts[1]
        ]
        return marked([*named, *differences(*(self._side(record) for record in (one, other)))])

    def text(self, record: Record) -> str:
        """Return the texts of a request in which the page searches, in lower case; those of finished ones are kept."""
        if text := self._texts.get(record.number):
            return text
        finished = record.finished
        text = self._text(record)
        if finished:
            self._characters += len(text)
            if self._characters > _MOST_CHARACTERS:
                self._characters = len(text)
                self._texts.clear()
            self._texts[record.number] = text
        return text

    def _text(self, record: Record) -> str:
        body, row = body_of(record), self.row(record)
        turns = [*conversation.of_request(interface_of(record), body), *self._reading(record).turns]
        texts = [f"{part.get('name', '')} {part['text']}" for turn in turns for part in turn["parts"]]
        facts = [value for value in row.values() if isinstance(value, str)]
        settings = written({name: body[name] for name in body if name not in ("messages", "input", "system")})
        return mask_of(record).text("\n".join([*texts, *facts, settings])).lower()

    def _side(self, record: Record) -> Json:
        mask, reading = mask_of(record), self._reading(record)
        return {
            "body": mask.json(body_of(record)),
            "answer": mask.text("\n".join(part["text"] for turn in reading.turns for part in turn["parts"])),
            "header": dict(mask.headers(record.headers.items())),
        }

    def _row(self, record: Record, reading: Reading | None, mask: Mask) -> Json:
        if record.number not in self._previews:
            self._previews[record.number] = _preview(record)
        error = _error(record, reading)
        times = [seconds for seconds, _ in record.written[:1] + record.written[-1:]]
        tier = _TIER.fullmatch(string(record.requested_model))
        tokens = reading.tokens if reading else {}
        row: Json = {
            "number": record.number,
            "arrived": record.arrived,
            "path": f"{record.method} {record.path}",
            "interface": interface_of(record),
            "requested": string(record.requested_model),
            "served": _served(record, reading),
            "tier": tier[1].lower() if tier else "",
            "mode": record.headers.get("x-kilocode-mode", ""),
            "task": record.headers.get("x-kilocode-taskid", ""),
            "preview": self._previews[record.number],
            "status": record.status,
            "state": _state(record, error),
            "streamed": reading.streamed if reading else None,
            "finish": reading.finish_reason if reading else "",
            "first_ms": round(times[0] * 1000, 1) if times else None,
            "last_ms": round((times[-1] if record.finished and times else record.seconds) * 1000, 1),
            "writes": len(record.written),
            "cost": tokens.pop("cost", None),
            "tokens": tokens,
            "error": error and {**error, "remedy": error.get("remedy") or remedy(error, record.status)},
        }
        row = mask.json(row)
        return {**row, "label": labels.labels(row)}

    def _reading(self, record: Record) -> Reading:
        """Return the answer as far as it was written; the last `_MOST_READINGS` are read on, others from the start."""
        finished, number = record.finished, record.number
        reading = self._readings.get(number) or Reading(interface_of(record), record.answer_headers)
        if record.written:  # from the first write on, the headers of the answer are known
            self._readings[number] = reading
            self._readings.move_to_end(number)
            if len(self._readings) > _MOST_READINGS:
                self._readings.popitem(last=False)
        for seconds, data in record.written[reading.taken :]:
            reading.feed(seconds, data)
        if finished and not reading.finished:
            reading.finish(record.status)
        return reading


def _served(record: Record, reading: Reading | None) -> str:
    """Return the model that answers; empty if the gateway refused the request, although it had chosen one."""
    refused = record.status is not None and record.status >= 400
    return "" if refused else record.served_model or (reading.model if reading else "")


def _state(record: Record, error: Json | None) -> str:
    if not record.finished:
        return "running"
    if record.disconnected:
        return "left"
    return "failed" if error else "ok"


def _error(record: Record, reading: Reading | None) -> Json | None:
    if reading is None or not record.finished:
        return reading.error if reading else None
    if reading.error is not None or record.disconnected:
        return reading.error
    if not record.complete:
        return {**_BROKEN, "remedy": CUT}
    streamed = reading.streamed and record.status == 200
    return (
        {**_UNFINISHED, "remedy": CUT} if streamed and not reading.finish_reason and not record.unkept_bytes else None
    )


def _preview(record: Record) -> str:
    turns = conversation.of_request(interface_of(record), body_of(record)) if record.body else []
    asked = [part for turn in turns if turn["role"] in ("user", "input") for part in turn["parts"]]
    texts = [part["text"] for part in asked if part["kind"] == "text"] or [part["text"] for part in asked]
    return " ".join(texts[-1].split())[:_PREVIEW] if texts else ""


def _indented(record: Record) -> str:
    read: Any = record.json if record.json is not None else parsed(record.body)
    return written(read, indent=2) if isinstance(read, dict | list) else record.body.decode("utf-8", "replace")
