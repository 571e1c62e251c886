"""Record the requests that arrive, for assertions: the server's thread writes, the test's thread reads."""

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
"""The number of records that a sandbox keeps by default."""
MOST_BYTES: Final = 100_000_000
"""The largest size of all kept bodies together; above it, the oldest records are dropped."""


@dataclass
class Record:
    """One request; `effective` is the body after the gateway's own changes, `status` is None until the answer."""

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
        """Set fields and wake the threads that wait for them."""
        with self._changed:
            for name, value in values.items():
                setattr(self, name, value)
            self._changed.notify_all()


class Log:
    """The last `keep` records of a sandbox, in order of arrival; their bodies have at most `MOST_BYTES`."""

    def __init__(self, keep: int = KEPT) -> None:
        self.changed = threading.Condition()
        self._keep = keep
        self._records: deque[Record] = deque()
        self._bytes = 0

    def open(self, **values: Any) -> Record:
        """Append a record and return it; drop the oldest records above the limits."""
        record = Record(**values, _changed=self.changed)
        with self.changed:
            self._records.append(record)
            self._bytes += len(record.body)
            while len(self._records) > 1 and (len(self._records) > self._keep or self._bytes > MOST_BYTES):
                self._bytes -= len(self._records.popleft().body)
            self.changed.notify_all()
        return record

    def snapshot(self) -> tuple[Record, ...]:
        """Return the kept records, in order of arrival."""
        with self.changed:
            return tuple(self._records)

    def clear(self) -> None:
        """Delete all records; answers under way still finish."""
        with self.changed:
            self._records.clear()
            self._bytes = 0

    def wait_for(self, predicate: Callable[[Record], bool], timeout: float) -> Record:
        """Wait for a record that satisfies `predicate` and return it; raise TimeoutError, which lists all records."""
        deadline = time.monotonic() + timeout
        with self.changed:
            while True:
                for record in self._records:
                    if predicate(record):
                        return record
                remaining = deadline - time.monotonic()
                if remaining <= 0:
                    raise TimeoutError(
                        f"no request satisfied the predicate within {timeout} s; received: {list(self._records)}"
                    )
                self.changed.wait(remaining)
