"""One exchange with the gateway: a request, its answer as it arrives, its limits and its errors.

Everything that sync and async share about a request is here, once for chat, embeddings and the list of models.
A body is read here and not by the official client, which would send the request again after part of the answer
arrived.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from socket import SHUT_RDWR, socket
from typing import Any, Final, Self

import openai

from kilo_gateway import clients, error_table
from kilo_gateway.account import AccountSettings
from kilo_gateway.errors import KiloError
from kilo_gateway.unlisted import unlisted

_MEGABYTE: Final = 1_000_000
ERROR_PAGE_BYTES: Final = 64_000
"""How much of the page of an error is read, decompressed."""


@dataclass(slots=True)
class Exchange:
    """One request and what it may take."""

    settings: AccountSettings
    path: str
    model: str = ""
    several: bool = False
    """True if more than one answer was asked for."""
    chat: bool = True
    """True if an auto tier could be asked instead."""
    body: dict[str, Any] | None = None
    """JSON to post; None for a GET."""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    total_timeout: float | None = None
    streamed: bool = False
    """True if the answer was asked for as a stream."""
    idle_timeout: float | None = None
    """Seconds that a stream may go without data."""
    max_retries: int = 0
    max_retry_wait: float | None = None
    on_lost_attempt: Callable[[], None] = lambda: None
    """Called before a request is sent again whose last attempt may have been answered, and billed. It may raise."""
    lost: bool = False
    """True if the last attempt failed and may have been answered all the same."""
    opened: bool = False
    """True if an answer has begun."""
    sent: error_table.Sent = field(init=False)
    """What the remedy of an error depends on."""
    _page_failure: KiloError | None = None
    _deadline: float | None = None
    """Set when the time is first asked for, which is when the call begins."""

    def __post_init__(self) -> None:
        self.sent = error_table.Sent(
            model=self.model,
            keyed=self.settings.bearer is not None,
            organization=self.settings.organization_id is not None,
            timeout=self.timeout,
            several=self.several,
            chat=self.chat,
        )

    @classmethod
    def of(cls, settings: AccountSettings, path: str, **more: Any) -> Self:
        """Return an exchange that is not streamed, with the limits and the query of `settings`."""
        return cls(
            settings,
            path,
            query=settings.default_query or {},
            timeout=settings.timeout,
            total_timeout=settings.total_timeout,
            max_retries=settings.max_retries,
            max_retry_wait=settings.max_retry_wait,
            **more,
        )

    def send(self) -> Any:
        """Return the response, its body unread. Raises KiloError."""
        try:
            response = self._request(clients.sync_client(self.settings))
        except Exception as error:
            raise self._failed(error) from error.__cause__
        self.opened = True
        return response

    async def asend(self) -> Any:
        """Return the response, its body unread. Raises KiloError."""
        try:
            client = await clients.async_client(self.settings)
            async with asyncio.timeout(self._left()):
                response = await self._request(client)
        except Exception as error:
            raise self._failed(error) from error.__cause__
        self.opened = True
        return response

    def fetch(self) -> tuple[bytes, Any]:
        """Return the whole body and its response. Raises KiloError."""
        response = self.send()
        try:
            body = Body(self, response)
            for chunk in received(body):
                body.add(chunk)
            return body.content, response
        finally:
            response.close()

    async def afetch(self) -> tuple[bytes, Any]:
        """Return the whole body and its response. Raises KiloError."""
        response = await self.asend()
        try:
            body = Body(self, response)
            async for chunk in areceived(body):
                body.add(chunk)
            return body.content, response
        finally:
            await response.aclose()

    def _request(self, client: Any) -> Any:
        carrying = client.carrying(self.headers, self)
        # Whole, because the official client takes longer to join an address than to parse one.
        url = self.settings.base_url + self.path
        left = self._left()
        timeout: Any = self.timeout
        if left is not None:
            timeout = clients.at_most(client.timeout if timeout is None else timeout, left)
        arguments: dict[str, Any] = {
            "cast_to": clients.HTTP_RESPONSE,
            "options": clients.options(self.settings, query=self.query, timeout=timeout, max_retries=self.max_retries),
            "stream": True,
            "stream_cls": openai.Stream[object],
        }
        return carrying.get(url, **arguments) if self.body is None else carrying.post(url, body=self.body, **arguments)

    def error_page(self, response: Any) -> Any:
        """Return the response of an error with its page, of which only so much is read as a page has."""
        if response.is_closed:
            return response  # a user's own client has read it
        page = _ErrorPage(self, response)
        with self._page_may_fail(), closing(received(page)) as chunks:
            for chunk in chunks:
                page.add(chunk)
        response.close()
        return page.read()

    async def aerror_page(self, response: Any) -> Any:
        """Return the response of an error with its page, of which only so much is read as a page has."""
        if response.is_closed:
            return response  # a user's own client has read it
        page = _ErrorPage(self, response)
        with self._page_may_fail():
            async for chunk in areceived(page):
                page.add(chunk)
        await response.aclose()
        return page.read()

    @contextmanager
    def _page_may_fail(self) -> Iterator[None]:
        # It counts only if the request is not sent again, which the status alone decides.
        self._page_failure = None
        try:
            yield
        except KiloError as error:
            self._page_failure = error

    def check_error_page(self) -> None:
        """Raise what kept the page of an error from arriving whole and in time, if anything did."""
        if self._page_failure is not None:
            raise self._page_failure

    def retrying(self, wait: float, options: Any, headers: Mapping[str, str] | None) -> float:
        """Take note that an attempt failed and is made again after `wait` seconds; return the seconds to wait.

        Raises KiloTimeoutError if the total limit leaves no time for it.
        """
        failure = sys.exception()
        if headers is None and failure is not None and error_table.may_have_arrived(failure):
            self.on_lost_attempt()
        left = self._left()
        if left is not None:
            if wait >= left:
                raise self.too_long() from failure
            options.timeout = clients.at_most(options.timeout, left - wait)
        return wait

    def waits(self, seconds: float | None) -> bool:
        """Return whether a retry may wait as long as the gateway asks for."""
        return seconds is None or self.max_retry_wait is None or seconds <= self.max_retry_wait

    def _failed(self, error: Exception) -> Exception:
        # Our own errors follow an answer that refused the request, or an attempt that is counted already.
        self.lost = not isinstance(error, KiloError) and error_table.may_have_arrived(error)
        return self.translated(error)

    def translated(self, error: Exception, *, response: Any = None, partial: str = "") -> Exception:
        """Return the error to raise for what sending or reading raised."""
        if isinstance(error, KiloError):
            return error
        if self.expired and error_table.is_from_network(error):
            return self.too_long(response, partial)
        if response is None or not error_table.is_from_network(error):
            return error_table.from_exception(error, self.sent)
        if not self.streamed and not error_table.is_timeout(error):
            return error_table.cut(error, response)
        return error_table.from_transport(error, self.sent, response=response, partial=partial)

    @property
    def expired(self) -> bool:
        """True if the time for the whole answer is over."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def check(self, response: Any, partial: str = "") -> None:
        """Raise KiloTimeoutError if the time for the whole answer is over."""
        if self.expired:
            raise self.too_long(response, partial)

    def within(self, seconds: float | None) -> float | None:
        """Return `seconds`, or less where the total limit leaves less."""
        limits = [limit for limit in (seconds, self._left()) if limit is not None]
        return min(limits) if limits else None

    def _left(self) -> float | None:
        if self.total_timeout is None:
            return None
        if self._deadline is None:
            self._deadline = time.monotonic() + self.total_timeout
        return max(self._deadline - time.monotonic(), 0.001)

    def too_long(self, response: Any = None, partial: str = "") -> KiloError:
        """Return the error of an answer that was not complete in time."""
        return error_table.too_long(self.total_timeout or 0.0, response, partial)


class Reader:
    """Takes in a response as it arrives, and ends one that is too slow."""

    def __init__(self, exchange: Exchange, response: Any) -> None:
        self.exchange = exchange
        self.response = response
        self._moved_at = time.monotonic()
        self.over = False
        """True if the answer is whole and the rest of the body is not waited for."""
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding not in clients.ENCODINGS:
            raise error_table.unreadable(f"it is encoded as {encoding!r}, which was not asked for", response=response)
        self._limit_reads()

    @property
    def complete(self) -> bool:
        """True if the answer is whole, so that a connection that breaks now takes nothing away."""
        return False

    @property
    def partial_text(self) -> str:
        """The text of the answer so far."""
        return ""

    def _limit_reads(self) -> None:
        """Let no read take longer than the idle limit.

        `timeout` covers the wait for the headers, which may take minutes: a model may think long before its first
        byte. httpcore reads the limit of a response's reads when its body begins.
        """
        limit = self.exchange.within(self.exchange.idle_timeout)
        if limit is not None and (timeout := self.response.request.extensions.get("timeout")):
            timeout["read"] = min(timeout.get("read") or limit, limit)

    def check(self, *, moved: bool) -> None:
        """Raise KiloTimeoutError if the answer takes too long; `moved` says whether the last read brought anything."""
        exchange = self.exchange
        now = time.monotonic()
        if moved:
            self._moved_at = now
        # A read timeout cannot see this: keep-alive comments are bytes.
        elif exchange.idle_timeout is not None and now - self._moved_at > exchange.idle_timeout:
            self._end(error_table.idle(exchange.idle_timeout, self.response, self.partial_text))
        if exchange.total_timeout is not None and exchange.expired:
            self._end(exchange.too_long(self.response, self.partial_text))

    def _end(self, error: KiloError) -> None:
        """Raise `error`, unless the answer is whole: then nothing that is late takes anything away."""
        if not self.complete:
            raise error
        self.over = True

    def broken(self, error: Exception) -> Exception:
        """Return the error to raise for a connection that broke."""
        exchange = self.exchange
        if not exchange.expired and exchange.idle_timeout is not None and error_table.is_timeout(error):
            return error_table.idle(exchange.idle_timeout, self.response, self.partial_text)
        return exchange.translated(error, response=self.response, partial=self.partial_text)


class Body(Reader):
    """Collects a body that is used as a whole, up to the limit on its size."""

    def __init__(self, exchange: Exchange, response: Any) -> None:
        super().__init__(exchange, response)
        self._content = bytearray()

    @property
    def content(self) -> bytes:
        """What has arrived."""
        return bytes(self._content)

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes. Raises KiloError for a body that is too large or takes too long."""
        self._content += chunk
        limit = self.exchange.settings.max_response_bytes
        if len(self._content) > limit:
            raise error_table.unreadable(
                f"it is larger than max_response_bytes={limit} ({limit / _MEGABYTE:g} MB) when decompressed",
                response=self.response,
            )
        # A server that fills the time with spaces sends nothing.
        self.check(moved=not chunk.isspace())


class _ErrorPage(Reader):
    """The page of an error. The official client would read all of it, and wait for it as long as it takes."""

    def __init__(self, exchange: Exchange, response: Any) -> None:
        if response.headers.get("content-encoding", "").strip().lower() not in clients.ENCODINGS:
            del response.headers["content-encoding"]
        super().__init__(exchange, response)
        self._content = bytearray()

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes. Raises KiloError when it takes too long."""
        self._content += chunk
        self.over = len(self._content) >= ERROR_PAGE_BYTES
        self.check(moved=not chunk.isspace())

    def broken(self, error: Exception) -> Exception:
        """Return the error to raise for a connection that broke: it was not an answer that is lost."""
        return super().broken(error) if error_table.is_timeout(error) else self.exchange.translated(error)

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


def received(reader: Reader) -> Generator[bytes]:
    """Yield the body of the reader's response as it arrives. Raises KiloError."""
    response = reader.response
    try:
        with _cut_off(reader):
            for chunk in response.iter_bytes():
                yield chunk
                if reader.over:
                    return
    # Which HTTP library raises depends on openai's version and on the user's own client.
    except Exception as error:
        if not reader.complete:
            raise reader.broken(error) from error
    else:
        if not reader.complete:
            reader.exchange.check(response, reader.partial_text)


async def areceived(reader: Reader) -> AsyncIterator[bytes]:
    """Yield the body of the reader's response as it arrives. Raises KiloError."""
    chunks = reader.response.aiter_bytes()
    limited = reader.exchange.total_timeout is not None
    try:
        async with asyncio.timeout(reader.exchange.within(None)):
            first = await unlisted(chunks.__anext__)
        yield first
        while limited and not reader.over:
            async with asyncio.timeout(reader.exchange.within(None)):
                chunk = await anext(chunks)
            yield chunk
        if reader.over:
            return
        async for chunk in chunks:
            yield chunk
            if reader.over:
                return
    except StopAsyncIteration:
        return
    except Exception as error:
        if not reader.complete:
            raise reader.broken(error) from error


@contextmanager
def _cut_off(reader: Reader) -> Iterator[None]:
    """End the connection when the time for the whole answer is over: nothing else ends a read that waits."""
    left = reader.exchange.within(None)
    response = reader.response
    # A connection of HTTP/2 carries answers of other calls too.
    stream = response.extensions.get("network_stream") if response.http_version.startswith("HTTP/1") else None
    connection = None if left is None or stream is None else stream.get_extra_info("socket")
    if left is None or connection is None:
        yield
        return

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
