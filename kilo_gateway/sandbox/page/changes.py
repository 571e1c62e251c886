"""Follow the records for a reader of the event stream: what has changed since the event that it saw last."""

from __future__ import annotations

import json
from typing import Any, Final

from kilo_gateway.sandbox.gateway.records import Log
from kilo_gateway.sandbox.page.values import whole
from kilo_gateway.sandbox.page.views import Views

_MOST_ROWS: Final = 100


class Changes:
    """The changes for one reader; `source` says who answers, `last_id` is the id of the last event that it received.

    An id names the log, which `clear` replaces, and the revision up to which the reader knows all records.
    """

    def __init__(self, log: Log, views: Views, source: str, last_id: str = "") -> None:
        self._source = source
        self._log = log
        self._views = views
        self._name, _, revision = last_id.partition(".")
        self._revision = whole(revision) or 0
        self._writes: dict[int, int] = {}
        self.behind = False
        """True if more has changed than the last event contains."""

    def next(self) -> bytes:
        """Return the next event, or no bytes if nothing has changed."""
        name, records = self._log.name, self._log.snapshot()
        if name != self._name:
            self._name, self._revision = name, 0
            self._writes.clear()
            self.behind = True
            # A browser that has lost the connection waits this number of milliseconds (HTML standard, 9.2.6).
            return b"retry: 500\n" + _event("reset", {"source": self._source}, f"{name}.0")
        changed = sorted((r for r in records if r.revision > self._revision), key=lambda record: record.revision)
        self.behind = len(changed) > _MOST_ROWS
        changed = changed[:_MOST_ROWS]
        rows = {record.number: self._views.row(record) for record in changed}
        if changed:
            self._revision = changed[-1].revision
        for record in records:
            # A stream that goes on has no new revision, so that its writes cost nothing when nobody looks.
            if not record.finished and self._writes.get(record.number, 0) != len(record.written):
                self._writes[record.number] = len(record.written)
                rows[record.number] = self._views.row(record)
        if not rows:
            return b""
        self._views.forget(records[0].number)
        self._writes = {number: writes for number, writes in self._writes.items() if number >= records[0].number}
        data = {"first": records[0].number, "rows": list(rows.values())}
        return _event("rows", data, f"{name}.{self._revision}")


def _event(kind: str, data: Any, last_id: str) -> bytes:
    # The text has no line end, because JSON escapes them, so that one line of the event contains it.
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return f"id: {last_id}\nevent: {kind}\ndata: {text}\n\n".encode()
