"""Run the sandbox without a socket: call its application as a server does.

`exchange` returns the bytes that the sandbox would send. `client` and `async_client` are HTTP clients that receive
these bytes; pass them to a model as `http_client`.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import httpx

from kilo_gateway.sandbox import Sandbox


@dataclass(frozen=True)
class Exchange:
    """One answer; `complete` is False if the sandbox dropped the connection."""

    status: int
    headers: list[tuple[bytes, bytes]]
    pieces: list[bytes]
    complete: bool


class InProcess(Sandbox):
    """A sandbox without a server."""

    def start(self) -> Self:
        """Do nothing; `with` works as for a sandbox with a server."""
        return self

    def exchange(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Exchange:
        """Return the whole answer to one request."""
        sent = [(name.lower().encode(), value.encode("latin-1")) for name, value in (headers or {}).items()]
        return asyncio.run(self.aexchange(method, path, body, sent))

    async def aexchange(self, method: str, path: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> Exchange:
        """Return the whole answer to one request; the headers have lower-case names."""
        self._gateway.stopping = asyncio.Event()  # it belongs to the event loop
        arriving = [{"type": "http.request", "body": body}]
        answer: list[Any] = []

        async def receive() -> Any:
            return arriving.pop() if arriving else await asyncio.Future()  # the client never disconnects

        async def send(message: Any) -> None:
            answer.append(message)

        bare, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": bare,
            "query_string": query.encode(),
            "root_path": "",
            "headers": headers,
            "client": ("127.0.0.1", 1),
        }
        await self._gateway.app(scope, receive, send)
        start, *parts = answer
        complete = not parts[-1].get("more_body", False)
        return Exchange(start["status"], start["headers"], [part["body"] for part in parts], complete)

    @cached_property
    def client(self) -> httpx.Client:
        """A client whose requests this sandbox answers."""
        return httpx.Client(transport=_Transport(self), trust_env=False)

    @cached_property
    def async_client(self) -> httpx.AsyncClient:
        """The same for async calls."""
        return httpx.AsyncClient(transport=_Transport(self), trust_env=False)


class _Transport(httpx.BaseTransport, httpx.AsyncBaseTransport):
    def __init__(self, gateway: InProcess) -> None:
        self.gateway = gateway

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return asyncio.run(self._answered(request, request.read()))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._answered(request, await request.aread())

    async def _answered(self, request: httpx.Request, body: bytes) -> httpx.Response:
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        exchange = await self.gateway.aexchange(request.method, request.url.raw_path.decode(), body, headers)
        return httpx.Response(exchange.status, headers=exchange.headers, stream=_Body(exchange))


class _Body(httpx.SyncByteStream, httpx.AsyncByteStream):
    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange

    def __iter__(self) -> Iterator[bytes]:
        yield from self.exchange.pieces
        if not self.exchange.complete:
            raise httpx.RemoteProtocolError("the sandbox dropped the connection")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece
