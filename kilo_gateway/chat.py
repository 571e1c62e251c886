"""The four chat drivers: the only place that sends a chat request. I/O only; reading is done by `interfaces`.

The official client does transport, authentication and retries. Frames are decoded here rather than
by its typed stream, which costs ten times as much CPU and loses parts of the errors (docs/gateway.md, "Streams").
"""

from __future__ import annotations

import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Final, TypeVar

from kilo_gateway import data_policy, unsupported
from kilo_gateway.call import Call
from kilo_gateway.charge import Charge
from kilo_gateway.conversation import Thought, without_reasoning
from kilo_gateway.encoding.sse import looks_like_events
from kilo_gateway.errors import KiloInvalidRequestError
from kilo_gateway.errors.table import REASONING_PHRASES
from kilo_gateway.interfaces import INTERFACES, Interface
from kilo_gateway.interfaces.messages.request import DEFAULT_MAX_TOKENS
from kilo_gateway.merging import merged
from kilo_gateway.models import known, prices
from kilo_gateway.reply import Delta, Reply
from kilo_gateway.settings.chat import GatewaySettings
from kilo_gateway.transport.exchange import Exchange
from kilo_gateway.transport.reader import Body, Reader, areceived, received

_API_OF_HINT: Final = {"openai": "responses", "anthropic": "messages"}
"""The interface that the gateway's own client uses for a hint in the list of models (docs/gateway.md, "Interfaces")."""
_ENOUGH_TO_KNOW: Final = 16
"""Bytes that show whether an answer is an event stream: a byte order mark, spaces and a field name."""


def create(settings: GatewaySettings, call: Call) -> Reply:
    """Send a request that is not streamed. Raises KiloError."""
    request = _Request(settings, call)
    try:
        with request.charge:
            return request.answered(*request.exchange.fetch())
    except KiloInvalidRequestError as error:
        retry = request.without_reasoning(error)
    return _marked(create(settings, retry))


async def acreate(settings: GatewaySettings, call: Call) -> Reply:
    """Send a request that is not streamed. Raises KiloError."""
    request = await _arequest(settings, call)
    try:
        async with request.charge:
            return request.answered(*await request.exchange.afetch())
    except KiloInvalidRequestError as error:
        retry = request.without_reasoning(error)
    return _marked(await acreate(settings, retry))


def stream(settings: GatewaySettings, call: Call) -> Generator[Delta]:
    """Send a streamed request; closing the iterator closes the connection. Raises KiloError."""
    request = _Request(settings, call)
    charge = request.charge
    try:
        with charge:
            response = request.exchange.send()
            try:
                reader = request.reader(response)
                for chunk in received(reader):
                    yield from charge.seen(request.deltas(reader.feed(chunk)))
                yield from charge.seen(reader.finish())
                return
            finally:
                response.close()
    except KiloInvalidRequestError as error:
        retry = request.without_reasoning(error)
    for delta in stream(settings, retry):
        yield _marked(delta)


def astream(settings: GatewaySettings, call: Call) -> AsyncDeltas:
    """Send a streamed request; closing the iterator closes the connection. Raises KiloError."""
    return AsyncDeltas(settings, call)


class AsyncDeltas(AsyncIterator[Delta]):
    """An async stream. Its request is sent when the first delta is asked for.

    This is not an async generator, because an event loop that ends closes all generators at once, and reports
    each that its reader is closing at that moment (docs/decisions/async-iterators.md).
    """

    def __init__(self, settings: GatewaySettings, call: Call) -> None:
        self._settings = settings
        self._deltas = self._received(call)
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

    async def _received(self, call: Call) -> AsyncGenerator[Delta]:
        request = await _arequest(self._settings, call)
        charge = request.charge
        if charge.counts:
            # A loop that is closed without shutting down its generators never runs the rest of this one.
            weakref.finalize(self, charge.settle).atexit = False
        try:
            async with charge:
                self._response = response = await request.exchange.asend()
                try:
                    reader = request.reader(response)
                    async for chunk in areceived(reader):
                        for delta in charge.seen(request.deltas(reader.feed(chunk))):
                            yield delta
                    for delta in charge.seen(reader.finish()):
                        yield delta
                    return
                finally:
                    await response.aclose()
        except KiloInvalidRequestError as error:
            retry = request.without_reasoning(error)
        async for delta in self._received(retry):
            yield _marked(delta)


class _Request:
    """One request of a call: everything that sync and async share about it."""

    def __init__(self, settings: GatewaySettings, call: Call) -> None:
        self.call = call = resolved(settings, call)
        self.interface = interface = INTERFACES[call.api]
        body = interface.body(call)
        data_policy.warn_once(settings, call.model, refused=call.refuses_data_collection)
        unsupported.warn_once(call, base_url=settings.base_url)
        self.exchange = Exchange(
            settings,
            interface.path,
            model=call.model,
            several=call.answers != 1,
            nearest=partial(known.nearest, call.model, base_url=settings.base_url),
            body=body,
            headers=call.headers,
            query=call.query,
            timeout=call.timeout,
            total_timeout=call.total_timeout,
            streamed=call.stream,
            idle_timeout=call.stream_idle_timeout if call.stream else None,
            max_retries=call.max_retries,
            max_retry_wait=call.max_retry_wait,
        )
        self.charge = Charge(settings.budget, self.exchange, partial(prices.size_of, call))
        self.deltas: Callable[[Iterator[Delta]], Iterator[Delta]] = merged if call.merge_ready else iter
        """How the deltas of one read are handed on."""

    def answered(self, content: bytes, response: Any) -> Reply:
        """Return the answer of a request that was not streamed."""
        reply = Reply.of(self.interface.whole(content, response, self.exchange.sent))
        ending = reply.ending
        self.charge.answered(ending.model, ending.usage, generated=len(content), finish_reason=ending.finish_reason)
        return reply

    def without_reasoning(self, error: KiloInvalidRequestError) -> Call:
        """Return the call without earlier reasoning, if `error` refuses that; raises the error otherwise."""
        refused = any(phrase in f"{error.code} {error}".lower() for phrase in REASONING_PHRASES)
        thoughts = (part for message in self.call.conversation for part in message.parts if isinstance(part, Thought))
        if self.exchange.opened or not refused or not any(thoughts):
            raise error
        return replace(self.call, conversation=without_reasoning(self.call.conversation))

    def reader(self, response: Any) -> _Stream:
        """Return the reader of a streamed answer."""
        declared = "event-stream" in response.headers.get("content-type", "")
        stream = (_Stream if declared else _Undeclared)(self.interface, self.exchange, response)
        self.charge.watch(stream.decoder)
        return stream


async def _arequest(settings: GatewaySettings, call: Call) -> _Request:
    await known.aread(call.model, base_url=settings.base_url)
    return _Request(settings, call)


def resolved(settings: GatewaySettings, call: Call) -> Call:
    """Return the call with its interface chosen, and with the facts of the model that the interface needs."""
    if call.api == "completions":
        return call
    info = known.known(call.model, base_url=settings.base_url)
    api = call.api
    if api == "auto":
        # Auto tiers are reached by Chat Completions, as the gateway's own client does it.
        hint = None if info is None or call.tier is not None else (info.opencode or {}).get("ai_sdk_provider")
        api = _API_OF_HINT.get(str(hint), "completions")
    limit = None if info is None else info.max_output_tokens
    if limit is not None and info is not None and info.as_of is not None:
        limit = min(limit, DEFAULT_MAX_TOKENS)  # a provider refuses a limit that has become too high since
    return replace(call, api=api, output_limit=limit)


Answered = TypeVar("Answered", Reply, Delta)


def _marked(answered: Answered) -> Answered:
    """Note in the ending that earlier reasoning was left out."""
    if answered.ending is not None:
        answered.ending.reasoning_left_out = True
    return answered


class _Stream(Reader):
    """Decodes a stream as it arrives."""

    def __init__(self, interface: Interface, exchange: Exchange, response: Any) -> None:
        super().__init__(exchange, response)
        self.interface = interface
        self.decoder = interface.decoder(response, exchange.sent)
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

    def __init__(self, interface: Interface, exchange: Exchange, response: Any) -> None:
        super().__init__(interface, exchange, response)
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
        return self.interface.whole(self._body.content, self.response, self.exchange.sent)
