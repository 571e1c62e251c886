"""The openai clients: built on first use and shared by all models of the process that have the same account.

Models hold no client, only settings, which makes them picklable and copyable. A client is found again by the
things it depends on: base URL, key, private headers, proxy and process. Async clients also belong to an event
loop: see event_loops.py.
"""

from __future__ import annotations

import atexit
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Final

import openai

from kilo_gateway.settings import types
from kilo_gateway.settings.account import AccountSettings
from kilo_gateway.settings.keys import KeyFunction
from kilo_gateway.transport.openai_compat import HTTP, UNSENT, GatewayClient, without_platform

NO_KEY: Final = "anonymous"
"""The client refuses an empty key; `options` leaves the header out of anonymous requests."""

CERTIFICATE_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR")
PROXY_VARIABLES: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
POOL_SIZE: Final = 128
"""Accounts whose clients are kept; the least recently used one is dropped when more are in use."""
ENCODINGS: Final = frozenset({"", "identity", "gzip", "deflate"})
"""Content encodings that are read: 64 KB of any other may be gigabytes."""

_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Network:
    """The things that a connection pool depends on."""

    proxy: tuple[str | None, ...]
    certificates: tuple[str | None, ...]
    process: int
    """A forked child must not share its parent's sockets."""


@dataclass(frozen=True, slots=True)
class Account:
    """The things that a client depends on."""

    base_url: str
    key: str | KeyFunction = field(repr=False)
    """A function counts as itself, so that a new token needs no new client."""
    private_headers: tuple[tuple[str, str], ...] = field(repr=False)
    allow_insecure: bool
    network: Network

    @classmethod
    def of(cls, settings: AccountSettings) -> Account:
        """Return the account of `settings`, in the environment of this process."""
        get = os.environ.get
        return cls(
            base_url=settings.base_url,
            key=settings.bearer or NO_KEY,
            private_headers=tuple(settings.private_headers().items()),
            allow_insecure=settings.allow_insecure,
            network=Network(
                proxy=tuple(get(name) or get(name.lower()) for name in PROXY_VARIABLES),
                certificates=tuple(get(name) for name in CERTIFICATE_VARIABLES),
                process=os.getpid(),
            ),
        )

    def build(self, cls: type[Any], http_client: Any) -> Any:
        """Return a new client of class `cls`. Raises ValueError for a key over plain http."""
        types.check_key_travels_safely(self.base_url, keyed=self.key != NO_KEY, allowed=self.allow_insecure)
        key = NO_KEY if isinstance(self.key, KeyFunction) else self.key
        client = cls(api_key=key, base_url=self.base_url, http_client=http_client)
        client.key_function = self.key if isinstance(self.key, KeyFunction) else None
        client.private_headers = dict(self.private_headers)
        without_platform(client)
        return client


@lru_cache(maxsize=8)
def _certificates(_network: Network) -> Any:
    # Reading them takes about 50 ms, too long for every new event loop.
    return HTTP.create_ssl_context()


def http_arguments(network: Network) -> dict[str, Any]:
    """Return the arguments of a new HTTP client."""
    return {
        "verify": _certificates(network),
        # A redirect would carry prompt and private headers to whatever address the answer names.
        "follow_redirects": False,
        # All accounts share these clients: a cookie would carry one account's session into another's calls.
        "cookies": CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    }


@lru_cache(maxsize=POOL_SIZE)
def _shared_http(network: Network) -> Any:
    http = openai.DefaultHttpxClient(**http_arguments(network))
    atexit.register(http.close)
    return http


@lru_cache(maxsize=POOL_SIZE)
def _cached_client(account: Account, own: Any) -> GatewayClient:
    client: GatewayClient = account.build(GatewayClient, own or _shared_http(account.network))
    return client


def sync_client(settings: AccountSettings) -> GatewayClient:
    """Return the client for `settings`; nothing is connected yet. Raises ValueError for a key over plain http."""
    own = settings.http_client
    account = Account.of(settings)
    with _LOCK:  # lru_cache would let each thread of a batch build its own
        return _cached_client(account, own.value if own else None)


def forget() -> None:
    """Drop the shared clients that are not async; the next call builds new ones."""
    _cached_client.cache_clear()


def options(
    settings: AccountSettings,
    *,
    query: Mapping[str, Any],
    timeout: float | None,
    max_retries: int,
) -> dict[str, Any]:
    """Return the openai client's options of a request; its headers report nothing about this computer.

    Without a key there is no Authorization header. Other headers are given to `carrying`.
    """
    unsent = UNSENT if settings.bearer else {**UNSENT, "Authorization": openai.Omit()}
    arguments: dict[str, Any] = {"headers": unsent, "max_retries": max_retries, "params": query}
    return arguments if timeout is None else {**arguments, "timeout": timeout}


def _renew_lock() -> None:
    """Give a forked child its own lock, which a thread of the parent may have held."""
    global _LOCK
    _LOCK = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_renew_lock)
