"""The async transport on aiohttp, which costs half as much for each token of a stream as httpx's.

The official client brings it (`openai.DefaultAioHttpClient`). Its sessions are ours: the default ones would carry the
cookies of one account into another's calls, and complain on the standard error stream when their loop is gone.
"""

from __future__ import annotations

import asyncio
import base64
import os
from typing import Any

import aiohttp
import openai

from kilo_gateway.transport.openai_compat import HTTP


class _Connector(aiohttp.TCPConnector):
    """Counts as closed once its loop is closed, and in a forked child: the loop of the parent watches the sockets."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._home = asyncio.get_running_loop()
        self._process = os.getpid()

    @property
    def closed(self) -> bool:
        return super().closed or self._home.is_closed() or self._process != os.getpid()

    def __del__(self, *arguments: Any) -> None:
        if not self.closed:
            super().__del__(*arguments)


class _Response(aiohttp.ClientResponse):
    """Waits for its headers as long as `timeout` says; `Reading` limits the reads of its body.

    aiohttp would cancel a timer and start another for each piece that arrives, a tenth of the cost of a live token.
    """

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        response = await super().start(connection)
        if connection.protocol is not None:  # a short answer is complete by now
            connection.protocol.read_timeout = None
        return response


class AioHttpClient(openai.DefaultAioHttpClient):
    """The official client's HTTP client on aiohttp, without cookies."""

    def _init_transport(self, *arguments: Any, **named: Any) -> Any:
        return _with_session(super()._init_transport(*arguments, **named))

    def _init_proxy_transport(self, proxy: Any, *arguments: Any, **named: Any) -> Any:
        if proxy.raw_auth is not None:
            # The transport would use a class that aiohttp deprecates with a warning. From this header, aiohttp makes
            # the one that the proxy reads.
            credentials = base64.b64encode(b":".join(proxy.raw_auth)).decode()
            headers = {**proxy.headers, "Authorization": f"Basic {credentials}"}
            proxy = HTTP.Proxy(proxy.url, ssl_context=proxy.ssl_context, headers=headers)
        return _with_session(super()._init_proxy_transport(proxy, *arguments, **named))


def _with_session(transport: Any) -> Any:
    def session() -> aiohttp.ClientSession:
        connector = _Connector(
            limit=transport.limits.max_connections or 0,
            keepalive_timeout=transport.limits.keepalive_expiry,
            ssl=transport.ssl_context,
        )
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), response_class=_Response)

    transport.client = session
    return transport
