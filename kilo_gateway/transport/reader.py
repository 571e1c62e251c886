"""Reads the body of an answer as it arrives, and ends one that is too slow, too large or over. I/O; knows no wire."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from socket import SHUT_RDWR, socket
from typing import Any, Final, Protocol

from kilo_gateway.errors import KiloError, connection, translate
from kilo_gateway.errors.sent import Sent
from kilo_gateway.transport.async_generators import unlisted
from kilo_gateway.transport.clients import ENCODINGS
from kilo_gateway.transport.openai_compat import limit_reads

_MEGABYTE: Final = 1_000_000
ERROR_PAGE_BYTES: Final = 64_000
"""Bytes of the page of an error that are read, decompressed."""


class Terms(Protocol):
    """The limits of an answer, and the errors to raise; an exchange has them."""

    sent: Sent
    idle_timeout: float | None
    total_timeout: float | None

    @property
    def read_timeout(self) -> float | None:
        """Seconds that one read of the body may take."""

    @property
    def max_bytes(self) -> int:
        """Upper limit of the size of a body that is used as a whole, decompressed."""

    @property
    def expired(self) -> bool:
        """True if the time for the whole answer is over."""

    def within(self, seconds: float | None) -> float | None:
        """Return `seconds`, or less if the total limit leaves less."""

    def translated(self, error: Exception, *, response: Any = None, partial: str = "") -> Exception:
        """Return the error to raise for an exception of reading."""

    def too_long(self, response: Any = None, partial: str = "") -> KiloError:
        """Return the error of an answer that was not complete in time."""


class Reader:
    """Takes in a response as it arrives, and ends one that is too slow."""

    def __init__(self, exchange: Terms, response: Any) -> None:
        self.exchange = exchange
        self.response = response
        self._moved_at = time.monotonic()
        self.over = False
        """True if the answer is whole and the rest of the body is not waited for."""
        encoding = _encoding(response)
        if encoding not in ENCODINGS:
            raise translate.unreadable(f"it is encoded as {encoding!r}, which was not requested", response=response)

    @property
    def complete(self) -> bool:
        """True if the answer is whole, so that a connection that breaks now loses nothing."""
        return False

    @property
    def partial_text(self) -> str:
        """The text of the answer so far."""
        return ""

    def check(self, *, moved: bool) -> None:
        """Raise KiloTimeoutError if the answer takes too long; `moved` is True if the last read brought anything."""
        exchange = self.exchange
        now = time.monotonic()
        if moved:
            self._moved_at = now
        # A read timeout cannot see this: keep-alive comments are bytes.
        elif exchange.idle_timeout is not None and now - self._moved_at > exchange.idle_timeout:
            self._end(connection.idle(exchange.idle_timeout, self.response, self.partial_text))
        if exchange.total_timeout is not None and exchange.expired:
            self._end(exchange.too_long(self.response, self.partial_text))

    def _end(self, error: KiloError) -> None:
        """Raise `error`, unless the answer is whole and nothing is lost."""
        if not self.complete:
            raise error
        self.over = True

    def broken(self, error: Exception) -> Exception:
        """Return the error to raise for a connection that broke."""
        exchange = self.exchange
        if not exchange.expired and exchange.idle_timeout is not None and connection.is_timeout(error):
            return connection.idle(exchange.idle_timeout, self.response, self.partial_text)
        return exchange.translated(error, response=self.response, partial=self.partial_text)


class Body(Reader):
    """Collects a body that is used as a whole, up to the limit on its size."""

    def __init__(self, exchange: Terms, response: Any) -> None:
        super().__init__(exchange, response)
        self._content = bytearray()

    @property
    def content(self) -> bytes:
        """The bytes that have arrived."""
        return bytes(self._content)

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes. Raises KiloError for a body that is too large or takes too long."""
        self._content += chunk
        limit = self.exchange.max_bytes
        if len(self._content) > limit:
            raise translate.unreadable(
                f"it is larger than max_response_bytes={limit} ({limit / _MEGABYTE:g} MB) when decompressed",
                response=self.response,
            )
        # Spaces do not count: a server could fill the time with them.
        self.check(moved=not chunk.isspace())


class ErrorPage(Reader):
    """The page of an error. The official client would read all of it, without a limit on time or size."""

    def __init__(self, exchange: Terms, response: Any) -> None:
        if _encoding(response) not in ENCODINGS:
            del response.headers["content-encoding"]
        super().__init__(exchange, response)
        self._content = bytearray()

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes. Raises KiloError if it takes too long."""
        self._content += chunk
        self.over = len(self._content) >= ERROR_PAGE_BYTES
        self.check(moved=not chunk.isspace())

    def broken(self, error: Exception) -> Exception:
        """Return the error to raise for a connection that broke; no answer was lost."""
        return super().broken(error) if connection.is_timeout(error) else self.exchange.translated(error)

    def read(self) -> Any:
        """Return the response as one that has been read."""
        response = self.response
        encoded = ("content-encoding", "content-length", "transfer-encoding")
        read = type(response)(
            response.status_code,
            headers=[(name, value) for name, value in response.headers.multi_items() if name.lower() not in encoded],
            content=bytes(self._content[:ERROR_PAGE_BYTES]),
            request=response.request,
            extensions=response.extensions,
            default_encoding=response.default_encoding,
        )
        read.elapsed = response.elapsed
        return read


def _encoding(response: Any) -> str:
    return str(response.headers.get("content-encoding", "")).strip().lower()


def _decodes(response: Any) -> bool:
    """Return True if the HTTP library must decompress the body, or has read it; it costs two steps for each read."""
    return bool(response.is_closed or _encoding(response) not in ("", "identity"))


def received(reader: Reader) -> Generator[bytes]:
    """Yield the body of the reader's response as it arrives. Raises KiloError."""
    response = reader.response
    # `timeout` covers the wait for the headers, which may take minutes: a model may think long before its first byte.
    limit = reader.exchange.within(reader.exchange.idle_timeout)
    if limit is not None:
        limit_reads(response, limit)
    try:
        with nullcontext() if reader.exchange.total_timeout is None else _cut_off(reader):
            for chunk in response.iter_bytes() if _decodes(response) else response.stream:
                yield chunk
                if reader.over:
                    return
    # Which HTTP library raises depends on openai's version and on the user's own client.
    except Exception as error:
        if not reader.complete:
            raise reader.broken(error) from error
    else:
        if reader.exchange.expired and not reader.complete:
            raise reader.exchange.too_long(response, reader.partial_text)


async def areceived(reader: Reader) -> AsyncIterator[bytes]:
    """Yield the body of the reader's response as it arrives. Raises KiloError."""
    response = reader.response
    chunks = response.aiter_bytes() if _decodes(response) else aiter(response.stream)
    reading = Reading(reader.exchange)
    try:
        with reading:
            chunk = await unlisted(chunks.__anext__)
        yield chunk
        while not reader.over:
            with reading:
                chunk = await anext(chunks)
            yield chunk
    except StopAsyncIteration:
        return
    except Exception as error:
        if not reader.complete:
            raise reader.broken(error) from error
    finally:
        reading.stop()


class Reading:
    """Ends reads that take longer than the limits of an answer. A `with` block is one read; raises TimeoutError.

    `asyncio.timeout` would start and cancel a timer for each token of a stream. This timer runs on, and looks again
    when it ends too early.
    """

    __slots__ = ("_began", "_cancelling", "_ended", "_limits", "_loop", "_task", "_timer")

    def __init__(self, limits: Terms) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[Any] | None = None
        self._began = 0.0
        self._cancelling = 0
        self._ended = False

    def __enter__(self) -> None:
        self._task = task = asyncio.current_task()
        self._began = time.monotonic()
        if self._timer is None and task is not None:
            self._look()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        task, self._task = self._task, None
        if self._ended and task is not None:
            self._ended = False
            # As in `asyncio.timeout`: a cancellation that somebody else asked for goes on.
            if task.uncancel() <= self._cancelling and kind is not None and issubclass(kind, asyncio.CancelledError):
                raise TimeoutError from error

    def _look(self) -> None:
        """End the read if it has taken too long, or look again when it will have."""
        self._timer = None
        if self._task is None:
            return  # nothing is read; the next read starts the timer
        limits, since = self._limits, time.monotonic() - self._began
        longest = limits.read_timeout
        left = limits.within(None if longest is None else longest - since)
        if left is None:
            return
        if left > 0 and not limits.expired:
            self._timer = self._loop.call_later(left, self._look)
            return
        self._cancelling, self._ended = self._task.cancelling(), True
        self._task.cancel()

    def stop(self) -> None:
        """Cancel the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _socket_of(response: Any) -> Any:
    # A connection of HTTP/2 carries answers of other calls too.
    stream = response.extensions.get("network_stream") if response.http_version.startswith("HTTP/1") else None
    return None if stream is None else stream.get_extra_info("socket")


@contextmanager
def _cut_off(reader: Reader) -> Iterator[None]:
    """End the connection when the time for the whole answer is over: nothing else ends a read that waits."""
    left = reader.exchange.within(None)
    connection = None if left is None else _socket_of(reader.response)
    if left is None or connection is None:
        yield
        return
    response = reader.response

    def shut_down() -> None:
        if response.is_closed:  # the connection may carry the next call
            return
        with suppress(OSError):  # closed in the meantime
            # Not the method of a TLS socket, which would let a read that waits go on without TLS.
            socket.shutdown(connection, SHUT_RDWR)

    timer = threading.Timer(left, shut_down)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
