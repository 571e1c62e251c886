"""One exchange with the gateway: a request, its limits and its errors; reader.py reads the answer.

Everything that sync and async share about a request is here, once for chat, embeddings and the list of models.
A body is read here and not by the official client, which would send the request again after part of the answer
arrived.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

import openai

from kilo_gateway.encoding.response_headers import retry_after
from kilo_gateway.errors import KiloError, connection, translate
from kilo_gateway.errors.sent import Sent
from kilo_gateway.settings.account import AccountSettings
from kilo_gateway.transport.clients import options as client_options
from kilo_gateway.transport.clients import sync_client
from kilo_gateway.transport.event_loops import async_client
from kilo_gateway.transport.openai_compat import HTTP_RESPONSE, at_most
from kilo_gateway.transport.reader import Body, ErrorPage, areceived, received

_COME_BACK_LATER: Final = (429, 503)
"""The statuses whose `Retry-After` concerns the whole account (docs/gateway.md, "Retries")."""


class Turns(Protocol):
    """Counts the attempts of a request, and decides when each one is sent."""

    def begins(self) -> None:
        """Wait until the next attempt may be sent; may raise instead."""

    async def abegins(self) -> None:
        """Wait until the next attempt may be sent; may raise instead."""

    def lost(self) -> None:
        """Count an attempt that may have been answered, and billed, before it is repeated; may raise instead."""

    def postponed(self, seconds: float) -> None:
        """The gateway asks to send nothing for some seconds."""


@dataclass(slots=True)
class Exchange:
    """One request and its limits."""

    settings: AccountSettings
    path: str
    model: str = ""
    several: bool = False
    """True if more than one answer was requested."""
    chat: bool = True
    """True if an auto tier could be asked instead."""
    nearest: Callable[[], Sequence[str]] = tuple
    """Returns the known model ids that are like an unknown `model`."""
    body: dict[str, Any] | None = None
    """JSON to post; None for a GET."""
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    timeout: float | None = None
    total_timeout: float | None = None
    streamed: bool = False
    """True if a stream was requested."""
    idle_timeout: float | None = None
    """Seconds that a stream may go without data."""
    max_retries: int = 0
    max_retry_wait: float | None = None
    turns: Turns | None = None
    attempts: int = 0
    """How often the request was sent."""
    lost: bool = False
    """True if the last attempt failed but may have been answered."""
    opened: bool = False
    """True if an answer has begun."""
    sent: Sent = field(init=False)
    """The facts that the remedy of an error depends on."""
    _page_failure: KiloError | None = None
    _deadline: float | None = None
    """Set when the call begins, which is when the time is first read."""

    def __post_init__(self) -> None:
        self.sent = Sent(
            model=self.model,
            keyed=self.settings.bearer is not None,
            organization=self.settings.organization_id is not None,
            timeout=self.timeout,
            several=self.several,
            chat=self.chat,
            nearest=self.nearest,
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
            response = self._request(sync_client(self.settings))
        except Exception as error:
            raise self._failed(error) from error.__cause__
        self.opened = True
        return response

    async def asend(self) -> Any:
        """Return the response, its body unread. Raises KiloError."""
        try:
            client = await async_client(self.settings)
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
        # The whole address, because the official client takes longer to join one than to parse it.
        url = self.settings.base_url + self.path
        left = self._left()
        timeout: Any = self.timeout
        if left is not None:
            timeout = at_most(client.timeout if timeout is None else timeout, left)
        arguments: dict[str, Any] = {
            "cast_to": HTTP_RESPONSE,
            "options": client_options(self.settings, query=self.query, timeout=timeout, max_retries=self.max_retries),
            "stream": True,
            "stream_cls": openai.Stream[object],
        }
        return carrying.get(url, **arguments) if self.body is None else carrying.post(url, body=self.body, **arguments)

    def error_page(self, response: Any) -> Any:
        """Return the response of an error with its page, read up to the size that a page may have."""
        self._refused(response)
        if response.is_closed:
            return response  # a user's own client has read it
        page = ErrorPage(self, response)
        try:
            with self._page_may_fail(), closing(received(page)) as chunks:
                for chunk in chunks:
                    page.add(chunk)
        finally:
            response.close()
        return page.read()

    async def aerror_page(self, response: Any) -> Any:
        """Return the response of an error with its page, read up to the size that a page may have."""
        self._refused(response)
        if response.is_closed:
            return response  # a user's own client has read it
        page = ErrorPage(self, response)
        try:
            with self._page_may_fail():
                async for chunk in areceived(page):
                    page.add(chunk)
        finally:
            await response.aclose()
        return page.read()

    def _refused(self, response: Any) -> None:
        if self.turns is None or response.status_code not in _COME_BACK_LATER:
            return
        if (seconds := retry_after(response.headers)) is not None:
            self.turns.postponed(seconds)

    @contextmanager
    def _page_may_fail(self) -> Iterator[None]:
        # It counts only if the request is not sent again, which the status alone decides.
        self._page_failure = None
        try:
            yield
        except KiloError as error:
            self._page_failure = error

    def check_error_page(self) -> None:
        """Raise the failure that kept the page of an error from arriving whole and in time, if there was one."""
        if self._page_failure is not None:
            raise self._page_failure

    def begins(self) -> None:
        """Wait until an attempt may be sent, and count it; may raise instead."""
        if self.turns is not None:
            self.turns.begins()
        self.attempts += 1

    async def abegins(self) -> None:
        """Wait until an attempt may be sent, and count it; may raise instead."""
        if self.turns is not None:
            await self.turns.abegins()
        self.attempts += 1

    def retrying(self, wait: float, options: Any, headers: Mapping[str, str] | None) -> float:
        """Record that an attempt failed and is repeated after `wait` seconds; return the seconds to wait.

        Raises KiloTimeoutError if the total limit leaves no time for it.
        """
        failure = sys.exception()
        if self.turns is not None and headers is None and failure is not None and connection.may_have_arrived(failure):
            self.turns.lost()
        left = self._left()
        if left is not None:
            if wait >= left:
                raise self.too_long() from failure
            options.timeout = at_most(options.timeout, left - wait)
        return wait

    def waits(self, seconds: float | None) -> bool:
        """Return True if a retry may wait as long as the gateway asks for."""
        return seconds is None or self.max_retry_wait is None or seconds <= self.max_retry_wait

    def _failed(self, error: Exception) -> Exception:
        connection.hide_frames(error)
        # Our own errors follow an answer that refused the request, or an attempt that is counted already.
        self.lost = not isinstance(error, KiloError) and connection.may_have_arrived(error)
        return self.translated(error)

    def translated(self, error: Exception, *, response: Any = None, partial: str = "") -> Exception:
        """Return the error to raise for an exception of sending or reading."""
        if isinstance(error, KiloError):
            return error
        if self.expired and connection.is_from_network(error):
            return self.too_long(response, partial)
        if response is None or not connection.is_from_network(error):
            return translate.from_exception(error, self.sent)
        if not self.streamed and not connection.is_timeout(error):
            return connection.cut(error, response)
        return connection.from_transport(error, self.sent, response=response, partial=partial)

    @property
    def read_timeout(self) -> float | None:
        """Seconds that one read of the body may take; a user's own client has its own limit besides."""
        own = self.settings.http_async_client is not None
        timeout = openai.DEFAULT_TIMEOUT.read if self.timeout is None and not own else self.timeout
        return min((limit for limit in (timeout, self.idle_timeout) if limit is not None), default=None)

    @property
    def max_bytes(self) -> int:
        """Upper limit of the size of a body that is used as a whole, decompressed."""
        return self.settings.max_response_bytes

    @property
    def expired(self) -> bool:
        """True if the time for the whole answer is over."""
        return self._deadline is not None and time.monotonic() >= self._deadline

    def within(self, seconds: float | None) -> float | None:
        """Return `seconds`, or less if the total limit leaves less."""
        limits = [limit for limit in (seconds, self._left()) if limit is not None]
        return min(limits) if limits else None

    @property
    def time_left(self) -> float | None:
        """Seconds that the total limit leaves, or None if there is no such limit or the call has not begun."""
        return None if self._deadline is None else self._left()

    def _left(self) -> float | None:
        if self.total_timeout is None:
            return None
        if self._deadline is None:
            self._deadline = time.monotonic() + self.total_timeout
        return max(self._deadline - time.monotonic(), 0.001)

    def too_long(self, response: Any = None, partial: str = "") -> KiloError:
        """Return the error of an answer that was not complete in time."""
        return connection.too_long(self.total_timeout or 0.0, response, partial)
