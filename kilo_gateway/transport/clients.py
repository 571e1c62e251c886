"""The openai clients: built on first use and shared by all models of the process that have the same account.

Models hold no client, only settings, which is what makes them picklable and copyable. A client
is found again by what it depends on: base URL, key, private headers, proxy and process.
"""

from __future__ import annotations

import asyncio
import atexit
import copy
import os
import sys
import threading
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final, Protocol, Self

import openai

from kilo_gateway._version import __version__
from kilo_gateway.encoding import response_headers
from kilo_gateway.settings import types
from kilo_gateway.settings.account import AccountSettings

USER_AGENT: Final = f"kilo-gateway-python/{__version__}"
NO_KEY: Final = "anonymous"
"""The client refuses an empty key; `options` leaves the header out of anonymous requests."""

CERTIFICATE_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
POOL_SIZE: Final = 128
"""Accounts whose clients are kept; the least recently used one is dropped when more are in use."""
ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})
"""Content encodings that are read: 64 KB of any other may be gigabytes."""
SHUTDOWN_STEPS: Final = 20
"""Turns that an event loop gets, when it ends, to close what streams leave behind."""

# What the official client would tell about itself; nobody asked for it.
_UNSENT: Final = {"x-stainless-retry-count": openai.Omit(), "x-stainless-read-timeout": openai.Omit()}

# openai 2.x stands on httpx, 3.x on httpx2: its own client class tells which.
_HTTP: Final[Any] = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__]
HTTP_RESPONSE: Final[Any] = _HTTP.Response


class Limits(Protocol):
    """What a client asks the exchange that it makes: may it try again, and how much of an error may it read."""

    def waits(self, seconds: float | None) -> bool:
        """Return whether a retry may wait as long as the gateway asks for."""

    def retrying(self, wait: float, options: Any, headers: Mapping[str, str] | None) -> float:
        """Return the seconds to wait before the request is sent again; may raise instead."""

    def error_page(self, response: Any) -> Any:
        """Return the response of an error with its page."""

    async def aerror_page(self, response: Any) -> Any:
        """Return the response of an error with its page."""

    def check_error_page(self) -> None:
        """Raise what kept the page of an error from arriving whole and in time, if anything did."""


class _WithoutOpenAIHeaders:
    """Sends only what the gateway is meant to get.

    The official client would add the organisation, project and custom headers that the
    environment holds for api.openai.com, and the description of this computer.
    """

    private_headers: dict[str, str]
    exchange: Limits

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        own = {
            "Accept": "application/json",
            # What the exchange reads; others would make gigabytes of a few bytes.
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
        }
        return _over(own, self.private_headers)

    def carrying(self, headers: Mapping[str, str], exchange: Limits) -> Self:
        """Return a client for one exchange, which sends `headers` too and shares the connections.

        As an option of the request they would be in the official client's log.
        """
        client = copy.copy(self)
        client.private_headers = _over(self.private_headers, headers)
        client.exchange = exchange
        return client

    # The official client has no public way to look at its retries, or at a page of an error before it is decoded.

    def _should_retry(self, response: Any) -> bool:
        again: bool = super()._should_retry(response)  # type: ignore[misc] # of both official clients
        return again and self.exchange.waits(response_headers.retry_after(response.headers))

    def _calculate_retry_timeout(self, remaining_retries: int, options: Any, response_headers: Any = None) -> float:
        wait: float = super()._calculate_retry_timeout(remaining_retries, options, response_headers)  # type: ignore[misc] # the same
        return self.exchange.retrying(wait, options, response_headers)

    def _make_status_error_from_response(self, response: Any) -> openai.APIStatusError:
        self.exchange.check_error_page()
        response.encoding = response_headers.charset_of(response)
        error: openai.APIStatusError = super()._make_status_error_from_response(response)  # type: ignore[misc] # the same
        return error


def _over(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers of both; names differ by more than case, and those of `more` win."""
    taken = {name.lower() for name in more}
    return {name: value for name, value in base.items() if name.lower() not in taken} | dict(more)


class _Sync(_WithoutOpenAIHeaders, openai.OpenAI):
    def _send_request(self, *args: Any, **options: Any) -> Any:
        response = super()._send_request(*args, **options)
        return response if response.is_success else self.exchange.error_page(response)


class _Async(_WithoutOpenAIHeaders, openai.AsyncOpenAI):
    async def _send_request(self, *args: Any, **options: Any) -> Any:
        response = await super()._send_request(*args, **options)
        return response if response.is_success else await self.exchange.aerror_page(response)


@dataclass(frozen=True, slots=True)
class _Network:
    """What a connection pool depends on."""

    proxy: tuple[str | None, ...]
    certificates: tuple[str | None, ...]
    process: int
    """A forked child must not share its parent's sockets."""


@dataclass(frozen=True, slots=True)
class _Account:
    base_url: str
    key: str = field(repr=False)
    private_headers: tuple[tuple[str, str], ...] = field(repr=False)
    allow_insecure: bool
    network: _Network

    def build(self, cls: type[Any], http_client: Any) -> Any:
        types.check_key_travels_safely(self.base_url, keyed=self.key != NO_KEY, allowed=self.allow_insecure)
        client = cls(api_key=self.key, base_url=self.base_url, http_client=http_client)
        client.private_headers = dict(self.private_headers)
        # Nothing is told about this computer. An async client that does not know its platform asks a thread for it,
        # and each copy that `carrying` makes would ask again: a third of the cost of a request.
        client._platform = "Unknown"
        return client


def _account(settings: AccountSettings) -> _Account:
    get = os.environ.get
    return _Account(
        base_url=settings.base_url,
        key=settings.bearer or NO_KEY,
        private_headers=tuple(settings.private_headers().items()),
        allow_insecure=settings.allow_insecure,
        network=_Network(
            proxy=tuple(get(name) or get(name.lower()) for name in PROXY_VARIABLES),
            certificates=tuple(get(name) for name in CERTIFICATE_VARIABLES),
            process=os.getpid(),
        ),
    )


def at_most(timeout: Any, seconds: float) -> Any:
    """Return `timeout`, as the official client takes it, with no part of it longer than `seconds`."""
    parts = (
        _HTTP.Timeout(timeout).as_dict() if timeout is None or isinstance(timeout, int | float) else timeout.as_dict()
    )
    return _HTTP.Timeout(**{name: seconds if part is None else min(part, seconds) for name, part in parts.items()})


@lru_cache(maxsize=8)
def _certificates(_network: _Network) -> Any:
    # Reading them takes about 50 ms, too long for every new event loop.
    return _HTTP.create_ssl_context()


def _http_arguments(network: _Network) -> dict[str, Any]:
    return {
        "verify": _certificates(network),
        # A redirect would carry prompt and private headers to whatever address the answer names.
        "follow_redirects": False,
        # All accounts share these clients: a cookie would carry one account's session into another's calls.
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    }


@lru_cache(maxsize=POOL_SIZE)
def _shared_http(network: _Network) -> Any:
    http = openai.DefaultHttpxClient(**_http_arguments(network))
    atexit.register(http.close)
    return http


@lru_cache(maxsize=POOL_SIZE)
def _sync(account: _Account, own: Any) -> _Sync:
    client: _Sync = account.build(_Sync, own or _shared_http(account.network))
    return client


def sync_client(settings: AccountSettings) -> _Sync:
    """Return the client for `settings`; nothing is connected yet. Raises ValueError for a key over plain http."""
    own = settings.http_client
    account = _account(settings)
    with _LOCK:  # lru_cache would let each thread of a batch build its own
        return _sync(account, own.value if own else None)


def options(
    settings: AccountSettings,
    *,
    query: Mapping[str, Any],
    timeout: float | None,
    max_retries: int,
) -> dict[str, Any]:
    """Return the openai client's options of a request; its headers tell nothing about this computer.

    Without a key there is no Authorization header. Other headers are given to `carrying`.
    """
    unsent = _UNSENT if settings.bearer else {**_UNSENT, "Authorization": openai.Omit()}
    found: dict[str, Any] = {"headers": unsent, "max_retries": max_retries, "params": query}
    return found if timeout is None else {**found, "timeout": timeout}


class _LoopClients:
    """The async clients of one event loop; they close with it."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.clients: dict[tuple[_Account, Any], _Async] = {}
        self.http: dict[_Network, Any] = {}
        self.lifetime = self._lifetime(loop)

    async def _lifetime(self, loop: AbstractEventLoop) -> AsyncGenerator[None]:
        # asyncio closes a suspended async generator when its loop shuts down, which is the one
        # moment at which connections of that loop can still be closed properly.
        try:
            yield
        finally:
            with _LOCK:
                _LOOPS.pop(loop, None)
            for http in self.http.values():
                await http.aclose()
            # Streams that the loop closes now drop generators of the HTTP library, each of which the loop closes
            # in a task of its own: it gets the time for that.
            for _ in range(SHUTDOWN_STEPS):
                await asyncio.sleep(0)

    def client(self, account: _Account, own: Any) -> _Async:
        client = self.clients.pop((account, own), None)
        if client is None:
            network = account.network
            if own is None and network not in self.http:
                self.http[network] = openai.DefaultAsyncHttpxClient(**_http_arguments(network))
            client = account.build(_Async, own or self.http[network])
            if len(self.clients) >= POOL_SIZE:
                del self.clients[next(iter(self.clients))]
        self.clients[account, own] = client  # the last place: the one to be dropped is the least recently used
        return client


_LOCK = threading.Lock()
_LOOPS: Final[dict[AbstractEventLoop, _LoopClients]] = {}


def _start_anew() -> None:
    """Give a forked child its own lock, which a thread of the parent may have held, and no loops."""
    global _LOCK
    _LOCK = threading.Lock()
    _LOOPS.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_start_anew)


async def async_client(settings: AccountSettings) -> _Async:
    """Return the client for `settings` and the running loop; nothing is connected yet.

    Raises ValueError for a key over plain http.
    """
    loop = get_running_loop()
    pool = _LOOPS.get(loop)
    if pool is None:
        with _LOCK:
            for closed in [other for other in _LOOPS if other.is_closed()]:
                del _LOOPS[closed]  # it was closed without shutting down its generators
            pool = _LOOPS[loop] = _LoopClients(loop)
        await anext(pool.lifetime)
    own = settings.http_async_client
    return pool.client(_account(settings), own.value if own else None)
