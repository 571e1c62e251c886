"""The four chat drivers: the only place that sends a chat request. I/O only; decoding is in `interfaces`.

The official client does transport, authentication and retries. Frames are decoded here rather than
by its typed stream, which costs ten times as much CPU and loses parts of the errors (docs/gateway.md, "Streams").
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Iterator
from contextlib import suppress
from typing import Any, Final

from kilo_gateway import data_policy
from kilo_gateway.charge import Charge
from kilo_gateway.encoding.sse import looks_like_events
from kilo_gateway.interfaces.chat_completions.stream import StreamDecoder, decode_body, decode_whole
from kilo_gateway.reply import Delta, Reply
from kilo_gateway.settings.chat import ChatRequest, GatewaySettings
from kilo_gateway.transport.exchange import Exchange
from kilo_gateway.transport.reader import Body, Reader, areceived, received

PATH: Final = "/chat/completions"
_ENOUGH_TO_KNOW: Final = 16
"""Bytes that show whether an answer is an event stream: a byte order mark, spaces and a field name."""


def create(settings: GatewaySettings, request: ChatRequest) -> Reply:
    """Send a request that is not streamed. Raises KiloError."""
    exchange = _exchange(settings, request)
    with _charge(settings, request, exchange) as charge:
        content, response = exchange.fetch()
        reply = decode_body(content, response, exchange.sent)
        charge.answered(reply.ending.model, reply.ending.usage, generated=len(content))
        return reply


async def acreate(settings: GatewaySettings, request: ChatRequest) -> Reply:
    """Send a request that is not streamed. Raises KiloError."""
    exchange = _exchange(settings, request)
    async with _charge(settings, request, exchange) as charge:
        content, response = await exchange.afetch()
        reply = decode_body(content, response, exchange.sent)
        charge.answered(reply.ending.model, reply.ending.usage, generated=len(content))
        return reply


def stream(settings: GatewaySettings, request: ChatRequest) -> Generator[Delta]:
    """Send a streamed request; closing the iterator closes the connection. Raises KiloError."""
    exchange = _exchange(settings, request)
    with _charge(settings, request, exchange) as charge:
        response = exchange.send()
        try:
            reader = _reader(exchange, response, charge)
            for chunk in received(reader):
                yield from charge.seen(reader.feed(chunk))
            yield from charge.seen(reader.finish())
        finally:
            response.close()


def astream(settings: GatewaySettings, request: ChatRequest) -> AsyncDeltas:
    """Send a streamed request; closing the iterator closes the connection. Raises KiloError."""
    return AsyncDeltas(settings, request)


class AsyncDeltas(AsyncIterator[Delta]):
    """An async stream. Its request is sent when the first delta is asked for.

    No async generator, because whoever iterates over it closes it: an event loop that ends closes all
    generators at once, and reports each that it finds being closed by another.
    """

    def __init__(self, settings: GatewaySettings, request: ChatRequest) -> None:
        exchange = _exchange(settings, request)
        charge = _charge(settings, request, exchange)
        self._deltas = self._received(exchange, charge)
        self._response: Any = None
        if settings.budget is not None:
            # A loop that is closed without shutting down its generators never runs the rest of this one.
            weakref.finalize(self, charge.settle).atexit = False

    def __anext__(self) -> Awaitable[Delta]:
        return self._deltas.__anext__()

    async def aclose(self) -> None:
        """Close the connection; safe while the loop does the same."""
        if self._response is not None:
            await self._response.aclose()
        # With the response closed this takes one step, so that the loop cannot find it half done.
        with suppress(RuntimeError):  # a loop that ends is closing it already
            await self._deltas.aclose()

    async def _received(self, exchange: Exchange, charge: Charge) -> AsyncGenerator[Delta]:
        async with charge:
            self._response = response = await exchange.asend()
            try:
                reader = _reader(exchange, response, charge)
                async for chunk in areceived(reader):
                    for delta in charge.seen(reader.feed(chunk)):
                        yield delta
                for delta in charge.seen(reader.finish()):
                    yield delta
            finally:
                await response.aclose()


def _charge(settings: GatewaySettings, request: ChatRequest, exchange: Exchange) -> Charge:
    return Charge(settings.budget, request.payload, exchange)


def _exchange(settings: GatewaySettings, request: ChatRequest) -> Exchange:
    data_policy.warn_once(settings, request.model, request.payload)
    return Exchange(
        settings,
        PATH,
        model=request.model,
        several=request.payload.get("n") not in (None, 1),
        body=request.payload,
        headers=request.headers,
        query=request.query,
        timeout=request.timeout,
        total_timeout=request.total_timeout,
        streamed=request.payload["stream"],
        idle_timeout=request.stream_idle_timeout if request.payload["stream"] else None,
        max_retries=request.max_retries,
        max_retry_wait=request.max_retry_wait,
    )


def _reader(exchange: Exchange, response: Any, charge: Charge) -> _Stream:
    declared = "event-stream" in response.headers.get("content-type", "")
    stream = _Stream(exchange, response) if declared else _Undeclared(exchange, response)
    charge.watch(stream.decoder)
    return stream


class _Stream(Reader):
    """Decodes a stream as it arrives."""

    def __init__(self, exchange: Exchange, response: Any) -> None:
        super().__init__(exchange, response)
        self.decoder = StreamDecoder(response, exchange.sent)
        self._progress = 0

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        decoder = self.decoder
        if decoder.ended:
            # A server that ends a stream sends nothing behind the answer: this one keeps the connection alive.
            self.over = True
            return
        yield from decoder.feed(chunk)
        moved = decoder.progress != self._progress
        self._progress = decoder.progress
        self.check(moved=moved)

    def finish(self) -> Iterator[Delta]:
        return self.decoder.finish()

    @property
    def complete(self) -> bool:
        return self.decoder.ended or self.decoder.finished

    @property
    def partial_text(self) -> str:
        return self.decoder.partial_text


class _Undeclared(_Stream):
    """An answer without the content type of a stream: its first bytes show whether it is one.

    If it is not (an error page, a server that does not stream), it is decoded as a whole.
    """

    def __init__(self, exchange: Exchange, response: Any) -> None:
        super().__init__(exchange, response)
        self._body: Body | None = Body(exchange, response)
        self._beginning = b""

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        if self._body is None:
            yield from super().feed(chunk)
            return
        self._body.add(chunk)
        if len(self._beginning) < _ENOUGH_TO_KNOW:
            self._beginning = (self._beginning + chunk).lstrip()[:_ENOUGH_TO_KNOW]
            if looks_like_events(self._beginning):
                content, self._body = self._body.content, None
                yield from super().feed(content)

    def finish(self) -> Iterator[Delta]:
        if self._body is None:
            return super().finish()
        return decode_whole(self._body.content, self.response, self.exchange.sent)
