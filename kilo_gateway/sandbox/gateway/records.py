"""Record the requests that arrive and their answers: the server's thread writes, the test's thread reads."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.datastructures import Headers

from kilo_gateway.sandbox.gateway.credentials import AccountName
from kilo_gateway.sandbox.gateway.masking import Mask

KEPT: Final = 10_000
"""The number of records that a sandbox keeps by default."""
MOST_BYTES: Final = 100_000_000
"""The largest size of all kept bodies and answers together; above it, the oldest records are dropped."""
MOST_ANSWER_BYTES: Final = 4_000_000
"""The largest size of one kept answer; of a longer one, the beginning is kept."""
_WRITE_BYTES: Final = 140
"""What Python needs to keep a write, besides its bytes: a tuple, a float and the header of the bytes."""


@dataclass
class Record:
    """One request; `effective` is the body after the gateway's own changes, `status` is None until the answer.

    `written` has the writes of the answer: seconds since the request arrived, and bytes.
    """

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
    number: int = field(default=0, repr=False)
    """The place in the order of arrival, from 1."""
    revision: int = field(default=0, repr=False)
    """Grows with each change of any record; the record that changed last has the largest one."""
    arrived: float = field(default_factory=time.time, repr=False)
    """Seconds since 1970."""
    answer_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    written: list[tuple[float, bytes]] = field(default_factory=list, repr=False)
    unkept_bytes: int = field(default=0, repr=False)
    """The size of the end of the answer, which is not in `written` because it exceeds `MOST_ANSWER_BYTES`."""
    complete: bool = field(default=False, repr=False)
    """True if the last byte of the answer was sent."""
    mask: Mask | None = field(default=None, repr=False)
    """Hides the secrets of a private record in its answer; None for others, and after the answer."""
    _answer_bytes: int = field(default=0, repr=False, compare=False)
    _counted: int = field(default=0, repr=False, compare=False)
    _begun: float = field(default_factory=time.perf_counter, repr=False, compare=False)
    _revisions: Iterator[int] = field(default_factory=itertools.count, repr=False, compare=False)
    _changed: threading.Condition = field(default_factory=threading.Condition, repr=False, compare=False)

    def update(self, **values: Any) -> None:
        """Set fields and wake the threads that wait for them."""
        with self._changed:
            for name, value in values.items():
                setattr(self, name, value)
            self.revision = next(self._revisions)
            self._changed.notify_all()

    def answered(self, status: int, headers: Mapping[str, str]) -> None:
        """Set the status and the headers of the answer, whose body follows."""
        kept = dict(self.mask.headers(headers.items())) if self.mask else headers
        self.update(status=status, answer_headers=kept)

    def wrote(self, data: bytes) -> None:
        """Keep bytes of the answer. This runs for each chunk of a stream: it takes no lock and wakes nobody."""
        if self.mask:
            data = self.mask.data(data)
        if len(data) > (room := MOST_ANSWER_BYTES - self._answer_bytes):
            self.unkept_bytes += len(data) - max(room, 0)
            if room <= 0:
                return
            data = data[:room]
        self.written.append((time.perf_counter() - self._begun, data))
        self._answer_bytes += len(data) + _WRITE_BYTES

    @property
    def seconds(self) -> float:
        """Seconds since the request arrived."""
        return time.perf_counter() - self._begun


def _without_secrets(headers: Headers, body: bytes, query: str, **_: Any) -> dict[str, Any]:
    mask = Mask.of(headers, query)
    kept = Headers(raw=[(n.encode("latin-1"), v.encode("latin-1")) for n, v in mask.headers(headers.items())])
    return {"headers": kept, "body": mask.data(body), "query": mask.text(query), "mask": mask}


class Log:
    """The last `keep` records of a sandbox, in order of arrival; bodies and answers have at most `MOST_BYTES`."""

    def __init__(self, keep: int = KEPT) -> None:
        self.changed = threading.Condition()
        self.name = f"{time.time_ns():x}"
        """Changes when all records are deleted, so that a reader knows that its own list is void."""
        self._keep = keep
        self._records: deque[Record] = deque()
        self._bytes = 0
        self._numbers = itertools.count(1)
        self._revisions = itertools.count(1)

    def open(self, *, private: bool = False, **values: Any) -> Record:
        """Append a record and return it; drop the oldest records above the limits.

        A `private` record keeps no secrets of the caller: they are replaced when it is made.
        """
        if private:
            values |= _without_secrets(**values)
        record = Record(**values, _changed=self.changed, _revisions=self._revisions)
        with self.changed:
            record.number, record.revision = next(self._numbers), next(self._revisions)
            self._records.append(record)
            self._count(record)
            self.changed.notify_all()
        return record

    def close(self, record: Record) -> None:
        """Mark a record as finished; its answer counts from now on."""
        record.mask = None
        record.update(finished=True)
        with self.changed:
            if self._records and record.number >= self._records[0].number:
                self._count(record)

    def _count(self, record: Record) -> None:
        size = len(record.body) + record._answer_bytes
        self._bytes += size - record._counted
        record._counted = size
        while len(self._records) > 1 and (len(self._records) > self._keep or self._bytes > MOST_BYTES):
            self._bytes -= self._records.popleft()._counted

    def snapshot(self) -> tuple[Record, ...]:
        """Return the kept records, in order of arrival."""
        with self.changed:
            return tuple(self._records)

    def get(self, number: int) -> Record | None:
        """Return the record with a number; None if it is not kept."""
        with self.changed:
            place = number - self._records[0].number if self._records else -1
            return self._records[place] if 0 <= place < len(self._records) else None

    def clear(self) -> None:
        """Delete all records; answers under way still finish."""
        with self.changed:
            self._records.clear()
            self._bytes = 0
            self.name = f"{time.time_ns():x}"

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
