"""What one piece of work used: its requests, tokens and cost, whatever made the requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from kilo_gateway.ledger import Ledger, Spent
from kilo_gateway.usage import Usage


class Tally:
    """The sum of the chat and embeddings requests of a `tallied` block; safe among threads and tasks."""

    def __init__(self) -> None:
        self.usage = Ledger()
        """Answers, and failures whose usage the gateway reported, by served model."""
        self.attempts = 0
        """Requests that were sent, repeated ones included."""
        self.finish_reason: str | None = None
        """Why the last answer of a chat model ended."""
        self._lock = threading.Lock()

    def add(self, *, attempts: int) -> None:
        """Count the requests of one call."""
        with self._lock:
            self.attempts += attempts

    def answered(self, model: str, usage: Usage | None, finish_reason: str | None) -> None:
        """Count an answer, or a failure with its usage."""
        self.usage.add(model, Spent.of(usage))
        self.finish_reason = finish_reason


_CURRENT: Final[ContextVar[Tally | None]] = ContextVar("kilo_tally", default=None)


@contextmanager
def tallied() -> Iterator[Tally]:
    """Add up the requests that are made inside a `with` block, also by tasks and threads that copy its context.

    Of nested blocks, only the innermost one counts a request.
    """
    tally = Tally()
    token = _CURRENT.set(tally)
    try:
        yield tally
    finally:
        _CURRENT.reset(token)


def current() -> Tally | None:
    """Return the tally of the running block, or None."""
    return _CURRENT.get()
