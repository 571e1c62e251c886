"""The four chat drivers: the only place that sends a chat request. I/O only; decoding is in decode.py.

The official client does transport, authentication and retries. Frames are decoded here rather than
by its typed stream, which costs ten times as much CPU and loses parts of the errors (docs/gateway.md, "Streams").
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Generator, Iterator
from contextlib import suppress
from typing import Any, Final

import openai

from kilo_gateway import clients, error_table, notices
from kilo_gateway.budget import Charge
from kilo_gateway.decode import StreamDecoder, decode_body, decode_whole
from kilo_gateway.errors import KiloError
from kilo_gateway.reply import Delta, Reply
from kilo_gateway.settings import ChatRequest, GatewaySettings
from kilo_gateway.unlisted import unlisted

PATH: Final = "/chat/completions"


def create(settings: GatewaySettings, request: ChatRequest) -> Reply:
    """Send a request that is not streamed. Raises KiloError."""
    with _charge(settings, request) as charge:
        call, response = _open(settings, request)
        reply = decode_body(response.content, response, call.sent)
        charge.answered(reply.ending.model, reply.ending.usage)
        return reply


async def acreate(settings: GatewaySettings, request: ChatRequest) -> Reply:
    """Send a request that is not streamed. Raises KiloError."""
    with _charge(settings, request) as charge:
        call, response = await _aopen(settings, request)
        reply = decode_body(response.content, response, call.sent)
        charge.answered(reply.ending.model, reply.ending.usage)
        return reply


def stream(settings: GatewaySettings, request: ChatRequest) -> Generator[Delta]:
    """Send a streamed request; closing the iterator closes the connection. Raises KiloError."""
    with _charge(settings, request) as charge:
        call, response = _open(settings, request)
        try:
            reader = call.reader(response)
            for chunk in _received(response, reader):
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
        self._deltas = self._received(settings, request)
        self._response: Any = None

    def __anext__(self) -> Awaitable[Delta]:
        return self._deltas.__anext__()

    async def aclose(self) -> None:
        """Close the connection; safe while the loop does the same."""
        if self._response is not None:
            await self._response.aclose()
        # With the response closed this takes one step, so that the loop cannot find it half done.
        with suppress(RuntimeError):  # a loop that ends is closing it already
            await self._deltas.aclose()

    async def _received(self, settings: GatewaySettings, request: ChatRequest) -> AsyncGenerator[Delta]:
        with _charge(settings, request) as charge:
            call, response = await _aopen(settings, request)
            self._response = response
            try:
                reader = call.reader(response)
                async for chunk in _areceived(response, reader):
                    for delta in charge.seen(reader.feed(chunk)):
                        yield delta
                for delta in charge.seen(reader.finish()):
                    yield delta
            finally:
                await response.aclose()


def _charge(settings: GatewaySettings, request: ChatRequest) -> Charge:
    return Charge(settings.budget, request.payload, settings.base_url)


def _open(settings: GatewaySettings, request: ChatRequest) -> tuple[_Call, Any]:
    call = _Call(settings, request)
    try:
        client = clients.sync_client(settings).carrying(request.headers)
        return call, client.post(call.url, **call.arguments)
    except Exception as error:
        raise call.translated(error) from error.__cause__


async def _aopen(settings: GatewaySettings, request: ChatRequest) -> tuple[_Call, Any]:
    call = _Call(settings, request)
    try:
        client = (await clients.async_client(settings)).carrying(request.headers)
        return call, await client.post(call.url, **call.arguments)
    except Exception as error:
        raise call.translated(error) from error.__cause__


def _received(response: Any, reader: _Reader) -> Iterator[bytes]:
    try:
        yield from response.iter_bytes()
    # Which HTTP library raises depends on openai's version and on the user's own client.
    except Exception as error:
        if not reader.complete:
            raise reader.broken(error) from error


async def _areceived(response: Any, reader: _Reader) -> AsyncIterator[bytes]:
    chunks = response.aiter_bytes()
    try:
        yield await unlisted(chunks.__anext__)
        async for chunk in chunks:
            yield chunk
    except StopAsyncIteration:
        return
    except Exception as error:
        if not reader.complete:
            raise reader.broken(error) from error


class _Call:
    """What sync and async have in common about one request."""

    def __init__(self, settings: GatewaySettings, request: ChatRequest) -> None:
        notices.warn_once(settings, request.model, request.payload)
        self.idle_limit = request.stream_idle_timeout
        # Whole, because the official client takes longer to join an address than to parse one.
        self.url = settings.base_url + PATH
        self.sent = error_table.Sent(
            model=request.model,
            keyed=settings.bearer is not None,
            organization=settings.organization_id is not None,
            timeout=request.timeout,
            several=request.payload.get("n") not in (None, 1),
        )
        self.arguments: dict[str, Any] = {
            "cast_to": clients.HTTP_RESPONSE,
            "body": request.payload,
            "options": clients.options(
                settings, query=request.query, timeout=request.timeout, max_retries=request.max_retries
            ),
            "stream": request.payload["stream"],
            "stream_cls": openai.Stream[object],
        }

    def translated(self, error: Exception) -> Exception:
        return error_table.from_exception(error, self.sent)

    def reader(self, response: Any) -> _Reader:
        if self.idle_limit is not None and (timeout := response.request.extensions.get("timeout")):
            # Until the headers came, `timeout` counted: a model may think long before its first byte.
            limit = timeout["read"] = min(timeout.get("read") or self.idle_limit, self.idle_limit)
            return _Reader(response, self.sent, limit)
        return _Reader(response, self.sent, self.idle_limit)


class _Reader:
    """Decodes a response as it arrives, and ends one that sends nothing but keep-alives."""

    def __init__(self, response: Any, sent: error_table.Sent, idle_limit: float | None) -> None:
        self._response = response
        self._sent = sent
        self._decoder = StreamDecoder(response, sent)
        # A body that is no event stream (an error page, a server that does not stream) is decoded as a whole.
        self._whole = None if "event-stream" in response.headers.get("content-type", "") else bytearray()
        self._idle_limit = idle_limit
        self._frames = 0
        self._since = time.monotonic()

    def feed(self, chunk: bytes) -> Iterator[Delta]:
        if self._whole is not None:
            self._whole += chunk
            return
        yield from self._decoder.feed(chunk)
        now = time.monotonic()
        if self._decoder.frames != self._frames:
            self._frames, self._since = self._decoder.frames, now
        # A read timeout cannot see this: keep-alive comments are bytes.
        elif self._idle_limit is not None and now - self._since > self._idle_limit:
            raise error_table.idle(self._idle_limit, self._response, self._decoder.partial_text)

    @property
    def complete(self) -> bool:
        """Whether the answer is whole, so that a connection that breaks now takes nothing away."""
        return self._decoder.ended or self._decoder.finished

    def finish(self) -> Iterator[Delta]:
        if self._whole is not None:
            return decode_whole(bytes(self._whole), self._response, self._sent)
        return self._decoder.finish()

    def broken(self, error: Exception) -> KiloError:
        partial = self._decoder.partial_text
        if self._idle_limit is not None and error_table.is_timeout(error):
            return error_table.idle(self._idle_limit, self._response, partial)
        return error_table.from_transport(error, self._sent, response=self._response, partial=partial)
