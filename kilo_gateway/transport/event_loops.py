"""The async clients, which belong to the event loop that they were built in and close with it."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import threading
from asyncio import AbstractEventLoop, get_running_loop
from collections.abc import AsyncGenerator
from functools import cache
from typing import Any, Final

import openai

from kilo_gateway.settings.account import AccountSettings
from kilo_gateway.transport.clients import POOL_SIZE, Account, Network, http_arguments
from kilo_gateway.transport.openai_compat import AIOHTTP_PACKAGES, AsyncGatewayClient

SHUTDOWN_STEPS: Final = 20
"""Turns that an event loop gets, when it ends, to close what streams leave behind."""

_LOCK = threading.Lock()


class _LoopClients:
    """The clients of one event loop."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        self.clients: dict[tuple[Account, str, Any], AsyncGatewayClient] = {}
        self.http: dict[tuple[Network, str], Any] = {}
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

    def client(self, account: Account, transport: str, own: Any) -> AsyncGatewayClient:
        place = (account, transport, own)
        client = self.clients.pop(place, None)
        if client is None:
            client = account.build(AsyncGatewayClient, own or self._shared_http(account.network, transport))
            if len(self.clients) >= POOL_SIZE:
                del self.clients[next(iter(self.clients))]
        self.clients[place] = client  # the last place: the one to be dropped is the least recently used
        return client

    def _shared_http(self, network: Network, transport: str) -> Any:
        if (network, transport) not in self.http:
            self.http[network, transport] = client_class(transport)(**http_arguments(network))
        return self.http[network, transport]


def client_class(transport: str) -> Any:
    """Return the class of the HTTP clients of a transport."""
    if transport == "httpx":
        return openai.DefaultAsyncHttpxClient
    from kilo_gateway.transport.aiohttp_client import AioHttpClient  # aiohttp takes 100 ms to import

    return AioHttpClient


@cache
def chosen_transport(chosen: str | None) -> str:
    """Return the transport to use. Raises ValueError if the chosen one is not installed."""
    missing = [package for package in AIOHTTP_PACKAGES if importlib.util.find_spec(package) is None]
    if chosen == "aiohttp" and missing:
        raise ValueError(
            f"transport='aiohttp' needs {' and '.join(missing)}, which is not installed; run pip install "
            "'openai[aiohttp]', or use transport='httpx'"
        )
    return chosen or ("httpx" if missing else "aiohttp")


_LOOPS: Final[dict[AbstractEventLoop, _LoopClients]] = {}


async def async_client(settings: AccountSettings) -> AsyncGatewayClient:
    """Return the client for `settings` and the running loop; nothing is connected yet.

    Raises ValueError for a key over plain http, and for a transport that is not installed.
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
    return pool.client(Account.of(settings), chosen_transport(settings.transport), own.value if own else None)


def loops() -> int:
    """Return the number of event loops that have clients."""
    return len(_LOOPS)


def _forget_loops() -> None:
    """Give a forked child its own lock, which a thread of the parent may have held, and no loops."""
    global _LOCK
    _LOCK = threading.Lock()
    _LOOPS.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_forget_loops)
