"""The openai clients: built on first use and shared by all models of the process that have the same account.

Models hold no client, only settings, which is what makes them picklable and copyable. A client
is found again by what it depends on: base URL, key, private headers, proxy and process.
"""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import openai

from kilo_gateway._version import __version__
from kilo_gateway.settings import GatewaySettings

USER_AGENT: Final = f"kilo-gateway-python/{__version__}"
PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
POOL_SIZE: Final = 128
"""Accounts whose clients are kept; the least recently used one is dropped when more are in use."""

# openai 2.x stands on httpx, 3.x on httpx2: its own client class tells which.
HTTP_RESPONSE: Final[Any] = sys.modules[openai.DefaultHttpxClient.__mro__[1].__module__].Response


class _WithoutOpenAIHeaders:
    """Sends only what the gateway is meant to get.

    The official client would add the organisation, project and custom headers that the
    environment holds for api.openai.com, and the description of this computer.
    """

    private_headers: dict[str, str]

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        return {
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            **self.private_headers,
        }


class _Sync(_WithoutOpenAIHeaders, openai.OpenAI):
    pass


class _Async(_WithoutOpenAIHeaders, openai.AsyncOpenAI):
    pass


@dataclass(frozen=True, slots=True)
class _Account:
    base_url: str
    key: str
    private_headers: tuple[tuple[str, str], ...]
    proxy: tuple[str | None, ...]
    process: int
    """A forked child must not share its parent's sockets."""


def _account(settings: GatewaySettings) -> _Account:
    get = os.environ.get
    return _Account(
        base_url=settings.base_url,
        # The client refuses an empty key; chat.py leaves the header out of anonymous requests.
        key=settings.bearer or "anonymous",
        private_headers=tuple(settings.private_headers().items()),
        proxy=tuple(get(name) or get(name.lower()) for name in PROXY_VARIABLES),
        process=os.getpid(),
    )


def _build(cls: type[Any], account: _Account, http_client: Any) -> Any:
    client = cls(api_key=account.key, base_url=account.base_url, http_client=http_client)
    client.private_headers = dict(account.private_headers)
    return client


@lru_cache(maxsize=POOL_SIZE)
def _shared_http(_proxy: tuple[str | None, ...], _process: int) -> Any:
    http = openai.DefaultHttpxClient()
    atexit.register(http.close)
    return http


@lru_cache(maxsize=POOL_SIZE)
def _sync(account: _Account, http_client: Any) -> openai.OpenAI:
    client: openai.OpenAI = _build(_Sync, account, http_client or _shared_http(account.proxy, account.process))
    return client


def sync_client(settings: GatewaySettings) -> openai.OpenAI:
    """Return the client for `settings`; nothing is connected yet."""
    own = settings.http_client
    return _sync(_account(settings), own.value if own else None)


class _LoopClients:
    """The async clients of one event loop; they close with it."""

    def __init__(self) -> None:
        self.clients: dict[tuple[_Account, Any], openai.AsyncOpenAI] = {}
        self.http: dict[tuple[str | None, ...], Any] = {}
        self.lifetime = self._lifetime()

    async def _lifetime(self) -> AsyncGenerator[None]:
        # asyncio closes a suspended async generator when its loop shuts down, which is the one
        # moment at which connections of that loop can still be closed properly.
        try:
            yield
        finally:
            for http in self.http.values():
                await http.aclose()


_LOOPS: Final[weakref.WeakKeyDictionary[AbstractEventLoop, _LoopClients]] = weakref.WeakKeyDictionary()


async def async_client(settings: GatewaySettings) -> openai.AsyncOpenAI:
    """Return the client for `settings` and the running loop; nothing is connected yet."""
    loop = get_running_loop()
    pool = _LOOPS.get(loop)
    if pool is None:
        pool = _LOOPS[loop] = _LoopClients()
        await anext(pool.lifetime)
    account = _account(settings)
    own = settings.http_async_client.value if settings.http_async_client else None
    client = pool.clients.get((account, own))
    if client is None:
        http = own
        if http is None:
            http = pool.http.get(account.proxy)
            if http is None:
                http = pool.http[account.proxy] = openai.DefaultAsyncHttpxClient()
        if len(pool.clients) >= POOL_SIZE:
            pool.clients.pop(next(iter(pool.clients)))
        client = pool.clients[account, own] = _build(_Async, account, http)
    return client
