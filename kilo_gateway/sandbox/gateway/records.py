"""The record of what arrived, for assertions: written by the server's thread, read by the test's."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.datastructures import Headers

from kilo_gateway.sandbox.gateway.credentials import AccountName

KEPT: Final = 10_000
"""Records that are kept unless the caller says otherwise."""
MOST_BYTES: Final = 100_000_000
"""Bytes of the bodies of all kept records; the oldest records are dropped beyond that."""


@dataclass
class Record:
    """One request. `effective` is the body after the gateway's own changes; `status` is None until the answer."""

    method: str
    path: str
    headers: Headers = field(repr=False)
    body: bytes = field(repr=False)
    query: str = ""
    json: Any = None
    account: AccountName = "anonymous"
    organization_id: str | None = None
    requested_model: str | None = None
    served_model: str | None = None
    mode: str | None = None
    effective: dict[str, Any] = field(default_factory=dict, repr=False)
    status: int | None = None
    disconnected: bool = False
    finished: bool = False
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False, compare=False)

    def update(self, **values: Any) -> None:
        """Set fields and wake whoever waits for them."""
        with self._changed:
            for name, value in values.items():
                setattr(self, name, value)
            self._changed.notify_all()


class Log:
    """The last `keep` records of a sandbox, in order of arrival, and no more bodies than fit into `MOST_BYTES`."""

    def __init__(self, keep: int = KEPT) -> None:
        self.changed = threading.Condition()
        self._keep = keep
        self._records: deque[Record] = deque()
        self._bytes = 0

    def open(self, **values: Any) -> Record:
        """Append a record."""
        record = Record(**values, _changed=self.changed)
        with self.changed:
            self._records.append(record)
            self._bytes += len(record.body)
            while len(self._records) > 1 and (len(self._records) > self._keep or self._bytes > MOST_BYTES):
                self._bytes -= len(self._records.popleft().body)
            self.changed.notify_all()
        return record

    def snapshot(self) -> tuple[Record, ...]:
        """Return the records so far."""
        with self.changed:
            return tuple(self._records)

    def clear(self) -> None:
        """Forget every record; answers under way still finish."""
        with self.changed:
            self._records.clear()
            self._bytes = 0

    def wait_for(self, predicate: Callable[[Record], bool], timeout: float) -> Record:
        """Return the first record that satisfies `predicate`; raises TimeoutError with what arrived instead."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                for record in self._records:
                    if predicate(record):
                        return record
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise TimeoutError(
                        f"no request satisfied the predicate within {timeout} s; arrived: {list(self._records)}"
                    )
                self.changed.wait(remaining)
