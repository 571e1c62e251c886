"""What an interface of the gateway is: how a call is written, and how its answer is read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from kilo_gateway.call import Call
from kilo_gateway.errors.sent import Sent
from kilo_gateway.reply import Delta
from kilo_gateway.usage import Usage


class Decoder(Protocol):
    """Reads one streamed answer: bytes in, deltas or a KiloError out."""

    @property
    def ended(self) -> bool:
        """True if the answer is complete: nothing that follows, bytes or a broken connection, can change it."""

    @property
    def finished(self) -> bool:
        """True if the answer lacks nothing but the end of the stream."""

    @property
    def partial_text(self) -> str:
        """The text decoded so far."""

    @property
    def usage(self) -> Usage | None:
        """Tokens and cost that have been reported so far."""

    @property
    def hidden_bytes(self) -> int:
        """Bytes generated so far that neither the text nor the reasoning of a delta shows."""

    @property
    def progress(self) -> int:
        """Number of frames that carried anything: keep-alives and empty frames do not count."""

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        """Yield the deltas that `chunk` completes."""

    def finish(self) -> Iterator[Delta]:
        """Yield the rest and, as the last delta, the ending; raises KiloError if the answer is not complete."""


class Interface(Protocol):
    """One wire format of the gateway. It looks nothing up and does no I/O."""

    path: str
    """Where its requests are posted, below the base URL."""

    def body(self, call: Call) -> dict[str, Any]:
        """Return the request body. Raises ValueError for what has no form on this wire."""

    def decoder(self, response: Any, sent: Sent) -> Decoder:
        """Return the decoder of a streamed answer; `response` and `sent` describe it in its errors."""

    def whole(self, content: bytes, response: Any, sent: Sent) -> Iterator[Delta]:
        """Yield the deltas of an answer that is there as a whole, as JSON or as an event stream. Raises KiloError."""
