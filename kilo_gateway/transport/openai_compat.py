"""The private parts of the official client that this package relies on, all in one place.

Each one has a test in tests/unit/test_openai_compat.py, which fails on the day a new release changes it.
"""

from __future__ import annotations

import copy
import importlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Protocol, Self

import openai

from kilo_gateway._version import __version__
from kilo_gateway.encoding.response_headers import charset_of, retry_after
from kilo_gateway.settings.keys import KeyFunction
from kilo_gateway.transport import keys

USER_AGENT: Final = f"kilo-gateway-python/{__version__}"

_MAJOR: Final = int(openai.__version__.split(".")[0])

HTTP: Final[Any] = importlib.import_module("httpx2" if _MAJOR >= 3 else "httpx")
"""The HTTP library of the installed openai package: openai 2.x stands on httpx, 3.x on httpx2."""

AIOHTTP_PACKAGES: Final = ("aiohttp",) if _MAJOR >= 3 else ("aiohttp", "httpx_aiohttp")
"""The modules that the official client's aiohttp transport needs."""

HTTP_RESPONSE: Final[Any] = HTTP.Response


class Limits(Protocol):
    """The exchange that a client makes: when it may try, and again, and how much of an error it may read."""

    def begins(self) -> None:
        """Wait until an attempt may be sent; may raise instead."""

    async def abegins(self) -> None:
        """Wait until an attempt may be sent; may raise instead."""

    def waits(self, seconds: float | None) -> bool:
        """Return True if a retry may wait as long as the gateway asks for."""

    def retrying(self, wait: float, options: Any, headers: Mapping[str, str] | None) -> float:
        """Return the seconds to wait before the request is sent again; may raise instead."""

    def error_page(self, response: Any) -> Any:
        """Return the response of an error with its page."""

    async def aerror_page(self, response: Any) -> Any:
        """Return the response of an error with its page."""

    def check_error_page(self) -> None:
        """Raise the failure that kept the page of an error from arriving whole and in time, if there was one."""


class _Gateway:
    """Sends only what the gateway is meant to get.

    The official client would add the organisation, project and custom headers that the
    environment holds for api.openai.com, and the description of this computer.
    """

    private_headers: dict[str, str]
    exchange: Limits
    api_key: str
    key_function: KeyFunction | None

    @property
    def default_headers(self) -> dict[str, str | openai.Omit]:
        own = {
            "Accept": "application/json",
            # The encodings that the exchange reads; others would make gigabytes of a few bytes.
            "Accept-Encoding": "gzip, deflate",
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
        }
        return _over(own, self.private_headers)

    def carrying(self, headers: Mapping[str, str], exchange: Limits) -> Self:
        """Return a client for one exchange, which sends `headers` too and shares the connections.

        As an option of the request they would be in the official client's log. `with_options` would do the same
        in 17 us instead of 3 (openai 3.57).
        """
        client = copy.copy(self)
        client.private_headers = _over(self.private_headers, headers)
        client.exchange = exchange
        return client

    def _prepare_url(self, url: str) -> Any:
        return _parsed(url)

    # The official client has no public way to look at its retries, or at a page of an error before it is decoded.

    def _should_retry(self, response: Any) -> bool:
        again: bool = super()._should_retry(response)  # type: ignore[misc] # the mixin has no base class; both official clients have this method
        return again and self.exchange.waits(retry_after(response.headers))

    def _calculate_retry_timeout(self, remaining_retries: int, options: Any, response_headers: Any = None) -> float:
        wait: float = super()._calculate_retry_timeout(remaining_retries, options, response_headers)  # type: ignore[misc] # as in `_should_retry`
        return self.exchange.retrying(wait, options, response_headers)

    def _make_status_error_from_response(self, response: Any) -> openai.APIStatusError:
        self.exchange.check_error_page()
        response.encoding = charset_of(response)
        error: openai.APIStatusError = super()._make_status_error_from_response(response)  # type: ignore[misc] # as in `_should_retry`
        return error


@lru_cache(maxsize=128)
def _parsed(url: str) -> Any:
    """Return a whole address as the HTTP library has it, which parses one for 15 us (httpx2 2.13)."""
    return HTTP.URL(url)


def _over(base: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the headers of both; names differ by more than case, and those of `more` win."""
    if not more:
        return dict(base)
    taken = {name.lower() for name in more}
    return {name: value for name, value in base.items() if name.lower() not in taken} | dict(more)


class GatewayClient(_Gateway, openai.OpenAI):
    """The official client, as the gateway is meant to see it."""

    # Called for each attempt, of the copy that `carrying` made for the exchange. The official client's own way to call
    # a function refuses one that is synchronous in an async client.

    def _prepare_options(self, options: Any) -> Any:
        self.exchange.begins()
        if self.key_function is not None:
            self.api_key = keys.key_of(self.key_function)
        return super()._prepare_options(options)

    def _send_request(self, *args: Any, **options: Any) -> Any:
        response = super()._send_request(*args, **options)
        return response if response.is_success else self.exchange.error_page(response)


class AsyncGatewayClient(_Gateway, openai.AsyncOpenAI):
    """The official async client, as the gateway is meant to see it."""

    async def _prepare_options(self, options: Any) -> Any:
        await self.exchange.abegins()
        if self.key_function is not None:
            self.api_key = await keys.akey_of(self.key_function)
        return await super()._prepare_options(options)

    async def _send_request(self, *args: Any, **options: Any) -> Any:
        response = await super()._send_request(*args, **options)
        return response if response.is_success else await self.exchange.aerror_page(response)


def without_platform(client: Any) -> None:
    """Let a client report nothing about this computer.

    An async client that does not know its platform asks a thread for it, and each copy that `carrying` makes would
    ask again: a third of the cost of a request.
    """
    client._platform = "Unknown"


UNSENT: Final = {"x-stainless-retry-count": openai.Omit(), "x-stainless-read-timeout": openai.Omit()}
"""Headers that the official client would add to each request."""


def at_most(timeout: Any, seconds: float) -> Any:
    """Return `timeout`, as the official client takes it, with no part of it longer than `seconds`."""
    parts = (
        HTTP.Timeout(timeout).as_dict() if timeout is None or isinstance(timeout, int | float) else timeout.as_dict()
    )
    return HTTP.Timeout(**{name: seconds if part is None else min(part, seconds) for name, part in parts.items()})


def limit_reads(response: Any, seconds: float) -> None:
    """Let no read of a response's body take longer than `seconds`.

    httpcore reads the limit of a response's reads from the request when the body begins, which has no public name.
    """
    if timeout := response.request.extensions.get("timeout"):
        timeout["read"] = min(timeout.get("read") or seconds, seconds)
